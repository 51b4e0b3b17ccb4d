"""Labelled texts: what each set holds, no text in two parts, malformed files refused."""

import re

import pytest
import torch

from dlbook.data import labelled, splits
from tests.dlbook.data.examples import of, planted

TABLE = "text,label,source\n"


@pytest.fixture(scope="module")
def names():
    return labelled.names()


@pytest.fixture(scope="module")
def movies():
    return labelled.movie_reviews()


@pytest.fixture(scope="module")
def chinese():
    return labelled.chinese_reviews()


@pytest.mark.parametrize("name, count", [("movies", 33_429), ("chinese", 17_320)])
def test_reviews(name, count, request, unchecked):
    parts = request.getfixturevalue(name)
    whole = [review for part in of(parts) for review in part.texts]
    assert len(whole) == count and len({splits.dedup_key(review) for review in whole}) == count  # so in one part only
    proportions = []
    for part in of(parts):
        assert len(part) == len(part.texts) == len(part.labels) and part.labels.dtype == torch.int64
        assert part.classes == ["negative", "positive"] and part.labels.unique().tolist() == [0, 1]
        proportions.append(part.labels.double().mean().item())
    assert proportions == pytest.approx([proportions[0]] * 3, abs=1e-3)
    assert len(parts.test) == len(parts.validation) == pytest.approx(count / 10, abs=1)


def test_movie_reviews_are_clean(movies):
    whole = [review for part in of(movies) for review in part.texts]
    assert not any(re.search("<br />|[\x80-\x9f]|&(#\\d+|amp|quot|[lg]t);", review) for review in whole)
    assert sum("\n\n" in review for review in whole) > 10_000
    assert sum("–" in review for review in whole) > 400  # a control character before


def test_one_site_alone():
    parts = labelled.movie_reviews("rotten tomatoes", test_fraction=0.2, seed=1)
    assert [len(part) for part in of(parts)] == [5_116, 1_706, 1_706]
    assert max(map(len, parts.train.texts)) < 300


def test_chinese_reviews_are_chinese(chinese):
    assert sum(bool(re.search("[\u4e00-\u9fff]", review)) for review in chinese.test.texts) > 0.98 * len(chinese.test)
    assert not any(review != review.strip() or "\n" in review for review in chinese.test.texts)


def test_names(names):
    assert len(names.train.classes) == 19
    assert not {"Ethiopian", "Nepalese", "Nigerian"} & set(names.train.classes)
    spellings = [set(part.texts) for part in of(names)]
    assert not (spellings[0] & spellings[1] or spellings[0] & spellings[2] or spellings[1] & spellings[2])
    for part in of(names):
        assert part.classes is names.train.classes and part.labels.unique().tolist() == list(range(19))
        assert len(set(zip(part.texts, part.labels.tolist(), strict=True))) == len(part)
        assert all(re.fullmatch(r"[^\W\d_]([^\W\d_]|[ '-])*", name) for name in part.texts)
    counts = torch.stack([part.labels.bincount() for part in of(names)])
    assert (counts[1:] / counts.sum(0) - 0.1).abs().max() < 0.04
    labels = names.train.labels[[n for n, name in enumerate(names.train.texts) if name == "Campbell"]].tolist()
    assert {names.train.classes[label] for label in labels} <= {"English", "Scottish"}


def test_the_same_seed_gives_the_same_names(names):
    again, other = labelled.names(), labelled.names(seed=1)
    assert again.test.texts == names.test.texts != other.test.texts


@pytest.mark.parametrize(
    "read, content, message",
    [
        (labelled._read_names, "7\n:\n\n", "some.txt must hold names: got none"),
        (labelled._read_movie_reviews, b"th\xe9", "some.txt must be in UTF-8: got 0xe9 as byte 3"),
        (labelled._read_movie_reviews, "", "some.txt must have the columns text, label, source: got $"),
        (labelled._read_movie_reviews, "text,label\n", "got text, label"),
        (labelled._read_movie_reviews, TABLE + "a,1,imdb\nb,2,imdb\n", r"in each row: got \['2', 'imdb'\] in 2"),
        (labelled._read_movie_reviews, TABLE + "a,1\n", r"got \['a', '1'\] in 1"),
        (labelled._read_movie_reviews, TABLE + "a,1,elsewhere\n", "elsewhere"),
    ],
)
def test_malformed_files_are_refused(tmp_path, read, content, message):
    with pytest.raises(ValueError, match=message):
        read(planted(tmp_path, content))


def test_small_files(tmp_path):
    names = "Abel\n\nO'Neil, de la Cruz\nAbel\nMaxa/Bo\nRafaj1\nE\u0301va\n"
    assert labelled._read_names(planted(tmp_path, names)) == ["Abel", "O'Neil", "de la Cruz", "Maxa", "Bo", "Éva"]
    table = TABLE + '"a<br /><br />b &amp; ""c""\x96",1,imdb\n"two\nlines",0,rotten_tomatoes\n'
    assert labelled._read_movie_reviews(planted(tmp_path, table)) == (
        (['a\n\nb & "c"–', "two\nlines"], [1, 0], ["imdb", "rotten_tomatoes"])
    )
    assert labelled._read_movie_reviews(planted(tmp_path, TABLE)) == ([], [], [])
