"""Batches of sequences of similar lengths: every example once, as little padding as can be, any order again."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from dlbook.training import fit
from dlbook.training.batches import BatchesByLength

TEXTS = st.lists(st.lists(st.integers(1, 9), min_size=1, max_size=12), min_size=1, max_size=30)


@given(TEXTS, st.integers(1, 7), st.booleans(), st.booleans(), st.integers(0, 3), st.integers(0, 2))
def test_every_example_once_with_what_belongs_to_it(texts, size, by_tokens, shuffle, seed, epoch):
    numbers = torch.arange(len(texts))
    most = {"max_tokens": 12 + size} if by_tokens else {"batch_size": size}
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
    history = fit.fit(model, batches, nn.functional.cross_entropy, torch.optim.Adam(model.parameters(), 0.1), epochs=8)
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
        (lambda: BatchesByLength([[1]], batch_size=1, max_length=0), "max_length must be at least 1: got 0"),
        (lambda: BatchesByLength(batch_size=1), r"columns must be of one length, at least 1: got \[\]"),
        (lambda: BatchesByLength([], batch_size=1), r"got \[0\]"),
        (lambda: BatchesByLength([[1], [2]], LABEL, batch_size=1), r"got \[2, 1\]"),
        (
            lambda: BatchesByLength(LABEL, batch_size=1),
            "columns must hold at least one list of sequences: got tensors only",
        ),
        (lambda: BatchesByLength([[1], []], batch_size=1), "one number or more each: got an empty one at 1"),
        (
            lambda: BatchesByLength([[1]]),
            "batch_size or max_tokens must be given, and not both: got batch_size=None",
        ),
        (lambda: BatchesByLength([[1]], batch_size=1, max_tokens=1), "batch_size=1, max_tokens=1"),
        (lambda: BatchesByLength([[1]], batch_size=0), "batch_size must be at least 1: got 0"),
        (
            lambda: BatchesByLength([[1, 2]], max_tokens=1),
            "max_tokens must be at least 2, the length of the longest example: got 1",
        ),
        (lambda: BatchesByLength([[1]], batch_size=1, seed=-1), "seed must be at least 0: got -1"),
    ],
)
def test_errors(call, message, unchecked):
    with pytest.raises(ValueError, match=message):
        call()
