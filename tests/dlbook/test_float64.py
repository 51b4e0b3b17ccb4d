"""Functions that compute in float64, given tensors of a device that has none: the same as on the CPU."""

import dataclasses

import pytest
import torch
from torch import Tensor, nn
from torch.testing import assert_close

from dlbook import embedding
from dlbook._float64 import float64_on_cpu
from dlbook.metrics import paired
from dlbook.practice import fairness, privacy, scaling, transfer
from tests.dlbook.metrics.test_inputs_of_metrics import CASES as METRICS
from tests.helpers.elsewhere import MPS, Elsewhere, PretendedMPS, elsewhere, plain
from tests.helpers.inputs import tensors_in

pytestmark = pytest.mark.usefixtures("unchecked")

COUNTS = torch.tensor([5, 1, 2, 7, 3])
SELECTED, TARGET = torch.tensor([True, False, True, True, False]), torch.tensor([True, True, False, True, False])
GROUP = torch.tensor([0, 0, 1, 1, 1])
EVIDENCE = torch.tensor([0.9, 0.1, 0.8, 0.2, 0.5])
FEATURES = torch.tensor([[0.0, 1], [1, 0], [0.5, 2], [3, 1], [2, 2]])
SIZES, MEASURED = torch.tensor([1.0, 2, 4, 8, 16]), torch.tensor([5.0, 4, 3.5, 3.25, 3.125])
PEOPLE = {"selected": SELECTED, "target": TARGET, "group": GROUP}
CASES = {
    **METRICS,
    "keep_probability": (embedding.keep_probability, {"counts": COUNTS}),
    "noise_distribution": (embedding.noise_distribution, {"counts": COUNTS}),
    "rank_correlation": (embedding.rank_correlation, {"x": EVIDENCE, "y": FEATURES[:, 0].contiguous()}),
    "group_rates": (fairness.group_rates, PEOPLE),
    "equalized_odds_difference": (fairness.equalized_odds_difference, PEOPLE),
    "reweighing": (fairness.reweighing, {"target": TARGET, "group": GROUP}),
    "tpr_at_fpr": (lambda **given: privacy.tpr_at_fpr(**given, fpr=0.4), {"evidence": EVIDENCE, "members": TARGET}),
    "fit_power_law": (scaling.fit_power_law, {"x": SIZES, "y": MEASURED}),
    "fit_saturating_law": (scaling.fit_saturating_law, {"x": SIZES, "y": MEASURED}),
    "difference_over_pairs": (
        lambda **given: paired.difference_over_pairs(**given, level=0.8),
        {"first": SIZES, "second": MEASURED},
    ),
    "linear_probe": (transfer.linear_probe, {"features": FEATURES, "labels": GROUP}),
}


def there(value: Tensor) -> Tensor:
    """Return a tensor on the pretended device, in float32 if it is in float64."""
    return elsewhere(value.float() if value.dtype == torch.float64 else value)


def parts(found):
    """Return what a function returned as tensors of the CPU."""
    if isinstance(found, nn.Module):
        found = list(found.parameters())
    if dataclasses.is_dataclass(found):
        found = [getattr(found, field.name) for field in dataclasses.fields(found)]
    return [plain(tensor.detach()) for tensor in tensors_in(found)]


@pytest.mark.parametrize("case", CASES)
def test_the_same_on_a_device_without_float64(case):
    function, arguments = CASES[case]
    with PretendedMPS():
        found = parts(function(**{name: there(value) for name, value in arguments.items()}))
    wanted = parts(function(**arguments))
    for mine, yours in zip(found, wanted, strict=True):
        assert_close(mine.double(), yours.double(), atol=1e-5, rtol=1e-5, equal_nan=True)


def test_a_tensor_goes_back_to_its_device():
    with PretendedMPS():
        found = embedding.noise_distribution(there(COUNTS))
        assert isinstance(found, Elsewhere) and found.device == MPS and found.dtype == torch.float32
    assert embedding.noise_distribution(COUNTS).dtype == torch.float64


def test_integers_and_numbers_stay_what_they_are():
    @float64_on_cpu
    def both(x, scale):
        return (x.double() * scale).long(), 2.5

    @float64_on_cpu
    def one(x):
        return (x.double() * 3).long()

    with PretendedMPS():
        first, second = both(there(COUNTS), scale=3)
        assert not isinstance(first, Elsewhere) and second == 2.5  # several values stay on the CPU
        assert isinstance(one(there(COUNTS)), Elsewhere) and one(there(COUNTS)).dtype == torch.int64


def test_the_pretended_device_refuses_what_mps_refuses():
    x = there(EVIDENCE)
    with PretendedMPS():
        for wrong in (
            lambda: x.double(),
            lambda: x.to(torch.float64),
            lambda: torch.zeros_like(x, dtype=torch.float64),
            lambda: torch.zeros(3, dtype=torch.float64, device=x.device),
        ):
            with pytest.raises(TypeError, match="float64"):
                wrong()
        with pytest.raises(RuntimeError, match="two devices"):
            x + EVIDENCE
        assert type(x.cpu()) is Tensor and x.cpu().double().dtype == torch.float64
        assert x.to("cpu").device.type == "cpu" and (x + 1).device == MPS
        assert isinstance(EVIDENCE.to(x.device), Elsewhere) and (x + torch.tensor(1.0)).device == MPS
