"""Quantities in words: which phrases need a mark as digits do, what a phrase is read as, and how a value is written.

Reported are fractions ("half of", "two thirds"), multiples ("twice as many", "tenfold", "a factor of three"), counts
out of others ("nine in ten", "three seeds of five"), numbers with a unit of results ("ninety per cent", "two orders of
magnitude", "half a point"), and rough ones ("about forty words", "hundreds of steps"). A plain number before a noun
("three layers", "two ways", "the first half of the chapter") is part of the language and is not.

A phrase is read as digits are, without its unit: "ninety per cent" is 90, "two orders of magnitude" 2, "twice" 2,
"half of" 0.5, "nine in ten" 0.9.
"""

import re
from fractions import Fraction

UP_TO_19 = [
    "one",
    "two",
    "three",
    "four",
    "five",
    "six",
    "seven",
    "eight",
    "nine",
    "ten",
    "eleven",
    "twelve",
    "thirteen",
    "fourteen",
    "fifteen",
    "sixteen",
    "seventeen",
    "eighteen",
    "nineteen",
]
TENS = ["twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"]
SMALL = {name: n for n, name in enumerate(UP_TO_19, 1)} | {name: 10 * n for n, name in enumerate(TENS, 2)}
SIZES = {"dozen": 12, "hundred": 100, "thousand": 1_000, "million": 1_000_000, "billion": 1_000_000_000}
PARTS = {
    **{"half": 2, "third": 3, "quarter": 4, "fifth": 5, "sixth": 6, "seventh": 7, "eighth": 8, "ninth": 9},
    **{"tenth": 10, "twelfth": 12, "twentieth": 20, "hundredth": 100, "thousandth": 1000},
}
CHANGES = {"doubl": Fraction(2), "halv": Fraction(1, 2), "tripl": Fraction(3), "quadrupl": Fraction(4)}


# --- the words of a quantity ------------------------------------------------------------------------------------------


def either(*words: str) -> str:
    """Return an expression for one of some words, the longest that fits."""
    return f"(?:{'|'.join(sorted(words, key=len, reverse=True))})"


_SIZE, _VERB = either(*SIZES), either(*CHANGES)
_BELOW_100 = rf"(?:{either(*TENS)}(?:-{either(*UP_TO_19[:9])}\b)?|{either(*UP_TO_19)}\b)"
_HUNDREDS = rf"(?:(?:{_BELOW_100}|an?|several|a\sfew)\s{_SIZE}(?:\s{_SIZE})?\b|{_BELOW_100}\b)"
NUMBER = rf"(?:{_HUNDREDS}(?:(?:(?<=hundred)|(?<=thousand))(?:\sand)?\s{_BELOW_100}\b)?(?:\sand\sa\shalf\b)?)"
ROUGH = rf"(?:{either('ten', *SIZES)}s\b)"
UNIT = (
    r"(?:(?:(?:percentage\s)?points?|per\scent|percent|orders?\sof\smagnitude|orders|(?:milli|micro)?seconds?|minutes?"
    r"|bits?|nats?|standard\s(?:deviations?|errors?)|micrograms?|(?:mega|giga|kilo)bytes?)\b)"
)
_PART = rf"(?:{either(*PARTS, 'halve')}s?\b(?!-))"
_PARTS = rf"(?:{either(*UP_TO_19[1:9])}[\s-]{either(*list(PARTS)[1:])}s\b)"
_FRACTION = rf"(?:(?:an?|one)[\s-]{_PART}|{_PARTS}|half\b(?!-))"
_TIMES = rf"(?:twice\b|thrice\b|(?:{NUMBER}|{ROUGH}\sof)\stimes\b)"
_FOLD = rf"(?:{either(*SMALL, *SIZES)}-?fold\b)"
_WHAT = either("seed", "run", "time", "case", "network", "model", "answer")
_OF = r"(?:\s(?:in|of)|\sout\sof)(?:\s(?:the|all|these|those))?"
_OUT_OF = rf"(?:{NUMBER}(?:(?:\s{_WHAT}s?)?{_OF}|\s\w+\sout\sof)\s{NUMBER})"
PHRASE = (
    rf"(?:(?<![\w-])(?:{_OUT_OF}|{_TIMES}|{_FOLD}|{_VERB}(?:e[sd]?|ing)\b|half\san?\s{UNIT}|{_FRACTION}(?:\s{UNIT})?"
    rf"|{NUMBER}(?:\s{UNIT})?|{ROUGH}|an?\s{UNIT}))"
)


# --- which are reported -----------------------------------------------------------------------------------------------

_WHOLE = r"(?:of|the|its|their|his|as|that|what|again)\b"
_ADVERB = "(?:after|over|per|under|ever|never|either|other|rather|whether)"
_THAN = rf"(?:(?:more|less|fewer|the(?!\W+same)|its|their|as|that|what|(?!{_ADVERB}\b)\w+er)\b)"
_NEAR = (
    r"(?:about|nearly|almost|around|roughly|approximately|close\sto|(?:more|less|fewer|better|worse)\sthan|some"
    r"|well\s(?:over|under))"
)
_AT = rf"(?:{_NEAR}|than|by|exactly|only|over|under|below|above|near|to|at)"
OTHERS = ["the", "upper", "lower", "left", "right", "first", "second", "other", "which"]
_NOT_SIDE = "".join(rf"(?<!\b{word}\s)" for word in OTHERS)
REPORTED = (
    rf"{_NOT_SIDE}half\s{_WHOLE}",
    rf"half\san?\s{UNIT}",
    rf"{_AT}\s(?:(?:one|a)\s)?half\b(?!-|\s(?:an?|of|the|its|their)\b)",
    rf"(?:an?|one)[\s-](?!half){_PART}\s(?:of|more|less|fewer|as|again)\b",
    rf"{_AT}\s(?:an?|one)[\s-]{_PART}(?=\W*$|[,.;:)])",
    _PARTS,
    rf"{_TIMES}\s{_THAN}",
    rf"(?:is|are|was|were|by|grows|grew|rises|rose|falls|fell|shrinks|shrank)\s(?:{_NEAR}\s)?{NUMBER}\stimes\b",
    _FOLD,
    rf"factors?\sof\s(?:{_NEAR}\s)?(?:{NUMBER}|{ROUGH})",
    rf"(?:is|are|was|were|be|{_NEAR})\s{_VERB}ed\b",
    rf"{_VERB}(?:es|ed|ing)\s(?:the|its|their|it)\b",
    r"double\s(?:the|that|what|its)\b",
    rf"(?<!\bby\s)(?!one(?:\s\w+)?\sof){_OUT_OF}",
    rf"one(?:\s(?:{_WHAT}|picture|image|row|word|person))?\s(?:in|out\sof)\s{NUMBER}",
    rf"one\s(?:{_WHAT}|picture|image)\sof\s{NUMBER}",
    rf"(?!one\s(?:orders?|bits?)\b(?!\sof\sm))(?:{NUMBER}|{ROUGH})\s{UNIT}",
    rf"an?\s{UNIT}\sor\stwo|an\sorder\sof\smagnitude|(?:{_NEAR}|than|by|within|only|over|under)\sa\s(?!bit\b){UNIT}",
    rf"{_NEAR}\s(?!one\b){NUMBER}(?=\s\w)",
    rf"{ROUGH}\sof\b",
    rf"(?:a\sfew|several)\s{_SIZE}\b",
)
QUANTITY = re.compile(rf"(?i)(?<![\w-])(?:{'|'.join(REPORTED)})")


# --- reading and writing ----------------------------------------------------------------------------------------------


def count(text: str) -> Fraction:
    """Read a number such as "two hundred and fifty" or "one and a half"; "several" and "a few" count as one."""
    total, current = Fraction(0), Fraction(0)
    for word in re.sub(r"[\s-]+", " ", text.lower()).replace("and a half", "half").split():
        if word in SMALL:
            current += SMALL[word]
        elif word in SIZES and SIZES[word] > 100:
            total, current = total + max(current, Fraction(1)) * SIZES[word], Fraction(0)
        elif word in SIZES:
            current = max(current, Fraction(1)) * SIZES[word]
        elif word == "half":
            current += Fraction(1, 2)
    return total + current or Fraction(1)


def read(phrase: str) -> Fraction:
    """Read what the words of a phrase say, without its unit; of a rough one ("hundreds", "a few dozen") the size."""
    text = " ".join(phrase.lower().split())
    if found := re.fullmatch(rf"({NUMBER})(?:\s\w+)?{_OF}\s({NUMBER})", text):
        return count(found[1]) / count(found[2])
    if re.match(r"twice|thrice", text):
        return Fraction(2 if text.startswith("twice") else 3)
    if found := re.match(rf"(\w+?)-?fold\b|({_VERB})(?:e[sd]?|ing)\b", text):
        return count(found[1]) if found[1] else CHANGES[found[2]]
    if found := re.match(rf"(?:(\w+)[\s-])?({_PART})", text):
        name = "half" if found[2] in ("half", "halves") else found[2].removesuffix("s")
        return Fraction(SMALL.get(found[1] or "one", 1), PARTS[name])
    if found := re.match(ROUGH, text):
        return count(found[0].removesuffix("s"))
    return count((re.match(rf"{NUMBER}|an?\b", text) or [text])[0])


def half_width(phrase: str, declared: str) -> str:
    """Return how far a value may be off: as declared, or half a unit of a whole number.

    Raises: ValueError if others would do as well, or if nothing is declared where words do not say how exact they are.
    """
    value = read(phrase)
    if not declared and value.denominator != 1:
        raise ValueError(
            f"the mark must say how far the value may be off, as in ± 0.05: {phrase} is {float(value):.3g}"
        )
    limit = max(0.3 * float(value), 0.5 if value >= 1 else 0)
    if not 0 <= float(declared or 0.5) <= limit * (1 + 1e-9):
        raise ValueError(f"words may be off by at most {limit:.2g} here, or others would do as well: ± {declared}")
    return declared or "0.5"


def _spelt(number: int) -> str | None:
    """Write a whole number in words, if it has short ones."""
    names = {n: name for name, n in SMALL.items()}
    if 20 < number < 100 and number % 10:
        return f"{names[number - number % 10]}-{names[number % 10]}"
    if number in names:
        return names[number]
    for name, size in reversed(SIZES.items()):
        if size >= 100 and number % size == 0 and number // size in names:
            return f"{names[number // size]} {name}"
    return None


def write(value: float, like: str, half_width: float) -> str | None:
    """Write a value in words as another phrase was; None if no exact words are near enough."""
    if abs(value - read(like)) <= half_width:
        return like
    text = " ".join(like.lower().split())
    new: str | None = None
    if re.fullmatch(_FRACTION, text):
        parts = {
            Fraction(n, size): (n, name)
            for name, size in PARTS.items()
            if size in (2, 3, 4, 5, 10)
            for n in range(1, size)
        }
        nearest = min(parts, key=lambda part: (abs(part - value), part.denominator))
        n, name = nearest.numerator, next(name for name, size in PARTS.items() if size == nearest.denominator)
        if abs(nearest - value) <= half_width:
            new = "half" if name == "half" else f"{'a' if n == 1 else UP_TO_19[n - 1]} {name}{'s' * (n > 1)}"
    elif re.fullmatch(_TIMES, text) and (words := _spelt(round(value))) and round(value) > 1:
        new = "twice" if round(value) == 2 else f"{words} times"
    elif (found := re.fullmatch(rf"({NUMBER})(\s{UNIT})?", text)) and (words := _spelt(round(value))):
        new = words + (found[2] or "") if count(found[1]) > 1 and round(value) > 1 else None
        if abs(round(value) - value) > max(half_width, 0.5):
            new = None
    return new[0].upper() + new[1:] if new and like[0].isupper() else new
