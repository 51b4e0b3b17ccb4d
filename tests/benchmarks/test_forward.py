"""Committed results on the forward pass: what the chapter shows; the benchmark's methods are those of the libraries."""

import pytest
import torch
from sklearn.linear_model import LogisticRegression, Ridge
from torch import nn
from torch.nn import functional as F
from torch.testing import assert_close

from benchmarks import forward, store
from tests.helpers.chapters import measured


@pytest.fixture
def few(monkeypatch):
    """Let the benchmark learn from few random images of 784 pixels in ten classes."""
    torch.manual_seed(0)
    parts = {name: (torch.rand(count, 784), torch.arange(count) % 10) for name, count in (("train", 60), ("test", 30))}
    monkeypatch.setattr(forward, "images", lambda: parts)
    return parts


def percent(values):
    return [round(100 * value, 2) for value in values]


def test_the_chapter_draws_what_is_stored():
    found, stored = measured("book/algorithms/forward", "forward"), store.load("forward")
    for name, by_width in found["random_units"].items():
        assert list(by_width) == list(forward.WIDTHS[name])
        for width, accuracies in by_width.items():
            assert accuracies == percent(stored[f"{name} {width}, ridge"]["test"])
    for readout, accuracy in found["on_pixels"].items():
        assert [accuracy] == percent(stored[f"pixels, {readout}"]["test"])
    for init, by_depth in found["trained"].items():
        for depth, accuracies in by_depth.items():
            assert accuracies == percent(stored[f"{init}, {forward.DEPTHS[depth]}"]["test"])


def test_no_best_setting_is_at_an_edge():
    for name, row in store.load("forward").items():
        if "strength" in row:
            first, *_, last = row["validation"]
            best = max(row["validation"])
            assert first < best > last or (best - first < 0.001 < best - last), name  # all small penalties do as well
        elif "rate" in row and max(row["test"]) > 0.5:  # what does not learn has no best rate
            assert forward.RATES[0] < row["rate"] < forward.RATES[-1], name


def test_ridge_is_that_of_scikit_learn(few):
    features = forward.hidden("relu", 20, seed=0)
    target = F.one_hot(few["train"][1], 10).double()
    theirs = Ridge(alpha=0.01 * 60, fit_intercept=False).fit(features["train"], target)
    expected = torch.as_tensor(theirs.predict(features["test"])).argmax(1) == few["test"][1]
    assert_close(forward.ridge(features, (1.0, 0.01), "test")[1], expected.double())


def test_logistic_regression_is_that_of_scikit_learn(few):
    features = forward.hidden("pixels", 0, seed=0)
    mean = features["train"].mean(0)
    scale = (features["train"] - mean).std() / 0.3
    x, other = ((features[part] - mean)[:, :-1] / scale for part in ("train", "test"))
    theirs = LogisticRegression(C=1 / (60 * 0.01), max_iter=1000, tol=1e-8).fit(x, few["train"][1])
    expected = torch.as_tensor(theirs.predict(other)) == few["test"][1]
    assert_close(forward.logistic(features, (0.1, 0.01), "test")[1], expected.double())


def test_networks_side_by_side_are_trained_as_by_torch(few, monkeypatch):
    monkeypatch.setattr(forward, "UPDATES", 3)
    monkeypatch.setattr(forward, "BATCH", 20)
    found = forward.trained("he", 2, (0, 1), (0.01, 0.1), "test")
    assert found.shape == (2, 2, 30)
    weights, _ = forward.drawn("he", 2, 1)
    layers = [nn.Linear(weight.shape[1], weight.shape[0]) for weight in weights]
    for layer, weight in zip(layers, weights, strict=True):
        nn.init.zeros_(layer.bias)
        layer.weight.data = weight
    model = nn.Sequential(layers[0], nn.ReLU(), layers[1], nn.ReLU(), layers[2])
    optimizer = torch.optim.Adam(model.parameters(), lr=0.1)
    x, y = few["train"]
    for rows in torch.randperm(60, generator=torch.Generator().manual_seed(1_001)).split(20):
        optimizer.zero_grad()
        F.cross_entropy(model(x[rows]), y[rows]).backward()
        optimizer.step()
    expected = (model(few["test"][0]).argmax(1) == few["test"][1]).double()
    assert (found[1, 1] - expected).abs().sum() <= 1  # rounding


@pytest.mark.parametrize(("init", "variance"), [("he", 2.0), ("lecun", 1.0), ("third", 1 / 3), ("pytorch", 1 / 3)])
def test_weights_have_the_variance_of_their_name(init, variance):
    weights, biases = forward.drawn(init, 3, seed=0)
    for weight in weights[:3]:
        assert weight.shape[1] * weight.var().item() == pytest.approx(variance, rel=0.1)
    assert all((bias != 0).any() == (init == "pytorch") for bias in biases)
