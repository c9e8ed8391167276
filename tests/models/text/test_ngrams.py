"""The properties of the n-grams that the models read texts as, held against a naive reading."""

from __future__ import annotations

import unicodedata
from collections import Counter
from itertools import pairwise

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from models.text import ngrams
from models.text.normalise import normalise
from models.text.vocabulary import Census, count_all, learn


def fold(character: str) -> str:
    """The spelling of a character that counts, as ngrams.py folds case."""
    if character == "’":
        return "'"
    return character.lower() if len(character.lower()) == 1 and ord(character) <= 0xFFFF else character


def kinds_of(text: str) -> list[int]:
    """The kind of each character; an apostrophe is a letter between letters and a gap elsewhere."""
    table, _ = ngrams.characters()
    kinds = [int(table[min(ord(character), 0xFFFF)]) for character in text]
    within = [kinds[at - 1 : at + 2 : 2] == [ngrams.LETTER] * 2 for at in range(len(kinds))]
    return [
        (ngrams.LETTER if inside else ngrams.GAP) if kind == ngrams.APOSTROPHE else kind
        for kind, inside in zip(kinds, within, strict=True)
    ]


def naive(text: str) -> tuple[Counter[tuple[str, ...]], Counter[tuple[str, ...]]]:
    """Words with pairs and triples, and pieces, of a text: as ngrams.py defines them, character by character."""
    text = "\n" + unicodedata.normalize("NFC", text) + "\n"
    kinds, folded = kinds_of(text), [fold(character) for character in text]
    words: list[tuple[str, bool]] = []
    for at, kind in enumerate(kinds):
        if kind == ngrams.LETTER and kinds[at - 1] == ngrams.LETTER:
            words[-1] = (words[-1][0] + folded[at], False)
        elif kind != ngrams.GAP:
            words.append((folded[at], kind == ngrams.SIGN))
    grams: Counter[tuple[str, ...]] = Counter((word,) for word, _ in words)
    grams.update((one, two) for (one, _), (two, _) in pairwise(words))
    triples = zip(words, words[1:], words[2:], strict=False)
    grams.update(tuple(word for word, _ in three) for three in triples if all(sign for _, sign in three))
    letters = [character if kind == ngrams.LETTER else "" for character, kind in zip(folded, kinds, strict=True)]
    runs = (tuple(letters[at : at + ngrams.PIECE]) for at in range(len(letters) - ngrams.PIECE + 1))
    return grams, Counter(run for run in runs if all(run[1:-1]))


TEXTS = st.lists(st.text(max_size=40) | st.text("abc de'’É好한!?👍\n.", max_size=40), min_size=1, max_size=6)


def hashed(families: tuple[ngrams.Grams, ...]) -> Counter[int]:
    """How often each hash occurs in a block of one text."""
    return Counter(int(hash_) for grams in families for hash_ in grams.hashes[grams.valid])


@settings(max_examples=150, deadline=None)
@given(TEXTS)
def test_ngrams_are_those_of_a_naive_reading(texts: list[str]):
    for text in texts:
        block, (grams, pieces) = ngrams.read([text]), naive(text)
        assert sorted(hashed(block.words).values()) == sorted(grams.values())
        assert sorted(hashed(block.pieces).values()) == sorted(pieces.values())


@settings(max_examples=100, deadline=None)
@given(TEXTS, TEXTS)
def test_a_matrix_counts_the_known_ngrams(learnt: list[str], texts: list[str]):
    vocabularies = learn(learnt, 1, 10**6)
    whole = count_all(texts, vocabularies)
    for row, text in enumerate(texts):
        block = ngrams.read([text])
        for families, part, matrix in zip((block.words, block.pieces), vocabularies, whole, strict=True):
            expected = [hashed(families)[int(hash_)] for hash_ in part.hashes]
            assert matrix[row].toarray()[0].tolist() == expected


@settings(max_examples=100, deadline=None)
@given(TEXTS)
def test_a_texts_ngrams_do_not_depend_on_the_batch(texts: list[str]):
    block = ngrams.read(texts)
    for number, text in enumerate(texts):
        alone = ngrams.read([text])
        for whole, single in zip((*block.words, *block.pieces), (*alone.words, *alone.pieces), strict=True):
            own = whole.valid & (block.owner[whole.starts] == number)
            assert np.array_equal(whole.hashes[own], single.hashes[single.valid])


@settings(max_examples=100, deadline=None)
@given(TEXTS)
def test_normalising_changes_no_ngram(texts: list[str]):
    for text, tidy in zip(texts, normalise(texts), strict=True):
        for before, after in zip(ngrams.read([text]).words, ngrams.read([tidy]).words, strict=True):
            assert np.array_equal(before.hashes[before.valid], after.hashes[after.valid])


@settings(max_examples=50, deadline=None)
@given(TEXTS, st.integers(1, 60))
def test_blocks_are_the_texts_in_order(texts: list[str], size: int):
    runs = list(ngrams.blocks(texts, size))
    assert [text for run in runs for text in run] == texts
    assert all(len(run) == 1 or sum(len(text) + 1 for text in run) <= size for run in runs)


def test_a_vocabulary_keeps_the_commonest():
    block = ngrams.read(["a b", "a c", "a b"])
    census = Census()
    census.add(block.owner, block.words[:1])
    most = census.commonest(2, 10)
    assert len(most) == 2
    assert most[0] == block.words[0].hashes[0]
