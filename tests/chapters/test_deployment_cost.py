"""What the chapter on the cost of use prints: quantisation, the product of integers, distillation, low rank."""

import torch
from torch.nn import functional as F
from torch.testing import assert_close

from dlbook.practice import compress
from tests.helpers.equations import executed
from tests.helpers.references import random, tensor


def rounded(x):
    """Round to the nearest whole number, as the page writes it."""
    return torch.as_tensor(x).round().numpy()


@executed("5.4.2a", of="dlbook.practice.compress.affine_scale")
def test_scale_and_zero_point_as_printed(formula):
    for low, high, bits in ((-1.3, 4.0, 8), (-3.0, 1.0, 4), (-0.7, 0.2, 3)):
        found = formula({"x_max": high, "x_min": low, "k": float(bits), "round": rounded})
        scale, zero_point = compress.affine_scale(low, high, bits)
        assert_close(tensor(found["s"]), tensor(scale))
        assert_close(tensor(found["z"]), tensor(float(zero_point)))


@executed("5.4.2b", of="dlbook.practice.compress.quantize")
def test_rounding_as_printed(formula):
    for scale, zero_point, bits in ((0.03, 40, 8), (0.4, 2, 3)):
        x = 4 * random(60)
        names = {"x": x, "s": scale, "z": float(zero_point), "k": float(bits), "round": rounded}
        found = formula(names, {"i": 60})
        q = compress.quantize(x, scale, zero_point, (0, 2**bits - 1))
        assert_close(tensor(found["q"]), q.double())
        assert_close(tensor(found[r"\hat x"]), compress.dequantize(q, scale, zero_point).double())


@executed("5.4.2c", of="dlbook.practice.compress.symmetric_scale")
def test_the_scale_of_a_channel_as_printed(formula):
    for bits in (2, 3, 8):
        weight = random(5, 7)
        found = formula({"w": weight, "k": float(bits)}, {"i": 5, "j": 7})
        assert_close(tensor(found["t"]), compress.symmetric_scale(weight, bits)[:, 0])


@executed("5.4.2d", of="dlbook.practice.compress.quantized_linear")
def test_the_product_of_integers_as_printed(formula):
    q, v = torch.randint(0, 255, (6,)), torch.randint(-127, 127, (4, 6))
    scales, bias = random(4).abs(), random(4)
    names = {"q": q.double(), "v": v.double(), "s": 0.03, "t": scales, "z": 12.0, "b": bias}
    found = formula(names, {"i": 4, "j": 6})
    ours = compress.quantized_linear(q[None], 0.03, 12, v, scales[:, None], bias)[0]
    assert_close(tensor(found["y"]), ours)


@executed("5.4.2e", of="dlbook.practice.compress.distillation_loss")
def test_the_loss_of_a_student_as_printed(formula):
    student, teacher, target = 2 * random(5), 2 * random(5), torch.tensor([3])
    label_loss = F.cross_entropy(student[None], target)
    for temperature, weight in ((3.0, 0.7), (1.5, 0.2)):
        soft = [(logits / temperature).softmax(0) for logits in (teacher, student)]
        names = {"p": soft[0], r"\tilde p": soft[1], "T": temperature, "alpha": weight, r"\ell": label_loss}
        found = formula(names, {"c": 5})
        ours = compress.distillation_loss(student[None], teacher[None], target, temperature, weight)
        assert_close(tensor(found["L"]), ours)


@executed("5.4.2f", of="dlbook.practice.compress.low_rank")
def test_the_error_of_low_rank_as_printed(formula):
    weight = random(5, 4)
    g, sigma, h = torch.linalg.svd(weight, full_matrices=False)
    for rank in (1, 2, 3):
        names = {"g": g, r"\sigma": sigma, "h": h.T, "r": rank, "R": 4}
        found = formula(names, {"i": 5, "j": 4})
        second, first = compress.low_rank(weight, rank)
        assert_close(tensor(found[r"\hat w"]), second @ first)
        assert_close(tensor(found["E"]), (weight - second @ first).square().sum())
