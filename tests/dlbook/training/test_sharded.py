"""Two processes, each of which holds half of the model, against one that holds the whole."""

import sys

import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy
from torch.optim import SGD, Adam
from torch.testing import assert_close

from dlbook.training.batches import Batches
from dlbook.training.fit import fit
from dlbook.training.sharded import fit_sharded, full_weights, held_bytes, sent_bytes, shard
from tests.dlbook.training import shard_together
from tests.helpers.torchrun import Launcher

WEIGHTS = 8 * (4 * 16 + 16 + 16 * 4 + 4)  # bytes of shard_together's model, in float64
STEP_COUNTS = 4 * 4  # Adam's number of steps, a float32 for each of the four weights


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """What two processes leave behind."""
    folder = tmp_path_factory.mktemp("sharded")
    with Launcher() as launcher:
        done = launcher.start(shard_together.__file__, folder)
    assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture(scope="module")
def both(folder):
    return [torch.load(folder / f"{rank}.pt", weights_only=True) for rank in range(2)]


@pytest.fixture(scope="module")
def alone():
    """What one process comes to, by `fit`."""
    return shard_together.train(seed=0, fit=fit)


def test_two_sharded_processes_train_as_one(both, alone):
    first, second = both
    assert first["world"] == second["world"] == 2
    for name in ("steps", "loss", "validation"):
        for results in both:
            assert_close(results[name], alone[name], rtol=0, atol=1e-12)
    # The second process's own weights and seed played no part, and it is given no whole ones:
    assert_close(first["weights"], dict(alone["weights"]), rtol=0, atol=1e-12)
    assert second["weights"] == {}


def test_each_process_holds_half(both, alone):
    assert alone["held"] == {
        "weights": WEIGHTS,
        "gradients": WEIGHTS,
        "optimizer state": 2 * WEIGHTS + STEP_COUNTS,
    }
    for results in both:
        assert results["held"] == {
            "weights": WEIGHTS / 2,
            "gradients": WEIGHTS / 2,
            "optimizer state": 2 * WEIGHTS / 2 + STEP_COUNTS,
        }


def test_an_interrupted_sharded_run_ends_bitwise_the_same(both):
    assert both[0]["resumed"].keys() == both[0]["weights"].keys()
    assert_close(both[0]["resumed"], both[0]["weights"], rtol=0, atol=0)


def test_one_process_goes_on_from_a_sharded_checkpoint(folder, both, alone):
    """`fit` reads what two processes wrote, and trains a fourth epoch as it would have after three of its own."""
    file = folder / "straight.pt"
    saved = torch.load(file, weights_only=True)
    assert_close(dict(saved["model"]), both[0]["weights"], rtol=0, atol=0)
    continued, straight = shard_together.settings(1), shard_together.settings(0)
    history = fit(**continued, epochs=4, checkpoint=file)
    assert history.steps[: len(alone["steps"])] == both[0]["steps"] and len(history.loss) == 4
    fit(**straight, epochs=4)
    assert_close(continued["model"].state_dict(), straight["model"].state_dict(), rtol=0, atol=1e-12)


@pytest.mark.skipif(sys.platform != "linux", reason="Linux counts the bytes of a connection")
def test_bytes_sent_in_a_step(both):
    """Counted by the system; gloo scatters by a whole all-reduce, so it sends (P - 1)/P more than a ring would."""
    for results in both:
        found = results["bytes"]
        assert (found["data parallel, expected"], found["sharded, expected"]) == (1, 1.5)
        assert found["data parallel"] == pytest.approx(1, rel=0.03)
        assert found["reduce-scatter"] == pytest.approx(1, rel=0.03)
        assert found["sharded"] == pytest.approx(1.5 + 0.5, rel=0.03)


def test_sent_bytes():
    model = nn.Sequential(nn.Linear(3, 2), nn.Linear(2, 1))
    model[1].requires_grad_(False)
    assert [sent_bytes(model, world_size) for world_size in (1, 2, 4)] == [0, 4 * 8, 1.5 * 4 * 8]
    assert sent_bytes(model, 4, sharded=True) == 3 / 4 * 4 * (2 * (8 + 3) + 8)
    with pytest.raises(ValueError, match="world_size must be at least 1: got 0"):
        sent_bytes(model, 0)


def test_errors_in_several_processes(both):
    for results in both:
        assert results["errors"] == [
            "model must be sharded before it is trained by several processes: call shard, and then make the optimizer",
            "model must not be sharded yet: got one that is",
        ]


def test_a_process_alone_holds_all():
    model = nn.Linear(2, 1)
    assert shard(model) is model and type(model.weight) is nn.Parameter
    assert full_weights(model).keys() == {"weight", "bias"}
    optimizer = Adam(model.parameters())
    assert held_bytes(model, optimizer) == {"weights": 12, "gradients": 0, "optimizer state": 0}


def test_alone_fit_sharded_is_fit():
    results = shard_together.train(seed=0, fit=fit_sharded), shard_together.train(seed=0, fit=fit)
    assert_close(*results, rtol=0, atol=0)


def test_states_are_as_they_were_after_training():
    model = nn.Linear(4, 4).double()
    optimizer = SGD(model.parameters(), lr=0.1)
    fit_sharded(model, Batches(*shard_together.data(8), batch_size=8), cross_entropy, optimizer, epochs=1)
    assert not model._state_dict_hooks and not model._load_state_dict_pre_hooks
    assert not optimizer._optimizer_state_dict_post_hooks and not optimizer._optimizer_load_state_dict_pre_hooks


def test_shard_refuses():
    model = nn.Sequential(nn.Linear(2, 2))
    with pytest.raises(ValueError, match="layers must be modules within the model: got a Linear that is not"):
        shard(model, [nn.Linear(2, 2)])
    with pytest.raises(ValueError, match="layers must be modules within the model: got a Sequential that is not"):
        shard(model, [model])
    with pytest.raises(ValueError, match="model must be on CPU or CUDA, whose processes communicate: got meta"):
        shard(model.to("meta"))
