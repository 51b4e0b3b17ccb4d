"""Sphinx extension: the pages of the appendix that are made of the book itself, and so are never out of date.

A page in book/appendix/ stands as it was written, but for one line, such as <!-- generated: equations -->: in its place
comes what the function of that name returns, which is Markdown made of the notebooks, the tests, the catalogue of data
sets, the results of benchmarks, the package, or the bibliography.
"""

import ast
import json
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from bibliography import references
from package import api, chapters, link, prose, public, render, source
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment

from equation_lock import CODE, DISPLAY, ledger
from tools.book import ROOT, markdown, notebooks, pages, read, tags
from tools.definitions import uses
from tools.listings import locate

# --- equations --------------------------------------------------------------------------------------------------------


def formulas(root: Path = ROOT) -> dict[str, str]:
    """Return the formula of each tag, as it stands in its chapter."""
    found = {}
    for path in notebooks(root):
        for formula, _ in DISPLAY.findall(CODE.sub("`", markdown(path))):
            for tag in re.findall(r"\\tag\{(.+?)\}", formula):
                found[tag] = re.sub(r"^> ?", "", formula, flags=re.M).strip()
    return found


def equations(root: Path = ROOT) -> str:
    """Return every numbered equation, by chapter: the formula, what it describes, and the test that compares both."""
    written, links, names = formulas(root), chapters(root), public(root)
    rows, _ = ledger(root)
    parts, before = [], ("", "")
    for tag, page, of, test in rows:
        if page != before[0]:
            number = pages(root)[page][1]
            parts.append(f"## Section {number}: {links[page].replace(f'[{number} ', '[')}")
        if tag != before[1]:
            parts.append(f"$$\n{written[tag]}\n$$")
        path, node = locate(test.replace(".py::", ".").replace("/", "."), root)
        whole = link(of, names)
        if whole.startswith("`"):
            whole = f"[{whole}]({source(*locate(of, root), root)})"
        parts.append(f"{whole}, compared by [`{node.name}`]({source(path, node, root)})")
        before = page, tag
    return "\n\n".join(parts)


# --- data sets --------------------------------------------------------------------------------------------------------

FETCHED = re.compile(r"""\bfetch\(["']([\w-]+)["']""")


def users(root: Path = ROOT) -> dict[str, list[str]]:
    """Return the pages whose code fetches each data set, itself or by what it imports of the package."""
    found: dict[str, list[str]] = {}
    for path in notebooks(root):
        cells = [cell for cell in read(path).cells if cell.cell_type == "code" and "setup" not in tags(cell)]
        codes = [cell.source for cell in cells if "raises-exception" not in tags(cell)]
        for name in sorted(set(FETCHED.findall("\n".join([*codes, *uses(codes, root)])))):
            found.setdefault(name, []).append(path.relative_to(root).with_suffix("").as_posix())
    return found


def sentence(text: str) -> str:
    """Write a part of a sentence as a whole one."""
    return prose(f"{text[:1].upper()}{text[1:]}.")


def datasets(root: Path = ROOT) -> str:
    """Return what the catalogue says of each data set, and who uses it."""
    catalog = tomllib.loads((root / "dlbook" / "data" / "catalog.toml").read_text(encoding="utf-8"))
    used, links, names = users(root), chapters(root), public(root)
    loaders = [(thing.name, ast.unparse(thing.node)) for thing in names]
    parts = []
    for name, entry in catalog.items():
        title, _, what = entry["title"].partition(": ")
        functions = [link(loader, names) for loader, code in loaders if name in FETCHED.findall(code)]
        size = sum(member["bytes"] for member in entry["members"]) / 1e6
        parts += [
            f"## {prose(title)}",
            sentence(what),
            f"- **Whose?** {sentence(entry['owner'])}\n"
            f"- **Which licence?** {sentence(entry['licence'])}\n"
            f"- **What is unclear?** {prose(entry['unclear'])}\n"
            f"- **How to cite?** {prose(entry['citation'])}. [Its page](<{entry['url']}>).\n"
            f"- **Loaded by** {' and '.join(functions)}, as `{name}`.\n"
            f"- **Used in** {', '.join(links[page] for page in used.get(name, [])) or 'no chapter yet'}.",
            f"<details><summary>Files and checksums: {len(entry['members'])}, {size:.1f} MB</summary>",
            "\n".join(
                f"- `{member['file']}`, {member['bytes']:,} bytes, sha256 `{member['sha256']}`"
                for member in entry["members"]
            ),
            "</details>",
        ]
    return "\n\n".join(parts)


# --- speed ------------------------------------------------------------------------------------------------------------

COMPARED = [  # where results hold the time of ours beside that of another: what was timed, what the other is
    (r"attention\.all_(\d+)", r"attention, \1 tokens", "PyTorch's fused function"),
    (r"attention\.causal_(\d+)", r"causal attention, \1 tokens", "PyTorch's fused function"),
    (r"images\.conv(\d)\.channels_(\w+)", r"convolution \1 of the article's network, channels \2", "PyTorch's own"),
    (r"images\.fit", "`fit`, an epoch on 6,400 pictures", "the shortest loop in PyTorch"),
    (r"images\.program", "the program of section 4.2, an epoch", "Keras"),
    (r"language", "skip-gram on WikiText-2", "gensim"),
    (r"sequences\.by_hand_(\d)", r"an LSTM by hand, threads: \1", "PyTorch's own"),
    (r"sequences\.program", "the program of section 4.3, an epoch", "Keras"),
]
UNITS = ((1, "s"), (1e-3, "ms"), (1e-6, "µs"))


def timed(found: Any, place: str) -> Iterator[tuple[str, float, float, float]]:
    """Go through results that time ours beside another: where they stand, seconds of both, how many times as long."""
    if isinstance(found, dict):
        if {"first", "second", "ratio"} <= found.keys():
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
    """Say what a place in the results times, and beside what."""
    for pattern, what, other in COMPARED:
        if match := re.fullmatch(pattern, place):
            return match.expand(what), other
    raise ValueError(f"COMPARED in book/_extensions/appendix.py must say what {place} times, and beside what")


def results(root: Path = ROOT) -> dict[str, Any]:
    """Return the results of every script in benchmarks/, by its name."""
    files = sorted((root / "benchmarks" / "results").glob("*.json"))
    return {path.stem: json.loads(path.read_text(encoding="utf-8")) for path in files}


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
        made = found.pop("made")
        program = ast.parse((root / "benchmarks" / f"{name}.py").read_text(encoding="utf-8"))
        paragraphs = render(ast.get_docstring(program) or "").split("\n\n")
        about = " ".join(part for part in paragraphs if not part.startswith("python -m"))
        made_with = ", ".join(
            [f"Python {made['python']}", f"PyTorch {made['torch']}", *others(found), made["processor"]]
        )
        longest = f" The longest run took {duration(max(taken(found)))}." if any(taken(found)) else ""
        rows.append(f"- `{made['command']}`: {about} {made_with}.{longest}")
    return "\n".join(rows)


def run_times(root: Path = ROOT) -> str:
    """Return how long each chapter runs, and how long all do."""
    found, links = results(root)["chapters"], chapters(root)
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


# --- the pages --------------------------------------------------------------------------------------------------------

GENERATED = {maker.__name__: maker for maker in (api, conditions, datasets, equations, references, run_times, speed)}
FOLDER = "book/appendix/"
PLACE = re.compile(r"^<!-- generated: (\w+) -->$", re.M)


def fill(text: str, root: Path = ROOT) -> str:
    """Put what is generated in its place in a page."""
    return PLACE.sub(lambda place: GENERATED[place[1]](root), text)


def fill_page(app: Sphinx, page: str, text: list[str]) -> None:
    """Fill a page of the appendix when Sphinx has read it."""
    if page.startswith(FOLDER):
        text[0] = fill(text[0], Path(app.srcdir))


def always(app: Sphinx, env: BuildEnvironment, added: set[str], changed: set[str], removed: set[str]) -> list[str]:
    """Tell Sphinx to read these pages anew at each build: they may have changed though their files did not."""
    pages = [page for page in env.found_docs if page.startswith(FOLDER)]
    return [page for page in pages if PLACE.search(Path(env.doc2path(page)).read_text(encoding="utf-8"))]


def setup(app: Sphinx) -> dict[str, bool]:
    """Connect to Sphinx."""
    app.connect("source-read", fill_page)
    app.connect("env-get-outdated", always)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
