"""The machines that results are measured on: this CPU, imitations of older ones, and sums that are rounded otherwise.

Each is a set of environment variables for the kernel, so it holds for `authoring.execute` and for `pytest --nbval`.

    native-1, native-2      this CPU with one and two threads
    avx2                    a CPU without AVX-512, as most laptops are
    sse41                   a CPU without AVX2 and FMA; PyTorch's normal numbers then differ in their last digits
    jitter-0 … jitter-2     this CPU, each sum rounded otherwise: authoring/jitter.py
    jitter-3, jitter-4      the same with seeds that no tolerance was measured with, to test tolerances

Each library chooses its instructions by itself, and has its own variable:

    ATEN_CPU_CAPABILITY       PyTorch's own loops: sums, softmax, functions; with `default` normal numbers, too
    ONEDNN_MAX_CPU_ISA        convolutions, LSTM
    MKL_ENABLE_INSTRUCTIONS   PyTorch's matrix products on Intel's CPUs; AMD's ignore it
    MKL_CBWR                  the same on all CPUs: COMPATIBLE takes other code than all the rest
    OPENBLAS_CORETYPE         matrix products of NumPy, SciPy and scikit-learn
    NPY_DISABLE_CPU_FEATURES  NumPy's own loops, such as exp in float64
    GLIBC_TUNABLES            the functions of Python's `math`, and others that call the C library
"""

import platform
from pathlib import Path

STARTUP = Path(__file__).with_name("jitter_startup.py")
SEED = "DLBOOK_JITTER"

CPUS = {
    "avx2": {
        "ATEN_CPU_CAPABILITY": "avx2",
        "ONEDNN_MAX_CPU_ISA": "AVX2",
        "MKL_ENABLE_INSTRUCTIONS": "AVX2",
        "MKL_CBWR": "AVX2",
        "OPENBLAS_CORETYPE": "Haswell",
        "NPY_DISABLE_CPU_FEATURES": "X86_V4 AVX512_ICL AVX512_SPR",
    },
    "sse41": {
        "ATEN_CPU_CAPABILITY": "default",
        "ONEDNN_MAX_CPU_ISA": "SSE41",
        "MKL_ENABLE_INSTRUCTIONS": "SSE4_2",
        "MKL_CBWR": "COMPATIBLE",
        "OPENBLAS_CORETYPE": "Nehalem",
        "NPY_DISABLE_CPU_FEATURES": "X86_V3 X86_V4 AVX512_ICL AVX512_SPR",
        "GLIBC_TUNABLES": "glibc.cpu.hwcaps=-AVX512F,-AVX2,-AVX,-FMA,-FMA4",
    },
}


def threads(number: int) -> dict[str, str]:
    """Return what gives PyTorch, NumPy and MKL a number of threads."""
    return {name: str(number) for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS")}


def jitter(seed: int) -> dict[str, str]:
    """Return what makes a kernel round each sum otherwise; other programs do not read PYTHONSTARTUP."""
    return {"PYTHONSTARTUP": str(STARTUP), SEED: str(seed)}


# What tolerances are measured on; the output lock knows the names, too.
MACHINES = {
    "native-1": threads(1),
    "native-2": threads(2) | {"OMP_WAIT_POLICY": "passive"},  # same results, and five times as fast on a busy machine
    **{name: threads(1) | cpu for name, cpu in CPUS.items()},
    **{f"jitter-{seed}": threads(1) | jitter(seed) for seed in (0, 1, 2)},
}
# What they are tested on, before a release.
TESTED = {name: MACHINES[name] for name in ("native-1", "native-2", "avx2", "sse41")} | {
    f"jitter-{seed}": threads(1) | jitter(seed) for seed in (3, 4)
}
ALL = MACHINES | TESTED

STORED_ON = "x86_64 AVX512"  # what made the outputs of notebooks whose record names no machine


def kind() -> str:
    """Return what kind of processor this process computes on, real or imitated: x86_64 AVX512, arm64 DEFAULT, …"""
    import torch  # the locks that only want the names start without it

    return f"{platform.machine()} {torch.backends.cpu.get_cpu_capability()}"
