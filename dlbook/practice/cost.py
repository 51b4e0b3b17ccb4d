"""What training costs: operations, memory, communication, hours, energy and carbon.

Operations are counted by formula for each kind of layer, and by watching a model run.
Memory is that of the weights and their companions, and what is saved for the backward
pass. Checkpointing and accumulation spend time to save memory.
"""

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from dlbook._check import check_whole

# --- operations -----------------------------------------------------------------------


def dense_flops(batch_size: int, inputs: int, outputs: int) -> int:
    """Return the operations of a dense layer: a multiply and an add for each weight.

    Args:
        batch_size: examples, or positions of all sequences together.
        inputs: of the layer.
        outputs: of the layer.

    Raises:
        ValueError: A number is less than 1.

    Source: book equation (5.4.1a).
    """
    check_whole(1, batch_size=batch_size, inputs=inputs, outputs=outputs)
    return 2 * batch_size * inputs * outputs


def convolution_flops(
    batch_size: int, inputs: int, outputs: int, kernel: int, height: int, width: int
) -> int:
    """Return the operations of a convolution: each weight is used at each position.

    Args:
        batch_size: images.
        inputs: channels that come in.
        outputs: channels that go out.
        kernel: height and width of the kernel.
        height: of the output, in pixels.
        width: of the output, in pixels.

    Raises:
        ValueError: A number is less than 1.

    Source: book equation (5.4.1b).
    """
    check_whole(1, batch_size=batch_size, inputs=inputs, outputs=outputs, kernel=kernel)
    check_whole(1, height=height, width=width)
    return 2 * batch_size * height * width * inputs * outputs * kernel**2


def block_flops(batch_size: int, length: int, dim: int) -> int:
    """Return the operations of a Transformer's block, whose hidden layer has 4 dim.

    Four projections and the feed-forward network have 12 dim² weights, each used once a
    position; scores and averages take 2 dim operations for each pair of positions.

    Args:
        batch_size: sequences.
        length: positions in each.
        dim: numbers in a position.

    Raises:
        ValueError: A number is less than 1.

    Source: book equation (5.4.1c); compare Kaplan et al. 2020, table 1.
    """
    check_whole(1, batch_size=batch_size, length=length, dim=dim)
    return 24 * batch_size * length * dim**2 + 4 * batch_size * length**2 * dim


def training_flops(weights: float | int, examples: float | int) -> float | int:
    """Return the operations of a training in which each example uses each weight once.

    The forward pass takes two for each weight and example, the backward pass four.

    Args:
        weights: N, of the model.
        examples: D, that it is trained on, with repetitions; of a language model the
            tokens.

    Raises:
        ValueError: A number is not positive.

    Source: Kaplan et al. 2020, section 2.1; book equation (5.4.1d).
    """
    _check_positive(weights=weights, examples=examples)
    return 6 * weights * examples


def flops(function: Callable[..., Any], *inputs: Any) -> int:
    """Run a model or function, and count the operations of its products.

    Counted are matrix products and convolutions, those of a backward pass too if the
    function runs one. All else is left out, such as products number by number: a small
    part of the operations, though not of the time.

    Args:
        function: is called once.
        inputs: what it is called with.

    Raises:
        ValueError: It calls an operator whose products cannot be seen, such as fused
            attention, a fused encoder layer or a whole LSTM, or runs in
            `torch.inference_mode`.
    """
    return sum(flops_by_kind(function, *inputs).values())


def flops_by_kind(function: Callable[..., Any], *inputs: Any) -> dict[str, int]:
    """Run a function, and count the operations of each kind of product, as `flops`.

    Args:
        function: is called once.
        inputs: what it is called with.

    Returns:
        The operations, by the name of PyTorch's own operator, such as "addmm".

    Raises:
        ValueError: It calls an operator whose products cannot be seen, such as fused
            attention, a fused encoder layer or a whole LSTM, or runs in
            `torch.inference_mode`.
    """
    with _Counting() as counting:
        function(*inputs)
    return dict(counting.flops)


_HIDING = {  # operators that hold products inside
    "mkldnn_rnn_layer",
    "mkldnn_rnn_layer_backward",
    "_cudnn_rnn",
    "_cudnn_rnn_backward",
    "miopen_rnn",
    "miopen_rnn_backward",
    "lstm_mps",
    "lstm_mps_backward",
    "_trilinear",
    "_transformer_encoder_layer_fwd",
    "_cdist_forward",
    "_cdist_backward",
    "_euclidean_dist",
    "addbmm",
    "conv_tbc",
    "mkldnn_linear",
    "_addmm_activation",
    "_sparse_addmm",
    "_int_mm",
    "_scaled_mm",
    "_grouped_mm",
    "_scaled_grouped_mm",
}


class _Counting(TorchDispatchMode):
    """Count the products of all operators that run inside."""

    def __init__(self) -> None:
        super().__init__()
        self.flops: Counter[str] = Counter()

    def __torch_dispatch__(
        self,
        func: Any,
        types: Sequence[type],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        if torch.is_inference_mode_enabled():
            raise ValueError("function must run outside of torch.inference_mode")
        result = func(*args, **(kwargs or {}))
        name = func.overloadpacket.__name__
        if "attention" in name or name in _HIDING:
            raise ValueError(f"function must show its products: got a fused {name}")
        if name in ("mm", "bmm", "mv", "dot", "addmm", "baddbmm", "addmv"):
            inputs = args[-2].shape[-1]  # (..., rows, inputs) @ (..., inputs, columns)
            self.flops[name] += 2 * result.numel() * inputs
        elif name == "convolution":
            x, weight, transposed = args[0], args[1], args[6]
            positions = x if transposed else result
            self.flops[name] += 2 * weight[0].numel() * positions.numel()
        elif name == "convolution_backward":
            gradient, x, weight, transposed, wanted = *args[:3], args[7], args[-1]
            positions = x if transposed else gradient
            products = 2 * weight[0].numel() * positions.numel()
            self.flops[name] += sum(wanted[:2]) * products  # for x, and for the weights
        return result


# --- memory ---------------------------------------------------------------------------


def saved_bytes(function: Callable[..., Any], *inputs: Any) -> int:
    """Run a forward pass, and count the bytes that it keeps for the backward pass.

    These are the saved activations. A storage that several operators save counts once,
    and whole if a view of it is saved; the weights themselves do not count, an input
    does if it is saved.

    Args:
        function: a model, or one that returns a loss; it is called once.
        inputs: what it is called with, among them the model if it is not `function`.
    """
    models = [part for part in (function, *inputs) if isinstance(part, nn.Module)]
    own = {
        weight.untyped_storage().data_ptr()
        for model in models
        for weight in model.parameters()
    }
    kept = {}

    def pack(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        kept[storage.data_ptr()] = storage  # held, so that its address stays its own
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        output = function(*inputs)
    del output
    return sum(part.nbytes() for address, part in kept.items() if address not in own)


def peak_bytes(function: Callable[..., Any], *inputs: Any) -> int:
    """Run a function, and return the most memory of the CPU that it held at one time.

    What was there before does not count.

    Args:
        function: such as a training step.
        inputs: what it is called with.
    """
    activity = torch.profiler.ProfilerActivity.CPU
    with torch.profiler.profile(activities=[activity], profile_memory=True) as seen:
        function(*inputs)
    events = list(seen.profiler.kineto_results.experimental_event_tree())
    changes = []
    while events:
        event = events.pop()
        events += event.children
        if event.tag.name == "Allocation":
            changes.append((event.start_time_ns, event.extra_fields.alloc_size))
    total = peak = 0
    for _, change in sorted(changes):
        total += change
        peak = max(peak, total)
    return peak


def training_bytes(
    weights: int, saved: int, number_bytes: int = 4, optimizer_numbers: int = 2
) -> int:
    """Return the memory of a training step by its four parts, each as if held whole.

    It is an estimate: saved activations go while gradients come, so that the peak of a
    deep model is lower, and operators need room to work in, so that it may be higher.

    Args:
        weights: N, how many numbers are trained; each has a gradient.
        saved: bytes that the forward pass saves, from `saved_bytes`.
        number_bytes: of a weight, a gradient, or a number of the optimiser.
        optimizer_numbers: that it keeps for each weight: 2 for Adam, 1 for momentum.

    Raises:
        ValueError: A number is negative.

    Source: book equation (5.4.1e).
    """
    check_whole(0, weights=weights, saved=saved, optimizer_numbers=optimizer_numbers)
    check_whole(1, number_bytes=number_bytes)
    return number_bytes * weights * (2 + optimizer_numbers) + saved


class _Checkpoint(torch.autograd.Function):
    """Forget what a function computes inside, and compute it again for its gradient."""

    @staticmethod
    def forward(ctx: Any, function: Any, x: Tensor, *weights: Tensor) -> Tensor:
        ctx.function, ctx.weights = function, weights
        ctx.save_for_backward(x)
        ctx.rewind = _random_state(x.device)
        device = x.device.type
        precision = torch.get_autocast_dtype(device)
        enabled = torch.is_autocast_enabled(device)
        ctx.autocast = torch.autocast(device, precision, enabled=enabled)
        return function(x)  # in here, nothing is saved

    @staticmethod
    def backward(ctx: Any, *gradient: Tensor) -> tuple[Tensor | None, ...]:
        if torch.is_grad_enabled():
            rule = "create_graph must be False: checkpoint has first derivatives only"
            raise ValueError(rule)
        x = ctx.saved_tensors[0].detach().requires_grad_()
        go_on = _random_state(x.device)
        ctx.rewind()  # so that dropout draws the same numbers again
        with torch.enable_grad(), ctx.autocast:
            output = ctx.function(x)  # the second time, in the same precision
        go_on()
        return None, *torch.autograd.grad(output, (x, *ctx.weights), gradient)


def _random_state(device: torch.device) -> Callable[[], None]:
    """Return what sets random numbers, of the CPU and of a device, back to now."""
    state = torch.get_rng_state()
    other = None if device.type == "cpu" else torch.get_device_module(device)
    its_state = other.get_rng_state(device) if other else None

    def restore() -> None:
        torch.set_rng_state(state)
        if other:
            other.set_rng_state(its_state, device)

    return restore


def checkpoint(module: nn.Module, x: Tensor) -> Tensor:
    """Apply a module without saving what its backward pass needs (checkpointing).

    The backward pass runs the module once more, with the same random numbers. That
    costs time, and must find the module as it was. Batch normalisation updates its
    running statistics twice, as under `torch.utils.checkpoint`.

    Args:
        module: frozen weights get no gradient.
        x: its input, floating point.

    Raises:
        ValueError: In the backward pass, with `create_graph`: second derivatives would
            be wrong.

    Source: Chen et al. 2016, section 4.
    """
    trained = [weight for weight in module.parameters() if weight.requires_grad]
    return _Checkpoint.apply(module, x, *trained)


def accumulate_gradients_(
    model: nn.Module,
    loss: Callable[[Tensor, Tensor], Tensor],
    x: Tensor,
    y: Tensor,
    batch_size: int,
) -> float:
    """Set gradients to those of a batch that is computed in smaller parts, one by one.

    They are the whole batch's if no layer mixes examples, as batch normalisation does,
    and if the loss counts all examples alike, without padding or weights of classes.

    Args:
        model: gets `.grad`, which is overwritten.
        loss: the plain mean over the examples that it is given.
        x: the whole batch.
        y: its targets.
        batch_size: examples in a part; the last one may have fewer.

    Returns:
        The loss of the whole batch.

    Raises:
        ValueError: `x` and `y` differ in length or are empty, or `batch_size` is less
            than 1.
    """
    check_whole(1, batch_size=batch_size)
    if not len(x) == len(y) > 0:
        rule = "y must have a target for each x, and not be empty"
        raise ValueError(f"{rule}: got {len(y)} for {len(x)}")
    model.zero_grad()
    losses = []
    for inputs, target in zip(x.split(batch_size), y.split(batch_size), strict=True):
        part = loss(model(inputs), target) * (len(inputs) / len(x))
        part.backward()  # adds to what is there
        losses.append(part.detach())
    return torch.stack(losses).sum().item()


# --- several processes ----------------------------------------------------------------


def all_reduce_bytes(gradient_bytes: int, world_size: int) -> float:
    """Return the bytes that each process sends in a ring all-reduce of gradients.

    Args:
        gradient_bytes: of the gradients that each process has.
        world_size: P, the processes in the ring.

    Raises:
        ValueError: `gradient_bytes` is negative, or `world_size` less than 1.

    Source: Patarasuk and Yuan 2009, theorem 1; book equation (5.4.1f).
    """
    check_whole(0, gradient_bytes=gradient_bytes)
    check_whole(1, world_size=world_size)
    return 2 * (world_size - 1) / world_size * gradient_bytes


def pipeline_bubble(stages: int, microbatches: int) -> float:
    """Return which part of the time a pipeline's stages wait for the first and last.

    Args:
        stages: p, each on a process of its own.
        microbatches: m, into which the batch is cut.

    Raises:
        ValueError: A number is less than 1.

    Source: Huang et al. 2019, section 2.3; book equation (5.4.1g).
    """
    check_whole(1, stages=stages, microbatches=microbatches)
    return (stages - 1) / (microbatches + stages - 1)


def sharded_bytes(
    weights: int, world_size: int, stage: int, optimizer_bytes: int = 12
) -> float:
    """Return the bytes of weights, gradients and optimiser in each process, under ZeRO.

    Weights and gradients have two bytes each. The optimiser, Adam in mixed precision,
    keeps a copy of the weights and two moments in four bytes each.

    Args:
        weights: N, of the model.
        world_size: P, the processes that share.
        stage: 0 shares nothing, 1 the optimiser's state, 2 the gradients too, 3 all, as
            FSDP does.
        optimizer_bytes: K, for each weight.

    Raises:
        ValueError: `stage` is not from 0 to 3, or a number is less than 1.

    Source: Rajbhandari et al. 2020, figure 1; book equation (5.4.1h).
    """
    check_whole(1, weights=weights, world_size=world_size)
    check_whole(0, stage=stage, optimizer_bytes=optimizer_bytes)
    if stage > 3:
        raise ValueError(f"stage must be from 0 to 3: got {stage}")
    parts = [optimizer_bytes, 2, 2]  # of the optimiser, the gradients, the weights
    shared, whole = sum(parts[:stage]), sum(parts[stage:])
    return weights * (whole + shared / world_size)


# --- hours, energy, carbon ------------------------------------------------------------


def training_hours(
    flops: float | int, peak: float | int, utilisation: float | int
) -> float:
    """Return the device-hours that operations take.

    Args:
        flops: of the whole training, such as `training_flops` gives.
        peak: operations per second of one device, in the precision that is used.
        utilisation: which part of the peak is reached, between 0 and 1.

    Raises:
        ValueError: A number is not positive, or `utilisation` above 1.

    Source: Chowdhery et al. 2022, section 4.1; book equation (5.4.1i).
    """
    _check_positive(flops=flops, peak=peak, utilisation=utilisation)
    if utilisation > 1:
        raise ValueError(f"utilisation must be at most 1: got {utilisation}")
    return flops / (peak * utilisation) / 3600


def energy_kwh(
    device_hours: float | int, watts: float | int, pue: float | int = 1
) -> float:
    """Return the energy in kWh of devices, and of the building around them.

    Args:
        device_hours: of all devices together.
        watts: of one device, with its part of the machine around it.
        pue: power usage effectiveness: energy of the building by that of its computers.

    Raises:
        ValueError: A number is not positive, or `pue` below 1.

    Source: Patterson et al. 2021, section 2; book equation (5.4.1j).
    """
    _check_positive(device_hours=device_hours, watts=watts)
    if not 1 <= pue < math.inf:
        raise ValueError(f"pue must be at least 1: got {pue}")
    return device_hours * watts / 1000 * pue


def carbon_kg(kwh: float | int, intensity: float | int) -> float:
    """Return the kilograms of CO2 equivalents that electricity has caused.

    Args:
        kwh: of electricity.
        intensity: kilograms of CO2 equivalents per kWh, of the grid.

    Raises:
        ValueError: A number is not positive.

    Source: Patterson et al. 2021, section 2.
    """
    _check_positive(kwh=kwh, intensity=intensity)
    return kwh * intensity


def _check_positive(**numbers: float | int) -> None:
    """Refuse what is not a positive, finite number, by the arguments' names."""
    for name, value in numbers.items():
        if not 0 < value < math.inf:
            raise ValueError(f"{name} must be positive and finite: got {value}")
