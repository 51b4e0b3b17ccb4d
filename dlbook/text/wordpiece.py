"""WordPiece: words in the longest pieces of a given vocabulary, as BERT reads them."""

import unicodedata
from collections.abc import Iterable, Sequence
from functools import cache

from dlbook._check import check_numbers, check_text, check_texts, check_whole

LONGEST = 100  # characters of a word; of a longer one BERT reads [UNK]
SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
IDEOGRAPHS = (  # Chinese characters: each is a word of its own
    (0x4E00, 0x9FFF),
    (0x3400, 0x4DBF),
    (0x20000, 0x2A6DF),
    (0x2A700, 0x2B73F),
    (0x2B740, 0x2B81F),
    (0x2B920, 0x2CEAF),
    (0xF900, 0xFAFF),
    (0x2F800, 0x2FA1F),
)


def normalize(text: str) -> str:
    """Return a text in small letters without accents and control characters.

    Each run of blank space becomes blanks, and each Chinese character stands between
    two.

    Args:
        text: any string.

    Raises:
        TypeError: `text` is no string.
    """
    check_text(text)
    spaced = "".join(_cleaned(character) for character in text)
    bare = [
        character
        for character in unicodedata.normalize("NFD", spaced)
        if unicodedata.category(character) != "Mn"  # an accent by itself
    ]
    return "".join(bare).lower()


def split_words(text: str) -> list[str]:
    """Cut a normalized text into words, and punctuation marks one by one.

    Args:
        text: what `normalize` returned.

    Raises:
        TypeError: `text` is no string.
    """
    check_text(text)
    spaced = "".join(f" {c} " if _is_punctuation(c) else c for c in text)
    return spaced.split()


class WordPiece:
    """A vocabulary of pieces, and text as their numbers.

    Source: Devlin et al. 2019.
    """

    def __init__(self, pieces: Sequence[str]):
        """Create the tokenizer of a vocabulary.

        Args:
            pieces: the vocabulary, such as the lines of BERT's `vocab.txt`. A piece
                that goes on a word begins with ##; [PAD], [UNK], [CLS] and [SEP] must
                be among them.

        Raises:
            TypeError: `pieces` is a single text.
            ValueError: A piece is there twice, or one of the four is missing.
        """
        check_texts("pieces", pieces)
        self.pieces = list(pieces)
        self.numbers = {piece: number for number, piece in enumerate(self.pieces)}
        if len(self.numbers) != len(self.pieces):
            raise ValueError("pieces must differ: got one of them twice")
        for name in SPECIAL[:4]:
            if name not in self.numbers:
                raise ValueError(f"pieces must hold {name}: got none")
        self.pad, self.unk, self.cls, self.sep = (self.numbers[n] for n in SPECIAL[:4])

    def __len__(self) -> int:
        """Return the number of pieces."""
        return len(self.pieces)

    def cut(self, word: str) -> list[int]:
        """Return the numbers of a word's pieces, the longest that fits first (greedy).

        Args:
            word: one of those that `split_words` returned. If some rest has no piece,
                the whole word is [UNK].

        Raises:
            TypeError: `word` is no string.
        """
        check_text(word)
        found: list[int] = []
        start = 0
        while start < len(word) <= LONGEST:
            for end in range(len(word), start, -1):
                piece = "##" * (start > 0) + word[start:end]
                if piece in self.numbers:
                    found.append(self.numbers[piece])
                    start = end
                    break
            else:
                return [self.unk]
        return found or [self.unk]

    def encode(self, text: str, max_length: int | None = None) -> list[int]:
        """Return the numbers of a text's pieces, between [CLS] and [SEP].

        Args:
            text: any string. The names of special pieces in it are plain text.
            max_length: how many numbers to return at most, those two included.

        Raises:
            TypeError: `text` is no string, or `max_length` no whole number.
            ValueError: `max_length` is below 2.
        """
        words = split_words(normalize(text))
        numbers = [number for word in words for number in self.cut(word)]
        if max_length is not None:
            check_whole(2, max_length=max_length)
            numbers = numbers[: max_length - 2]
        return [self.cls, *numbers, self.sep]

    def decode(self, numbers: Iterable[int]) -> str:
        """Return the words of numbers, with blanks between them.

        [PAD], [CLS] and [SEP] are left out. What `normalize` removed, and where there
        was no blank, is lost.

        Args:
            numbers: of pieces.

        Raises:
            TypeError: A number is no integer.
            ValueError: A number is negative or too large.
        """
        frame = {self.pad, self.cls, self.sep}
        inner = [n for n in check_numbers(numbers, len(self.pieces)) if n not in frame]
        return " ".join(self.pieces[number] for number in inner).replace(" ##", "")


@cache  # texts have few kinds of characters
def _cleaned(character: str) -> str:
    """Return what stands for a character: a blank, nothing, or itself."""
    code = ord(character)
    if character in "\t\n\r" or unicodedata.category(character).startswith("Z"):
        return " "
    if code in (0, 0xFFFD) or unicodedata.category(character).startswith("C"):
        return ""
    if any(first <= code <= last for first, last in IDEOGRAPHS):
        return f" {character} "
    return character


@cache
def _is_punctuation(character: str) -> bool:
    """Return whether a character is a sign: all of ASCII's count, such as $ and ^."""
    sign = character.isascii() and character.isprintable() and not character.isalnum()
    return sign and character != " " or unicodedata.category(character).startswith("P")
