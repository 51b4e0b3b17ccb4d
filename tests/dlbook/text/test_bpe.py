"""Byte-pair encoding: merges, pieces and numbers are those of Hugging Face's tokenizers; nothing is lost."""

import json

import numpy as np
import pytest
import tokenizers
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from dlbook.data import corpora
from dlbook.text.bpe import BYTES, BytePairEncoding, _join, _split, train_bpe
from tests.helpers.references import reference

ALPHABET = sorted(tokenizers.pre_tokenizers.ByteLevel.alphabet())  # one visible character for each byte
BYTE_OF = dict(zip(ALPHABET, BYTES, strict=True))
PIECE_OF = {byte: character for character, byte in BYTE_OF.items()}
UNLIKE = {"No", "Nl", "Cs", "Cn"}  # what Python sees otherwise, half surrogates, characters newer than Python
CHARACTERS = st.characters(exclude_categories=UNLIKE, exclude_characters="\x1c\x1d\x1e\x1f")


def train_theirs(texts, size):
    theirs = tokenizers.Tokenizer(tokenizers.models.BPE())
    theirs.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)
    theirs.decoder = tokenizers.decoders.ByteLevel()
    trainer = tokenizers.trainers.BpeTrainer(vocab_size=size, show_progress=False, initial_alphabet=ALPHABET)
    theirs.train_from_iterator(texts, trainer)
    return theirs


def visible(piece):
    return "".join(PIECE_OF[byte] for byte in piece)


def assert_same(texts, size, held_out=()):
    """Compare what both learn: the merges in their order, the numbers of the pieces, and texts in pieces."""
    ours, theirs = train_bpe(texts, size), train_theirs(texts, size)
    merges = [tuple(pair) for pair in json.loads(theirs.to_str())["model"]["merges"]]
    assert [(visible(ours.pieces[a]), visible(ours.pieces[b])) for a, b in ours.merges] == merges
    assert {visible(piece): number for number, piece in enumerate(ours.pieces)} == theirs.get_vocab()
    for text in [*texts, *held_out]:
        numbers = ours.encode(text)
        assert numbers == theirs.encode(text).ids
        assert ours.decode(numbers) == theirs.decode(numbers) == text
    return ours


@reference("dlbook.text.bpe.train_bpe", to="tokenizers.models.BPE")
@settings(max_examples=100)
@given(
    st.sampled_from(["ab", "ab ", "abc\n", "aé中"]).flatmap(
        lambda alphabet: st.lists(st.text(alphabet, max_size=25), min_size=1, max_size=6)
    ),
    st.integers(256, 300),
)
def test_ties_and_repetitions_as_in_tokenizers(texts, size):
    assert_same(texts, size)


@reference("dlbook.text.bpe.train_bpe", to="tokenizers.models.BPE")
@given(st.lists(st.text(CHARACTERS, max_size=20), min_size=1, max_size=5), st.text(CHARACTERS), st.integers(256, 300))
def test_any_text_as_in_tokenizers(texts, held_out, size):
    assert_same(texts, size, [held_out])


def test_shakespeare_as_in_tokenizers():
    parts = corpora.shakespeare()
    text = parts.test["Macbeth"]
    ours = assert_same([parts.train["Hamlet"]], 800, [text])
    assert len(ours) == 800 and len(ours.encode(text)) < 0.5 * len(text)  # a byte each before


@given(st.text(CHARACTERS))
def test_chunks_are_those_of_gpt2(text):
    theirs = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False).pre_tokenize_str(text)
    assert [visible(chunk.encode()) for chunk in _split(text)] == [chunk for chunk, _ in theirs]


def test_chunks():
    assert _split("I'll pay  2½ francs, n'est-ce_pas?\n\n") == (
        ["I", "'ll", " pay", " ", " 2", "½", " francs", ",", " n", "'", "est", "-", "ce", "_", "pas", "?", "\n\n"]
    )


# --- nothing is lost --------------------------------------------------------------------------------------------------


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_every_text_comes_back(text):
    learnt = train_bpe(["to be or not to be, that is the question"], 270)
    assert learnt.decode(learnt.encode(text)) == text == "".join(_split(text))
    assert BytePairEncoding().encode(text) == [BYTES.index(byte) for chunk in _split(text) for byte in chunk.encode()]


def test_what_is_no_character():
    learnt = BytePairEncoding()
    assert learnt.decode(learnt.encode("a\ud800b\udfffc")) == "a\ufffdb\ufffdc"
    assert learnt.decode(learnt.encode("\ufffd\x00\u200b")) == "\ufffd\x00\u200b"
    assert learnt.encode("") == [] and learnt.decode([]) == "" and learnt.encode("A") == [32]
    assert learnt.decode(learnt.encode("é")[:1]) == "\ufffd"  # half a character, as a model may put it


# --- by hand ----------------------------------------------------------------------------------------------------------


def test_a_small_case_by_hand():
    learnt = train_bpe(["low low low lower lower newest"], 260)
    # lo and ow are 5 times each, _l and we 4 and 3: lo is first, since l has the smaller number
    assert learnt.pieces[256:] == [b"lo", b"low", b" low", b"er"]
    assert learnt.encode(" lower lo") == [258, 259, BYTES.index(ord(" ")), 256]
    assert [learnt.pieces[number] for number in learnt.encode("slow")] == [b"s", b"low"]


def test_pairs_are_joined_from_left_to_right():
    assert _join([1, 1, 1, 1, 1], (1, 1), 9) == [9, 9, 1]
    assert _join([1, 2, 1, 2, 2], (1, 2), 9) == [9, 9, 2]
    assert _join([2, 1], (1, 2), 9) == [2, 1] and _join([], (1, 2), 9) == []


def test_it_stops_when_no_pair_is_left():
    assert len(train_bpe(["ab ab"], 1_000)) == 256 + 2  # ab, and with the blank
    assert len(train_bpe([], 1_000)) == len(train_bpe(["a b c d"], 256)) == 256


def test_learnt_merges_can_be_kept():
    learnt = train_bpe(["the cat sat on the mat"], 262)
    again = BytePairEncoding(learnt.merges)
    assert again.pieces == learnt.pieces and again.encode("the hat") == learnt.encode("the hat")


def test_what_two_pairs_make_has_one_number():
    a, b, c = (BYTES.index(byte) for byte in b"abc")
    learnt = BytePairEncoding([(a, b), (b, c), (256, c), (a, 257)])
    assert learnt.pieces[256:] == [b"ab", b"bc", b"abc"]
    assert learnt.add((a, 257)) == 258 and len(learnt.merges) == 4
    assert learnt.encode("abc") == [258]


def test_a_new_merge_counts_from_then_on():
    learnt, (a, b) = BytePairEncoding(), (BYTES.index(byte) for byte in b"ab")
    assert learnt.encode("ab") == [a, b]
    learnt.add((a, b))
    assert learnt.encode("ab") == [256]


def test_numbers_of_any_kind(unchecked):
    learnt = train_bpe(["to be or not to be"], 260)
    numbers = learnt.encode("to be")
    assert learnt.decode(torch.tensor(numbers)) == learnt.decode(np.array(numbers)) == "to be"


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda: train_bpe(["a"], 255), "vocab_size must be at least 256: got 255"),
        (lambda: train_bpe("a text", 300), "texts must be texts, not one: got str"),
        (lambda: BytePairEncoding([(0, 1, 2)]), "pair must hold two numbers: got 3"),
        (lambda: BytePairEncoding().decode([1.0]), "numbers must be integers: got float"),
        (lambda: BytePairEncoding().encode(["a"]), "text must be a string: got list"),
        (lambda: BytePairEncoding([(0, 256)]), "numbers must be between 0 and 255: got 256"),
        (lambda: BytePairEncoding().decode([-1]), "numbers must be between 0 and 255: got -1"),
    ],
)
def test_errors(call, message, unchecked):
    with pytest.raises((ValueError, TypeError), match=message):
        call()
