"""The page of times: ours beside those of others, how each was measured, and how long each chapter runs."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from authoring.book import ROOT, notebooks, results
from authoring.pages.writing import page_links, prose

COMPARED = [  # where results hold the time of ours beside that of another: what was timed, what the other is
    (r"attention\.all_(\d+)", r"attention, \1 tokens", "PyTorch's fused function"),
    (r"attention\.causal_(\d+)", r"causal attention, \1 tokens", "PyTorch's fused function"),
    (r"checks\.fit", "`fit` on the MLP of section 4.1, arguments checked", "the same, unchecked"),
    (r"images\.conv(\d)\.channels_(\w+)", r"convolution \1 of the article's network, channels \2", "PyTorch's own"),
    (r"images\.fit", "`fit`, an epoch on 6,400 images", "the shortest loop in PyTorch"),
    (r"images\.program", "the program of section 4.2, an epoch", "Keras"),
    (r"language\.race", "skip-gram on WikiText-2", "gensim"),
    (r"sequences\.by_hand_(\d)", r"an LSTM by hand, threads: \1", "PyTorch's own"),
    (r"sequences\.program", "the program of section 4.3, an epoch", "Keras"),
]
UNITS = ((1, "s"), (1e-3, "ms"), (1e-6, "µs"))


def timed(found: Any, place: str) -> Iterator[tuple[str, float, float, float]]:
    """Go through results that time ours beside another: where they stand, seconds of both, how many times as long.

    Where the ratio is an interval, two of ours or two ways were timed, and a chapter tells of them.
    """
    if isinstance(found, dict):
        if {"first", "second", "ratio"} <= found.keys() and isinstance(found["ratio"], int | float):
            yield place, found["first"], found["second"], found["ratio"]
        elif {"ours", "times"} <= found.keys():
            ours, other = (part["seconds"] for part in found.values() if isinstance(part, dict) and "seconds" in part)
            yield place, ours, other, found["times"]
        for name, part in found.items():
            yield from timed(part, f"{place}.{name}")


def taken(found: Any) -> Iterator[float]:
    """Go through the seconds that are named so in results."""
    for name, part in found.items() if isinstance(found, dict) else []:
        if name.endswith("seconds") and isinstance(part, int | float):
            yield part
        yield from taken(part)


def others(found: Any, place: str = "") -> Iterator[str]:
    """Go through what else results say was measured, with its version."""
    for name, part in found.items() if isinstance(found, dict) else []:
        if name in ("tensorflow", "version"):
            yield f"{'TensorFlow' if name == 'tensorflow' else place} {part}"
        yield from others(part, name)


def duration(seconds: float) -> str:
    """Write a time with three digits and its unit, on one line."""
    size, unit = next((size, unit) for size, unit in UNITS if seconds >= size or size < 1e-5)
    return f"{float(f'{seconds / size:.3g}'):g}\u00a0{unit}"


def comparison(place: str) -> tuple[str, str]:
    """Return what a place in the results times, and beside what."""
    for pattern, what, other in COMPARED:
        if match := re.fullmatch(pattern, place):
            return match.expand(what), other
    raise ValueError(f"COMPARED in authoring/pages/speed.py must say what {place} times, and beside what")


def speed(root: Path = ROOT) -> str:
    """Return all times of ours beside that of another."""
    rows = ["| What | Ours | The other | Ratio |", "|---|---|---|---|"]
    for name, found in results(root).items():
        for place, ours, other, times in timed(found, name):
            what, whose = comparison(place)
            rows.append(f"| {what} | {duration(ours)} | {duration(other)}, {whose} | {times:.2f} |")
    return "\n".join(rows)


def conditions(root: Path = ROOT) -> str:
    """Return how each script measured: what it says of itself, the command, the machine and the versions."""
    rows = []
    for name, found in results(root).items():
        made, found = found["made"], {key: value for key, value in found.items() if key != "made"}
        program = ast.parse((root / "benchmarks" / f"{name}.py").read_text(encoding="utf-8"))
        paragraphs = (ast.get_docstring(program) or "").split("\n\n")
        about = " ".join(prose(part) for part in paragraphs if not part.startswith("python -m"))
        made_with = ", ".join(
            [f"Python {made['python']}", f"PyTorch {made['torch']}", *others(found), made["processor"]]
        )
        longest = f" The longest run took {duration(max(taken(found)))}." if any(taken(found)) else ""
        rows.append(f"- `{made['command']}`: {about} {made_with}.{longest}")
    return "\n".join(rows)


def run_times(root: Path = ROOT) -> str:
    """Return how long each chapter runs, and how long all do."""
    found, links = results(root)["chapters"], page_links(root)
    seconds, rows = found["seconds"], ["| Chapter | Seconds |", "|---|---|"]
    for path in notebooks(root):
        page, measured = path.relative_to(root).with_suffix("").as_posix(), seconds.get(path.stem.replace("-", "_"))
        rows.append(f"| {links[page]} | {'not yet measured' if measured is None else measured} |")
    total, longest = sum(seconds.values()) / 60, max(seconds, key=lambda name: seconds[name])
    whole = (
        f"Together they take {total:.0f} minutes of one thread, and so about {total / 2:.0f} minutes where two run at "
        f"a time, as in `make test`. The longest is {longest.replace('_', ' ')}, with {seconds[longest]} s."
    )
    return "\n".join([*rows, "", whole])
