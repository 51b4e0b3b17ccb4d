"""The served model of the book, whose batches run one input after another in one call.

python -m benchmarks.serve_singly MODEL.onnx [options of dlbook.practice.serve]

That is a control of `benchmarks.serving`: requests are taken together, and nothing is gained in the forward pass.
"""

from pathlib import Path

import numpy as np

from dlbook.practice import serve


def load_singly(path: Path, threads: int = 1) -> tuple[serve.Predict, tuple[int, ...]]:
    """Load a model that takes a batch in one call, and its inputs one by one."""
    predict, shape = serve.load_onnx(path, threads)
    return lambda inputs: np.concatenate([predict(one[None]) for one in inputs]), shape


def main(arguments: list[str] | None = None) -> None:
    """Serve it."""
    serve.main(arguments, load_singly)


if __name__ == "__main__":
    main()
