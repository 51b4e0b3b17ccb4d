"""What the chapter on the cost of training prints: operations, memory, communication, hours, energy, a law."""

import pytest
import torch
from torch.testing import assert_close

from dlbook.practice import cost
from dlbook.practice.scaling import PowerLaw
from tests.helpers.equations import executed
from tests.helpers.references import tensor


@executed("5.4.1a", of="dlbook.practice.cost.dense_flops")
def test_a_dense_layer_as_printed(formula):
    for batch, m, n in ((1, 3, 2), (5, 7, 11)):
        found = formula({"B": float(batch), "m": float(m), "n": float(n)})
        assert float(found["F_dense"]) == cost.dense_flops(batch, m, n)


@executed("5.4.1b", of="dlbook.practice.cost.convolution_flops")
def test_a_convolution_as_printed(formula):
    for batch, inputs, outputs, k, height, width in ((2, 3, 5, 3, 7, 11), (1, 4, 2, 5, 3, 6)):
        names = {"B": batch, "C": inputs, "O": outputs, "k": k, "H": height, "W": width}
        found = formula({name: float(value) for name, value in names.items()})
        assert float(found["F_conv"]) == cost.convolution_flops(batch, inputs, outputs, k, height, width)


@executed("5.4.1c", of="dlbook.practice.cost.block_flops")
def test_a_block_as_printed(formula):
    for batch, length, dim in ((2, 5, 7), (3, 11, 4)):
        found = formula({"B": float(batch), "T": float(length), "d": float(dim)})
        assert float(found["F_block"]) == cost.block_flops(batch, length, dim)


@executed("5.4.1d", of="dlbook.practice.cost.training_flops")
def test_a_training_as_printed(formula):
    found = formula({"N": 175e9, "D": 300e9})
    assert float(found["F_train"]) == pytest.approx(cost.training_flops(175e9, 300e9))


@executed("5.4.1e", of="dlbook.practice.cost.training_bytes")
def test_the_memory_as_printed(formula):
    for b, n, s, saved in ((4, 10, 2, 7), (2, 11, 1, 100)):
        found = formula({"b": float(b), "N": float(n), "s": float(s), "S": float(saved)})
        assert float(found["M"]) == cost.training_bytes(n, saved, b, s)


@executed("5.4.1f", of="dlbook.practice.cost.all_reduce_bytes")
def test_the_ring_as_printed(formula):
    for processes in (1, 2, 5):
        found = formula({"P": float(processes), "G": 100.0})
        assert float(found["V"]) == pytest.approx(cost.all_reduce_bytes(100, processes))


@executed("5.4.1g", of="dlbook.practice.cost.pipeline_bubble")
def test_the_bubble_as_printed(formula):
    for stages, microbatches in ((4, 8), (3, 1)):
        found = formula({"p": float(stages), "m": float(microbatches)})
        assert float(found["beta"]) == pytest.approx(cost.pipeline_bubble(stages, microbatches))


@executed("5.4.1h", of="dlbook.practice.cost.sharded_bytes")
def test_sharded_memory_as_printed(formula):
    for processes, optimizer in ((8, 12), (3, 4)):
        found = formula({"N": 1000.0, "P": float(processes), "K": float(optimizer)})
        assert float(found["M_shard"]) == pytest.approx(cost.sharded_bytes(1000, processes, 3, optimizer))


@executed("5.4.1i", of="dlbook.practice.cost.training_hours")
def test_hours_as_printed(formula):
    found = formula({"F": 3e23, "u": 0.3, "R": 312e12})
    assert float(found["t"]) == pytest.approx(cost.training_hours(3e23, 312e12, 0.3))


@executed("5.4.1j", of="dlbook.practice.cost.energy_kwh")
def test_energy_as_printed(formula):
    found = formula({"t": 5000.0, "omega": 330.0, "PUE": 1.2})
    assert float(found["Q"]) == pytest.approx(cost.energy_kwh(5000, 330, 1.2))


@executed("5.4.1k", of="dlbook.practice.scaling.PowerLaw")
def test_the_law_as_printed(formula):
    for n in (1e3, 5e5):
        found = formula({"E": 1.7, "A": 12.0, "N": n, "alpha": 0.3})
        assert_close(tensor(found["L"]), PowerLaw(1.7, 12.0, -0.3)(tensor(n)))
    assert_close(PowerLaw(0.0, 10.0, -0.1)(torch.tensor(10.0)) / 10, torch.tensor(10**-0.1))
