"""Pairs: what each set holds, connected sentences in one part, malformed files refused."""

import re

import jaxtyping
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dlbook.data import pairs, splits
from tests.dlbook.data.examples import of, planted


@pytest.fixture(scope="module")
def sentences():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(jaxtyping.config, "jaxtyping_disable", True)  # at each of 270,000 sentences, checks take long
        return pairs.english_french()


def test_no_sentence_of_the_test_is_in_training(sentences, unchecked):
    for language in ("english", "french"):
        known = [{splits.dedup_key(sentence) for sentence in getattr(part, language)} for part in of(sentences)]
        assert not (known[0] & known[1] or known[0] & known[2] or known[1] & known[2])
    assert sum(map(len, of(sentences))) == 135_710
    assert min(len(sentences.test.references), len(sentences.validation.references)) >= 1_000


def test_sentences_are_normalised(sentences):
    for part in of(sentences):
        for sentence in (*part.english, *part.french):
            assert not re.search("[\xa0\u202f\u2009\u3000\t]|  |^ | $", sentence)
    spans = [len(english.split()) for english in sentences.train.english]
    assert 5 < sum(spans) / len(spans) < 7


def test_references(sentences):
    references = sentences.test.references
    assert list(references) == list(dict.fromkeys(sentences.test.english))
    assert sum(map(len, references.values())) == len(sentences.test)
    assert max(map(len, references.values())) > 5


def test_groups():
    found = pairs._connected_components(pairs.Pairs(["a", "b", "A!", "c", "d", "e"], ["x", "y", "z", "Z.", "y", "w"]))
    assert found == [0, 1, 0, 0, 1, 5]


@given(st.lists(st.tuples(st.sampled_from("abcdef"), st.sampled_from("uvwxyz")), max_size=12))
def test_groups_hang_together_and_apart(rows):
    groups = pairs._connected_components(pairs.Pairs([a for a, _ in rows], [b for _, b in rows]))
    reached = [{n} for n in range(len(rows))]
    for _ in rows:  # the closure, by brute force
        for n, near in enumerate(reached):
            near |= {m for m, row in enumerate(rows) if any(row[0] == rows[k][0] or row[1] == rows[k][1] for k in near)}
            assert n in near
    assert groups == [min(near) for near in reached]


FEW = pairs.Pairs(list("abcdee"), list("uvwxyz"))


@pytest.mark.parametrize("test_size", [1, 2])
def test_a_split_of_few_pairs(test_size):
    parts = pairs.split_pairs(FEW, test_size, seed=3)
    rows = [(a, b) for part in of(parts) for a, b in zip(part.english, part.french, strict=True)]
    assert sorted(rows) == sorted(zip(FEW.english, FEW.french, strict=True))
    assert [len(part.references) for part in of(parts)] == [5 - 2 * test_size, test_size, test_size]
    assert pairs.split_pairs(FEW, test_size, seed=3) == parts
    assert len({str(pairs.split_pairs(FEW, test_size, seed)) for seed in range(9)}) > 3


@pytest.mark.parametrize("test_size", [0, 3, -1])
def test_sizes_of_validation_and_test_set(test_size):
    with pytest.raises(ValueError, match=f"test_size must be at least 1.*: got {test_size}"):
        pairs.split_pairs(FEW, test_size)


def test_wordsim353():
    judged = pairs.wordsim353()
    assert len(judged.first) == len(judged.second) == len(judged.scores) == 353
    assert (judged.first[0], judged.second[0], judged.scores[0].item()) == ("love", "sex", 6.77)
    assert judged.scores.min() < 1 and judged.scores.max() == 10


def test_analogies():
    found = pairs.analogies()
    assert len(found) == 14 and sum(map(len, found.values())) == 19_544
    assert found["capital-common-countries"][0] == ("Athens", "Greece", "Baghdad", "Iraq")


@pytest.mark.parametrize(
    "read, content, message",
    [
        (pairs.read_pairs, "a\tb\na b\n", "two sentences with a tab between: got 'a b' in line 2"),
        (pairs.read_pairs, "a\t \n", "in line 1"),
        (pairs.read_pairs, "a\tb\tc\n", "in line 1"),
        (
            pairs._read_similarities,
            "# x\na\tb\t3\na\tb\n",
            r"two words and a number from 0 to 10 .* got 'a\\tb' in line 3",
        ),
        (pairs._read_similarities, "a\tb\t11\n", "in line 1"),
        (pairs._read_similarities, "a\tb\tnan\n", "in line 1"),
        (pairs._read_similarities, "a\tb\tc\n", "in line 1"),
        (pairs._read_analogies, "a b c d\n", "four words in each line, after a line with a category: got 'a b c d' in"),
        (pairs._read_analogies, ": x\na b c\n", "got 'a b c' in line 2"),
    ],
)
def test_malformed_files_are_refused(tmp_path, read, content, message):
    with pytest.raises(ValueError, match=message):
        read(planted(tmp_path, content))


def test_a_small_file(tmp_path):
    assert pairs.read_pairs(planted(tmp_path, "Go.\tVa\u202f!\nGo.\tVa\xa0!\n")) == pairs.Pairs(["Go."], ["Va !"])
