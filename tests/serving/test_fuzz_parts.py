"""Parts of the service by properties: the batcher, the writer's frames, the guard's names, the canary's hash."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ratchet.monitoring.log.writer import framed, frames
from ratchet.problem.settings import Limits
from ratchet.servers.access import LOOPBACK
from ratchet.serving.answering.batcher import Batcher, ModelAnswer
from ratchet.serving.answering.requests import RequestError, abbreviate, check_inputs
from ratchet.serving.answering.service import KEY_HASHES, hash_key
from ratchet.serving.guard import without_port


class EchoModel:
    """A model whose probabilities encode the text: a number, as thousandths. It fails on a text `x`."""

    labels = ("a", "b")

    def __init__(self) -> None:
        self.largest_batch = 0

    def predict(self, texts: Sequence[str]) -> np.ndarray:
        self.largest_batch = max(self.largest_batch, len(texts))
        if "x" in texts:
            raise ValueError("a text that no model reads")
        shares = np.array([int(text or 0) / 1000 for text in texts])
        return np.stack([shares, 1 - shares], axis=1)


class ClientRequest(NamedTuple):
    """A request to the batcher.

    Attributes:
        texts: of the request.
        delay: turns of the event loop before it arrives.
        is_cancelled: whether its client goes away.
    """

    texts: list[str]
    delay: int
    is_cancelled: bool


TEXTS = st.lists(st.integers(1, 1000).map(str) | st.sampled_from(["", "x"]), max_size=9)
REQUESTS = st.lists(st.builds(ClientRequest, TEXTS, st.integers(0, 4), st.booleans()), max_size=8)


async def answer_all(batcher: Batcher, requests: list[ClientRequest]) -> list[Any]:
    """The answer or the exception of each request."""

    async def send(request: ClientRequest) -> ModelAnswer:
        for _ in range(request.delay):
            await asyncio.sleep(0)
        return await batcher.predict(request.texts)

    tasks = [asyncio.create_task(send(request)) for request in requests]
    for task, request in zip(tasks, requests, strict=True):
        if request.is_cancelled:
            await asyncio.sleep(0)
            task.cancel()
    results = await asyncio.wait_for(asyncio.gather(*tasks, return_exceptions=True), 10)
    assert (await batcher.predict(["7"])).rows == [[0.007, 0.993]]
    return results


@given(REQUESTS, st.integers(1, 20), st.integers(1, 5))
def test_each_request_gets_the_answers_to_its_own_texts(
    requests: list[ClientRequest], max_characters: int, max_texts: int
) -> None:
    model: Any = EchoModel()
    results = asyncio.run(answer_all(Batcher(model, max_characters, max_texts), requests))
    may_fail = any("x" in request.texts for request in requests)
    for request, result in zip(requests, results, strict=True):
        if isinstance(result, asyncio.CancelledError):
            assert request.is_cancelled
        elif isinstance(result, ValueError):
            assert may_fail
        else:
            assert [row[0] for row in result.rows] == [int(text or 0) / 1000 for text in request.texts]
            assert result.labels == ["ab"[row[1] > row[0]] for row in result.rows]
            assert result.scores == [max(row) for row in result.rows]
        if "x" in request.texts and not request.is_cancelled:
            assert isinstance(result, ValueError)
    assert model.largest_batch <= max_texts


@given(st.lists(st.binary(max_size=300), max_size=8), st.data())
def test_frames_are_the_messages_wherever_the_stream_is_cut(messages: list[bytes], data: st.DataObject) -> None:
    stream = b"".join(map(framed, messages))
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=12)))
    buffer = bytearray()
    read = list[bytes]()
    for start, end in zip([0, *cuts], [*cuts, len(stream)], strict=True):
        buffer += stream[start:end]
        read += frames(buffer)
    assert read == messages
    assert not buffer


@given(st.sampled_from(sorted(LOOPBACK - {"::1"})), st.integers(0, 65_535))
def test_a_name_is_the_same_with_any_port(name: str, port: int) -> None:
    assert without_port(f"{name}:{port}") == without_port(name) == name


@pytest.mark.parametrize(
    "host",
    [
        "localhost:8000:8000", "localhost:80 ", "localhost:x", " localhost", "localhost.", "localhost@example.org",
        "example.org:localhost", "127.0.0.1.example.org", "127.0.0.1:80:x", "[::1]:80:80", "[::1", "::1]:80", "",
    ],
)  # fmt: skip
def test_no_other_name_passes_for_one_of_ours(host: str) -> None:
    assert without_port(host) not in {"localhost", "127.0.0.1", "::1", "[::1]"}


@given(
    st.sampled_from(sorted(LOOPBACK)), st.integers(0, 40), st.characters(max_codepoint=255, exclude_categories=["Nd"])
)
def test_a_name_with_an_inserted_character_is_another(name: str, position: int, character: str) -> None:
    changed = name[:position] + character + name[position:]
    assert without_port(changed) not in LOOPBACK


@given(st.sampled_from(sorted(LOOPBACK)), st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1))
def test_a_name_with_a_prefix_or_suffix_is_another(name: str, affix: str) -> None:
    if not affix.isdigit():
        assert without_port(f"{affix}.{name}") not in LOOPBACK
        assert without_port(f"{name}.{affix}") not in LOOPBACK


@given(st.integers(0, 2**32), st.sampled_from([0.01, 0.1, 0.5, 0.9]))
def test_the_canary_gets_its_share_of_the_keys(seed: int, share: float) -> None:
    """Six standard deviations of a binomial: two in a billion would lie outside."""
    count = 2_000
    hits = sum(hash_key(f"{seed}-{number}") < share * KEY_HASHES for number in range(count))
    assert abs(hits - count * share) <= 6 * (count * share * (1 - share)) ** 0.5


@given(st.text(st.characters(exclude_categories=())))
def test_any_key_has_a_stable_hash_within_the_range(key: str) -> None:
    assert 0 <= hash_key(key) == hash_key(key) < KEY_HASHES


def test_the_hash_of_a_key_is_the_same_in_every_release() -> None:
    assert (hash_key(""), hash_key("a"), hash_key("一")) == (309448485, 3391310933, 3368518390)


@given(st.lists(st.text(max_size=12), max_size=12), st.integers(1, 10), st.integers(1, 10))
def test_only_texts_within_the_limits_pass(texts: list[str], max_texts: int, max_characters: int) -> None:
    limits = Limits(texts=max_texts, characters=max_characters)
    if len(texts) <= max_texts and all(len(text) <= max_characters for text in texts):
        check_inputs(texts, limits, "text")
    else:
        with pytest.raises(RequestError, match="may have"):
            check_inputs(texts, limits, "text")


@given(
    st.recursive(
        st.none() | st.integers() | st.text() | st.floats(), lambda values: st.lists(values) | st.tuples(values)
    )
)
def test_an_abbreviated_value_is_short(value: object) -> None:
    assert 0 < len(abbreviate(value)) <= 100
    assert len(abbreviate([value] * 1_000_000)) <= 100
