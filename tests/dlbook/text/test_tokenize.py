"""From text to tensors (`dlbook.text`): tokens, numbers and back, padding, batches of similar lengths."""

import unicodedata

import pytest
import torch
from dlbook.text.tokenize import Vocabulary, most_frequent, pad, tokenize
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from dlbook.masks import length_mask
from dlbook.training import fit
from dlbook.training.batches import BatchesByLength

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
    ],
)
def test_tokens(text, tokens):
    assert tokenize(text) == tokens


ANY_TEXT = st.text(st.characters(), max_size=30) | st.text(st.sampled_from("aB'’ -_.,é\u0301中\ud800\x00\u200b1²İß"))


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


# --- batches ----------------------------------------------------------------------------------------------------------

TEXTS = st.lists(st.lists(st.integers(1, 9), min_size=1, max_size=12), min_size=1, max_size=30)


@given(TEXTS, st.integers(1, 7), st.booleans(), st.booleans(), st.integers(0, 3), st.integers(0, 2))
def test_every_example_once_with_what_belongs_to_it(texts, size, by_tokens, shuffle, seed, epoch):
    numbers = torch.arange(len(texts))
    most = {"tokens": 12 + size} if by_tokens else {"size": size}
    batches = BatchesByLength(texts, numbers, shuffle=shuffle, seed=seed, **most)
    batches.set_epoch(epoch)
    seen, spans = [], []
    for padded, lengths, rows in batches:
        assert padded.shape == (len(rows), lengths.max())
        assert padded.numel() <= 12 + size if by_tokens else len(rows) <= size
        for row, sequence, length in zip(rows.tolist(), padded.tolist(), lengths.tolist(), strict=True):
            assert sequence[:length] == texts[row] and not any(sequence[length:])
        seen += rows.tolist()
        spans.append((int(lengths.min()), int(lengths.max())))
    assert sorted(seen) == numbers.tolist() and len(spans) == len(batches)
    spans.sort()
    assert all(before[1] <= after[0] for before, after in zip(spans, spans[1:], strict=False))  # as little as can be
    if not shuffle:
        assert seen == sorted(seen, key=lambda row: len(texts[row]))


def test_as_many_as_fit():
    texts = [[1] * length for length in (1, 1, 1, 2, 2, 3, 6)]
    assert [len(rows) for _, _, rows in BatchesByLength(texts, torch.arange(7), batch_size=3)] == [3, 3, 1]
    assert [len(rows) for _, _, rows in BatchesByLength(texts, torch.arange(7), max_tokens=6)] == [3, 2, 1, 1]


def test_the_order_depends_on_seed_and_epoch_only():
    texts = [[1] * (1 + n % 5) for n in range(60)]

    def rows(seed, epoch):
        batches = BatchesByLength(texts, torch.arange(60), batch_size=4, shuffle=True, seed=seed)
        batches.set_epoch(epoch)
        torch.manual_seed(9)
        before = torch.get_rng_state()
        drawn = torch.cat([numbers for _, _, numbers in batches]).tolist()
        assert torch.get_rng_state().equal(before)
        return drawn

    assert rows(0, 0) == rows(0, 0)
    orders = [rows(0, 0), rows(0, 1), rows(1, 0), rows(1, 1)]
    assert all(a != b for n, a in enumerate(orders) for b in orders[:n])
    lengths = [len(texts[row]) for row in orders[0]]
    assert lengths != sorted(lengths)  # the batches come mixed
    short = [[row for row in order if len(texts[row]) == 1] for order in orders]
    assert short[0] != short[1]  # and so do the examples within them


def test_two_languages_and_what_fit_wants():
    sources, targets = [[4, 5], [6], [7, 8, 9]], [[2, 4, 3], [2, 5, 6, 7, 3], [2, 8, 3]]
    batches = BatchesByLength(
        sources, targets, batch_size=2, arrange=lambda s, lengths, t, _: (s, lengths, t[:, :-1], t[:, 1:])
    )
    first, second = batches
    assert [part.tolist() for part in first] == [[[4, 5, 0], [7, 8, 9]], [2, 3], [[2, 4], [2, 8]], [[4, 3], [8, 3]]]
    assert [part.tolist() for part in second] == [[[6]], [1], [[2, 5, 6, 7]], [[5, 6, 7, 3]]]


def test_long_sequences_are_cut_and_counted():
    texts = [[1] * 3, [2] * 8, [3] * 5]
    batches = BatchesByLength(texts, batch_size=3, max_length=5)
    ((padded, lengths),) = batches
    assert batches.truncated == 1 and padded.shape == (3, 5) and lengths.tolist() == [3, 5, 5]
    assert BatchesByLength(texts, max_tokens=5, max_length=5).truncated == 1
    assert BatchesByLength(texts, batch_size=3).truncated == 0


class MeanOfEmbeddings(nn.Module):
    def __init__(self):
        super().__init__()
        self.embedding = nn.Embedding(9, 8, padding_idx=0)
        self.output = nn.Linear(8, 2)

    def forward(self, numbers, lengths):
        return self.output(self.embedding(numbers).sum(1) / lengths[:, None])


def test_fit_trains_on_them():
    torch.manual_seed(0)
    texts = [[4 + n % 2] * (1 + n % 7) for n in range(40)]
    batches = BatchesByLength(texts, torch.arange(40) % 2, batch_size=8, shuffle=True)
    model = MeanOfEmbeddings()
    history = fit.fit(
        model, batches, nn.functional.cross_entropy, torch.optim.Adam(model.parameters(), 0.1), epochs=8
    )
    assert len(history.steps) == 8 * len(batches) == 40 and history.loss[-1] < 0.02


def test_a_run_of_training_resumes_bitwise(tmp_path):
    texts = [[4 + n % 3] * (1 + n % 7) for n in range(40)]

    def run(epochs, **options):
        torch.manual_seed(0)
        model = MeanOfEmbeddings()
        batches = BatchesByLength(texts, torch.arange(40) % 2, max_tokens=30, shuffle=True)
        optimizer = torch.optim.SGD(model.parameters(), 0.1)
        return fit.fit(model, batches, nn.functional.cross_entropy, optimizer, epochs=epochs, **options)

    run(1, checkpoint=tmp_path / "run.pt")
    assert run(3, checkpoint=tmp_path / "run.pt") == run(3)


# --- errors -----------------------------------------------------------------------------------------------------------

LABEL = torch.zeros(1)


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda: Vocabulary(["a", "b", "a"]), "tokens must be there once each, and none be special: got 'a' again"),
        (lambda: Vocabulary(["<unk>"]), "got '<unk>' again"),
        (lambda: most_frequent([], min_count=0), "min_count must be at least 1 and size at least 4: got min_count=0"),
        (lambda: Vocabulary.build([], vocab_size=3), "size=3"),
        (lambda: Vocabulary(["a"]).decode([5]), "numbers must be between 0 and 4: got 5"),
        (lambda: Vocabulary(["a"]).decode([4, -1]), "got -1"),
        (lambda: pad([]), "sequences must be one or more, of one number or more each: got none"),
        (lambda: pad([[1], []]), "got an empty one at 1"),
        (lambda: pad([[1]], max_length=0), "steps must be at least 1: got 0"),
        (lambda: BatchesByLength([[1]], batch_size=1, max_length=0), "steps must be at least 1: got 0"),
        (lambda: BatchesByLength(batch_size=1), r"columns must be of one length, at least 1: got \[\]"),
        (lambda: BatchesByLength([], batch_size=1), r"got \[0\]"),
        (lambda: BatchesByLength([[1], [2]], LABEL, batch_size=1), r"got \[2, 1\]"),
        (lambda: BatchesByLength(LABEL, batch_size=1), "columns must hold at least one list of sequences: got tensors only"),
        (lambda: BatchesByLength([[1], []], batch_size=1), "one number or more each: got an empty one at 1"),
        (lambda: BatchesByLength([[1]]), "size or tokens must be given, and not both: got size=None, tokens=None"),
        (lambda: BatchesByLength([[1]], batch_size=1, max_tokens=1), "size=1, tokens=1"),
        (
            lambda: BatchesByLength([[1]], batch_size=0),
            "size must be at least 1, or tokens at least 1, the length of the longest example: got size=0",
        ),
        (lambda: BatchesByLength([[1, 2]], max_tokens=1), "or tokens at least 2, .* tokens=1"),
        (lambda: BatchesByLength([[1]], batch_size=1, seed=-1), "seed must be at least 0: got -1"),
    ],
)
def test_errors(call, message, unchecked):
    with pytest.raises(ValueError, match=message):
        call()
