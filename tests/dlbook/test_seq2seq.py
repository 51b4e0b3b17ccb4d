"""The recurrent translator: its encoder equal to PyTorch's GRU, its decoder to a loop; padding changes nothing."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence
from torch.testing import assert_close

from dlbook.fused import FusedRecurrent
from dlbook.recurrent import Recurrent
from dlbook.seq2seq import AdditiveAttention, GeneralAttention, RecurrentEncoder, RecurrentTranslator
from dlbook.text.decode import beam_search, generate
from tests.helpers.equations import executed
from tests.helpers.models import fill, train_steps
from tests.helpers.references import random, reference, tensor

KINDS = {"additive": AdditiveAttention, "general": GeneralAttention}
few = settings(max_examples=15)
kinds = st.sampled_from(sorted(KINDS))


def make(kind="additive", **options):
    return fill(RecurrentTranslator(8, 6, 4, 3, KINDS[kind], pad=7, **options))


def sentences(batch, length, vocab_size, data):
    lengths = torch.tensor(data.draw(st.lists(st.integers(1, length), min_size=batch, max_size=batch), label="lengths"))
    return torch.randint(vocab_size, (batch, length), generator=torch.Generator().manual_seed(1)), lengths


def padded(source, lengths):
    """Fill up with 7 what stands after the end of each sentence."""
    return torch.where(torch.arange(source.shape[1]) < lengths[:, None], source, 7)


def copied(theirs, ours):
    """Copy the weights of our recurrent layer to PyTorch's, or back: they come in the same order."""
    for parameter, other in zip(theirs.parameters(), ours.parameters(), strict=True):
        parameter.data.copy_(other.data)
    return theirs


# --- the encoder ------------------------------------------------------------------------------------------------------


@reference("dlbook.seq2seq.RecurrentEncoder", to="torch.nn.GRU")
@few
@given(st.booleans(), st.integers(1, 3), st.integers(1, 5), st.data())
def test_the_encoder_equals_torchs_gru(fused, batch, length, data):
    encoder = fill(RecurrentEncoder(7, 4, 3, fused=fused))
    theirs = copied(nn.GRU(4, 3, batch_first=True, bidirectional=True).double(), encoder.recurrent)
    source, lengths = sentences(batch, length, 7, data)
    memory, ends = encoder(source, lengths)
    embedded = 2 * nn.functional.embedding(source, encoder.embedding.weight)  # √4
    packed = pack_padded_sequence(embedded, lengths, batch_first=True, enforce_sorted=False)
    expected, h = theirs(packed)
    assert_close(ends, torch.cat([h[0], h[1]], 1))
    assert_close(pack_padded_sequence(memory, lengths, batch_first=True, enforce_sorted=False).data, expected.data)
    weights = random(batch, 6)
    mine = torch.autograd.grad((ends * weights).sum(), [encoder.embedding.weight, *encoder.recurrent.parameters()])
    yours = torch.autograd.grad((torch.cat([*h], 1) * weights).sum(), [encoder.embedding.weight, *theirs.parameters()])
    assert_close(mine, yours)


# --- attention --------------------------------------------------------------------------------------------------------


@few
@given(kinds, st.integers(1, 3), st.integers(1, 4), st.integers(1, 5), st.data())
def test_attention_ignores_padding(kind, batch, targets, sources, data):
    attention = fill(KINDS[kind](3, 4))
    _, lengths = sentences(batch, sources, 7, data)
    states, memory, real = (
        random(batch, targets, 3),
        random(batch, sources, 4),
        torch.arange(sources) < lengths[:, None],
    )
    context, weights = attention(states, memory, real[:, None])
    assert_close(weights.sum(2), torch.ones(batch, targets, dtype=torch.float64))
    assert (weights >= 0).all() and not weights[~real[:, None].expand_as(weights)].any()
    other, again = attention(states, torch.where(real[:, :, None], memory, 1e3), real[:, None])
    assert torch.equal(again, weights) and torch.equal(other, context)


def attended():
    """Return additive attention with states, memory, context and weights, of one sentence."""
    attention, states, memory = fill(AdditiveAttention(3, 4)), random(1, 2, 3), random(1, 5, 4)
    context, alpha = attention(states, memory, torch.ones(1, 1, 5, dtype=torch.bool))
    return attention, states[0], memory[0], context[0], alpha[0]


@executed("3.4.6b", of="dlbook.seq2seq.AdditiveAttention")
def test_scores_as_printed(formula):
    attention, s, h, _, alpha = attended()
    names = {"v": attention.v[0], "W": attention.of_state.weight, "b": attention.of_state.bias}
    found = formula(names | {"U": attention.of_memory, "s": s, "h": h}, {"t": 2, "j": 5, "i": 3, "k": 3, "l": 4})
    assert_close(alpha, tensor(found["e"]).softmax(1))


@executed("3.4.6c", of="dlbook.seq2seq.AdditiveAttention")
def test_context_as_printed(formula):
    _, _, h, context, alpha = attended()
    e = alpha.log() + random(2, 1)  # the scores, up to a number for each t that cancels
    found = formula({"e": e, "h": h}, {"t": 2, "j": 5, "k": 5})
    assert_close((context, alpha), (tensor(found["c"]), tensor(found["alpha"])))


# --- the translator ---------------------------------------------------------------------------------------------------


def by_loop(model, kind, source, target):
    """Translate one sentence word by word, with PyTorch's GRU cell and no padding; return logits and weights."""
    decoder, attention = model.decoder, model.decoder.attention
    cell = copied(nn.GRUCell(4, 3).double(), decoder.recurrent)
    memory, ends = model.encoder(source[None], torch.tensor([len(source)]))
    s, h = torch.tanh(model.begin.weight @ ends[0] + model.begin.bias), memory[0]
    rows, all_weights = [], []
    for word in target.tolist():
        s = cell(2 * decoder.embedding.weight[word], s)
        if kind == "additive":
            hidden = torch.stack([attention.of_state(s) + attention.of_memory @ h_j for h_j in h])
            e = torch.tanh(hidden) @ attention.v[0]
        else:
            e = torch.stack([h_j @ attention.query @ s for h_j in h]) / math.sqrt(6)
        alpha = e.exp() / e.exp().sum()
        c = sum(a * h_j for a, h_j in zip(alpha, h, strict=True))
        combined = torch.tanh(decoder.combine.weight @ torch.cat([c, s]) + decoder.combine.bias)
        rows.append(decoder.output.weight @ combined + decoder.output.bias)
        all_weights.append(alpha)
    return torch.stack(rows), torch.stack(all_weights)


@reference(
    "dlbook.seq2seq.RecurrentTranslator",
    "dlbook.seq2seq.AdditiveAttention",
    "dlbook.seq2seq.GeneralAttention",
    to="torch.nn.GRUCell",
)
@few
@given(kinds, st.booleans(), st.booleans(), st.integers(1, 3), st.integers(1, 4), st.integers(1, 4), st.data())
def test_the_translator_equals_a_loop(kind, fused, tied, batch, sources, targets, data):
    model = make(kind, fused=fused, tied=tied)
    assert isinstance(model.decoder.recurrent, FusedRecurrent if fused else Recurrent)
    source, lengths = sentences(batch, sources, 7, data)
    target = torch.randint(6, (batch, targets), generator=torch.Generator().manual_seed(2))
    logits, weights, _ = model.decoder(target, model.encode(padded(source, lengths)))
    assert_close(model(padded(source, lengths), target), logits)
    loss = 0.0
    for row, length in enumerate(lengths.tolist()):
        expected, alpha = by_loop(model, kind, source[row, :length], target[row])
        assert_close(logits[row], expected)
        assert_close(weights[row, :, :length], alpha)
        assert not weights[row, :, length:].any()
        loss = loss + (expected**2).sum()
    decoder = model.decoder  # its cell and the encoder's are compared above: here what both passes share
    shared = [decoder.output.weight, decoder.combine.weight, decoder.output.bias, *decoder.attention.parameters()]
    shared += [model.begin.weight, model.encoder.embedding.weight, *model.encoder.recurrent.parameters()]
    assert_close(torch.autograd.grad((logits**2).sum(), shared), torch.autograd.grad(loss, shared))


@few
@given(kinds, st.booleans(), st.integers(1, 3), st.data())
def test_padding_changes_nothing(kind, fused, more, data):
    model = make(kind, fused=fused)
    source, lengths = sentences(3, 4, 7, data)
    target = torch.randint(6, (3, 5), generator=torch.Generator().manual_seed(2))
    results, short = [], padded(source, lengths)
    for filled in (short, nn.functional.pad(short, (0, more), value=7)):
        model.zero_grad()
        logits = model(filled, target)
        (logits**2).sum().backward()
        gradients = {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}
        results.append((logits, gradients))
    assert_close(*results)
    assert not model.encoder.embedding.weight.grad[7].any()
    longer = model(
        padded(source, lengths), nn.functional.pad(target, (0, 2), value=3)
    )  # and after the target: it comes later
    assert_close(longer[:, :5], results[0][0])


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("fused", [False, True])
def test_step_by_step_is_the_whole(kind, fused):
    model, lengths = make(kind, fused=fused), torch.tensor([4, 2])
    source, target = torch.randint(7, (2, 4)), torch.randint(6, (2, 5))
    state, rows = model.encode(padded(source, lengths)), []
    for token in target.unbind(1):
        logits, state = model.step(state, token)
        rows.append(logits)
    assert_close(torch.stack(rows, 1), model(padded(source, lengths), target))


@pytest.mark.parametrize("fused", [False, True])
def test_it_can_be_decoded(fused):
    model, lengths = make(fused=fused), torch.tensor([4, 2, 3])
    source, begin = torch.randint(7, (3, 4)), torch.tensor([0, 0, 0])
    greedy = generate(model.step, model.encode(padded(source, lengths)), begin, 6, stop=1)
    found, score = beam_search(model.step, model.encode(padded(source, lengths)), begin, 6, stop=1, beams=3, alpha=0.0)
    for row, length in enumerate(lengths.tolist()):
        state = model.encode(source[row : row + 1, :length])
        alone = generate(model.step, state, begin[:1], 6, stop=1)
        assert greedy[row, : alone.shape[1]].tolist() == alone[0].tolist()
        ended = (*found[row].tolist(), 1).index(1) + 1
        sequence = found[row, :ended]
        target = torch.cat([begin[:1], sequence[:-1]])
        logits = model.decoder(target[None], state)[0][0]
        assert_close(score[row], logits.log_softmax(1).gather(1, sequence[:, None]).sum())


@pytest.mark.parametrize("kind", KINDS)
def test_overfits_a_tiny_batch(kind):
    torch.manual_seed(0)
    model = RecurrentTranslator(8, 8, 16, 24, KINDS[kind], tied=True)  # no padding, which is 0
    source = torch.stack([2 + torch.randperm(6)[:4] for _ in range(8)])
    target = torch.cat([torch.zeros(8, 1, dtype=torch.long), source.flip(1), torch.ones(8, 1, dtype=torch.long)], 1)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.03)

    def loss():
        return nn.functional.cross_entropy(model(source, target[:, :-1]).flatten(0, 1), target[:, 1:].flatten())

    assert train_steps(optimizer, loss, steps=60) < 0.05
    made = generate(model.step, model.encode(source), target[:, 0], 9, stop=1)
    assert made.equal(target[:, 1:])


def test_dropout_is_for_training():
    model = make(dropout=0.5)
    inputs = torch.randint(6, (2, 3)), torch.randint(6, (2, 3))
    assert not model(*inputs).equal(model(*inputs))
    assert model.eval()(*inputs).equal(make()(*inputs))


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda: RecurrentTranslator(0, 6, 4, 3), "source_vocab_size must be at least 1: got 0"),
        (lambda: RecurrentTranslator(7, 0, 4, 3), "target_vocab_size must be at least 1: got 0"),
        (lambda: RecurrentTranslator(7, 6, 0, 3), "dim must be at least 1: got 0"),
        (lambda: RecurrentTranslator(7, 6, 4, 0), "hidden must be at least 1: got 0"),
        (lambda: RecurrentTranslator(7, 6, 4, 3, dropout=1.0), "p must be .*: got 1.0"),
        (lambda: make().encode(torch.tensor([[7, 7], [1, 7]])), r"source must hold a token .* of \[0, 1\] tokens"),
        (lambda: make(fused=False).encode(torch.tensor([[7]])), r"a token in each sentence, .* of \[0\] tokens"),
        (lambda: make().encode(torch.tensor([[7, 1], [1, 7]])), r"padding only after the last: .* of \[1, 1\] tokens"),
        (lambda: make()(torch.ones(2, 3).long(), torch.ones(1, 3).long()), "a row for each row of source, 2: got 1"),
    ],
)
def test_errors(call, message, unchecked):
    with pytest.raises(ValueError, match=message):
        call()
