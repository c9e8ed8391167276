"""Parts of the service by properties: the batcher, the writer's frames, the guard's names, the canary's hash."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ratchet.monitoring.log.writer import framed, frames
from ratchet.project.settings import Limits
from ratchet.servers.access import LOOPBACK
from ratchet.serving.answering.batcher import Batcher, ModelAnswer
from ratchet.serving.answering.requests import RequestError, check, shown
from ratchet.serving.answering.service import PARTS, part
from ratchet.serving.guard import bare


class Counting:
    """A model whose answer tells the text it was given: its number as a share. It fails on a text `x`."""

    labels = ("a", "b")

    def __init__(self) -> None:
        self.largest = 0

    def predict_proba(self, texts: Sequence[str]) -> np.ndarray:
        self.largest = max(self.largest, len(texts))
        if "x" in texts:
            raise ValueError("a text that no model reads")
        shares = np.array([int(text or 0) / 1000 for text in texts])
        return np.stack([shares, 1 - shares], axis=1)


@st.composite
def crowds(draw: st.DrawFn) -> list[tuple[list[str], int, bool]]:
    """Requests: their texts, after how many turns of the loop each comes, and whether its client goes away."""
    texts = st.lists(st.integers(1, 1000).map(str) | st.sampled_from(["", "x"]), max_size=9)
    return draw(st.lists(st.tuples(texts, st.integers(0, 4), st.booleans()), max_size=8))


async def answers(batcher: Batcher, crowd: list[tuple[list[str], int, bool]]) -> list[Any]:
    async def one(texts: list[str], turns: int) -> ModelAnswer:
        for _ in range(turns):
            await asyncio.sleep(0)
        return await batcher.ask(texts)

    tasks = [asyncio.create_task(one(texts, turns)) for texts, turns, _ in crowd]
    for task, (_, _, leaves) in zip(tasks, crowd, strict=True):
        if leaves:
            await asyncio.sleep(0)
            task.cancel()
    found = await asyncio.wait_for(asyncio.gather(*tasks, return_exceptions=True), 10)
    assert (await batcher.ask(["7"])).rows == [[0.007, 0.993]]
    return found


@given(crowds(), st.integers(1, 20), st.integers(1, 5))
def test_everybody_gets_the_answers_to_their_own_texts(
    crowd: list[tuple[list[str], int, bool]], characters: int, places: int
) -> None:
    model: Any = Counting()
    found = asyncio.run(answers(Batcher(model, characters, places), crowd))
    fails = any("x" in texts for texts, _, _ in crowd)
    for (texts, _, leaves), got in zip(crowd, found, strict=True):
        if isinstance(got, asyncio.CancelledError):
            assert leaves
        elif isinstance(got, ValueError):
            assert fails
        else:
            assert [row[0] for row in got.rows] == [int(text or 0) / 1000 for text in texts]
            assert got.best == [int(row[1] > row[0]) for row in got.rows]
        if "x" in texts and not leaves:
            assert isinstance(got, ValueError)
    assert model.largest <= places


@given(st.lists(st.binary(max_size=300), max_size=8), st.data())
def test_frames_are_the_messages_however_the_stream_is_cut(messages: list[bytes], data: st.DataObject) -> None:
    stream = b"".join(map(framed, messages))
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=12)))
    buffer, found = bytearray(), list[bytes]()
    for start, end in zip([0, *cuts], [*cuts, len(stream)], strict=True):
        buffer += stream[start:end]
        found += frames(buffer)
    assert found == messages
    assert not buffer


@given(st.sampled_from(sorted(LOOPBACK - {"::1"})), st.integers(0, 65_535))
def test_a_name_is_the_same_with_any_port(name: str, port: int) -> None:
    assert bare(f"{name}:{port}") == bare(name) == name


@pytest.mark.parametrize(
    "host",
    [
        "localhost:8000:8000", "localhost:80 ", "localhost:x", " localhost", "localhost.", "localhost@example.org",
        "example.org:localhost", "127.0.0.1.example.org", "127.0.0.1:80:x", "[::1]:80:80", "[::1", "::1]:80", "",
    ],
)  # fmt: skip
def test_no_other_name_passes_for_one_of_ours(host: str) -> None:
    assert bare(host) not in {"localhost", "127.0.0.1", "::1", "[::1]"}


@given(
    st.sampled_from(sorted(LOOPBACK)), st.integers(0, 40), st.characters(max_codepoint=255, exclude_categories=["Nd"])
)
def test_a_sign_more_anywhere_makes_one_of_ours_another(name: str, at: int, sign: str) -> None:
    changed = name[:at] + sign + name[at:]
    assert bare(changed) not in LOOPBACK


@given(st.sampled_from(sorted(LOOPBACK)), st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1))
def test_a_name_that_begins_or_ends_as_ours_is_another(name: str, more: str) -> None:
    if not more.isdigit():
        assert bare(f"{more}.{name}") not in LOOPBACK
        assert bare(f"{name}.{more}") not in LOOPBACK


@given(st.integers(0, 2**32), st.sampled_from([0.01, 0.1, 0.5, 0.9]))
def test_a_share_of_the_keys_is_that_share(seed: int, share: float) -> None:
    """Six standard deviations of a binomial: two in a billion would lie outside."""
    count = 2_000
    hits = sum(part(f"{seed}-{number}") < share * PARTS for number in range(count))
    assert abs(hits - count * share) <= 6 * (count * share * (1 - share)) ** 0.5


@given(st.text(st.characters(exclude_categories=())))
def test_a_key_has_its_place_whatever_it_is(key: str) -> None:
    assert 0 <= part(key) == part(key) < PARTS


def test_a_key_has_the_place_that_it_had() -> None:
    assert (part(""), part("a"), part("一")) == (309448485, 3391310933, 3368518390)


@given(st.lists(st.text(max_size=12), max_size=12), st.integers(1, 10), st.integers(1, 10))
def test_texts_within_the_bounds_pass_and_no_others(texts: list[str], most: int, longest: int) -> None:
    limits = Limits(texts=most, characters=longest)
    if len(texts) <= most and all(len(text) <= longest for text in texts):
        check(texts, limits)
    else:
        with pytest.raises(RequestError, match="may have"):
            check(texts, limits)


@given(st.recursive(st.none() | st.integers() | st.text() | st.floats(), lambda some: st.lists(some) | st.tuples(some)))
def test_what_is_shown_of_anything_is_short(value: object) -> None:
    assert 0 < len(shown(value)) <= 100
    assert len(shown([value] * 1_000_000)) <= 100
