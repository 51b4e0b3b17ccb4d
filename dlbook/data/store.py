"""Fetch the book's data sets by name, verify every byte, and keep them in one folder.

`catalog.toml` lists what a data set consists of and where it comes from. Nothing is
ever installed or unpickled: single files are taken out of archives, and each is
verified by its sha256.
"""

import difflib
import gzip
import hashlib
import os
import shutil
import tarfile
import tomllib
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import filelock
import platformdirs

from dlbook.data.sources import BLOCK, FULL, Source, describe, take

CATALOG = Path(__file__).with_name("catalog.toml")
UNUSABLE = (OSError, EOFError, zlib.error, zipfile.BadZipFile, tarfile.TarError)


@dataclass(frozen=True)
class Member:
    """One file of a data set, as it lies in the cache.

    Args:
        file: its name.
        bytes: its length.
        sha256: of its contents.
    """

    file: str
    bytes: int
    sha256: str


@dataclass(frozen=True)
class Dataset:
    """The catalogue's entry for one data set.

    Args:
        title: what it holds.
        owner: whose it is.
        licence: under which terms.
        citation: the publication to cite.
        url: its home page.
        unclear: what its owners leave open.
        members: its files.
        sources: where they come from, tried in this order.
    """

    title: str
    owner: str
    licence: str
    citation: str
    url: str
    unclear: str
    members: list[Member]
    sources: list[Source]

    @property
    def size(self) -> str:
        """Return the size of all members together, for people to read."""
        return f"{sum(member.bytes for member in self.members) / 1e6:.1f} MB"


def catalog() -> dict[str, Dataset]:
    """Return the catalogue: every data set of the book by its name."""
    entries = tomllib.loads(CATALOG.read_text(encoding="utf-8"))
    for entry in entries.values():
        entry["members"] = [Member(**member) for member in entry["members"]]
    return {name: Dataset(**entry) for name, entry in entries.items()}


def find(name: str) -> Dataset:
    """Return a data set's entry in the catalogue.

    Args:
        name: "fashion-mnist", for example.

    Raises:
        TypeError: `name` is no string.
        ValueError: The catalogue has no such name; the message lists those it has.
    """
    if not isinstance(name, str):
        raise TypeError(f"name must be a string: got {type(name).__name__}")
    known = catalog()
    if name not in known:
        nearest = difflib.get_close_matches(name, known, n=1)
        hint = f"; did you mean {nearest[0]!r}?" if nearest else ""
        names = ", ".join(sorted(known))
        raise ValueError(f"name must be one of {names}: got {name!r}{hint}")
    return known[name]


def folder_of(name: str) -> Path:
    """Return the folder of a data set, whether it is there or not.

    It lies below `DLBOOK_DATA` if that is set, else below the user's cache folder.

    Args:
        name: of the data set.

    Raises:
        OSError: The user has no home directory, and `DLBOOK_DATA` names no folder
            without it.
    """
    chosen = os.environ.get("DLBOOK_DATA")
    try:
        root = Path(chosen or platformdirs.user_cache_path("dlbook")).expanduser()
        return root.absolute() / name
    except (RuntimeError, KeyError, OSError) as error:
        found = f"DLBOOK_DATA={chosen}" if chosen else "no DLBOOK_DATA"
        raise OSError(
            "there is no folder for the data, since the home directory or the current "
            f"one is unknown: set DLBOOK_DATA to a full path (got {found})"
        ) from error


def fetch(name: str, progress: Callable[[str], object] = lambda line: None) -> Path:
    """Return the folder of a data set, with all of its files, verified just now.

    A file that is missing, truncated or altered is fetched again, from the first source
    that has it. A file that you put there yourself, plain or as `.gz`, is as good as
    any other if its hash is right. Processes that fetch one data set wait for each
    other.

    Args:
        name: in the catalogue: "fashion-mnist", for example.
        progress: called with each line of progress: `print`, for example.

    Raises:
        TypeError: `name` is no string.
        ValueError: The catalogue has no such name.
        OSError: No source could be reached (the message tells which file to put where
            by hand), the disk is full, or the folder cannot be read or written.
    """
    dataset, folder = find(name), folder_of(name)
    try:
        lacking = missing(dataset, folder)
        if lacking:
            folder.mkdir(parents=True, exist_ok=True)
            with filelock.FileLock(folder / ".lock"):
                failures = _complete(dataset, folder, progress)
            lacking = missing(dataset, folder)
        else:  # neither locked nor written: the folder may be shared and read-only
            progress("from the cache")
    except OSError as error:
        raise OSError(
            error.errno, _advice(name, dataset, error), str(folder)
        ) from error
    if lacking:
        raise OSError(_by_hand(name, dataset, folder, failures))
    return folder


def _advice(name: str, dataset: Dataset, error: OSError) -> str:
    """Return what is in the way of keeping a data set, and what to do."""
    if error.errno in FULL:
        rule = f"the disk is full: make room for {dataset.size}"
    else:
        why = error.strerror or error
        rule = f"the folder cannot be read or written ({why}): change that"
    return f"could not keep {name}, {rule}, or set DLBOOK_DATA to another folder"


def missing(dataset: Dataset, folder: Path) -> list[Member]:
    """Return the members that a folder lacks, or holds with other contents.

    Args:
        dataset: what should be there.
        folder: where to look.
    """
    return [
        member
        for member in dataset.members
        if _sha256(folder / member.file) != member.sha256
    ]


def _sha256(path: Path) -> str | None:
    if not path.is_file():
        return None
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _complete(
    dataset: Dataset, folder: Path, progress: Callable[[str], object]
) -> list[str]:
    """Bring what is missing into the folder, whose lock the caller holds.

    Returns:
        What went wrong on the way.
    """
    part = folder / ".part"  # whatever is unfinished lies in here
    failures = []

    def bring(source: Source, members: list[Member]) -> None:
        progress(f"from {describe(source)}")
        shutil.rmtree(part, ignore_errors=True)  # left by a source or a killed process
        part.mkdir()
        try:
            for member in members:
                taken = take(source, member.file, part)
                _keep(taken, folder / member.file, member, part / ".finished")
        except UNUSABLE as error:
            if isinstance(error, OSError) and error.errno in FULL:
                raise
            failures.append(f"{describe(source)}: {error}")
            progress(f"  failed: {error}")

    try:
        for member in missing(dataset, folder):
            if (placed := folder / f"{member.file}.gz").exists():
                bring({"file": str(placed)}, [member])
        for source in dataset.sources:
            if wanted := missing(dataset, folder):
                bring(source, wanted)
    finally:
        shutil.rmtree(part, ignore_errors=True)
    return failures


def _keep(taken: Path, path: Path, member: Member, finished: Path) -> None:
    """Copy a file to the cache, gunzipped if need be; it appears whole or never."""
    path.parent.mkdir(parents=True, exist_ok=True)  # a member may lie in a folder
    zipped = taken.suffix == ".gz" and path.suffix != ".gz"
    unpack = gzip.open if zipped else open
    with unpack(taken, "rb") as source, finished.open("wb") as out:
        shutil.copyfileobj(source, out, BLOCK)
        out.flush()
        os.fsync(out.fileno())
    if (found := _sha256(finished)) != member.sha256:
        raise OSError(
            f"{taken.name} should have sha256 {member.sha256}, but has {found}"
        )
    os.replace(finished, path)


def _by_hand(name: str, dataset: Dataset, folder: Path, failures: list[str]) -> str:
    """Return what was tried, why it failed, and which file the reader can put where."""
    lines = [f"could not get {name}; what was tried:"]
    lines += [f"  {failure}" for failure in failures]
    lines.append(
        f"To go on without a network, put these files ({dataset.url}) there by hand, "
        "plain or as .gz:"
    )
    for member in missing(dataset, folder):
        lines.append(f"  {folder / member.file} ({member.bytes:,} bytes)")
        lines.append(f"    expected sha256 {member.sha256}")
        if found := _sha256(folder / member.file):
            lines.append(f"    found    sha256 {found}")
    return "\n".join(lines)


def read_text(path: Path) -> str:
    r"""Read a file in UTF-8 as it is, but for line ends, which become \n.

    Args:
        path: of the file.

    Raises:
        ValueError: The file is not in UTF-8; the message says where.
    """
    try:
        return path.read_bytes().decode("utf-8").replace("\r\n", "\n")
    except UnicodeDecodeError as error:
        found = f"0x{error.object[error.start]:02x} as byte {error.start + 1}"
        raise ValueError(f"{path.name} must be in UTF-8: got {found}") from error
