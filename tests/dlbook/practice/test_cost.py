"""The cost of training: operations and memory as PyTorch counts them, gradients in parts, published trainings."""

import gc
import weakref

import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torch.testing import assert_close
from torch.utils.checkpoint import checkpoint as torch_checkpoint
from torch.utils.flop_counter import FlopCounterMode

from dlbook.cnn import CNN, ConvBlock
from dlbook.network import MLP
from dlbook.practice import cost
from dlbook.transformer import GPT
from tests.helpers.references import random, reference


def cases():
    """Yield the book's three models, each with a batch."""
    yield MLP([20, 8, 6, 3]), torch.randn(5, 20)
    yield CNN(), torch.randn(3, 1, 28, 28)
    yield GPT(11, 8, heads=2, layers=2, max_length=6), torch.randint(11, (3, 6))


def gradients(model, x):
    """Run a forward and a backward pass."""
    model(x).square().mean().backward()


def theirs(function, *inputs):
    """Return what PyTorch's own counter counts."""
    with FlopCounterMode(display=False) as counter:
        function(*inputs)
    return counter.get_total_flops()


# --- operations -------------------------------------------------------------------------------------------------------


@reference("dlbook.practice.cost.dense_flops", to="torch.utils.flop_counter.FlopCounterMode")
def test_a_dense_layer_as_pytorch_counts():
    with FlopCounterMode(display=False) as counter:
        nn.Linear(7, 5)(torch.randn(3, 7))
    assert cost.dense_flops(3, 7, 5) == counter.get_total_flops() == 210


@reference("dlbook.practice.cost.convolution_flops", to="torch.utils.flop_counter.FlopCounterMode")
@pytest.mark.parametrize(("stride", "padding"), [(1, 0), (2, 1)])
def test_a_convolution_as_pytorch_counts(stride, padding):
    layer = nn.Conv2d(3, 4, 5, stride=stride, padding=padding)
    with FlopCounterMode(display=False) as counter:
        height, width = layer(torch.randn(2, 3, 9, 12)).shape[2:]
    assert cost.convolution_flops(2, 3, 4, 5, height, width) == counter.get_total_flops()


@reference("dlbook.practice.cost.block_flops", to="torch.utils.flop_counter.FlopCounterMode")
def test_a_block_as_pytorch_counts():
    model = GPT(11, 12, heads=3, layers=1, max_length=9)
    with FlopCounterMode(display=False) as counter:
        model.decoder(torch.randn(2, 7, 12))
    assert cost.block_flops(2, 7, 12) == counter.get_total_flops()


@reference("dlbook.practice.cost.flops", to="torch.utils.flop_counter.FlopCounterMode")
def test_models_forward_and_backward_as_pytorch_counts():
    for model, x in cases():
        with FlopCounterMode(display=False) as counter:
            model(x)
        assert cost.flops(model, x) == counter.get_total_flops()
        assert cost.flops(gradients, model, x) == theirs(gradients, model, x)


@reference("dlbook.practice.cost.flops_by_kind", to="torch.utils.flop_counter.FlopCounterMode")
def test_operations_by_kind_as_pytorch_counts():
    for model, x in cases():
        with FlopCounterMode(display=False) as counter:
            gradients(model, x)
        named = {str(kind).split(".")[1]: count for kind, count in counter.get_flop_counts()["Global"].items()}
        assert cost.flops_by_kind(gradients, model, x) == named


def test_layers_turned_around_and_in_groups():
    x = torch.randn(2, 4, 5, 6, requires_grad=True)
    for layer in (nn.ConvTranspose2d(4, 3, 2, stride=2), nn.Conv1d(4, 3, 2), nn.Conv2d(4, 3, 3)):
        batch = x[..., 0] if isinstance(layer, nn.Conv1d) else x
        assert cost.flops(gradients, layer, batch) == theirs(gradients, layer, batch)
    grouped = nn.Conv2d(4, 8, 3, groups=2)  # each output sees half of the channels
    assert cost.flops(grouped, x) == cost.flops(nn.Conv2d(4, 8, 3), x) // 2
    frozen = nn.Conv2d(4, 3, 3).requires_grad_(False)
    assert cost.flops(gradients, frozen, x) == 2 * cost.flops(frozen, x)  # no gradient of its weights
    matrices = [torch.randn(2, 3, 4), torch.randn(2, 4, 5)]
    assert cost.flops(torch.baddbmm, torch.zeros(2, 3, 5), *matrices) == 2 * 2 * 3 * 4 * 5
    assert cost.flops(torch.add, x, x) == 0


def test_a_backward_pass_costs_twice_the_forward_pass():
    model, x = nn.Sequential(nn.Linear(30, 20), nn.ReLU(), nn.Linear(20, 10)), torch.randn(4, 30, requires_grad=True)
    assert cost.flops(gradients, model, x) == 3 * cost.flops(model, x)
    weights = 30 * 20 + 20 * 10
    assert cost.training_flops(weights, 4) == cost.flops(gradients, model, x)


def test_fused_attention_is_refused_where_pytorch_counts_nothing():
    model, x = GPT(11, 8, heads=2, layers=1, max_length=6, fused=True), torch.randint(11, (3, 6))
    plain = GPT(11, 8, heads=2, layers=1, max_length=6)
    assert theirs(model, x) < theirs(plain, x)
    with pytest.raises(ValueError, match="function must show its products: got a fused"):
        cost.flops(model, x)


def test_products_with_a_vector_count():
    matrix, vector = torch.randn(30, 20), torch.randn(20)
    for function, inputs, expected in (
        (torch.mv, (matrix, vector), 2 * 30 * 20),
        (torch.addmv, (torch.zeros(30), matrix, vector), 2 * 30 * 20),
        (torch.dot, (vector, vector), 2 * 20),
        (nn.Linear(20, 30), (vector,), 2 * 30 * 20),
    ):
        assert cost.flops(function, *inputs) == expected


@pytest.mark.parametrize(
    ("layer", "inputs", "operator"),
    [
        (nn.LSTM(3, 4), (torch.randn(5, 2, 3),), "mkldnn_rnn_layer"),
        (nn.Bilinear(3, 4, 5), (torch.randn(7, 3), torch.randn(7, 4)), "_trilinear"),
        (torch.cdist, (torch.randn(30, 4), torch.randn(30, 4)), "_euclidean_dist"),
        (torch.addbmm, (torch.zeros(3, 5), torch.randn(2, 3, 4), torch.randn(2, 4, 5)), "addbmm"),
        (torch.conv_tbc, (torch.randn(7, 2, 4), torch.randn(3, 4, 5), torch.zeros(5)), "conv_tbc"),
        (torch.sparse.mm, (torch.eye(4).to_sparse(), torch.randn(4, 3)), "_sparse_addmm"),
        (torch._addmm_activation, (torch.zeros(5), torch.randn(3, 4), torch.randn(4, 5)), "_addmm_activation"),
        (torch._int_mm, (torch.ones(32, 32, dtype=torch.int8),) * 2, "_int_mm"),
    ],
)
def test_what_hides_its_products_is_refused(layer, inputs, operator):
    with pytest.raises(ValueError, match=f"^function must show its products: got a fused {operator}"):
        cost.flops(layer, *inputs)


def test_a_fused_encoder_layer_is_refused_where_pytorch_counts_nothing():
    layer, x = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True).eval(), torch.randn(2, 3, 8)
    with torch.no_grad():
        assert theirs(layer, x) == 0
        with pytest.raises(ValueError, match="^function must show its products: got a fused _transformer_encoder"):
            cost.flops(layer, x)
    trained = cost.flops(layer.train(), x)  # here it is made of operators that show their products
    assert trained == cost.block_flops(2, 3, 8) - 2 * 2 * 3 * 2 * 8 * 16  # with a hidden layer of 2 dim, not 4


def test_inference_mode_is_refused():
    layer, x = nn.Linear(3, 4), torch.randn(2, 3)
    with torch.inference_mode(), pytest.raises(ValueError, match="function must run outside of torch.inference_mode"):
        cost.flops(layer, x)
    with torch.no_grad():
        assert cost.flops(layer, x) == 2 * 2 * 3 * 4


# --- memory -----------------------------------------------------------------------------------------------------------


@reference("dlbook.practice.cost.saved_bytes", to="torch.autograd.graph.saved_tensors_hooks")
def test_saved_bytes_are_those_of_the_graph():
    linear, x = nn.Linear(7, 5), torch.randn(3, 7)
    assert cost.saved_bytes(linear, x) == 3 * 7 * 4  # the input, for the gradient of the weights
    twice = nn.Sequential(nn.Linear(7, 5), nn.ReLU(), nn.Linear(5, 2))
    assert cost.saved_bytes(twice, x) == (3 * 7 + 3 * 5) * 4  # one storage serves ReLU and the layer behind it
    for model, x in cases():
        live = {}

        def pack(tensor, live=live):
            live[tensor.untyped_storage().data_ptr()] = tensor
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
            output = model(x)
        own = {weight.data_ptr() for weight in model.parameters()}
        total = sum(t.untyped_storage().nbytes() for address, t in live.items() if address not in own)
        assert cost.saved_bytes(model, x) == total > 0
        assert output.requires_grad
    with torch.no_grad():
        assert cost.saved_bytes(linear, torch.randn(3, 7)) == 0


def test_saved_bytes_with_the_loss():
    """The loss saves a table of log-probabilities, which for a large vocabulary is most of all."""

    def loss_of(model, x, y):
        return F.cross_entropy(model(x).flatten(0, -2), y.flatten())

    torch.manual_seed(0)
    model, x, y = GPT(5000, 8, heads=2, layers=1, max_length=6), torch.randint(5000, (3, 6)), torch.randint(9, (3, 6))
    table = 3 * 6 * 5000 * 4
    without, whole = cost.saved_bytes(model, x), cost.saved_bytes(loss_of, model, x, y)
    assert without < table < whole - without < 1.01 * table
    weights = sum(weight.nbytes for weight in model.parameters())
    assert (
        2 * table < cost.peak_bytes(lambda: loss_of(model, x, y).backward()) - weights
    )  # its gradients are tables too


@reference("dlbook.practice.cost.peak_bytes", to="torch.profiler.profile")
def test_the_peak_is_the_most_that_was_held():
    def by_hand():
        a = torch.zeros(1000)
        b = torch.zeros(500)
        del a
        return torch.zeros(400) + b[:400]

    assert cost.peak_bytes(by_hand) == 6000
    assert cost.peak_bytes(lambda: None) == 0
    with torch.profiler.profile(profile_memory=True) as seen:
        torch.zeros(1000)
    assert sum(max(event.self_cpu_memory_usage, 0) for event in seen.key_averages()) == 4000


def test_the_peak_of_a_step_holds_what_is_saved_and_the_gradients():
    for model, x in cases():
        saved = cost.saved_bytes(model, x) - x.nbytes * (not isinstance(model, GPT))  # x was there before
        weights = sum(w.numel() for w in model.parameters())
        peak = cost.peak_bytes(gradients, model, x)
        assert 0.8 * (saved + 4 * weights) < peak < 2 * (saved + 4 * weights)


def test_the_formula_is_no_lower_bound():
    """In a deep model gradients appear while saved activations go."""
    model, x = MLP([256] * 21), torch.randn(256, 256)
    model.requires_grad_(True)
    expected = cost.saved_bytes(model, x) - x.nbytes + sum(w.nbytes for w in model.parameters())
    assert 0.5 < cost.peak_bytes(gradients, model, x) / expected < 0.75


def test_checkpointing_saves_less_and_finds_the_same_gradients():
    torch.manual_seed(0)
    block = nn.Sequential(nn.Linear(6, 50), nn.Tanh(), nn.Linear(50, 6)).double()
    x = random(4, 6).requires_grad_()
    found = []
    for way in (lambda x: block(x), lambda x: cost.checkpoint(block, x)):
        block.zero_grad()
        x.grad = None
        (way(x) * torch.arange(6)).sum().backward()
        found.append([x.grad.clone(), *(w.grad.clone() for w in block.parameters())])
    for plain, ours in zip(*found, strict=True):
        assert torch.equal(plain, ours)

    class Wrapped(nn.Module):
        def __init__(self):
            super().__init__()
            self.block = block

        def forward(self, x):
            return cost.checkpoint(self.block, x)

    assert cost.saved_bytes(Wrapped(), x) == x.nbytes < cost.saved_bytes(block, x)


@reference("dlbook.practice.cost.checkpoint", to="torch.utils.checkpoint.checkpoint")
def test_checkpoint_as_in_pytorch():
    torch.manual_seed(0)
    block, x = nn.Sequential(nn.Linear(6, 9), nn.GELU(), nn.Linear(9, 2)).double(), random(4, 6)
    ours, library = x.clone().requires_grad_(), x.clone().requires_grad_()
    weights = list(block.parameters())
    found = torch.autograd.grad(cost.checkpoint(block, ours).square().sum(), [ours, *weights])
    from_torch = torch_checkpoint(block, library, use_reentrant=False)  # torch.utils.checkpoint.checkpoint
    expected = torch.autograd.grad(from_torch.square().sum(), [library, *weights])
    for mine, yours in zip(found, expected, strict=True):
        assert_close(mine, yours)


@pytest.mark.parametrize("p", [0.0, 0.5])
def test_checkpoint_draws_the_same_random_numbers_again_as_in_pytorch(p):
    torch.manual_seed(0)
    block = nn.Sequential(nn.Linear(6, 9), nn.Dropout(p), nn.ReLU(), nn.Linear(9, 2)).double()
    x, weights, found = random(4, 6).requires_grad_(), list(block.parameters()), {}
    for name, way in (
        ("plain", block),
        ("ours", lambda x: cost.checkpoint(block, x)),
        ("theirs", lambda x: torch_checkpoint(block, x, use_reentrant=False)),
    ):
        torch.manual_seed(1)
        loss = (way(x) + way(x)).square().sum()  # two masks
        between = torch.rand(3)
        found[name] = [loss, *torch.autograd.grad(loss, [x, *weights]), between, torch.rand(3)]
    for plain, ours, theirs in zip(*found.values(), strict=True):
        assert torch.equal(plain, ours) and torch.equal(theirs, ours)


def test_the_random_numbers_of_a_device_are_set_back_too(monkeypatch):
    generator = torch.Generator()

    class Elsewhere:
        get_rng_state = staticmethod(lambda device: generator.get_state())
        set_rng_state = staticmethod(lambda state, device: generator.set_state(state))

    monkeypatch.setattr(torch, "get_device_module", lambda device: Elsewhere)
    rewind = cost._random_state(torch.device("cuda"))
    first = torch.rand(3), torch.rand(3, generator=generator)
    rewind()
    again = torch.rand(3), torch.rand(3, generator=generator)
    assert torch.equal(first[0], again[0]) and torch.equal(first[1], again[1])


def test_checkpointed_batch_normalisation_counts_twice_as_in_pytorch():
    for way in (cost.checkpoint, lambda block, x: torch_checkpoint(block, x, use_reentrant=False)):
        block = nn.BatchNorm1d(3)
        way(block, torch.randn(5, 3, requires_grad=True)).sum().backward()
        assert block.num_batches_tracked == 2


def test_second_derivatives_of_a_checkpoint_are_refused():
    block, x = nn.Linear(6, 6).double(), random(4, 6).requires_grad_()
    loss = x.sum().square() + cost.checkpoint(block, x).sum()
    with pytest.raises(ValueError, match="^create_graph must be False: checkpoint has first derivatives only"):
        torch.autograd.grad(loss, x, create_graph=True)


def test_checkpointing_an_input_without_gradient():
    block, x = nn.Linear(6, 2).double(), random(4, 6)
    cost.checkpoint(block, x).sum().backward()
    assert_close(block.weight.grad, x.sum(0).expand(2, 6))
    assert x.grad is None


def test_the_second_time_has_the_precision_of_the_first():
    torch.manual_seed(0)
    block, x = nn.Sequential(nn.Linear(8, 8), nn.GELU(), nn.Linear(8, 8)), torch.randn(64, 8, requires_grad=True)
    found = []
    for way in (block, lambda x: cost.checkpoint(block, x)):
        with torch.autocast("cpu", torch.bfloat16):
            loss = way(x).float().square().sum()
        found.append(torch.autograd.grad(loss, [x, *block.parameters()]))  # outside of autocast
    for plain, ours in zip(*found, strict=True):
        assert torch.equal(plain, ours)


def test_checkpointing_a_module_with_frozen_weights():
    block, x = nn.Linear(6, 2).double(), random(4, 6)
    block.bias.requires_grad_(False)
    cost.checkpoint(block, x).sum().backward()
    assert_close(block.weight.grad, x.sum(0).expand(2, 6))
    assert block.bias.grad is None
    block.requires_grad_(False)
    assert not cost.checkpoint(block, x).requires_grad


def test_a_checkpoint_holds_no_activation_alive():
    inner = []

    class Remembering(nn.Module):
        def forward(self, x):
            inner.append(weakref.ref(middle := x * 2))
            return middle.sin()

    x = random(3).requires_grad_()
    y = cost.checkpoint(Remembering(), x)
    gc.collect()
    assert inner[0]() is None
    y.sum().backward()
    assert_close(x.grad, 2 * (2 * x.detach()).cos())


@reference("dlbook.practice.cost.accumulate_gradients_", to="torch.autograd.grad")
@pytest.mark.parametrize("batch_size", [1, 3, 4, 10, 50])
def test_accumulated_gradients_are_those_of_the_whole_batch(batch_size):
    torch.manual_seed(0)
    model, x, y = (
        nn.Sequential(nn.Linear(5, 8), nn.Tanh(), nn.Linear(8, 3)).double(),
        random(10, 5),
        torch.arange(10) % 3,
    )
    expected = torch.autograd.grad(whole := F.cross_entropy(model(x), y), list(model.parameters()))
    for _ in range(2):  # the second time over what the first has left
        loss = cost.accumulate_gradients_(model, F.cross_entropy, x, y, batch_size)
        assert loss == pytest.approx(whole.item())
        for weight, gradient in zip(model.parameters(), expected, strict=True):
            assert_close(weight.grad, gradient)


def test_batch_normalisation_is_the_exception():
    torch.manual_seed(0)
    model, x, y = (
        nn.Sequential(ConvBlock(1, 4), nn.Flatten(), nn.Linear(64, 3)).double(),
        random(8, 1, 8, 8),
        torch.arange(8) % 3,
    )
    whole = torch.autograd.grad(F.cross_entropy(model(x), y), model[2].weight)[0]
    cost.accumulate_gradients_(model, F.cross_entropy, x, y, 4)
    assert (model[2].weight.grad - whole).abs().max() > 0.01 * whole.abs().max()
    model.eval()  # with running statistics, examples are independent again
    whole = torch.autograd.grad(F.cross_entropy(model(x), y), model[2].weight)[0]
    cost.accumulate_gradients_(model, F.cross_entropy, x, y, 4)
    assert_close(model[2].weight.grad, whole)


def test_a_loss_with_padding_has_another_denominator_in_each_part():
    torch.manual_seed(0)
    model, x, y = nn.Linear(4, 5).double(), random(4, 6, 4), torch.randint(5, (4, 6))
    y[0, 1:] = y[1, 2:] = -100

    def mean(logits, target):
        return F.cross_entropy(logits.flatten(0, 1), target.flatten())

    def over_all(logits, target):  # of a part, such that the parts' mean by examples is the whole batch's
        total = F.cross_entropy(logits.flatten(0, 1), target.flatten(), reduction="sum")
        return total / (y != -100).sum() * len(y) / len(target)

    whole = torch.autograd.grad(mean(model(x), y), model.weight)[0]
    cost.accumulate_gradients_(model, mean, x, y, 2)
    assert (model.weight.grad - whole).norm() > 0.1 * whole.norm()
    cost.accumulate_gradients_(model, over_all, x, y, 2)
    assert_close(model.weight.grad, whole)


def test_the_loss_keeps_its_precision():
    torch.manual_seed(0)
    model, x, y = nn.Linear(4, 5).double(), random(8, 4), torch.arange(8) % 5
    whole = F.cross_entropy(model(x), y).item()
    assert abs(cost.accumulate_gradients_(model, F.cross_entropy, x, y, 3) - whole) < 1e-14


def test_training_bytes_are_those_that_are_held():
    model = nn.Linear(30, 20)
    optimizer = torch.optim.Adam(model.parameters())
    gradients(model, torch.randn(4, 30))
    optimizer.step()
    held = [*model.parameters(), *(w.grad for w in model.parameters())]
    held += [v for state in optimizer.state.values() for name, v in state.items() if name != "step"]
    weights = sum(w.numel() for w in model.parameters())
    assert cost.training_bytes(weights, 0) == sum(part.nbytes for part in held)
    assert cost.training_bytes(10, 7, 2, 1) == 10 * 2 * 3 + 7


# --- several processes ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("processes", [1, 2, 3, 5])
def test_a_ring_sends_what_the_formula_says(processes):
    """Carry out the ring by hand: each process sends one part to the next in each of 2 (P - 1) rounds."""
    size = 12 * processes
    own = [random(processes, 12) for _ in range(processes)]
    total, sent = sum(own), 0
    held = [part.clone() for part in own]
    for reduce in (True, False):
        for turn in range(processes - 1):
            before = [part.clone() for part in held]
            for rank in range(processes):
                part = (rank - turn + (not reduce)) % processes
                goal = (rank + 1) % processes
                held[goal][part] = before[rank][part] + (before[goal][part] if reduce else 0)
                sent += 12 if rank == 0 else 0
    for part in held:
        assert_close(part, total)
    assert cost.all_reduce_bytes(4 * size, processes) == 4 * sent


@pytest.mark.parametrize(("stages", "microbatches"), [(1, 3), (4, 1), (4, 8), (3, 5)])
def test_a_pipeline_waits_as_the_formula_says(stages, microbatches):
    """Draw the schedule: stage s computes microbatch m at time s + m."""
    last = stages - 1 + microbatches - 1
    busy = {(stage, stage + m) for stage in range(stages) for m in range(microbatches)}
    slots = stages * (last + 1)
    assert cost.pipeline_bubble(stages, microbatches) == pytest.approx(1 - len(busy) / slots)


def test_sharded_bytes_as_published():
    """Figure 1 of ZeRO: 7.5 billion weights, 64 processes, in GB."""
    found = [cost.sharded_bytes(7_500_000_000, 64, stage) / 1e9 for stage in range(4)]
    assert found == pytest.approx([120, 31.4, 16.6, 1.9], abs=0.05)


# --- hours, energy, carbon --------------------------------------------------------------------------------------------


def test_hours_and_energy_of_gpt_3_as_published():
    """Patterson et al. 2021, table 4: 3.14e23 operations at 24.6 TFLOPS/s, 330 W, PUE 1.10, 0.429 kg per kWh."""
    hours = cost.training_hours(3.14e23, 125e12, 24.6 / 125)
    assert hours / 10_000 / 24 == pytest.approx(14.8, abs=0.05)  # days
    energy = cost.energy_kwh(hours, 330, 1.10)
    assert energy / 1000 == pytest.approx(1287, rel=0.002)
    assert cost.carbon_kg(energy, 0.429) / 1000 == pytest.approx(552.1, rel=0.002)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: cost.dense_flops(0, 1, 1), "batch_size must be at least 1: got 0"),
        (lambda: cost.convolution_flops(1, 1, 1, 1, 0, 1), "height must be at least 1: got 0"),
        (lambda: cost.block_flops(1, 0, 1), "length must be at least 1: got 0"),
        (lambda: cost.training_flops(0, 1), "weights must be positive and finite: got 0"),
        (lambda: cost.training_bytes(-1, 0), "weights must be at least 0: got -1"),
        (lambda: cost.training_bytes(1, 0, 0), "number_bytes must be at least 1: got 0"),
        (lambda: cost.all_reduce_bytes(1, 0), "world_size must be at least 1: got 0"),
        (lambda: cost.pipeline_bubble(0, 1), "stages must be at least 1: got 0"),
        (lambda: cost.sharded_bytes(1, 1, 4), "stage must be from 0 to 3: got 4"),
        (lambda: cost.sharded_bytes(1, 0, 3), "world_size must be at least 1: got 0"),
        (lambda: cost.training_hours(1, 1, 1.2), "utilisation must be at most 1: got 1.2"),
        (lambda: cost.training_hours(1, 1, 0), "utilisation must be positive and finite: got 0"),
        (lambda: cost.energy_kwh(1, 1, 0.9), "pue must be at least 1: got 0.9"),
        (lambda: cost.energy_kwh(1, float("inf")), "watts must be positive and finite: got inf"),
        (lambda: cost.carbon_kg(1, -1), "intensity must be positive and finite: got -1"),
    ],
)
def test_what_is_refused(call, message):
    with pytest.raises(ValueError, match=f"^{message}"):
        call()


def test_batches_that_cannot_be_split_are_refused():
    model = nn.Linear(2, 1)
    for x, y, size, message in (
        (torch.zeros(3, 2), torch.zeros(2, 1), 1, "y must have a target for each x, and not be empty: got 2 for 3"),
        (torch.zeros(0, 2), torch.zeros(0, 1), 1, "y must have a target for each x, and not be empty: got 0 for 0"),
        (torch.zeros(3, 2), torch.zeros(3, 1), 0, "batch_size must be at least 1: got 0"),
    ):
        with pytest.raises(ValueError, match=message):
            cost.accumulate_gradients_(model, F.mse_loss, x, y, size)
