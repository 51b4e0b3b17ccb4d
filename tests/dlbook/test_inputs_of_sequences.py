"""Sequence models and decoding with wrong shapes, other types and NaN: a right answer or an error, never a guess."""

import collections
import dataclasses
import math

import numpy as np
import pytest
import torch
from torch import nn
from torch.testing import assert_close

from dlbook.activations import tanh, tanh_derivative
from dlbook.embedding import (
    SkipGram,
    complete_analogies,
    draw_pairs,
    keep_probability,
    most_similar,
    negative_sampling_loss,
    noise_distribution,
    rank_correlation,
    sgd_step_,
    softmax_gradient,
    softmax_loss,
    train_skip_gram,
)
from dlbook.forecast import Forecaster, Readout
from dlbook.fused import FusedRecurrent
from dlbook.language import LanguageModel, ScaledEmbedding, bits_per_token, chunk_losses, chunks
from dlbook.recurrent import GRUCell, LSTMCell, Recurrent, RNNCell, scan
from dlbook.seq2seq import RecurrentEncoder, RecurrentTranslator
from dlbook.text.decode import apply_temperature, beam_search, generate, greedy, sample, top_k, top_p
from dlbook.text.ngram import NGrams
from dlbook.through_time import backpropagate_through_time, unroll
from tests.helpers.inputs import (
    assert_nan_or_refused,
    assert_refused,
    assert_right_or_refused,
    other_shapes,
    other_types,
    poisoned,
)

pytestmark = pytest.mark.usefixtures("unchecked")


@pytest.fixture(autouse=True)
def seed():
    torch.manual_seed(0)


def grid(rows, columns, high):
    return torch.randint(high, (rows, columns), generator=torch.Generator().manual_seed(1))


X, STATE, LENGTHS = torch.randn(2, 4, 3), (torch.randn(2, 5), torch.randn(2, 5)), torch.tensor([4, 2])
TOKENS, ROW = grid(3, 4, 6), torch.tensor([1, 5, 0, 2, 2, 4, 1])
LSTM, GRU = LSTMCell(3, 5), Recurrent(GRUCell, 3, 5, directions=2)
MODEL, SKIP = LanguageModel(6, 5, 5).eval(), SkipGram(6, 4)
TRANSLATOR = RecurrentTranslator(6, 6, 4, 3, pad=9).eval()
VECTORS, COUNTS = torch.randn(6, 4), torch.tensor([5, 1, 2, 7, 0, 3])
WEIGHTS = dict(h=torch.randn(2, 5), weight_hh=torch.randn(5, 5), weight_xh=torch.randn(5, 3), bias=torch.randn(5))
ZS, HS = unroll(X, *WEIGHTS.values(), tanh)
UNROLLED = dict(output_gradients=torch.randn(2, 4, 5), x=X, zs=ZS, hs=HS, weight_hh=WEIGHTS["weight_hh"])
PAIRS = dict(centre=torch.tensor([0, 1, 2]), context=torch.tensor([1, 0, 3]))
NEGATIVES = torch.tensor([5, 4])
for parameter in SKIP.parameters():
    nn.init.normal_(parameter)

# Each function with the tensors that enter it; all of them must be of this shape.
FUNCTIONS = {
    "Cell": (lambda x: LSTM(x, STATE), dict(x=X[:, 0])),
    "scan": (lambda x, lengths: scan(LSTM, x, STATE, lengths), dict(x=X, lengths=LENGTHS)),
    "Recurrent": (lambda x, lengths: GRU(x, None, lengths), dict(x=X, lengths=LENGTHS)),
    "FusedRecurrent": (lambda x, lengths: FusedRecurrent(GRU)(x, None, lengths), dict(x=X, lengths=LENGTHS)),
    "unroll": (lambda x, **weights: unroll(x, *(weights[name] for name in WEIGHTS), tanh), dict(x=X, **WEIGHTS)),
    "backpropagate_through_time": (
        lambda **tensors: backpropagate_through_time(**tensors, derivative=tanh_derivative),
        UNROLLED,
    ),
    "Readout": (lambda h, x: Readout(5, 2, 3)(h, x), dict(h=HS[:, 1:], x=X)),
    "RecurrentEncoder": (
        lambda source, lengths: RecurrentEncoder(6, 4, 3).eval()(source, lengths),
        dict(source=TOKENS, lengths=torch.tensor([4, 2, 1])),
    ),
    "RecurrentTranslator": (lambda source, target: TRANSLATOR(source, target), dict(source=TOKENS, target=TOKENS)),
    "softmax_loss": (lambda **pairs: softmax_loss(SKIP, **pairs), PAIRS),
    "softmax_gradient": (lambda **pairs: softmax_gradient(SKIP, **pairs), PAIRS),
    "negative_sampling_loss": (lambda **pairs: negative_sampling_loss(SKIP, **pairs, negatives=NEGATIVES), PAIRS),
    "sgd_step_": (lambda **pairs: sgd_step_(SKIP, **pairs, negatives=NEGATIVES, lr=0.0), PAIRS),
    "draw_pairs": (
        lambda tokens, sentences: draw_pairs(tokens, sentences, 2, torch.Generator().manual_seed(0)),
        dict(tokens=ROW, sentences=torch.zeros_like(ROW)),
    ),
    "rank_correlation": (rank_correlation, dict(x=torch.tensor([1.0, 3.0, 2.0]), y=torch.tensor([1.0, 2.0, 5.0]))),
}
# And those with one tensor, or with tensors whose number of rows is free: only further axes are refused.
FREE = {
    "ScaledEmbedding": (lambda tokens: ScaledEmbedding(6, 4)(tokens), dict(tokens=TOKENS)),
    "Forecaster": (lambda x: Forecaster(3, 5)(x), dict(x=X)),
    "LanguageModel": (lambda tokens: MODEL(tokens), dict(tokens=TOKENS)),
    "chunks": (lambda tokens: chunks(tokens, 1, 3), dict(tokens=ROW)),
    "bits_per_token": (lambda tokens: bits_per_token(MODEL, tokens), dict(tokens=ROW)),
    "encode": (lambda source: TRANSLATOR.encode(source), dict(source=TOKENS)),
    "SkipGram": (lambda centre: SKIP(centre), dict(centre=PAIRS["centre"])),
    "negatives": (
        lambda negatives: negative_sampling_loss(SKIP, **PAIRS, negatives=negatives),
        dict(negatives=NEGATIVES),
    ),
    "keep_probability": (keep_probability, dict(counts=COUNTS)),
    "noise_distribution": (noise_distribution, dict(counts=COUNTS)),
    "most_similar": (lambda vectors: most_similar(vectors, 1, 3), dict(vectors=VECTORS)),
    "complete_analogies": (complete_analogies, dict(vectors=VECTORS, questions=grid(3, 3, 6))),
    "greedy": (greedy, dict(logits=VECTORS)),
    "sample": (lambda logits: sample(logits, generator=torch.Generator().manual_seed(0)), dict(logits=VECTORS)),
    "NGrams": (lambda sequences: NGrams(sequences, 6, 2).probabilities(sequences), dict(sequences=[ROW])),
    "generate": (lambda token: generate(MODEL.step, None, token, 3), dict(token=ROW)),
    "beam_search": (lambda token: beam_search(MODEL.step, None, token, 3, 0), dict(token=ROW)),
}
ALL = FUNCTIONS | FREE
CASES = [(name, argument) for name, (_, arguments) in ALL.items() for argument in arguments]


@pytest.mark.parametrize("name, argument", [case for case in CASES if case[0] in FUNCTIONS])
def test_other_shapes_are_refused(name, argument):
    function, arguments = ALL[name]
    value = arguments[argument]
    for other in other_shapes(value):
        alone = len(arguments) == 1 and other.shape[1:] == value.shape[1:]  # fewer or more rows, but of what?
        free_axis = name == "unroll" and argument == "x" and other.shape[1:] == value.shape[1:] and len(other) == 2
        if not alone and not free_axis:
            with pytest.raises((ValueError, TypeError), match="must"):
                function(**{**arguments, argument: other})


@pytest.mark.parametrize("name, argument", [case for case in CASES if case[0] in FREE])
def test_more_axes_are_refused(name, argument):
    function, arguments = FREE[name]
    value = arguments[argument]
    if name == "ScaledEmbedding":
        return  # takes any number of axes
    if isinstance(value, list):
        assert_refused(function, arguments, argument, [value[0][:, None]])
    else:
        for other in (value[..., None], value[None]):
            assert_refused(function, arguments, argument, other)


@pytest.mark.parametrize("name, argument", CASES)
def test_other_types_are_right_or_refused(name, argument):
    function, arguments = ALL[name]
    value = arguments[argument]
    if isinstance(value, list):
        for other in other_types(value[0]):
            assert_right_or_refused(function, arguments, argument, [other])
        for other in (value[0].double(), value[0] > 0):
            assert_refused(function, arguments, argument, [other])
        return

    def again(**arguments):
        torch.manual_seed(0)  # for those that make a layer
        return function(**arguments)

    for other in other_types(value):
        assert_right_or_refused(again, arguments, argument, other)
    wrong = [value > 0] if value.is_floating_point() else [value.double(), value > 0]
    if (name, argument) != ("draw_pairs", "sentences") and name != "rank_correlation":  # any numbers can be compared
        for other in wrong:
            assert_refused(function, arguments, argument, other)


@pytest.mark.parametrize("name, argument", [(name, a) for name, a in CASES if name not in ("NGrams",)])
def test_nan_goes_through_or_is_refused(name, argument):
    function, arguments = ALL[name]
    value = arguments[argument]
    if not value.is_floating_point():
        return
    bad, *_ = poisoned(value)
    assert_nan_or_refused(function, arguments, argument, bad)


def test_a_network_of_nan_has_no_bits():
    model = LanguageModel(6, 5, 5)
    with torch.no_grad():
        model.output.weight.fill_(math.nan)
    assert math.isnan(bits_per_token(model, ROW))
    for decode in (lambda: generate(model.step, None, ROW, 2), lambda: beam_search(model.step, None, ROW, 2, 0)):
        with pytest.raises(ValueError, match="logits.* must have a finite maximum in each row, no NaN .*: got nan"):
            decode()


# --- states -----------------------------------------------------------------------------------------------------------


def test_states_of_other_shapes_are_refused():
    for layers in (Recurrent(LSTMCell, 3, 5), FusedRecurrent(Recurrent(LSTMCell, 3, 5))):
        _, state = layers(X)
        for wrong in ((state[0],), (*state, state[0]), (state[0], state[1][:1]), state[0], (state[0], None)):
            assert_refused(layers, dict(x=X, state=state), "state", wrong)
        for wrong in other_shapes(state[1]):
            assert_refused(layers, dict(x=X, state=state), "state", (state[0], wrong))
    assert_refused(scan, dict(cell=LSTM, x=X, state=STATE), "state", (STATE[0], STATE[1][:1]))
    assert_refused(LSTM, dict(x=X[:, 0], state=STATE), "state", (STATE[0], STATE[1][:1]))
    state = TRANSLATOR.encode(TOKENS)
    twice = state._replace(hidden=state.hidden * 2)
    assert_refused(TRANSLATOR.decoder, dict(target=TOKENS, state=state), "state", twice)


Named = collections.namedtuple("Named", "h rest")


@dataclasses.dataclass(frozen=True)
class Frozen:
    """A state that no one may change, with a field that is not in its initialiser."""

    h: torch.Tensor
    rest: object = dataclasses.field(init=False, default=None)


WRAPPED = {
    "a tensor": (lambda h: h, lambda state: state),
    "tuple": (lambda h: (None, h), lambda state: state[1]),
    "list": (lambda h: [h, (h,)], lambda state: state[1][0]),
    "named tuple": (lambda h: Named(h, None), lambda state: state.h),
    "dict": (lambda h: {"h": h, "more": {"h": h}}, lambda state: state["more"]["h"]),
    "ordered dict": (lambda h: collections.OrderedDict(h=h), lambda state: state["h"]),
    "default dict": (lambda h: collections.defaultdict(list, h=h), lambda state: state["h"]),
    "dataclass": (Frozen, lambda state: state.h),
    "nested": (lambda h: [Named({"h": Frozen(h)}, (h,))], lambda state: state[0].h["h"].h),
}


def remembering(wrap, unwrap):
    """Make a model whose logits depend on all tokens read, which its state holds, wrapped."""
    table = torch.randn(200, 6, generator=torch.Generator().manual_seed(3))
    table[:, 0] = -9  # the stop is unlikely

    def step(state, token):
        h = (unwrap(state) * 7 + token) % 200
        return table[h], wrap(h)

    return step


@pytest.mark.parametrize("kind", WRAPPED)
def test_a_beam_is_followed_whatever_holds_its_state(kind):
    wrap, unwrap = WRAPPED[kind]
    token, first = torch.tensor([1, 2]), torch.tensor([0, 5])
    found = beam_search(remembering(wrap, unwrap), wrap(first), token, 6, 0, beams=3, alpha=0.0)
    assert_close(found, beam_search(remembering(*WRAPPED["a tensor"]), first, token, 6, 0, beams=3, alpha=0.0))
    step = remembering(*WRAPPED["a tensor"])
    for row, sequence in enumerate(found[0]):  # the score is what the model itself says of that sequence
        state, last, total = first[row : row + 1], token[row : row + 1], 0.0
        for chosen in sequence:
            logits, state = step(state, last)
            total += logits[0].log_softmax(0)[chosen].item()
            last = chosen[None]
        assert found[1][row].item() == pytest.approx(total, abs=1e-4)


class Holder:
    """An object that hides a tensor."""

    def __init__(self, h):
        self.h = h


@pytest.mark.parametrize(
    "wrap",
    [
        Holder,
        lambda h: (h, Holder(h)),
        lambda h: {"h": Holder(h)},
        lambda h: h.tolist(),
        lambda h: h.numpy(),
        lambda h: (h, 3),
        lambda h: h[0],
        lambda h: torch.stack([h, h, h]),
        lambda h: (h, h[:1]),
        lambda h: "text",
        lambda h: Frozen,
    ],
)
def test_a_state_that_cannot_be_followed_is_refused(wrap):
    def step(state, token):
        return torch.zeros(len(token), 6), state

    with pytest.raises((TypeError, ValueError), match="state must"):
        beam_search(step, wrap(torch.tensor([0, 5])), torch.tensor([1, 2]), 3, 0)
    with pytest.raises((TypeError, ValueError), match="state must"):  # or one that a step returns
        beam_search(lambda state, token: (torch.zeros(len(token), 6), wrap(token)), None, torch.tensor([1, 2]), 3, 0)


# --- decoding ---------------------------------------------------------------------------------------------------------


def chain(table):
    return lambda state, token: (table[token], state)


TABLE = torch.randn(6, 6, generator=torch.Generator().manual_seed(2))


def test_integers_of_numpy_are_as_good():
    token = torch.tensor([1, 2])
    for number in (np.int64, np.int32, np.uint8):
        made = generate(chain(TABLE), None, token, number(4), stop=number(0))
        assert made.equal(generate(chain(TABLE), None, token, 4, stop=0))
        found = beam_search(chain(TABLE), None, token, number(4), number(0), beams=number(2))
        assert_close(found, beam_search(chain(TABLE), None, token, 4, 0, beams=2))
        assert top_k(TABLE, number(2)).equal(top_k(TABLE, 2))
        assert top_k(TABLE, number(100)).equal(TABLE)


def test_half_precision_logits():
    wide = torch.zeros(1, 50_000, dtype=torch.float16)
    kept = (top_p(wide, 0.5) > -math.inf).sum().item()
    assert kept == pytest.approx(25_000, rel=1e-3)  # in float16 the sum would stop growing
    assert_close(top_p(TABLE.half(), 0.7).float(), top_p(TABLE.half().float(), 0.7))
    token = torch.tensor([1, 2])
    found, score = beam_search(chain(TABLE.half()), None, token, 4, 0)
    expected, expected_score = beam_search(chain(TABLE.half().float()), None, token, 4, 0)
    assert found.equal(expected) and score.dtype == torch.float32
    assert_close(score, expected_score)


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("choose", [greedy, sample])
def test_logits_that_decide_nothing_are_refused(choose, bad):
    logits = TABLE.clone()
    logits[4] = bad
    with pytest.raises(ValueError, match=f"logits.* finite maximum in each row.*: got {bad} in row 4"):
        choose(logits)
    with pytest.raises(ValueError, match="logits.* finite maximum in each row"):
        beam_search(chain(logits), None, torch.tensor([4]), 3, 0)
    with pytest.raises(ValueError, match="logits must have a token"):
        greedy(torch.zeros(2, 0))


FILTERS = [lambda s: apply_temperature(s, 0.5), lambda s: top_k(s, 2), lambda s: top_p(s, 0.5)]


@pytest.mark.parametrize("function", FILTERS)
def test_filters_pass_nan_on_and_refuse_integers(function):
    logits = TABLE.clone()
    logits[4, 2] = math.nan
    assert function(logits).isnan().any(1).tolist() == [row == 4 for row in range(6)]
    for wrong in (TABLE.long(), TABLE > 0, torch.tensor(1.0)):
        with pytest.raises((TypeError, ValueError), match="logits must"):
            function(wrong)


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda: sample(TABLE, temperature=1e-300), "logits / temperature must have a finite maximum"),
        (lambda: sample(TABLE, temperature=math.nan), "temperature must be greater than 0, and finite: got nan"),
        (lambda: top_k(TABLE, 2.0), "k must be a whole number: got 2.0"),
        (lambda: top_k(TABLE, math.nan), "k must be a whole number: got nan"),
        (lambda: generate(chain(TABLE), None, torch.tensor([1]), 2.5), "max_length must be a whole number: got 2.5"),
        (lambda: beam_search(chain(TABLE), None, torch.tensor([1]), 2, stop=6), "stop must be less than 6: got 6"),
        (lambda: beam_search(chain(TABLE), None, torch.tensor([1]), 2, stop=-1), "stop must be at least 0: got -1"),
        (lambda: beam_search(chain(TABLE), None, torch.tensor([1]), 2, 0, alpha=math.nan), "alpha must be .*: got nan"),
        (lambda: beam_search(chain(TABLE), None, torch.tensor([1]), 2, 0, alpha=math.inf), "alpha must be .*: got inf"),
        (lambda: generate(chain(TABLE), None, torch.tensor([[1]]), 2), r"token must have the shape \(batch,\)"),
        (lambda: generate(chain(TABLE), None, torch.tensor([1.0]), 2), "token must hold integers: got torch.float32"),
        (
            lambda: generate(lambda state, token: (TABLE[:3], state), None, torch.tensor([1]), 2),
            r"the logits of step must have the shape \(1, vocab\): got \(3, 6\)",
        ),
        (
            lambda: generate(chain(TABLE), None, torch.tensor([1]), 2, lambda logits: logits.argmax(1, keepdim=True)),
            r"the tokens of choose must have the shape \(1,\): got \(1, 1\)",
        ),
        (
            lambda: generate(chain(TABLE), None, torch.tensor([1]), 2, lambda logits: logits.amax(1)),
            "the tokens of choose must hold integers: got torch.float32",
        ),
    ],
)
def test_decoding_refuses(call, message):
    with pytest.raises((ValueError, TypeError), match=message):
        call()


def test_small_types_of_token_do_not_overflow():
    table = torch.zeros(300, 300)
    table[:, 299], table[:, 298] = 1, -99
    found, _ = beam_search(chain(table), None, torch.tensor([1], dtype=torch.uint8), 3, stop=298, beams=2)
    assert found.tolist() == [[299] * 3]
    assert generate(chain(table), None, torch.tensor([1], dtype=torch.int8), 3).tolist() == [[299] * 3]


def test_an_empty_batch():
    nobody = torch.zeros(0, dtype=torch.long)
    assert generate(chain(TABLE), None, nobody, 3).shape == (0, 3)
    assert [part.shape for part in beam_search(chain(TABLE), None, nobody, 3, 0)] == [(0, 3), (0,)]


# --- embeddings -------------------------------------------------------------------------------------------------------


def test_rank_correlation_refuses_nan_as_scipy_gives_nan():
    stats, x = pytest.importorskip("scipy.stats"), torch.tensor([1.0, math.nan, 2.0, 3.0])
    assert math.isnan(stats.spearmanr(x, torch.arange(4.0)).statistic)
    with pytest.raises(ValueError, match=r"x must not hold NaN: got one at \(1,\)"):
        rank_correlation(x, torch.arange(4.0))
    assert rank_correlation(torch.tensor([1.0, math.inf, -math.inf]), torch.tensor([1.0, 5.0, 0.0])) == 1


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda: most_similar(VECTORS, 6), "word must be less than the number of words, 6.*: got word=6"),
        (lambda: most_similar(VECTORS, -1), "got word=-1"),
        (lambda: most_similar(VECTORS, 0, count=6), "count be 1 to 5: got word=0, count=6"),
        (lambda: complete_analogies(VECTORS[:3], grid(1, 3, 3)), "vectors must hold 4 words or more: got 3"),
        (lambda: keep_probability(-COUNTS), "counts must be at least 0, and one of them more"),
        (lambda: noise_distribution(0 * COUNTS), "counts must be at least 0, and one of them more"),
        (lambda: negative_sampling_loss(SKIP, **PAIRS, negatives=NEGATIVES[:0]), "negatives must hold a word"),
        (lambda: train_skip_gram(SKIP, ROW, ROW, COUNTS[1:]), r"counts must have the shape \(6,\): got \(5,\)"),
        (lambda: train_skip_gram(SKIP, ROW, ROW, COUNTS, lr=math.nan), "lr must be greater than 0, .*: got lr=nan"),
        (lambda: train_skip_gram(SKIP, ROW, ROW, COUNTS, batch_size=0), "batch_size=0"),
    ],
)
def test_embeddings_refuse(call, message):
    with pytest.raises((ValueError, TypeError), match=message):
        call()


# --- devices ----------------------------------------------------------------------------------------------------------
# On "meta", tensors have shapes and no values: whatever makes a tensor on another device fails. Not here: lengths of
# FusedRecurrent and RecurrentTranslator.encode with it (PyTorch packs by their values), greedy, sample, generate with a
# stop, beam_search, metrics of embeddings (they read values), and NGrams (which counts on the CPU).


def on_meta(value):
    return value.to("meta") if isinstance(value, torch.Tensor) else value


@pytest.mark.parametrize("name", ["scan", "Recurrent", "unroll", "backpropagate_through_time", "Readout"])
def test_nothing_is_made_on_another_device(name):
    layer = {"scan": LSTM, "Recurrent": GRU}.get(name)
    arguments = {argument: on_meta(value) for argument, value in FUNCTIONS[name][1].items()}
    if name == "scan":
        y, _ = scan(LSTMCell(3, 5).to("meta"), **arguments, reverse=True)
    elif layer is not None:
        y, _ = Recurrent(GRUCell, 3, 5, directions=2).to("meta")(arguments["x"], None, arguments["lengths"])
    elif name == "Readout":
        y = Readout(5, 2, 3).to("meta")(**arguments)
    else:
        y, *_ = FUNCTIONS[name][0](**arguments)
    assert y.device.type == "meta"


@pytest.mark.parametrize("fused", [False, True])
def test_models_make_nothing_on_another_device(fused):
    x, tokens = X.to("meta"), TOKENS.to("meta")
    assert Forecaster(3, 5, cell=RNNCell, fused=fused).to("meta")(x).device.type == "meta"
    model = LanguageModel(6, 5, 5, layers=2, dropout=0.5, fused=fused).to("meta")
    logits, state = model(tokens)
    logits, state = model.step(state, tokens[:, 0])
    assert {part.device.type for part in (logits, *state)} == {"meta"}
    for loss in chunk_losses(model, chunks(ROW.to("meta"), 2, 2)):
        loss.backward()
    if not fused:
        translator = RecurrentTranslator(6, 6, 4, 3, fused=False).to("meta")
        assert translator(tokens, tokens).device.type == "meta"
    made = generate(model.step, model.prefill(tokens), tokens[:, 0], 2, lambda logits: logits.argmax(1))
    assert made.device.type == "meta"


def test_embeddings_make_nothing_on_another_device():
    model = SkipGram(6, 4).to("meta")
    pairs, negatives = {name: value.to("meta") for name, value in PAIRS.items()}, NEGATIVES.to("meta")
    assert softmax_loss(model, **pairs).device.type == "meta"
    assert softmax_gradient(model, **pairs)[0].device.type == "meta"
    assert negative_sampling_loss(model, **pairs, negatives=negatives).device.type == "meta"
    for function in FILTERS:
        assert function(TABLE.to("meta")).device.type == "meta"
