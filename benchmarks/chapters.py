"""How long each chapter runs: seconds on one thread, data already fetched.

python -m benchmarks.chapters
"""

import time

from benchmarks.results import store
from tools.book import notebooks, read
from tools.execute import execute


def main() -> None:
    """Execute every notebook of the book and store how long it took."""
    seconds = {}
    for path in notebooks():
        start = time.perf_counter()
        execute(read(path), path.parent)
        seconds[path.stem.replace("-", "_")] = round(time.perf_counter() - start)
        print(f"{path.stem}: {seconds[path.stem.replace('-', '_')]} s", flush=True)
    store(__file__, seconds=seconds)


if __name__ == "__main__":
    main()
