"""The page of data sets: what the catalogue of the package says of each, and who loads and uses it."""

import re
import tomllib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from authoring.book import ROOT, chapters, code_cells, tags
from authoring.definitions import uses
from authoring.pages.writing import link, page_links, prose, sentence
from authoring.public import public, source

FETCHED = re.compile(
    r"""\bfetch\((?:["']([\w-]+)["']|(?:f["']|JoinedStr\[\[')([\w-]+))"""
)  # a name, or how several begin


def fetched(code: str, catalog: Iterable[str]) -> list[str]:
    """Return the data sets that some code fetches: in the code itself, or in it as `definitions.uses` writes it."""
    found = FETCHED.findall(code)
    return [
        name for name in catalog if any(name == exact or (start and name.startswith(start)) for exact, start in found)
    ]


def users(root: Path = ROOT) -> dict[str, list[str]]:
    """Return the pages whose code fetches each data set, itself or by what it imports of the package."""
    found: dict[str, list[str]] = {}
    catalog = read_catalog(root)
    for page, nb in chapters(root):
        codes = [cell.source for cell in code_cells(nb) if not {"setup", "raises-exception"} & set(tags(cell))]
        for name in fetched("\n".join([*codes, *uses(codes, root)]), catalog):
            found.setdefault(name, []).append(page)
    return found


def read_catalog(root: Path) -> dict[str, Any]:
    """Read the catalogue of the package."""
    return tomllib.loads((root / "dlbook" / "data" / "catalog.toml").read_text(encoding="utf-8"))


def datasets(root: Path = ROOT) -> str:
    """Return what is known of each data set."""
    catalog = read_catalog(root)
    used, links, names = users(root), page_links(root), public(root)
    parts = []
    for name, entry in catalog.items():
        title, _, what = entry["title"].partition(": ")
        loaders = [link(thing.path, names) for thing in names if fetched(source(thing), [name])]
        size = sum(member["bytes"] for member in entry["members"]) / 1e6
        parts += [
            f"## {prose(title)}",
            sentence(what),
            f"- **Whose?** {sentence(entry['owner'])}\n"
            f"- **Which licence?** {sentence(entry['licence'])}\n"
            f"- **What is unclear?** {prose(entry['unclear'])}\n"
            f"- **How to cite?** {prose(entry['citation'])}. [Its page](<{entry['url']}>).\n"
            f"- **Loaded by** {' and '.join(loaders)}, as `{name}`.\n"
            f"- **Used in** {', '.join(links[page] for page in used.get(name, [])) or 'no chapter yet'}.",
            f"<details><summary>Files and checksums: {len(entry['members'])}, {size:.1f} MB</summary>",
            "\n".join(
                f"- `{member['file']}`, {member['bytes']:,} bytes, sha256 `{member['sha256']}`"
                for member in entry["members"]
            ),
            "</details>",
        ]
    return "\n\n".join(parts)
