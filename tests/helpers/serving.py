"""A server in a process of its own, asked over real HTTP on this machine, and small models for it."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import nn

from authoring.book import ROOT

RUNNING = re.compile(r"running on (http://[\d.]+:\d+)")


class Served:
    """A running server: its address, its process, and what it wrote when it ended."""

    def __init__(self, *command: str):
        """Start a command, and wait until it says where it runs."""
        environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
        options = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "stderr": subprocess.PIPE}
        self.process = subprocess.Popen(command, text=True, env=environment, **options)
        self.log, self.url = "", ""
        assert self.process.stderr
        while not self.url:
            line = self.process.stderr.readline()
            if not line:
                raise RuntimeError(f"the server ended with status {self.process.wait()}: {self.log}")
            self.log += line
            if found := RUNNING.search(line):
                self.url = found[1]

    def end(self) -> int:
        """Ask the process to end, and return its status."""
        self.process.terminate()
        try:
            self.log += self.process.communicate(timeout=20)[1]
        finally:
            self.process.kill()
        return self.process.returncode


@contextmanager
def served(path: Path, *options: str) -> Iterator[Served]:
    """Serve a file on a free port while the block runs."""
    server = Served(sys.executable, "-m", "dlbook.practice.serve", str(path), "--port", "0", *options)
    try:
        yield server
    finally:
        if server.process.poll() is None:
            server.end()


def store_linear(path: Path, weight: np.ndarray, bias: np.ndarray, shape: tuple[int, ...]) -> Path:
    """Store a linear model of flattened inputs as ONNX; whole numbers in a shape are fixed, names are open."""
    names = ["batch", *shape]
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, names)
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, ["batch", len(bias)])
    flat = helper.make_node("Flatten", ["x"], ["flat"])
    gemm = helper.make_node("Gemm", ["flat", "weight", "bias"], ["y"], transB=1)
    constants = [numpy_helper.from_array(weight, "weight"), numpy_helper.from_array(bias, "bias")]
    graph = helper.make_graph([flat, gemm], "linear", [x], [y], constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    onnx.checker.check_model(model)
    path.write_bytes(model.SerializeToString())
    return path


def store_module(path: Path, model: nn.Module, *shape: int) -> Path:
    """Store a module as ONNX, with any number of inputs of a shape."""
    batch = torch.export.Dim("batch")
    torch.onnx.export(
        model.eval(), (torch.rand(2, *shape),), path, dynamo=True, external_data=False, dynamic_shapes=({0: batch},)
    )
    return path
