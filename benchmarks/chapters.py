"""How long each chapter runs: seconds on one thread, two chapters at a time as in the tests, data already fetched.

python -m benchmarks.chapters
"""

import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from benchmarks.results import store
from tools.book import notebooks, read
from tools.execute import execute


def measure(path: Path) -> int:
    """Execute a notebook in a process of its own and return how many seconds it took."""
    start = time.perf_counter()
    execute(read(path), path.parent)
    seconds = round(time.perf_counter() - start)
    print(f"{path.stem}: {seconds} s", flush=True)
    return seconds


def main() -> None:
    """Execute every notebook of the book and store how long each took."""
    paths = notebooks()
    with ThreadPoolExecutor(2) as pool:
        seconds = pool.map(measure, paths)
        found = {path.stem.replace("-", "_"): taken for path, taken in zip(paths, seconds, strict=True)}
    store(__file__, "one thread for each of two", seconds=found)


if __name__ == "__main__":
    main()
