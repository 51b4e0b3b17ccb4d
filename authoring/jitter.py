"""Imitate a processor that nobody has: round every sum of PyTorch on the CPU differently, forward and backward.

Another processor adds in another order, and so rounds otherwise; this redraws the last two bits of what a sum returns.
A kernel does so from its first cell on where the environment has what `machines.jitter(seed)` returns.

It does no more than a processor may:
  - The same operation on the same numbers gives the same result each time. The bits are a function of the seed, the
    operation, a sum's shapes and the value, so that no random number is drawn: the notebook's stay as they are.
  - What is exact on every machine stays exact. A value whose lowest bits (8 in float32, 16 in float64) are all zero is
    taken to be so: sums of whole numbers, softmax's zeros, exp(0); the mean of such values, too. Numbers so small
    that they have lost digits (below 1e-38 in float32) stay as well: two bits may be all of them.
  - Sums in an order that is the same everywhere stay as they are: embedding and index gradients, cumsum, pooling.
It does more in one case: a product with one-hot vectors is exact on every machine, but not here.
Functions that libraries approximate (exp, tanh, erf, …) are redrawn as well.

Sums in NumPy, SciPy and scikit-learn are not touched; OPENBLAS_CORETYPE, in machines.py, changes their products.
What `torch.compile` would compile runs uncompiled, as torch does under any such mode. Threads that a notebook starts
are not touched, but autograd's is: on the CPU it is the caller's.
"""

import functools
import os
import zlib
from collections import Counter
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from authoring.machines import SEED

SUMS = """
    mm addmm bmm baddbmm addbmm mv addmv dot vdot sum nansum mean prod var var_mean std std_mean
    linalg_vector_norm norm _foreach_norm _cdist_forward _cdist_backward logsumexp _softmax _log_softmax
    _softmax_backward_data _log_softmax_backward_data convolution convolution_backward mkldnn_rnn_layer
    mkldnn_rnn_layer_backward _scaled_dot_product_flash_attention_for_cpu
    _scaled_dot_product_flash_attention_for_cpu_backward native_layer_norm native_layer_norm_backward
    native_group_norm native_group_norm_backward native_batch_norm native_batch_norm_backward
    _native_batch_norm_legit _fused_rms_norm _fused_rms_norm_backward nll_loss_forward nll_loss2d_forward
    mse_loss smooth_l1_loss huber_loss binary_cross_entropy _linalg_svd _linalg_eigh linalg_qr
    linalg_cholesky_ex linalg_inv_ex _linalg_solve_ex linalg_lstsq linalg_solve_triangular _linalg_det
    _linalg_slogdet
"""
FUNCTIONS = """
    exp exp2 expm1 log log2 log10 log1p sin cos tan sinh cosh asin acos atan atan2 pow.Scalar
    pow.Tensor_Tensor tanh sigmoid erf erfc erfinv gelu gelu_backward silu silu_backward mish mish_backward
    elu elu_backward softplus softplus_backward log_sigmoid_forward log_sigmoid_backward logaddexp lgamma
    digamma
"""
# For each type: the whole number of its size, without a sign; the bits that tell an exact value; all but the sign; the
# smallest normal number; and an odd factor near its size divided by the golden ratio, which spreads all bits to the top
# ones (Knuth's multiplicative hashing).
BITS: dict[torch.dtype, tuple[Any, ...]] = {
    torch.float32: tuple(map(np.uint32, (0xFF, 2**31 - 1, 1 << 23, 0x9E3779B1))),
    torch.float64: tuple(map(np.uint64, (0xFFFF, 2**63 - 1, 1 << 52, 0x9E3779B97F4A7C15))),
}
CHUNK = 1 << 14  # numbers that fit into a cache
LISTED = frozenset(SUMS.split()), frozenset(FUNCTIONS.split())
modes: list["Jitter"] = []  # that are on until the process ends


@functools.cache
def listed(func: Any) -> str:
    """Return the name of an operation if it is redrawn: mm, or mm for the one in place; otherwise nothing."""
    name = func.overloadpacket.__name__
    names = (name.removesuffix("_"), f"{name}.{func._overloadname}")
    return next((name for name in names if name in LISTED[0] | LISTED[1]), "")


@functools.cache
def composite(func: Any) -> bool:
    """Return whether an operation is made of others: outside of autograd, as in inference_mode, it comes as one."""
    return bool(torch._C._dispatch_has_kernel_for_dispatch_key(func.name(), "CompositeImplicitAutograd"))


@functools.cache
def key(width: int, *parts: object) -> int:
    """Return a whole number of so many bits, made from parts that have a repr."""
    digest = [zlib.crc32(repr((number, *parts)).encode()) for number in range(width // 32)]
    return sum(part << 32 * place for place, part in enumerate(digest)) ^ 1 << width - 1


def redraw(values: Tensor, *parts: object) -> None:
    """Redraw the last two bits of floating-point numbers, in place, by a hash of each number and of the parts.

    NumPy does that on the same memory: for small tensors in a third of PyTorch's time.
    """
    low, size, normal, factor = BITS[values.dtype]
    whole = type(low)
    width = 8 * whole().itemsize
    own, top = whole(key(width, *parts)), whole(width - 2)
    found = np.atleast_1d(values.detach().numpy().view(whole))
    flat = found.reshape(-1) if found.flags.c_contiguous else found  # not a copy
    for first in range(0, len(flat), CHUNK):
        bits = flat[first : first + CHUNK]
        drawn = bits ^ own
        drawn *= factor
        drawn >>= top
        kept = (bits & low) == 0
        kept |= (bits & size) < normal
        np.copyto(drawn, 0, where=kept)
        bits ^= drawn  # never leaves the lowest byte: no overflow, no new NaN


def exact(values: object) -> bool:
    """Return whether a tensor holds none but values that are taken to be exact."""
    if not isinstance(values, Tensor) or values.dtype not in BITS:
        return True
    low, *_ = BITS[values.dtype]
    return not (values.detach().numpy().view(type(low)) & low).any()


class Jitter(TorchDispatchMode):
    """Round each sum of PyTorch differently while this mode is on.

    Args:
        seed: which rounding; equal seeds give equal results.

    Attributes:
        hits: how often each operation was redrawn.
    """

    def __init__(self, seed: int) -> None:
        super().__init__()
        self.seed = seed
        self.hits: Counter[str] = Counter()

    def __torch_dispatch__(
        self, func: Any, types: tuple[type, ...], args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        if func.namespace == "prim" or not {Tensor, torch.nn.Parameter}.issuperset(types):
            return func(*args, **kwargs)  # torch.export asks about tensors, and follows stand-ins without numbers
        if composite(func):
            with self:
                return func.decompose(*args, **kwargs)
        out, name = func(*args, **kwargs), listed(func)
        if name and not (name == "mean" and exact(args[0])):  # a sum that is exact, and one division
            shapes = tuple(tuple(part.shape) for part in args if isinstance(part, Tensor) and name in LISTED[0])
            for number, part in enumerate(out if isinstance(out, list | tuple) else [out]):
                if type(part) is Tensor and part.dtype in BITS and part.device.type == "cpu" and part.numel():
                    redraw(part, self.seed, name, number, shapes)
            self.hits[name] += 1
        return out


def start() -> None:
    """Round each sum differently until this process ends, with the seed that the environment names."""
    modes.append(Jitter(int(os.environ[SEED])))
    modes[-1].__enter__()
