"""Sums that are rounded otherwise: which, by how much, and what stays as it is."""

import os
import subprocess
import sys

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from authoring import execute, machines
from authoring.book import write
from authoring.jitter import LISTED, Jitter, exact, listed
from tests.helpers.notebooks import code, notebook, printed

EPS = {torch.float32: 2.0**-23, torch.float64: 2.0**-52}
ALONE = {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}  # is faster
DTYPES = pytest.mark.parametrize("dtype", list(EPS), ids=["float32", "float64"])


def data(*shape, dtype=torch.float32, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def train(seed=None, steps=5):
    """Return the losses of a small network, and the next random number."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(20, 30), nn.Dropout(0.1), nn.Tanh(), nn.Linear(30, 5))
    optimizer, x, y = torch.optim.Adam(model.parameters(), 0.01), torch.randn(40, 20), torch.randint(5, (40,))
    mode, losses = Jitter(0 if seed is None else seed), []
    if seed is not None:
        mode.__enter__()
    try:
        for _ in range(steps):
            optimizer.zero_grad()
            loss = F.cross_entropy(model(x), y)
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
    finally:
        if seed is not None:
            mode.__exit__(None, None, None)
    return losses, torch.rand(1).item()


# --- what it does -----------------------------------------------------------------------------------------------------


def test_equal_seeds_give_equal_results_and_others_others():
    plain, first, again, other = train(), train(0), train(0), train(1)
    assert first == again
    assert len({tuple(losses) for losses, _ in (plain, first, other)}) == 3
    assert first[0] == pytest.approx(plain[0], rel=1e-5) and other[0] == pytest.approx(plain[0], rel=1e-5)


def test_random_numbers_stay_as_they_are():
    assert train()[1] == train(0)[1] == train(1)[1]
    with Jitter(0):
        torch.manual_seed(3)
        inside = torch.randn(50), torch.randperm(9), F.dropout(torch.ones(50))
    torch.manual_seed(3)
    for tensor, outside in zip(inside, (torch.randn(50), torch.randperm(9), F.dropout(torch.ones(50))), strict=True):
        assert torch.equal(tensor, outside)


@DTYPES
def test_the_last_two_bits_are_drawn_evenly(dtype):
    """Each of the 16 pairs of before and after comes as often, and the seeds know nothing of each other."""
    a, b = data(200, 50, dtype=dtype), data(50, 200, dtype=dtype, seed=1)
    plain, runs = a @ b, []
    for seed in range(2):
        with Jitter(seed):
            runs.append(a @ b)
    whole = {torch.float32: torch.int32, torch.float64: torch.int64}[dtype]
    bits = [run.view(whole) & 3 for run in (plain, *runs)]
    assert ((plain - runs[0]).abs() <= 3 * EPS[dtype] * plain.abs()).all()
    for one, other in ((0, 1), (0, 2), (1, 2)):
        counts = torch.bincount((4 * bits[one] + bits[other]).flatten(), minlength=16)
        assert counts.min() > 0.9 * 40_000 / 16 and counts.max() < 1.1 * 40_000 / 16


def test_the_same_sum_is_rounded_in_the_same_way_each_time():
    x, w = data(8, 30), data(30, 4)
    with Jitter(0):
        assert torch.equal(x @ w, x @ w)
        changed = x.clone()
        changed[5:] += 1
        assert torch.equal((x @ w)[:5], (changed @ w)[:5])  # what comes later changes nothing before
        assert not torch.equal(x @ w, x.new_zeros(4).addmm(x, w))  # other operations round otherwise
        assert not torch.equal((x @ w)[:5], x[:5] @ w)  # as do other shapes


@DTYPES
def test_what_is_exact_stays_exact(dtype):
    whole = torch.arange(12, dtype=dtype).reshape(3, 4)
    tiny = (-90 if dtype == torch.float32 else -710) - torch.arange(10, dtype=dtype)
    small = tiny.exp()
    special = torch.tensor([0.0, -0.0, torch.inf, -torch.inf, torch.nan], dtype=dtype)
    with Jitter(0):
        assert (whole @ whole.T).tolist() == [[14, 38, 62], [38, 126, 214], [62, 214, 366]]
        assert whole.sum() == 66 and (whole / 4).mean() == 1.375
        assert (whole > 7).to(dtype).mean() == torch.tensor(1 / 3, dtype=dtype)
        assert torch.tensor([0.0, 0.0], dtype=dtype).exp().tolist() == [1, 1]
        assert torch.tensor([0.3, -torch.inf], dtype=dtype).softmax(0).tolist() == [1, 0]
        assert special.tanh().tolist()[:4] == [0, 0, 1, -1] and special.sum(0, keepdim=True).isnan().all()
        assert (special.sigmoid()[:4] == torch.tensor([0.5, 0.5, 1, 0], dtype=dtype)).all()
        assert torch.equal(tiny.exp(), small) and small.min() > 0 and small.max() < torch.finfo(dtype).smallest_normal
    assert exact(whole) and not exact(data(3, dtype=dtype)) and exact(torch.arange(3)) and exact(None)


def test_float64_differs_in_the_last_digits_only():
    a = data(50, 50, dtype=torch.float64)
    plain, inverse = a @ a, torch.linalg.inv(a)
    with Jitter(0):
        torch.testing.assert_close(a @ a, plain, rtol=1e-15, atol=0)
        assert not torch.equal(a @ a, plain)
        torch.testing.assert_close(torch.linalg.inv(a), inverse, rtol=1e-15, atol=0)
        assert f"{(a @ a).sum():.10f}" == f"{plain.sum():.10f}"


# --- which operations -------------------------------------------------------------------------------------------------


def lstm(dtype):
    torch.manual_seed(0)
    return nn.LSTM(6, 8).to(dtype)


def gru(dtype):
    torch.manual_seed(0)
    return nn.GRU(6, 8).to(dtype)


def norm(layer):
    return lambda x: layer.to(x.dtype)(x.reshape(4, 6, 5))


# name, function of a tensor of 4 × 5 × 6, what must be redrawn forward and backward, in float32 and in float64
CASES = [
    ("matmul", lambda x: x[0] @ x[1].T, {"mm"}),
    ("batched", lambda x: x @ x.mT, {"bmm"}),
    ("linear", lambda x: F.linear(x[0], x[1], x[2, :, 0]), {"addmm", "mm"}),
    ("vectors", lambda x: x[0] @ x[1, 0] + x[0, 0].dot(x[1, 1]), {"mv", "dot"}),
    ("einsum", lambda x: torch.einsum("ijk,ilk->ijl", x, x), {"bmm"}),
    ("sums", lambda x: x.sum(0) + x.mean(0) + x.var(0) + x.norm(dim=0), {"sum", "mean", "var", "linalg_vector_norm"}),
    ("softmax", lambda x: x.softmax(-1) + x.log_softmax(1), {"_softmax", "_softmax_backward_data", "_log_softmax"}),
    ("logsumexp", lambda x: x.logsumexp(-1), {"logsumexp"}),
    ("convolution", lambda x: F.conv1d(x, x[:, :, :3]), {"convolution", "convolution_backward"}),
    ("pictures", lambda x: F.conv2d(x[None], x[None, :, :3, :2]), {"convolution", "convolution_backward"}),
    ("layer norm", norm(nn.LayerNorm(5)), {"native_layer_norm", "native_layer_norm_backward"}),
    ("batch norm", norm(nn.BatchNorm1d(6)), {"native_batch_norm", "native_batch_norm_backward"}),
    ("group norm", norm(nn.GroupNorm(2, 6)), {"native_group_norm", "native_group_norm_backward"}),
    ("attention", lambda x: F.scaled_dot_product_attention(x[None], x[None], x[None]), set()),
    ("causal", lambda x: F.scaled_dot_product_attention(x[None], x[None], x[None], is_causal=True), set()),
    ("lstm", lambda x: lstm(x.dtype)(x)[0], set()),
    ("gru", lambda x: gru(x.dtype)(x)[0], {"tanh", "sigmoid", "mm"}),
    ("cross-entropy", lambda x: F.cross_entropy(x[0], torch.arange(5)), {"nll_loss_forward", "_log_softmax"}),
    ("squares", lambda x: F.mse_loss(x[0], x[1]), {"mse_loss"}),
    ("functions", lambda x: x.exp() + x.tanh() + F.gelu(x) + 2**x, {"exp", "tanh", "gelu", "pow.Scalar"}),
    ("svd", lambda x: torch.linalg.svdvals(x), {"_linalg_svd"}),
]
MORE = {
    ("attention", torch.float32): {
        "_scaled_dot_product_flash_attention_for_cpu",
        "_scaled_dot_product_flash_attention_for_cpu_backward",
    },
    ("lstm", torch.float32): {"mkldnn_rnn_layer", "mkldnn_rnn_layer_backward"},
    ("lstm", torch.float64): {"mm", "sigmoid", "tanh"},
}


@DTYPES
@pytest.mark.parametrize("name, function, wanted", CASES, ids=[case[0] for case in CASES])
def test_operations_are_redrawn_forward_and_backward(name, function, wanted, dtype):
    x = data(4, 5, 6, dtype=dtype).requires_grad_()

    def both():
        out = function(x)
        (gradient,) = torch.autograd.grad((out * data(out.numel(), dtype=dtype, seed=2).view_as(out)).sum(), x)
        return out.detach(), gradient

    plain = both()
    with Jitter(0) as mode:
        rounded = both()
    assert mode.hits.keys() >= wanted | MORE.get((name, dtype), set()), mode.hits
    assert not all(map(torch.equal, plain, rounded))  # a lone loss may draw the bits that it has
    for before, after in zip(plain, rounded, strict=True):
        scale = 1 + before.abs().max().item()
        torch.testing.assert_close(after, before, rtol=200 * EPS[dtype], atol=200 * EPS[dtype] * scale)


@DTYPES
@pytest.mark.parametrize("name, function, wanted", CASES, ids=[case[0] for case in CASES])
def test_operations_are_redrawn_without_gradients(name, function, wanted, dtype):
    """In inference_mode, torch hands over what is made of other operations, such as a whole LSTM, as one."""
    x = data(4, 5, 6, dtype=dtype)
    outs, forward = [], {key for key in wanted | MORE.get((name, dtype), set()) if "backward" not in key}
    for context in (torch.no_grad, torch.inference_mode):
        with Jitter(0) as mode, context():
            outs.append(function(x).clone())
        assert mode.hits and (name in ("gru", "lstm", "linear") or mode.hits.keys() >= forward), mode.hits
    torch.testing.assert_close(*outs)
    with torch.inference_mode():
        assert not torch.equal(function(x), outs[0]) or outs[0].numel() == 1


def test_gradients_are_right_within_rounding():
    x = data(3, 5, dtype=torch.float64).requires_grad_()
    with Jitter(0):
        assert torch.autograd.gradcheck(lambda x: F.softmax(x @ x.T, -1).tanh().logsumexp(0), x, nondet_tol=1e-12)


def test_what_is_in_a_fixed_order_everywhere_stays():
    table, index = data(9, 4).requires_grad_(), torch.tensor([1, 2, 1, 8])
    with Jitter(0) as mode:
        F.embedding(index, table)[:, 0].cumsum(0)
        (gradient,) = torch.autograd.grad(F.embedding(index, table).tanh(), table, data(4, 4))
        F.avg_pool1d(table.T, 3)
    assert gradient[0].tolist() == [0] * 4 and mode.hits.keys() == {"tanh"}


def test_what_would_be_compiled():
    x = data(5, 6)
    with Jitter(0):
        assert torch.equal(torch.compile(lambda x: (x @ x.T).tanh())(x), (x @ x.T).tanh())


def test_what_is_exported_computes_the_same():
    torch.manual_seed(0)
    model, x = nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU(), nn.Flatten(), nn.Linear(72, 3)), data(5, 1, 8, 8)
    batch = ({0: torch.export.Dim("batch")},)
    plain = torch.export.export(model, (x[:2],), dynamic_shapes=batch)
    with Jitter(0):
        program = torch.export.export(model, (x[:2],), dynamic_shapes=batch)
    assert str(program.graph) == str(plain.graph)
    assert torch.equal(program.module()(x), model(x))


def test_batches_of_functions():
    x = data(5, 6)
    with Jitter(0) as mode:
        out = torch.func.vmap(torch.func.grad(lambda x: x.dot(x)))(x)
    torch.testing.assert_close(out, 2 * x)
    assert mode.hits


def test_every_name_in_the_lists_is_an_operation():
    for name in LISTED[0] | LISTED[1]:
        packet, _, overload = name.partition(".")
        found = getattr(torch.ops.aten, packet)
        assert overload in ("", *found.overloads()), name
    assert listed(torch.ops.aten.addmm_.default) == "addmm" and listed(torch.ops.aten.pow.Tensor_Scalar) == ""


# --- in kernels -------------------------------------------------------------------------------------------------------

SOURCE = """\
names = dir()
import torch
x = torch.randn(20, 30, generator=torch.Generator().manual_seed(0)).requires_grad_()
(x @ x.T).sum().backward()"""
SHOW = 'print(x.grad.double().square().sum().item(), "torch" in names, "authoring" in names)'


def shown(environment, folder):
    nb = execute.execute(notebook(code(SOURCE), code(SHOW)), folder, environment)
    return nb.cells[1].outputs[0].text.split()


@pytest.fixture(scope="module")
def native(tmp_path_factory):
    return shown(machines.MACHINES["native-1"], tmp_path_factory.mktemp("native"))


def test_kernels_round_otherwise_and_get_no_names(native, tmp_path):
    results = [native, *(shown(machines.MACHINES[name], tmp_path) for name in ("jitter-0", "jitter-1"))]
    assert len({result[0] for result in results}) == 3
    assert all(result[1:] == ["False", "False"] for result in results)
    assert float(results[0][0]) == pytest.approx(float(results[1][0]), rel=1e-4)


STARTS = """\
import os, runpy, sys
startup, name, *seeds = sys.argv[1:]
for seed in seeds:
    os.environ[name] = seed
    runpy.run_path(startup)
    print("goes on with", seed, flush=True)"""


def test_a_kernel_that_cannot_round_otherwise_ends():
    command = [sys.executable, "-c", STARTS, machines.STARTUP, machines.SEED, "0", "none"]
    run = subprocess.run(command, capture_output=True, text=True)
    assert run.returncode == 1 and run.stdout == "goes on with 0\n" and "ValueError" in run.stderr


def test_pytest_compares_with_what_was_rounded_otherwise(native, tmp_path):
    """The environment reaches the kernels of nbval, and not pytest itself."""
    text = " ".join(native) + "\n"
    write(notebook(code(SOURCE), code(SHOW, printed(text))), tmp_path / "a.ipynb")
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-p", "authoring.pytest_plugin"]
    command += ["-p", "nbval.plugin", "--nbval", "-q", "a.ipynb"]
    for name, status in (("native-1", 0), ("jitter-3", 1)):
        run = subprocess.run(
            command, cwd=tmp_path, env=os.environ | ALONE | machines.TESTED[name], capture_output=True, text=True
        )
        assert run.returncode == status, run.stdout + run.stderr
    assert "a.ipynb::Cell 1" in run.stdout and "each sum rounded otherwise (seed 3)" in run.stdout
