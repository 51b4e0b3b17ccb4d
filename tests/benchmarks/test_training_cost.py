"""Committed results on the cost of training: all rows run small, counts are measured again, the chapter draws them."""

from statistics import median

import pytest
import torch
from torch import nn
from torch.testing import assert_close

from benchmarks import store, training_cost
from dlbook.attention import MultiHeadAttention
from dlbook.practice.scaling import fit_power_law
from dlbook.transformer import GPT
from tests.helpers.chapters import measured

SMALL = {  # settings with which a remedy takes no time
    **{name: {"count": 2} for name in training_cost.REMEDIES},
    "accumulation": {"count": 4, "part": 2},
    "2 workers": {"count": 20, "batch": 10},
    "batch sampler": {"count": 20, "batch": 10},
    "no loader": {"count": 20, "batch": 10},
}


@pytest.mark.parametrize("name", training_cost.REMEDIES)
def test_each_remedy_runs_small(name, monkeypatch):
    compiled = []
    monkeypatch.setattr(torch, "compile", lambda model: compiled.append(model) or model)
    remedy = training_cost.REMEDIES[name]
    found = training_cost.compare(lambda: remedy(**SMALL[name]), pairs=2, least=0.0)
    assert len(found["usual"]) == len(found["other"]) == 2 and min(*found["usual"], *found["other"]) > 0
    assert len(found["bytes"]) in (0, 2)
    assert len(compiled) == name.startswith("compile")


@pytest.mark.parametrize(("what", "largest"), [("batch", 2), ("width", 32), ("length", 32)])
def test_growth_runs_small_and_counts_as_stored(what, largest):
    found, stored = training_cost.grow(what, rounds=2, least=0.0, largest=largest), store.load("training_cost")
    row = stored[f"growth of {what}"]
    few = len(found["sizes"])
    assert found["sizes"] == row["sizes"][:few] and found["flops"] == row["flops"][:few]
    assert found["bytes"] == pytest.approx(row["bytes"][:few], rel=0.3)  # kernels of another CPU need other room
    assert [len(times) for times in found["seconds"]] == [few, few]


def test_utilisation_runs_small_and_is_a_part(monkeypatch):
    found = training_cost.utilisation(rounds=1, least=0.0)
    assert set(found) == set(store.load("training_cost")["utilisation"])
    assert len(found.pop("flops_per_second")) == len(found) == 5
    assert all(0 < part[0] < 3 for part in found.values())
    monkeypatch.setattr(training_cost, "seconds", lambda step, times: 2.0)
    assert training_cost.product_speed(8) == 8**3


def test_operators_run_small_and_the_work_is_as_stored():
    found, stored = training_cost.operators(rounds=1, count=2), store.load("training_cost")["operators"]
    assert set(found) == set(stored) == {"usual", "channels last", "flops"}
    assert found["usual"][0]["convolutions"] > 0 < found["channels last"][0]["pooling"]
    assert {kind: 64 * count for kind, count in found["flops"].items()} == stored["flops"]


def test_all_rows_are_stored():
    assert set(store.load("training_cost")) == {"made", *training_cost.ROWS}


@pytest.mark.parametrize("lean", [True, False])
def test_attention_is_all_that_differs(lean):
    ways = training_cost.fused_attention(lean, count=1)
    models = [way.step.__closure__ for way in ways]
    plain, fused = (next(c.cell_contents for c in cells if isinstance(c.cell_contents, GPT)) for cells in models)
    assert not any(block.attention.fused for block in plain.decoder.blocks)
    kinds = {type(block.attention) for block in plain.decoder.blocks}
    assert kinds == {training_cost.LeanAttention if lean else MultiHeadAttention}
    assert all(block.attention.fused for block in fused.decoder.blocks)
    norms = [[type(part) for part in model.modules() if "Norm" in type(part).__name__] for model in (plain, fused)]
    assert norms[0] == norms[1] and nn.LayerNorm in norms[0]
    fused.load_state_dict(plain.state_dict())
    tokens = training_cost.texts(2)[0]
    assert_close(fused(tokens), plain(tokens))


def test_lean_attention_stores_one_table_of_weights():
    saved = [training_cost.fused_attention(lean, count=2)[0].saved for lean in (True, False)]
    square = training_cost.LENGTH**2
    table = 4 * 2 * square * 4  # four heads, two texts, four bytes
    assert saved[1] - saved[0] == 4 * (table + square)  # in each of four blocks, with a mask of one byte
    x, mask = torch.randn(2, 5, 8), torch.ones(5, 5, dtype=torch.bool).tril()
    lean, ours = training_cost.LeanAttention(8, 2), MultiHeadAttention(8, 2)
    ours.load_state_dict(lean.state_dict())
    assert_close(lean(x, mask=mask), ours(x, mask=mask))
    assert_close(lean(x), ours(x))


def test_each_round_has_an_order_of_its_own(monkeypatch):
    seen = []
    sizes = [(n, None, None, None) for n in range(6)]
    monkeypatch.setattr(training_cost, "sizes_of", lambda what: iter(sizes))
    numbers = iter(range(6))
    monkeypatch.setattr(training_cost, "step_of", lambda *case: next(numbers))
    monkeypatch.setattr(training_cost, "repeats", lambda step, least: 1)
    monkeypatch.setattr(training_cost, "seconds", lambda step, times: seen.append(step) or float(step + 1))
    monkeypatch.setattr(training_cost, "flops", lambda *given: 0)
    monkeypatch.setattr(training_cost, "held", lambda *given: 0)
    found = training_cost.grow("width", rounds=3)
    assert found["seconds"] == [[1, 2, 3, 4, 5, 6]] * 3
    orders = [seen[n : n + 6] for n in (0, 6, 12)]
    assert all(sorted(order) == [*range(6)] for order in orders) and len({*map(tuple, orders)}) > 1


def test_a_checkpointed_model_computes_the_same():
    torch.manual_seed(0)
    plain = training_cost.gpt(fused=False, length=8, dim=8)
    x, y = training_cost.texts(2, 8)
    assert_close(training_cost.Checkpointed(plain)(x), plain(x))
    gradients = []
    for model in (plain, training_cost.Checkpointed(plain)):
        plain.zero_grad()
        training_cost.loss_of(model, x, y).backward()
        gradients.append([weight.grad.clone() for weight in plain.parameters()])
    for ours, theirs in zip(*gradients, strict=True):
        assert_close(ours, theirs)


def test_both_ways_of_an_epoch_see_all_images():
    for name in ("2 workers", "batch sampler", "no loader"):
        for way in training_cost.REMEDIES[name](count=7, batch=3):
            assert way.examples == 7
            way.step()


def test_the_chapter_draws_what_is_stored():
    stored = store.load("training_cost")
    found = measured("book/challenges/training-cost", "training_cost")
    assert set(found["ratios"]) == set(found["LABELS"]) == set(training_cost.REMEDIES)
    for name, ratios in found["ratios"].items():
        pairs = zip(stored[name]["usual"], stored[name]["other"], strict=True)
        assert ratios == pytest.approx([usual / other for usual, other in pairs], rel=0.006)
    for what, row in found["grown"].items():
        theirs = stored[f"growth of {what}"]
        assert (row["sizes"], row["bytes"], row["flops"]) == (theirs["sizes"], theirs["bytes"], theirs["flops"])
        rounds = torch.tensor(theirs["seconds"]).double()
        assert row["seconds"] == pytest.approx([median(times) for times in rounds.T.tolist()], rel=0.006)
        largest = torch.tensor(row["sizes"][-4:]).double()
        slopes = [fit_power_law(largest, times[-4:]).exponent for times in rounds]
        assert row["exponents"] == pytest.approx(slopes, abs=6e-4)
        assert row["last ratios"] == pytest.approx((rounds[:, -1] / rounds[:, -2]).tolist(), rel=0.006)
