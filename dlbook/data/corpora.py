"""Running text for language models: Shakespeare by works, WikiText-2 by tokens."""

import configparser
from collections.abc import Sequence
from pathlib import Path

from dlbook.data.splits import Parts
from dlbook.data.store import fetch, read_text

# A tragedy, a comedy and a history for each held-out part
VALIDATION = ("Julius Caesar", "The Tempest", "King Richard II")
TEST = ("Macbeth", "Twelfth Night", "King Henry V")


def shakespeare(
    validation: Sequence[str] = VALIDATION, test: Sequence[str] = TEST
) -> Parts[dict[str, str]]:
    """Load Shakespeare's works by title, 5 million characters, each in one part whole.

    37 plays and 5 volumes of verse: Project Gutenberg's text in modern spelling,
    without its notices, the title and the blanks at the ends of lines. How speakers and
    stage directions are set differs from play to play; Cymbeline lacks two of its acts.

    Args:
        validation: the titles in the validation set.
        test: those in the test set. All others are in the training set.

    Returns:
        The texts by their titles.

    Raises:
        OSError: The data can neither be found nor fetched; see `store.fetch`.
        ValueError: A title is unknown, or named twice.

    Source: Open Shakespeare 0.6, after Project Gutenberg.
    """
    works = _read_works(fetch("shakespeare"))
    for name, titles in (("validation", validation), ("test", test)):
        if isinstance(titles, str):
            raise TypeError(f"{name} must be a sequence of titles: got {titles!r}")
    held_out = [*validation, *test]
    if unknown := [title for title in held_out if title not in works]:
        raise ValueError(
            f"validation and test must hold titles of works: got {unknown[0]!r}, "
            f"not {', '.join(works)}"
        )
    if len(set(held_out)) < len(held_out):
        raise ValueError(
            f"validation and test must hold each title once: got {', '.join(held_out)}"
        )
    return Parts(
        {title: text for title, text in works.items() if title not in held_out},
        {title: works[title] for title in validation},
        {title: works[title] for title in test},
    )


def _read_works(folder: Path) -> dict[str, str]:
    """Read works whose titles stand in a file metadata.txt beside them.

    Raises:
        ValueError: A work has no title there, does not begin with a title and "by
            William Shakespeare", or holds a notice of Project Gutenberg.
    """
    metadata = configparser.ConfigParser(interpolation=None)
    metadata.read_string(read_text(folder / "metadata.txt"))
    works = {}
    for path in sorted(folder.glob("*_gut.txt")):
        text = "\n".join(line.rstrip() for line in read_text(path).split("\n")).strip()
        _, author, text = text.partition("by William Shakespeare\n")
        if not author:
            raise ValueError(
                f'{path.name} must begin with a title and "by William Shakespeare": '
                "got no such line"
            )
        if "Gutenberg" in text:
            raise ValueError(
                f"{path.name} must hold the work alone: "
                "got a notice of Project Gutenberg"
            )
        if not metadata.has_option(path.stem, "title"):
            raise ValueError(
                "metadata.txt must name the title of each work: "
                f"got none for {path.stem}"
            )
        works[metadata[path.stem]["title"]] = text.strip() + "\n"
    return works


def wikitext2() -> Parts[list[str]]:
    """Load WikiText-2 as 2,088,628 + 217,646 + 245,569 tokens, articles kept whole.

    Each line ends in a token <eos>, and words that are rare in the training set are
    <unk>, as in published results, so that perplexities can be compared.

    Returns:
        The tokens of training, validation and test set.

    Raises:
        OSError: The data can neither be found nor fetched; see `store.fetch`.

    Source: Merity et al. 2016, arXiv:1609.07843.
    """
    folder = fetch("wikitext-2")
    return Parts(
        *(read_tokens(folder / f"{part}.txt") for part in ("train", "valid", "test"))
    )


def read_tokens(path: Path) -> list[str]:
    """Read tokens with blanks between them; each line, an empty one too, ends in <eos>.

    Args:
        path: of the file, in UTF-8.

    Raises:
        ValueError: The file is not in UTF-8, or its last line has no line feed.
    """
    text = read_text(path)
    if not text.endswith("\n"):
        raise ValueError(
            f"{path.name} must end each line with a line feed: "
            f"got {text[-20:]!r} at its end"
        )
    return text.replace("\n", " <eos> ").split()
