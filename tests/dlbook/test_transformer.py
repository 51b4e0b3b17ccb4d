"""Networks of Transformer blocks: equal to PyTorch's, step by step equal to all at once, padding counts for nothing."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional as F
from torch.testing import assert_close

from dlbook.attention import attention_weights
from dlbook.losses import cross_entropy
from dlbook.masks import causal_mask
from dlbook.positions import POSITIONS, sinusoidal
from dlbook.text.decode import beam_search, generate
from dlbook.transformer import GPT, TextClassifier, Transformer, glorot_init_, gpt_init_
from tests.helpers.inputs import assert_refused, assert_right_or_refused, other_types
from tests.helpers.models import fill, train_steps
from tests.helpers.references import random, reference
from tests.helpers.transformers import stacked_copy

few = settings(max_examples=10)
each_position = pytest.mark.parametrize("positions", POSITIONS)
each_norm = pytest.mark.parametrize("norm_first", [True, False])
without_nested = pytest.mark.filterwarnings("ignore:enable_nested_tensor")


def tokens(batch, steps, vocabulary=7):
    """Draw tokens other than padding, which is 0."""
    return torch.randint(1, vocabulary, (batch, steps))


def waves(steps):
    """Return the positions of a model in float32 that was made float64."""
    return sinusoidal(steps, 6).double()


def weigh(scores):
    """Weigh scores at random, so that every gradient counts."""
    torch.manual_seed(1)
    return (scores * random(*scores.shape)).sum()


# --- equal to PyTorch -------------------------------------------------------------------------------------------------


@reference("dlbook.transformer.GPT", to="torch.nn.TransformerEncoder")
@without_nested
@each_norm
@pytest.mark.parametrize("tied", [True, False])
def test_gpt_equals_torch(norm_first, tied):
    ours = fill(GPT(7, 6, 2, 3, 9, tied=tied, norm_first=norm_first))
    theirs = stacked_copy(ours.decoder, norm_first, nn.TransformerEncoder)
    x, weight, places = tokens(2, 5), ours.embedding.tokens.weight, ours.embedding.positions
    copies = [part.detach().clone().requires_grad_() for part in (weight, places, ours.output.weight)]
    steps = theirs(copies[0][x] + copies[1][:5], mask=~causal_mask(5))
    expected = steps @ (copies[0] if tied else copies[2]).T
    scores = ours(x)
    assert_close(scores, expected)
    weigh(scores).backward()
    weigh(expected).backward()
    for mine, yours in zip((weight, places, ours.output.weight), copies, strict=True):
        assert_close(mine.grad, copies[0].grad if tied and yours is copies[2] else yours.grad)
    assert_close(ours.decoder.blocks[0].attention.output.weight.grad, theirs.layers[0].self_attn.out_proj.weight.grad)
    assert (ours.output.weight is weight) == tied


@reference("dlbook.transformer.Transformer", to="torch.nn.TransformerDecoder")
@without_nested
@each_norm
def test_the_translator_equals_torch(norm_first):
    ours = fill(Transformer(7, 8, 6, 2, 2, 9, norm_first=norm_first))
    encoder = stacked_copy(ours.encoder, norm_first, nn.TransformerEncoder)
    decoder = stacked_copy(ours.decoder, norm_first, nn.TransformerDecoder)
    source, target = tokens(2, 4), tokens(2, 5, 8)
    source[1, 2:] = 0
    words = [part.tokens.weight.detach().clone().requires_grad_() for part in (ours.source, ours.target)]
    memory = encoder(math.sqrt(6) * words[0][source] + waves(4), src_key_padding_mask=source == 0)
    y = math.sqrt(6) * words[1][target] + waves(5)
    y = decoder(y, memory, tgt_mask=~causal_mask(5), memory_key_padding_mask=source == 0)
    expected, scores = y @ words[1].T + ours.output.bias.detach(), ours(source, target)
    assert_close(scores, expected)
    weigh(scores).backward()
    weigh(expected).backward()
    assert_close([ours.source.tokens.weight.grad, ours.target.tokens.weight.grad], [part.grad for part in words])
    assert ours.output.weight is ours.target.tokens.weight


@reference("dlbook.transformer.TextClassifier", to="torch.nn.TransformerEncoder")
@without_nested
@each_norm
def test_the_classifier_equals_torch(norm_first):
    ours = fill(TextClassifier(7, 3, 6, 2, 2, 9, norm_first=norm_first))
    theirs, x = stacked_copy(ours.encoder, norm_first, nn.TransformerEncoder), tokens(2, 4)
    x[1, 2:] = 0
    weight = ours.embedding.tokens.weight.detach().clone().requires_grad_()
    steps = theirs(math.sqrt(6) * weight[x] + waves(4), src_key_padding_mask=x == 0)
    means = torch.stack([steps[0].mean(0), steps[1, :2].mean(0)])
    expected, scores = F.linear(means, ours.output.weight.detach(), ours.output.bias.detach()), ours(x)
    assert_close(scores, expected)
    weigh(scores).backward()
    weigh(expected).backward()
    assert_close(ours.embedding.tokens.weight.grad, weight.grad)


# --- step by step -----------------------------------------------------------------------------------------------------


@few
@given(
    positions=st.sampled_from(POSITIONS),
    batch=st.integers(1, 3),
    steps=st.integers(1, 6),
    prompt=st.integers(0, 5),
    norm_first=st.booleans(),
    fused=st.booleans(),
)
def test_gpt_goes_on_step_by_step(positions, batch, steps, prompt, norm_first, fused):
    model = fill(GPT(7, 8, 2, 2, 6, positions, norm_first=norm_first, fused=fused)).eval()
    x, prompt = tokens(batch, steps), min(prompt, steps - 1)
    expected, state = model(x), model.prefill(x[:, :prompt]) if prompt else ()
    for t in range(prompt, steps):
        scores, state = model.step(state, x[:, t])
        assert_close(scores, expected[:, t], rtol=0, atol=1e-12)
    assert_close(model.prefill(x), state, rtol=0, atol=1e-12)
    assert_close(model.step(model.prefill(x[:, :0]), x[:, 0])[0], expected[:, 0], rtol=0, atol=1e-12)


@few
@given(
    batch=st.integers(1, 3),
    sources=st.integers(1, 5),
    steps=st.integers(1, 5),
    norm_first=st.booleans(),
    fused=st.booleans(),
    seed=st.integers(0, 99),
)
def test_the_translator_goes_on_step_by_step(batch, sources, steps, norm_first, fused, seed):
    model = fill(Transformer(7, 8, 6, 2, 2, 5, norm_first=norm_first, fused=fused)).eval()
    torch.manual_seed(seed)
    source, target = tokens(batch, sources), tokens(batch, steps, 8)
    source[torch.arange(sources) >= torch.randint(sources + 1, (batch, 1))] = 0  # even all of it
    expected, state = model(source, target), model.encode(source)
    for t in range(steps):
        scores, state = model.step(state, target[:, t])
        assert_close(scores, expected[:, t], rtol=0, atol=1e-12)


# --- what counts, and what does not -----------------------------------------------------------------------------------


@each_position
def test_the_future_cannot_change_the_past(positions):
    model, x = fill(GPT(7, 8, 2, 2, 6, positions)), tokens(2, 6)
    scores = model(x)
    for t in range(6):
        other = x.clone()
        other[:, t] = (x[:, t] + 1) % 7
        changed = (model(other) != scores).any(2)
        assert not changed[:, :t].any() and changed[:, t:].all()


@pytest.mark.parametrize("pad", [0, 6])
@pytest.mark.parametrize("fused", [True, False])
def test_padding_changes_nothing(pad, fused):
    translator = fill(Transformer(7, 8, 6, 2, 2, 9, pad, fused=fused))
    classifier = fill(TextClassifier(7, 3, 6, 2, 2, 9, pad, fused=fused))
    x, target = tokens(2, 4, 6), tokens(2, 5, 8)
    padded = torch.cat([x, torch.full((2, 3), pad)], 1)
    assert_close(translator(padded, target), translator(x, target))
    assert_close(translator(x, torch.cat([target, torch.zeros_like(target[:, :2])], 1))[:, :5], translator(x, target))
    assert_close(classifier(padded), classifier(x))


@each_norm
def test_fused_is_the_same_under_the_same_weights(norm_first):
    x = tokens(2, 6)
    ours, fused = (fill(GPT(7, 8, 2, 2, 6, norm_first=norm_first, fused=fused)) for fused in (False, True))
    fused.load_state_dict(ours.state_dict())
    for model in (ours, fused):
        weigh(model(x)).backward()
    assert_close(fused(x), ours(x))
    for mine, yours in zip(ours.parameters(), fused.parameters(), strict=True):
        assert_close(mine.grad, yours.grad)


def test_a_text_of_padding_alone():
    empty = torch.zeros(1, 4, dtype=torch.long)
    classifier, translator = fill(TextClassifier(7, 3, 6, 2, 2, 9)), fill(Transformer(7, 8, 6, 2, 2, 9))
    assert_close(classifier(empty)[0], classifier.output.bias)
    scores = translator(empty, tokens(1, 3, 8))
    scores.sum().backward()
    assert scores.isfinite().all()
    assert all(p.grad is None or p.grad.isfinite().all() for p in translator.parameters())


def test_where_a_word_stands_counts_but_without_positions():
    order = torch.tensor([0, 2, 1, 3])
    for positions in POSITIONS:
        model, x = fill(GPT(7, 8, 2, 1, 6, positions)), torch.tensor([[1, 2, 3, 4]])
        difference = (model(x[:, order])[:, -1] - model(x)[:, -1]).abs().max().item()
        assert (difference < 1e-12) == (positions == "none")


def test_weights_of_all_layers_can_be_looked_at():
    model, source, target = fill(Transformer(7, 8, 6, 2, 1, 9, fused=True)), tokens(2, 4), tokens(2, 3, 8)
    source[1, 2:] = 0
    weights = attention_weights(model, source, target)
    shapes = {name: tuple(found.shape) for name, found in weights.items()}
    assert shapes == {
        "encoder.blocks.0.attention": (2, 2, 4, 4),
        "decoder.blocks.0.attention": (2, 2, 3, 3),
        "decoder.blocks.0.cross": (2, 2, 3, 4),
    }
    assert not weights["decoder.blocks.0.cross"][1, :, :, 2:].any()
    assert not weights["decoder.blocks.0.attention"].triu(1).any()


# --- how weights start ------------------------------------------------------------------------------------------------


@reference("dlbook.transformer.glorot_init_", to="torch.nn.init.xavier_uniform_")
def test_glorots_weights_are_distributed_as_torchs():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Embedding(500, 64), nn.Linear(64, 400), nn.LayerNorm(400))
    glorot_init_(model)
    theirs, quantiles = nn.init.xavier_uniform_(torch.empty(400, 64)), torch.linspace(0, 1, 11)
    ours = model[1].weight.detach().flatten()
    assert_close(ours.quantile(quantiles), theirs.flatten().quantile(quantiles), rtol=0, atol=0.004)
    assert not model[1].bias.any() and (model[2].weight == 1).all()
    assert model[0].weight.std().item() == pytest.approx(64**-0.5, rel=0.03)


@pytest.mark.parametrize("tied", [True, False])
def test_gpt_starts_as_published(tied):
    torch.manual_seed(0)
    model = GPT(500, 128, 4, 6, 64, tied=tied)
    for name, parameter in model.named_parameters():
        if parameter.ndim == 1:
            assert torch.equal(parameter, torch.full_like(parameter, float("norm" in name and "weight" in name)))
        else:
            adds = name.endswith(("attention.output.weight", "contract.weight"))
            assert parameter.std().item() == pytest.approx(0.02 / (math.sqrt(12) if adds else 1), rel=0.05), name
            assert abs(parameter.mean().item()) < 0.001
    assert len({parameter.data_ptr() for parameter in model.parameters()}) == len(list(model.parameters()))
    gpt_init_(model)  # again, over what is there
    assert model.decoder.blocks[5].feed_forward.contract.weight.std().item() == pytest.approx(0.02 / 12**0.5, rel=0.05)


def test_tokens_are_scaled_beside_waves_only():
    scales = {positions: GPT(7, 16, 2, 1, 6, positions).embedding.scale for positions in POSITIONS}
    assert scales == {"learnt": 1, "sinusoidal": 4, "rotary": 1, "none": 1}


def test_the_first_scores_say_next_to_nothing():
    torch.manual_seed(0)
    model, x = GPT(100, 64, 4, 4, 32), tokens(8, 32, 100)
    loss = cross_entropy(model(x).flatten(0, 1), tokens(8, 32, 100).flatten())
    assert loss.item() == pytest.approx(math.log(100), abs=0.1)


def test_a_translator_starts_after_glorot():
    torch.manual_seed(0)
    model = Transformer(300, 300, 64, 4, 2, 9)
    for name, parameter in model.named_parameters():
        if name in ("source.tokens.weight", "target.tokens.weight"):
            assert parameter.std().item() == pytest.approx(1 / 8, rel=0.05)
        elif parameter.ndim == 2:
            bound = math.sqrt(6 / sum(parameter.shape))
            assert 0.98 * bound < parameter.abs().max().item() <= bound
        else:
            assert torch.equal(parameter, torch.full_like(parameter, float("norm" in name and "weight" in name)))


def test_parameters_are_counted():
    def count(model):
        return sum(parameter.numel() for parameter in model.parameters())

    block = 12 * 64**2 + 13 * 64  # 4 projections, 2 dense layers of 4 × 64 units, biases and 2 norms
    assert count(GPT(100, 64, 4, 2, 32)) == 100 * 64 + 32 * 64 + 2 * block + 2 * 64
    assert count(GPT(100, 64, 4, 2, 32, tied=False)) == count(GPT(100, 64, 4, 2, 32)) + 100 * 64
    assert count(GPT(100, 64, 4, 2, 32, "rotary")) == count(GPT(100, 64, 4, 2, 32)) - 32 * 64


# --- learning ---------------------------------------------------------------------------------------------------------


def train(model, loss):
    return train_steps(torch.optim.Adam(model.parameters(), lr=0.01), loss, steps=60)


@pytest.mark.parametrize("positions", POSITIONS[:3])
def test_gpt_overfits_a_tiny_batch_and_says_it_again(positions):
    torch.manual_seed(0)
    model, x = GPT(12, 32, 2, 2, 8, positions, fused=True), tokens(4, 8, 12)
    x[:, 0] = torch.arange(4)  # or the first tokens do not say what follows
    loss = train(model, lambda: cross_entropy(model(x[:, :-1]).flatten(0, 1), x[:, 1:].flatten()))
    assert loss < 0.1
    token, state, said = x[:, 0], (), []
    for _ in range(7):
        scores, state = model.step(state, token)
        token = scores.argmax(1)
        said.append(token)
    assert torch.equal(torch.stack(said, 1), x[:, 1:])


@each_norm
def test_the_translator_overfits_a_tiny_batch(norm_first):
    torch.manual_seed(0)
    model, source = Transformer(12, 12, 32, 2, 1, 8, norm_first=norm_first), tokens(8, 6, 12)
    target = torch.cat([torch.zeros(8, 1, dtype=torch.long), source.flip(1)], 1)  # to be said backward
    loss = train(model, lambda: cross_entropy(model(source, target[:, :-1]).flatten(0, 1), source.flip(1).flatten()))
    assert loss < 0.1


def test_the_classifier_overfits_a_tiny_batch():
    torch.manual_seed(0)
    model, x, y = TextClassifier(12, 2, 16, 2, 1, 8, dropout=0.1), tokens(16, 8, 12), torch.arange(16) % 2
    assert train(model, lambda: cross_entropy(model(x), y)) < 0.1


# --- errors, other types and devices ----------------------------------------------------------------------------------


def gpt():
    torch.manual_seed(0)
    return GPT(7, 8, 2, 1, 4)


def translator():
    torch.manual_seed(0)
    return Transformer(7, 8, 6, 2, 1, 4)


def classifier():
    torch.manual_seed(0)
    return TextClassifier(7, 2, 6, 2, 1, 4)


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda: gpt()(tokens(1, 5)), "tokens must have at most 4 positions: got 5"),
        (lambda: gpt()(tokens(1, 3).float()), "tokens must hold integers: got torch.float32"),
        (lambda: gpt()(tokens(1, 3)[0]), r"tokens must have the shape \(batch, length\): got \(3,\)"),
        (lambda: gpt()(tokens(1, 3) + 6), "tokens must be between 0 and 6: got "),
        (lambda: gpt().prefill(tokens(1, 5)), "tokens must have at most 4 positions: got 5"),
        (lambda: gpt().step(gpt().prefill(tokens(1, 4)), tokens(1, 1)[0]), "at most 4 positions: got 5"),
        (lambda: gpt().step((), tokens(2, 1)), r"token must have the shape \(batch,\): got \(2, 1\)"),
        (lambda: gpt().step(gpt().prefill(tokens(2, 1)), tokens(3, 1)[:, 0]), r"token .* \(2,\): got \(3,\)"),
        (lambda: gpt().step((), torch.ones(2)), "token must hold integers: got torch.float32"),
        (lambda: translator()(tokens(1, 5), tokens(1, 2)), "source must have at most 4 positions: got 5"),
        (lambda: translator()(tokens(1, 2), tokens(1, 6)), "target must have at most 4 positions: got 6"),
        (lambda: translator()(tokens(2, 2), tokens(1, 2)), r"target must have the shape \(2, length\): got \(1, 2\)"),
        (lambda: translator()(tokens(2, 0), tokens(2, 2)), r"source must have a length of at least 1: got \(2, 0\)"),
        (lambda: translator()(tokens(2, 2) + 7, tokens(2, 2)), "source must be between 0 and 6: got "),
        (lambda: translator()(tokens(2, 2), tokens(2, 2) + 8), "target must be between 0 and 7: got "),
        (lambda: translator().encode(tokens(2, 2).bool()), "source must hold integers: got torch.bool"),
        (lambda: translator().step(translator().encode(tokens(2, 2)), tokens(1, 1)[0]), r"token .* \(2,\): got \(1,\)"),
        (lambda: classifier()(tokens(1, 5)), "tokens must have at most 4 positions: got 5"),
        (lambda: classifier()(tokens(2, 0)), r"tokens must have a length of at least 1: got \(2, 0\)"),
        (lambda: GPT(7, 8, 2, 0, 4), "layers must be at least 1: got 0"),
        (lambda: GPT(7, 8, 3, 1, 4), "dim must be a multiple of heads: got dim=8, heads=3"),
        (lambda: GPT(7, 6, 2, 1, 4, "rotary"), "dim / heads must be even"),
        (lambda: GPT(0, 6, 2, 1, 4), "vocab_size must be at least 1: got 0"),
        (lambda: GPT(7, 6, 2, 1, 4, dropout=1.0), "p must be at least 0 and less than 1: got 1.0"),
        (lambda: TextClassifier(7, 2, 5, 1, 1, 4), "dim must be even and at least 2"),
        (lambda: TextClassifier(7, 0, 6, 1, 1, 4), "classes must be at least 1: got 0"),
    ],
)
def test_errors(call, message, unchecked):
    with pytest.raises((ValueError, TypeError), match=message):
        call()


MODELS = {
    "tokens": (gpt, {"tokens": torch.tensor([[1, 2, 3], [4, 5, 6]])}),
    "texts": (classifier, {"tokens": torch.tensor([[1, 2, 3], [4, 5, 0]])}),
    "pairs": (translator, {"source": torch.tensor([[1, 2, 3], [4, 5, 0]]), "target": torch.tensor([[1, 2], [3, 4]])}),
}


@pytest.mark.parametrize("kind", MODELS)
def test_tokens_of_other_types_and_shapes(kind, unchecked):
    make, arguments = MODELS[kind]
    model = make().eval()
    for name, value in arguments.items():
        for other in other_types(value):
            assert_right_or_refused(model, arguments, name, other)
        for other in (value[0], value[..., None], value[None], value.float(), value.bool(), value.tolist()):
            assert_refused(model, arguments, name, other)
    nobody = {name: value[:0] for name, value in arguments.items()}
    assert len(model(**nobody)) == 0


@each_position
def test_shapes_alone_decide(positions):
    with torch.device("meta"):
        model, x = GPT(7, 8, 2, 2, 6, positions), torch.zeros(2, 5, dtype=torch.long)
    logits, state = model.step(model.prefill(x), x[:, 0])
    assert model(x).shape == (2, 5, 7) and logits.shape == (2, 7) and logits.is_meta
    cross_entropy(model(x).flatten(0, 1), x.flatten()).backward()
    assert all(parameter.grad.is_meta for parameter in model.parameters())


def test_shapes_alone_decide_for_two_languages_and_classes():
    with torch.device("meta"):
        x = torch.zeros(2, 3, dtype=torch.long)
        model, sorter = translator(), classifier()
    logits, _ = model.step(model.encode(x), x[:, 0])
    assert model(x, x).shape == (2, 3, 8) and logits.shape == (2, 8) and logits.is_meta
    assert sorter(x).shape == (2, 2) and sorter(x).is_meta


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@each_position
def test_half_precision(dtype, positions):
    model, x = fill(GPT(7, 8, 2, 2, 6, positions)).eval(), tokens(2, 5)
    expected = model(x).float()
    half = model.to(dtype)
    logits, state = half.step(half.prefill(x[:, :4]), x[:, 4])
    assert {part.dtype for pair in state for part in pair} == {dtype} == {logits.dtype}
    assert_close(half(x).float(), expected, atol=0.2, rtol=0.2)
    assert_close(logits.float(), half(x)[:, 4].float(), atol=0.2, rtol=0.2)


def test_a_gpt_writes_what_it_scores_best():
    torch.manual_seed(0)
    model = GPT(9, 8, 2, 2, 12).double().eval()
    prompt = torch.randint(9, (3, 4))
    made = generate(model.step, model.prefill(prompt[:, :-1]), prompt[:, -1], 6)
    text = prompt
    for _ in range(6):  # without the cache
        text = torch.cat([text, model(text)[:, -1].argmax(1, keepdim=True)], 1)
    assert torch.equal(made, text[:, 4:])


def test_a_beams_score_is_the_translators():
    torch.manual_seed(0)
    model = Transformer(9, 7, 8, 2, 2, 12).double().eval()
    source = torch.randint(1, 9, (3, 5))
    source[0, 3:] = 0  # padding
    begin = torch.full((3,), 2)
    found, scores = beam_search(model.step, model.encode(source), begin, 4, stop=3, beams=3, alpha=0.0)
    log_p = model(source, torch.cat([begin[:, None], found[:, :-1]], 1)).log_softmax(2)
    of_each = log_p.gather(2, found[:, :, None])[:, :, 0]
    counts = torch.cat([torch.zeros(3, 1), (found == 3).cumsum(1)[:, :-1]], 1) == 0  # up to the first stop
    assert_close((of_each * counts).sum(1), scores.double())
