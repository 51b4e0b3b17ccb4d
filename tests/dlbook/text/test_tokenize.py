"""From text to tensors: tokens in any script, numbers and back, padding."""

import unicodedata

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from dlbook.masks import length_mask
from dlbook.text.tokenize import Vocabulary, most_frequent, pad, tokenize
from tests.helpers.references import reference

# --- tokens -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text, tokens",
    [
        ("Don't panic!", ["don't", "panic", "!"]),
        (
            "He said: “It’s the dogs' bone…”",
            ["he", "said", ":", "“", "it’s", "the", "dogs", "'", "bone", ".", ".", ".", "”"],
        ),
        ("Ça coûte 3,50 € – l’été", ["ça", "coûte", "3", ",", "50", "€", "–", "l’été"]),
        ("state-of-the-art, 1990s", ["state", "-", "of", "-", "the", "-", "art", ",", "1990s"]),
        ("我喜欢AMD的芯片，性价比不错。", [*"我喜欢", "amd", *"的芯片,性价比不错。"]),
        ("カタカナとひらがな", list("カタカナとひらがな")),
        ("ＦＵＬＬ　ｗｉｄｔｈ！", ["full", "width", "!"]),
        ("e\u0301te\u0301", ["été"]),  # a letter and a mark are the composed letter
        ("naïve ﬁn", ["naïve", "fin"]),
        ("snake_case", ["snake", "_", "case"]),
        ("<unk> @-@", ["<", "unk", ">", "@", "-", "@"]),
        ("🙂🙂 x²", ["🙂", "🙂", "x2"]),
        ("", []),
        (" \t\r\n\u2003\u202f ", []),
        ("a\x00b\x1fc\x85d\x7fe", ["a", "b", "c", "d", "e"]),  # control characters separate
        ("soft\u00adhyphen\u200b \ufeffmark", ["softhyphen", "mark"]),  # the invisible is dropped
        ("a\ud800b", ["a", "\ufffd", "b"]),  # half a surrogate pair is no character
        ("\ufffd\ue0e5", ["\ufffd", "\ue0e5"]),  # replaced before, and for private use: signs like others
        ("it´s", ["it", "\u0301s"]),  # the sign is a blank and a mark
        ("❤\ufe0flove 1\ufe0f\u20e3", ["❤", "\ufe0f", "love", "1", "\ufe0f", "\u20e3"]),
        ("👩\u200d👧 a\u200cb '\u200cc", ["👩", "👧", "ab", "'", "c"]),  # there joiners shape no letters
        ("か\u3099は\u309a", ["が", "ぱ"]),
        ("म\u094d\u200dह, ना", ["म\u094d\u200dह", ",", "ना"]),
        ("می\u200cخواهم.", ["می\u200cخواهم", "."]),
    ],
)
def test_tokens(text, tokens):
    assert tokenize(text) == tokens


# greetings in scripts whose vowels, tones and points are marks over, under and beside the letters
WORDS = [
    "नमस्ते",
    "दुनिया",
    "স্বাগতম",
    "ਸਤਿ",
    "નમસ્તે",
    "ନମସ୍କାର",
    "வணக்கம்",
    "నమస్కారం",
    "ನಮಸ್ಕಾರ",
    "നമസ്കാരം",
    "ආයුබෝවන්",
    "สวัสดี",
    "ສະບາຍດີ",
    "བཀྲ",
    "မင်္ဂလာပါ",
    "សួស្តី",
    "ᠮᠣᠩᠭᠣᠯ",
    "שָׁלוֹם",
    "السَّلامُ",
    "ދިވެހި",
    "ܫܠܳܡܳܐ",
    "m̃ã",
    "ṽ",
    "q̃",
    "й́",
    "ά̔",
    "𑄌𑄋𑄴𑄟𑄳𑄦",
    "𞤀𞤣𞤤𞤢𞥄𞤥",
]


@pytest.mark.parametrize("word", WORDS)
@pytest.mark.parametrize("form", ["NFC", "NFD", "NFKC", "NFKD"])
def test_words_of_all_scripts_stay_whole(word, form):
    whole = unicodedata.normalize("NFKC", word).lower()
    written = unicodedata.normalize(form, word)
    assert tokenize(f"{written}, «{written}»") == [whole, ",", "«", whole, "»"]


SOME = "aB'’ -_.,é\u0301中\ud800\x00\u200b1²İßक\u094dα\u200c\u200d\ufe0f"
ANY_TEXT = st.text(st.characters(), max_size=30) | st.text(st.sampled_from(SOME))


@given(ANY_TEXT)
def test_tokens_are_plain(text):
    tokens = tokenize(text)
    assert all(token and not any(c.isspace() for c in token) for token in tokens)
    assert all(unicodedata.is_normalized("NFKC", token) for token in tokens)
    "".join(tokens).encode()  # no surrogates are left
    assert tokenize(" ".join(tokens)) == tokens  # cutting again changes nothing
    assert tokenize(unicodedata.normalize("NFD", text)) == tokenize(unicodedata.normalize("NFC", text))


# --- the vocabulary ---------------------------------------------------------------------------------------------------


def test_the_order_is_by_count_then_by_token():
    vocabulary = Vocabulary.build([["b", "a", "c", "b"], ["c", "d"]])
    assert vocabulary.tokens == ["<pad>", "<unk>", "<bos>", "<eos>", "b", "c", "a", "d"]
    assert (vocabulary.pad, vocabulary.unk, vocabulary.bos, vocabulary.eos) == (0, 1, 2, 3)
    assert len(vocabulary) == 8
    assert "d" in vocabulary and "<pad>" in vocabulary and "e" not in vocabulary
    assert Vocabulary.build([["c", "d"], ["a", "c", "b", "b"]]).tokens == vocabulary.tokens


def test_rare_tokens_are_left_out():
    texts = ["b a c b c c"]
    assert Vocabulary.build(texts, min_count=2).tokens[4:] == [" ", "c", "b"]
    assert Vocabulary.build(texts, vocab_size=6).tokens[4:] == [" ", "c"]
    assert most_frequent(texts, min_count=3, vocab_size=5) == [" "]
    assert most_frequent(texts, vocab_size=4) == []
    assert len(Vocabulary.build([])) == 4


def test_unknown_and_special_tokens():
    vocabulary = Vocabulary.build([["the", "<unk>", "<eos>", "cat", "<unk>"]])
    assert vocabulary.tokens[4:] == ["cat", "the"]
    assert vocabulary.encode(["the", "dog", "<unk>", "<eos>"]) == [5, 1, 1, 3]
    assert vocabulary.decode([5, 1, 3, 0]) == ["the", "<unk>"]


def test_an_empty_text_is_one_unknown_token():
    vocabulary = Vocabulary(["a"])
    assert vocabulary.encode([]) == [vocabulary.unk]
    assert vocabulary.encode(iter([])) == [vocabulary.unk]
    assert vocabulary.encode([], ends=True) == [vocabulary.bos, vocabulary.eos]
    assert vocabulary.decode([]) == []


@given(st.lists(st.lists(st.sampled_from("abcdefg"), min_size=1, max_size=9), min_size=1, max_size=5), st.booleans())
def test_what_was_encoded_comes_back(texts, ends):
    vocabulary = Vocabulary.build(texts)
    for text in texts:
        numbers = vocabulary.encode(text, ends)
        assert len(numbers) == len(text) + 2 * ends
        assert vocabulary.decode(numbers) == text
    assert sorted(vocabulary.tokens[4:]) == sorted({token for text in texts for token in text})
    counts = [sum(text.count(token) for text in texts) for token in vocabulary.tokens[4:]]
    assert counts == sorted(counts, reverse=True)


# --- padding ----------------------------------------------------------------------------------------------------------


@reference("dlbook.text.tokenize.pad", "dlbook.masks.length_mask", to="torch.nn.utils.rnn.pad_sequence")
@given(st.lists(st.lists(st.integers(1, 9), min_size=1, max_size=6), min_size=1, max_size=5), st.integers(1, 7))
def test_padding_equals_torch(sequences, steps):
    padded, lengths = pad(sequences)
    expected = nn.utils.rnn.pad_sequence([torch.tensor(sequence) for sequence in sequences], batch_first=True)
    assert padded.equal(expected) and padded.dtype == lengths.dtype == torch.int64
    assert lengths.tolist() == [len(sequence) for sequence in sequences]
    assert length_mask(lengths, padded.shape[1]).equal(expected > 0)
    cut, kept = pad(sequences, steps, value=-7)
    assert kept.equal(lengths.clamp(max=steps)) and cut.shape[1] == kept.max()
    assert cut.equal(expected[:, :steps].masked_fill(expected[:, :steps] == 0, -7))


def test_padding_integers_of_any_kind(unchecked):
    expected = torch.tensor([[1, 2], [3, 0]])
    for kind in (np.int64, np.uint8, int, lambda n: torch.tensor(n, dtype=torch.uint8)):
        padded, lengths = pad([[kind(1), kind(2)], [kind(3)]])
        assert padded.equal(expected) and lengths.tolist() == [2, 1] and padded.dtype == torch.int64
    assert pad([torch.tensor([1, 2], dtype=torch.int32), np.array([3])])[0].equal(expected)


# --- errors -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda: tokenize(None), "text must be a string: got NoneType"),
        (lambda: tokenize(["a"]), "text must be a string: got list"),
        (lambda: Vocabulary(["a", "b", "a"]), "tokens must be there once each, and none be special: got 'a' again"),
        (lambda: Vocabulary(["<unk>"]), "got '<unk>' again"),
        (lambda: most_frequent([], min_count=0), "min_count must be at least 1: got 0"),
        (lambda: most_frequent("a text"), "texts must be texts, not one: got str"),
        (lambda: Vocabulary.build([], vocab_size=3), "vocab_size must be at least 4: got 3"),
        (lambda: Vocabulary(["a"]).decode([5]), "numbers must be between 0 and 4: got 5"),
        (lambda: Vocabulary(["a"]).decode([4, -1]), "got -1"),
        (lambda: Vocabulary(["a"]).decode([4, 1.0]), "numbers must be integers: got float"),
        (lambda: pad([]), "sequences must be one or more, of one number or more each: got none"),
        (lambda: pad([[1], []]), "got an empty one at 1"),
        (lambda: pad([[1]], max_length=0), "max_length must be at least 1: got 0"),
        (lambda: pad([[1], [2, 1.5]]), "sequences must hold integers: got torch.float32"),
        (lambda: pad([[True]]), "sequences must hold integers: got torch.bool"),
        (lambda: pad([[1]], value=0.5), "value must be a whole number: got 0.5"),
        (lambda: pad("abc"), "sequences must be texts, not one: got str"),
    ],
)
def test_errors(call, message, unchecked):
    with pytest.raises((ValueError, TypeError), match=message):
        call()
