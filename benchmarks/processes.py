"""Run the seeds of a row in processes: two at a time, one thread each, so that neither disturbs the other's numbers."""

from collections.abc import Callable, Iterable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from typing import Any

import torch


def in_processes(function: Callable[..., Any], *arguments: Iterable[Any]) -> list[Any]:
    """Return what a function gives for the first of each of the arguments, for the second of each, and so on.

    Each process is new, with one thread; it takes the next call as soon as it has done one.
    """
    with ProcessPoolExecutor(2, get_context("spawn"), torch.set_num_threads, (1,)) as pool:
        return list(pool.map(function, *arguments))
