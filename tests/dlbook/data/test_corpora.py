"""Running text: what each corpus holds, works whole in one part, malformed files refused."""

import re

import pytest

from dlbook.data import corpora
from tests.dlbook.data.examples import of, planted

BY = "A\n\nby William Shakespeare\n\n"
METADATA = "[a_gut]\ntitle = A % of it\n"


@pytest.fixture(scope="module")
def plays():
    return corpora.shakespeare()


def test_shakespeare(plays):
    assert [len(part) for part in of(plays)] == [36, 3, 3]
    assert list(plays.validation) == ["Julius Caesar", "The Tempest", "King Richard II"]
    assert list(plays.test) == ["Macbeth", "Twelfth Night", "King Henry V"]
    assert not plays.train.keys() & (plays.validation.keys() | plays.test.keys())
    whole = plays.train | plays.validation | plays.test
    assert len(whole) == 42 and 5_000_000 < sum(map(len, whole.values())) < 5_060_000
    for title, work in whole.items():
        assert not re.search(r"(?i:gutenberg|\betext|copyright)|by William Shakespeare", work), title
        assert work.isascii() and not re.search(r"[ \t\r]\n|^\s", work) and work.endswith("\n")
    assert "When shall we three meet again?" in plays.test["Macbeth"]
    assert plays.train["Hamlet"].endswith("ordnance is shot off.]\n")


def test_other_plays_can_be_held_out():
    parts = corpora.shakespeare(validation=["Hamlet"], test=["Sonnets", "Macbeth"])
    assert [len(part) for part in of(parts)] == [39, 1, 2] and list(parts.test) == ["Sonnets", "Macbeth"]


def test_no_speech_of_the_test_is_in_training(plays):
    known = {line for work in plays.train.values() for line in work.split("\n") if len(line) > 40}
    lines = [line for work in plays.test.values() for line in work.split("\n") if len(line) > 40]
    assert sum(line in known for line in lines) < 0.001 * len(lines)


def test_wikitext2():
    parts = corpora.wikitext2()
    assert [len(part) for part in of(parts)] == [2_088_628, 217_646, 245_569]  # as in Merity et al. 2016
    assert [part.count("<eos>") for part in of(parts)] == [36_718, 3_760, 4_358]
    assert len(set(parts.train)) == 33_278 and set(parts.validation + parts.test) <= set(parts.train)
    assert parts.train[:8] == ["<eos>", "=", "Valkyria", "Chronicles", "III", "=", "<eos>", "<eos>"]


@pytest.mark.parametrize(
    "work, metadata, message",
    [
        ("A\n\nTo be\n", METADATA, 'a_gut.txt must begin with a title and "by William Shakespeare": got no such line'),
        (BY + "The Project Gutenberg Etext\n", METADATA, "a_gut.txt must hold the work alone: got a notice"),
        (BY + "To be\n", "", "metadata.txt must name the title of each work: got none for a_gut"),
    ],
)
def test_malformed_works_are_refused(tmp_path, work, metadata, message):
    planted(tmp_path, work, "a_gut.txt")
    planted(tmp_path, metadata, "metadata.txt")
    with pytest.raises(ValueError, match=message):
        corpora._read_works(tmp_path)


def test_small_files(tmp_path):
    planted(tmp_path, BY + "\n  To be,  \r\nor not\n\n", "a_gut.txt")
    planted(tmp_path, METADATA, "metadata.txt")
    assert corpora._read_works(tmp_path) == {"A % of it": "To be,\nor not\n"}
    assert corpora.read_tokens(planted(tmp_path, " = a = \n\nb <unk>\u2028c\n")) == (
        ["=", "a", "=", "<eos>", "<eos>", "b", "<unk>", "c", "<eos>"]
    )
    with pytest.raises(ValueError, match="some.txt must end each line with a line feed: got .* at its end"):
        corpora.read_tokens(planted(tmp_path, "a b\nc"))
