"""How long each chapter runs: seconds on one thread, two chapters at a time as in the tests, data already fetched.

python -m benchmarks.chapters seconds
"""

import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from authoring.book import notebooks, read
from authoring.execute import execute
from benchmarks.store import run


def measure(path: Path) -> int:
    """Execute a notebook in a process of its own and return how many seconds it took."""
    start = time.perf_counter()
    execute(read(path), path.parent)
    seconds = round(time.perf_counter() - start)
    print(f"{path.stem}: {seconds} s", flush=True)
    return seconds


def seconds() -> dict[str, int]:
    """Return how long every notebook of the book took."""
    paths = notebooks()
    with ThreadPoolExecutor(2) as pool:
        measured = pool.map(measure, paths)
        return {path.stem.replace("-", "_"): taken for path, taken in zip(paths, measured, strict=True)}


def main(arguments: list[str] | None = None) -> None:
    """Measure rows and store them."""
    run(__file__, {"seconds": seconds}, arguments, "one thread for each of two")


if __name__ == "__main__":
    main()
