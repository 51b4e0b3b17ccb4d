"""WordPiece: normalised texts, words and numbers are those of Hugging Face's tokenizers."""

import unicodedata

import pytest
import tokenizers
from hypothesis import given, settings
from hypothesis import strategies as st

from dlbook.data.labelled import movie_reviews
from dlbook.data.store import fetch, read_text
from dlbook.text import wordpiece
from dlbook.text.wordpiece import SPECIAL, WordPiece, normalize, split_words
from tests.helpers.references import reference

NORMALIZER = tokenizers.normalizers.BertNormalizer()
WORDS = tokenizers.pre_tokenizers.BertPreTokenizer()
# Python and tokenizers have tables of different versions of Unicode: what both know was there in the old one.
OLD = unicodedata.ucd_3_2_0
CHARACTERS = [
    character
    for character in map(chr, range(0x10000))
    if OLD.category(character) == unicodedata.category(character) not in ("Cs", "Cn", "Co")
]


def theirs(pieces):
    """The tokenizer of a vocabulary, as BERT has it."""
    numbers = {piece: number for number, piece in enumerate(pieces)}
    model = tokenizers.models.WordPiece(numbers, unk_token="[UNK]", max_input_chars_per_word=wordpiece.LONGEST)
    made = tokenizers.Tokenizer(model)
    made.normalizer, made.pre_tokenizer = NORMALIZER, WORDS
    made.post_processor = tokenizers.processors.BertProcessing(("[SEP]", numbers["[SEP]"]), ("[CLS]", numbers["[CLS]"]))
    made.decoder = tokenizers.decoders.WordPiece(cleanup=False)
    return made


@pytest.fixture(scope="module")
def reviews():
    """Ten thousand texts, and BERT's own vocabulary."""
    texts = [text[:60] for text in movie_reviews().train.texts[:10_000]]
    return texts, read_text(fetch("minilm") / "vocab.txt").split("\n")[:-1]


@reference("dlbook.text.wordpiece.WordPiece", to="tokenizers.models.WordPiece")
def test_ten_thousand_texts_as_in_tokenizers(reviews):
    texts, pieces = reviews
    ours, other = WordPiece(pieces), theirs(pieces)
    assert len(texts) == 10_000 and len(ours) == len(pieces)
    unknown = 0
    for text, expected in zip(texts, other.encode_batch(texts), strict=True):
        numbers = ours.encode(text)
        unknown += ours.unk in numbers
        assert numbers == expected.ids
        assert ours.decode(numbers) == other.decode(expected.ids[1:-1])
    assert unknown < 100  # letters that the other texts do not have


@reference("dlbook.text.wordpiece.normalize", to="tokenizers.normalizers.BertNormalizer")
@reference("dlbook.text.wordpiece.split_words", to="tokenizers.pre_tokenizers.BertPreTokenizer")
@settings(max_examples=200)
@given(st.lists(st.sampled_from(CHARACTERS), max_size=20).map("".join))
def test_any_text_is_normalized_and_split_as_in_tokenizers(text):
    normalized = normalize(text)
    assert normalized == NORMALIZER.normalize_str(text)
    assert split_words(normalized) == [word for word, _ in WORDS.pre_tokenize_str(normalized)]


@pytest.mark.parametrize(
    "text, words",
    [
        ("Crème brûlée, S'il vous plaît!", ["creme", "brulee", ",", "s", "'", "il", "vous", "plait", "!"]),
        ("state-of-the-art: 3.5 $", ["state", "-", "of", "-", "the", "-", "art", ":", "3", ".", "5", "$"]),
        ("深度 learning学习", ["深", "度", "learning", "学", "习"]),
        ("a\u200bb\tc\u3000d\x00\ufffd\u00ad", ["ab", "c", "d"]),
        ("ǅ İ ß ﬁ", ["ǆ", "i", "ß", "ﬁ"]),
        (" \n ", []),
    ],
)
def test_words(text, words):
    assert split_words(normalize(text)) == words
    assert words == [word for word, _ in WORDS.pre_tokenize_str(NORMALIZER.normalize_str(text))]


TINY = WordPiece([*SPECIAL, "un", "##aff", "##able", "##a", "able", "."])


@pytest.mark.parametrize(
    "word, pieces",
    [
        ("unaffable", ["un", "##aff", "##able"]),
        ("unable", ["un", "##able"]),
        ("able", ["able"]),
        ("affable", ["[UNK]"]),  # no piece begins it
        ("unaffab", ["[UNK]"]),  # b has no piece: greedy, and not taken back
        ("una" + "a" * 97, ["un"] + ["##a"] * 98),
        ("una" + "a" * 98, ["[UNK]"]),
        ("", ["[UNK]"]),
    ],
)
def test_pieces_by_hand(word, pieces):
    assert [TINY.pieces[number] for number in TINY.cut(word)] == pieces


def test_numbers_by_hand():
    assert [TINY.pieces[n] for n in TINY.encode("Unaffable. [SEP]")][:5] == ["[CLS]", "un", "##aff", "##able", "."]
    assert TINY.encode("") == [TINY.cls, TINY.sep]
    assert TINY.encode("unaffable able", max_length=4) == [TINY.cls, *TINY.cut("unaff"), TINY.sep]
    assert TINY.decode(TINY.encode("Unaffable.")) == "unaffable ."


@pytest.mark.parametrize(
    "call, error, message",
    [
        (lambda: WordPiece("[PAD]"), TypeError, "pieces must be texts, not one: got str"),
        (lambda: WordPiece([*SPECIAL, "a", "a"]), ValueError, "pieces must differ"),
        (lambda: WordPiece(["[PAD]", "[UNK]", "[CLS]"]), ValueError, r"pieces must hold \[SEP\]: got none"),
        (lambda: TINY.encode(b"able"), TypeError, "text must be a string: got bytes"),
        (lambda: TINY.encode("able", max_length=1), ValueError, "max_length must be at least 2: got 1"),
        (lambda: TINY.encode("able", max_length=2.0), TypeError, "max_length must be a whole number"),
        (lambda: TINY.cut(None), TypeError, "text must be a string: got NoneType"),
        (lambda: TINY.decode([99]), ValueError, "numbers must be between 0 and 10: got 99"),
        (lambda: TINY.decode([1.0]), TypeError, "numbers must be integers: got float"),
        (lambda: normalize(1), TypeError, "text must be a string: got int"),
        (lambda: split_words(1), TypeError, "text must be a string: got int"),
    ],
)
@pytest.mark.usefixtures("unchecked")
def test_errors(call, error, message):
    with pytest.raises(error, match=message):
        call()
