"""How long each chapter runs: seconds on one thread, data already fetched.

python -m benchmarks.chapters [notebooks…]

Without names, all of them; with names, only these are measured again.
"""

import sys
import time
from pathlib import Path

from benchmarks.results import RESULTS, load, store
from tools.book import notebooks, read
from tools.execute import execute


def main(chosen: list[Path]) -> None:
    """Execute notebooks of the book and store how long each took."""
    known = load("chapters")["seconds"] if chosen and (RESULTS / "chapters.json").is_file() else {}
    for path in chosen or notebooks():
        start = time.perf_counter()
        execute(read(path), path.parent)
        name = path.stem.replace("-", "_")
        known[name] = round(time.perf_counter() - start)
        print(f"{path.stem}: {known[name]} s", flush=True)
    store(__file__, seconds=known)


if __name__ == "__main__":
    main([Path(name).resolve() for name in sys.argv[1:]])
