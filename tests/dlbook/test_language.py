"""Recurrent language models: equal to PyTorch's layers, whole or in chunks; bits as a sum over the text."""

import math
from functools import partial

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.testing import assert_close

from dlbook.fused import FusedRecurrent
from dlbook.language import LanguageModel, ScaledEmbedding, bits_per_token, chunk_losses, chunks, perplexity
from dlbook.recurrent import GRUCell, LSTMCell, Recurrent, RNNCell
from dlbook.text.decode import beam_search, generate, sample
from tests.helpers.equations import executed
from tests.helpers.models import fill
from tests.helpers.references import random, reference, tensor

CELLS = {"rnn": RNNCell, "lstm": LSTMCell, "gru": GRUCell}
few = settings(max_examples=15)
kinds = st.sampled_from(sorted(CELLS))


def make(kind="lstm", vocab_size=5, dim=3, hidden=4, **options):
    """Make a model in float64, with no parameter zero."""
    return fill(LanguageModel(vocab_size, dim, hidden, cell=CELLS[kind], **options))


def text(length, vocab_size=5, seed=0):
    return torch.randint(vocab_size, (length,), generator=torch.Generator().manual_seed(seed))


class Theirs(nn.Module):
    """The same of PyTorch's parts."""

    def __init__(self, ours):
        super().__init__()
        self.recurrent = ours.recurrent  # itself equal to PyTorch's by test_fused.py
        vocab_size, dim = ours.embedding.weight.shape
        self.embedding = nn.Embedding(vocab_size, dim).double()
        self.output = nn.Linear(ours.output.weight.shape[1], vocab_size).double()
        self.embedding.load_state_dict(ours.embedding.state_dict())
        self.output.load_state_dict(ours.output.state_dict())


@reference("dlbook.language.LanguageModel", to="torch.nn.Embedding")
@few
@given(kinds, st.integers(1, 3), st.integers(1, 4), st.integers(1, 2), st.booleans())
def test_equals_torchs_parts(kind, batch, length, layers, tied):
    ours = make(kind, dim=4 if tied else 3, layers=layers, tied=tied)
    assert isinstance(ours.recurrent, FusedRecurrent)
    theirs = Theirs(ours)
    tokens = text(batch * length).view(batch, length)
    logits, _ = ours(tokens)
    expected = theirs.output(theirs.recurrent(theirs.embedding(tokens) * ours.embedding.embedding_dim**0.5)[0])
    assert_close(logits, expected)
    weights = random(*logits.shape)
    (logits * weights).sum().backward(retain_graph=True)
    mine = [ours.embedding.weight.grad, ours.output.weight.grad, ours.output.bias.grad]
    parameters = [theirs.embedding.weight, theirs.output.weight, theirs.output.bias]
    of_embedding, of_output, of_bias = torch.autograd.grad((expected * weights).sum(), parameters)
    if tied:
        of_embedding = of_output = of_embedding + of_output  # one matrix in two places
    assert_close(mine, [of_embedding, of_output, of_bias])
    assert len([p for p in ours.parameters() if p is ours.embedding.weight or p is ours.output.weight]) == 2 - tied


@reference("dlbook.language.ScaledEmbedding", to="torch.nn.functional.embedding")
def test_a_scaled_embedding_equals_torch():
    ours, tokens = fill(ScaledEmbedding(7, 4)), text(6, 7)
    found, expected = ours(tokens), 2 * nn.functional.embedding(tokens, ours.weight)  # 2 is the root of 4
    assert_close(found, expected)
    assert_close(*(torch.autograd.grad(y.square().sum(), ours.weight) for y in (found, expected)))


@few
@given(kinds, st.integers(1, 2))
def test_the_fused_model_is_the_same(kind, layers):
    results = []
    for fused in (False, True):
        torch.manual_seed(0)
        model = LanguageModel(5, 3, 4, layers, CELLS[kind], fused=fused)
        assert isinstance(model.recurrent, FusedRecurrent if fused else Recurrent)
        logits, state = model(text(6).view(2, 3))
        results.append(model(text(6, seed=1).view(2, 3), state)[0])
    assert_close(*results)


@few
@given(kinds, st.booleans(), st.integers(1, 2), st.integers(1, 6), st.integers(1, 6))
def test_chunks_are_the_whole(kind, fused, layers, first, second):
    model = make(kind, layers=layers, fused=fused)
    tokens = text(2 * (first + second)).view(2, -1)
    whole, end = model(tokens)
    before, state = model(tokens[:, :first])
    after, last = model(tokens[:, first:], state)
    assert_close(torch.cat([before, after], 1), whole)
    assert_close(last, end)
    state, step_by_step = None, []  # and so is one after another, as decoding wants it
    for token in tokens.unbind(1):
        logits, state = model.step(state, token)
        step_by_step.append(logits)
    assert_close(torch.stack(step_by_step, 1), whole)
    assert_close(state, end)
    assert_close(model.prefill(tokens), end)
    assert all(part.shape == (2, layers, 4) for part in state)


@few
@given(st.integers(2, 40), st.integers(1, 4), st.integers(1, 7))
def test_a_text_is_cut_without_loss(tokens, batch, length):
    text = torch.arange(tokens)
    if tokens <= batch:
        return
    parts = chunks(text, batch, length)
    x, target = (torch.cat(part, 1) for part in zip(*parts, strict=True))
    assert target.equal(x + 1)
    assert x.flatten().tolist() == list(range(batch * ((tokens - 1) // batch)))
    assert all(part.shape[1] == length for part, _ in parts[:-1]) and 1 <= parts[-1][0].shape[1] <= length


def test_no_gradient_flows_into_the_chunk_before():
    model, parts = make(), chunks(text(13), batch_size=2, length=3)
    found = []
    for loss in chunk_losses(model, parts):
        model.zero_grad()
        loss.backward()
        found.append((loss.item(), model.recurrent.layer.weight_hh_l0.grad.clone()))
    state = None
    for (tokens, target), (loss, gradient) in zip(parts, found, strict=True):
        model.zero_grad()
        logits, state = model(tokens, state)
        expected = nn.functional.cross_entropy(logits.flatten(0, 1), target.flatten())
        expected.backward()
        state = tuple(part.detach() for part in state)
        assert loss == pytest.approx(expected.item())
        assert_close(gradient, model.recurrent.layer.weight_hh_l0.grad)


def read():
    """Make a model, a text, and the names of the equations about it."""
    model, tokens = make(), text(6)

    def p(following, *before):
        return model(torch.tensor([before]))[0][0, -1].softmax(0)[following]

    return model, tokens, {"p": p, "w": tokens, "T": 5}


@executed("3.4.2a", of="dlbook.language.bits_per_token")
def test_bits_as_printed(formula):
    model, tokens, names = read()
    found = formula(names, starts={"w": 0})
    for length in (1, 4, 256):
        assert_close(tensor(bits_per_token(model, tokens, length=length)), tensor(found["H"]))


@executed("3.4.2b", of="dlbook.language.perplexity")
def test_perplexity_as_printed(formula):
    model, tokens, names = read()
    bits = bits_per_token(model, tokens)
    found = formula(names | {"H": bits}, starts={"w": 0})
    assert found["PP"] == pytest.approx((perplexity(bits),) * 2)


def test_perplexity_of_equally_likely_tokens():
    assert perplexity(math.log2(7)) == pytest.approx(7)


def test_bits_are_measured_without_dropout():
    model, tokens = make(dropout=0.5), text(30)
    assert bits_per_token(model, tokens) == bits_per_token(model, tokens) and model.training
    assert bits_per_token(model.eval(), tokens) == bits_per_token(make(), tokens) and not model.training
    assert not model.train()(tokens[None])[0].equal(model(tokens[None])[0])
    strips = [bits_per_token(model, part) for part in (tokens[:15], tokens[14:29])]
    assert bits_per_token(model, tokens[:29], batch_size=2) == pytest.approx(sum(strips) / 2)


def test_modes_are_put_back():
    """Each layer's own, and after an error too."""
    model = make(dropout=0.5).train()
    model.embedding.eval()
    bits_per_token(model, text(30))
    assert model.training and model.dropout.training and not model.embedding.training
    with pytest.raises(IndexError):
        bits_per_token(model, torch.full((30,), 9))  # no token of the vocabulary
    assert model.training and model.dropout.training and not model.embedding.training


@pytest.mark.parametrize("kind", CELLS)
def test_it_can_be_decoded(kind):
    model = make(kind, layers=2)
    generator = torch.Generator().manual_seed(0)
    state = model.prefill(text(8).view(2, 4))
    made = generate(model.step, state, torch.tensor([1, 2]), 6, partial(sample, generator=generator))
    assert made.shape == (2, 6)
    found, score = beam_search(model.step, state, torch.tensor([1, 2]), 4, stop=0, beams=3, alpha=0.0)
    for row in range(2):
        alone = tuple(part[row : row + 1] for part in state)
        ended = (*found[row].tolist(), 0).index(0) + 1
        sequence = found[row, :ended]
        read = torch.cat([torch.tensor([1, 2])[row : row + 1], sequence[:-1]])[None]
        log_p = model(read, alone)[0].log_softmax(2)[0].gather(1, sequence[:, None]).sum()
        assert_close(score[row], log_p)


def test_scaled_vectors_are_as_large_as_one():
    torch.manual_seed(0)
    embedding = ScaledEmbedding(200, 100)
    assert embedding.weight.norm(dim=1).mean().item() == pytest.approx(1, rel=0.02)
    tokens = torch.tensor([[3, 0], [3, 199]])
    assert_close(embedding(tokens), 10 * embedding.weight[tokens])
    assert embedding(tokens[:, 0]).std().item() == pytest.approx(1, rel=0.2)


@pytest.mark.parametrize("tied", [False, True])
def test_overfits_a_tiny_text(tied):
    torch.manual_seed(0)
    model, parts = LanguageModel(6, 20, 20, tied=tied), chunks(text(41, vocab_size=6), batch_size=2, length=10)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.02)
    for _ in range(60):
        for loss in chunk_losses(model, parts):
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    assert loss.item() < 0.05 and bits_per_token(model, text(41, vocab_size=6), batch_size=2) < 0.1


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda: LanguageModel(0, 2, 2), "vocab_size must be at least 1: got 0"),
        (lambda: LanguageModel(2, 3, 2, tied=True), "dim must be hidden if tied: got dim=3, hidden=2"),
        (lambda: LanguageModel(2, 0, 2), "inputs must be at least 1: got 0"),
        (lambda: LanguageModel(2, 2, 0), "hidden must be at least 1: got 0"),
        (lambda: LanguageModel(2, 2, 2, dropout=1.0), "p must be .*: got 1.0"),
        (lambda: chunks(text(5), 0, 2), "batch_size must be at least 1: got 0"),
        (lambda: chunks(text(5), 1, 0), "length must be at least 1: got 0"),
        (lambda: chunks(text(5), 5, 1), "tokens must be more than batch_size=5: got 5 tokens"),
    ],
)
def test_errors(call, message):
    with pytest.raises(ValueError, match=message):
        call()
