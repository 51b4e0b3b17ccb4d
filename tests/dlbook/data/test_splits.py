"""Text data: what each set holds, that nothing of the test is in training, and malformed files refused."""

import re

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from dlbook.data import corpora, labelled, pairs, splits, store

SETS = ["movie-reviews", "chinese-reviews", "names", "shakespeare"]
SETS += ["wikitext-2", "english-french", "analogies", "wordsim353"]


@pytest.fixture(scope="module")
def names():
    return splits.names()


@pytest.fixture(scope="module")
def movies():
    return labelled.movie_reviews()


@pytest.fixture(scope="module")
def chinese():
    return labelled.chinese_reviews()


@pytest.fixture(scope="module")
def plays():
    return corpora.shakespeare()


@pytest.fixture(scope="module")
def sentences():
    return pairs.english_french()


def of(parts):
    return [parts.train, parts.validation, parts.test]


@pytest.mark.parametrize("name", SETS)
def test_the_catalogue_knows_the_sizes(name):
    folder = store.fetch(name)
    dataset = store.find(name)
    assert [(folder / member.file).stat().st_size for member in dataset.members] == [m.bytes for m in dataset.members]
    assert dataset.title and dataset.owner and dataset.licence and dataset.citation and dataset.unclear


# --- what is the same -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "one, other",
    [
        ("Bien !", "bien."),
        ("It's  good…", "its good"),
        ("ＡＭＤ，很好！", "amd很好"),
        ("e\u0301t\u00e9", "ÉTÉ"),
        ("...", ""),
    ],
)
def test_the_same(one, other):
    assert splits.dedup_key(one) == splits.dedup_key(other)


@pytest.mark.parametrize("one, other", [("bien", "rien"), ("7 out of 10", "8 out of 10"), ("不好", "好")])
def test_not_the_same(one, other):
    assert splits.dedup_key(one) != splits.dedup_key(other)


def test_what_is_kept():
    texts = ["good", "bad", "Good!", "so so", "", "So, so.", "fine", "?!", "bad"]
    assert splits.drop_conflicting_duplicates(texts, [1, 0, 1, 1, 0, 0, 1, 1, 0]) == [0, 1, 6]


@given(st.lists(st.sampled_from(["a", "A!", "b", "c", "?"])), st.randoms())
def test_what_is_kept_is_there_once_and_has_one_label(texts, random):
    labels = [random.randint(0, 1) for _ in texts]
    kept = splits.drop_conflicting_duplicates(texts, labels)
    assert kept == sorted(kept)
    found = [splits.dedup_key(texts[row]) for row in kept]
    assert len(set(found)) == len(found) and "" not in found
    for row, what in zip(kept, found, strict=True):
        same = [n for n in range(len(texts)) if splits.dedup_key(texts[n]) == what]
        assert row == same[0] and len({labels[n] for n in same}) == 1


# --- splitting --------------------------------------------------------------------------------------------------------


@given(st.lists(st.integers(3, 30), min_size=1, max_size=5), st.floats(0.01, 1 / 3), st.integers(0, 3))
def test_a_split_loses_nothing_and_has_its_shares(counts, share, seed):
    strata = [label for label, count in enumerate(counts) for _ in range(count)]
    parts = splits.stratify(strata, share, seed)
    assert sorted(parts.train + parts.validation + parts.test) == list(range(len(strata)))
    for part in of(parts):
        assert part == sorted(part) and {strata[row] for row in part} == set(strata)
    for label, count in enumerate(counts):
        held = max(1, round(share * count))
        assert [[strata[row] for row in part].count(label) for part in (parts.validation, parts.test)] == [held] * 2
    assert splits.stratify(strata, share, seed) == parts


def test_a_split_is_random():
    one, other = splits.stratify(["a"] * 1_000, 0.1), splits.stratify(["a"] * 1_000, 0.1, seed=1)
    assert one.test != other.test and 400 < sum(one.test) / 100 < 600  # five standard errors are 144


@pytest.mark.parametrize("share", [0.0, 0.34, -0.1])
def test_shares(share):
    with pytest.raises(ValueError, match=f"share must be above 0 and at most a third: got {share}"):
        splits.stratify(["a"] * 9, share)


def test_rare_strata():
    with pytest.raises(ValueError, match="strata must hold at least 3 examples each, .*: got fewer in b"):
        splits.stratify(["a"] * 9 + ["b"] * 2, 0.1)


# --- labelled texts ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name, count", [("movies", 33_429), ("chinese", 17_320)])
def test_reviews(name, count, request):
    parts = request.getfixturevalue(name)
    whole = [review for part in of(parts) for review in part.texts]
    assert len(whole) == count and len({splits.dedup_key(review) for review in whole}) == count  # so in one part only
    shares = []
    for part in of(parts):
        assert len(part) == len(part.texts) == len(part.labels) and part.labels.dtype == torch.int64
        assert part.classes == ["negative", "positive"] and part.labels.unique().tolist() == [0, 1]
        shares.append(part.labels.double().mean().item())
    assert shares == pytest.approx([shares[0]] * 3, abs=1e-3)
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
    again, other = splits.names(), splits.names(seed=1)
    assert again.test.texts == names.test.texts != other.test.texts


# --- running text -----------------------------------------------------------------------------------------------------


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


# --- pairs ------------------------------------------------------------------------------------------------------------


def test_no_sentence_of_the_test_is_in_training(sentences):
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
    found = pairs.connect(pairs.Pairs(["a", "b", "A!", "c", "d", "e"], ["x", "y", "z", "Z.", "y", "w"]))
    assert found == [0, 1, 0, 0, 1, 5]


@given(st.lists(st.tuples(st.sampled_from("abcdef"), st.sampled_from("uvwxyz")), max_size=12))
def test_groups_hang_together_and_apart(rows):
    groups = pairs.connect(pairs.Pairs([a for a, _ in rows], [b for _, b in rows]))
    reached = [{n} for n in range(len(rows))]
    for _ in rows:  # the closure, by brute force
        for n, near in enumerate(reached):
            near |= {m for m, row in enumerate(rows) if any(row[0] == rows[k][0] or row[1] == rows[k][1] for k in near)}
            assert n in near
    assert groups == [min(near) for near in reached]


FEW = pairs.Pairs(list("abcdee"), list("uvwxyz"))


@pytest.mark.parametrize("held_out", [1, 2])
def test_a_split_of_few_pairs(held_out):
    parts = pairs.split_pairs(FEW, held_out, seed=3)
    rows = [(a, b) for part in of(parts) for a, b in zip(part.english, part.french, strict=True)]
    assert sorted(rows) == sorted(zip(FEW.english, FEW.french, strict=True))
    assert [len(part.references) for part in of(parts)] == [5 - 2 * held_out, held_out, held_out]
    assert pairs.split_pairs(FEW, held_out, seed=3) == parts
    assert len({str(pairs.split_pairs(FEW, held_out, seed)) for seed in range(9)}) > 3


@pytest.mark.parametrize("held_out", [0, 3])
def test_sizes_of_the_held_out_parts(held_out):
    with pytest.raises(ValueError, match=f"held_out must be at least 1 and less than half of 5 groups: got {held_out}"):
        pairs.split_pairs(FEW, held_out)


def test_wordsim353():
    judged = pairs.wordsim353()
    assert len(judged.first) == len(judged.second) == len(judged.scores) == 353
    assert (judged.first[0], judged.second[0], judged.scores[0].item()) == ("love", "sex", 6.77)
    assert judged.scores.min() < 1 and judged.scores.max() == 10


def test_analogies():
    found = pairs.analogies()
    assert len(found) == 14 and sum(map(len, found.values())) == 19_544
    assert found["capital-common-countries"][0] == ("Athens", "Greece", "Baghdad", "Iraq")


# --- malformed files --------------------------------------------------------------------------------------------------

BY = "A\n\nby William Shakespeare\n\n"
METADATA = "[a_gut]\ntitle = A % of it\n"
TABLE = "text,label,source\n"


def planted(folder, content, name="some.txt"):
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


@pytest.mark.parametrize(
    "read, content, message",
    [
        (splits.read_text, b"th\xe9", "some.txt must be in UTF-8: got 0xe9 as byte 3"),
        (splits.read_names, "7\n:\n\n", "some.txt must hold names: got none"),
        (labelled.read_movie_reviews, "", "some.txt must have the columns text, label, source: got $"),
        (labelled.read_movie_reviews, "text,label\n", "got text, label"),
        (labelled.read_movie_reviews, TABLE + "a,1,imdb\nb,2,imdb\n", r"in each row: got \['2', 'imdb'\] in 2"),
        (labelled.read_movie_reviews, TABLE + "a,1\n", r"got \['a', '1'\] in 1"),
        (labelled.read_movie_reviews, TABLE + "a,1,elsewhere\n", "elsewhere"),
        (corpora.read_tokens, "a b\nc", "some.txt must end each line with a line feed: got .* at its end"),
        (pairs.read_pairs, "a\tb\na b\n", "two sentences with a tab between: got 'a b' in line 2"),
        (pairs.read_pairs, "a\t \n", "in line 1"),
        (pairs.read_pairs, "a\tb\tc\n", "in line 1"),
        (
            pairs.read_similarities,
            "# x\na\tb\t3\na\tb\n",
            r"two words and a number from 0 to 10 .* got 'a\\tb' in line 3",
        ),
        (pairs.read_similarities, "a\tb\t11\n", "in line 1"),
        (pairs.read_similarities, "a\tb\tnan\n", "in line 1"),
        (pairs.read_similarities, "a\tb\tc\n", "in line 1"),
        (pairs.read_analogies, "a b c d\n", "four words in each line, after a line with a category: got 'a b c d' in"),
        (pairs.read_analogies, ": x\na b c\n", "got 'a b c' in line 2"),
    ],
)
def test_what_is_malformed_is_refused(tmp_path, read, content, message):
    with pytest.raises(ValueError, match=message):
        read(planted(tmp_path, content))


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
        corpora.read_works(tmp_path)


def test_small_files(tmp_path):
    planted(tmp_path, BY + "\n  To be,  \r\nor not\n\n", "a_gut.txt")
    planted(tmp_path, METADATA, "metadata.txt")
    assert corpora.read_works(tmp_path) == {"A % of it": "To be,\nor not\n"}
    names = "Abel\n\nO'Neil, de la Cruz\nAbel\nMaxa/Bo\nRafaj1\nE\u0301va\n"
    assert splits.read_names(planted(tmp_path, names)) == ["Abel", "O'Neil", "de la Cruz", "Maxa", "Bo", "Éva"]
    table = TABLE + '"a<br /><br />b &amp; ""c""\x96",1,imdb\n"two\nlines",0,rotten_tomatoes\n'
    assert labelled.read_movie_reviews(planted(tmp_path, table)) == (
        (['a\n\nb & "c"–', "two\nlines"], [1, 0], ["imdb", "rotten_tomatoes"])
    )
    assert corpora.read_tokens(planted(tmp_path, " = a = \n\nb <unk>\u2028c\n")) == (
        ["=", "a", "=", "<eos>", "<eos>", "b", "<unk>", "c", "<eos>"]
    )
    assert pairs.read_pairs(planted(tmp_path, "Go.\tVa\u202f!\nGo.\tVa\xa0!\n")) == pairs.Pairs(["Go."], ["Va !"])


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda: labelled.movie_reviews("amazon"), "site must be one of imdb, rotten tomatoes: got 'amazon'"),
        (lambda: corpora.shakespeare(test=["Faust"]), "must hold titles of works: got 'Faust', not All's Well"),
        (lambda: corpora.shakespeare(["Hamlet"], ["Hamlet"]), "must hold each title once: got Hamlet, Hamlet"),
    ],
)
def test_errors(call, message):
    with pytest.raises(ValueError, match=message):
        call()
