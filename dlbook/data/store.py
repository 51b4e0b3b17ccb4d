"""Fetch the book's data sets by name, verify every byte, and keep them in one folder.

What a data set consists of and where it comes from is written in `catalog.toml`. Nothing is ever installed or
unpickled: an archive gives up the files that are wanted, and each is believed only for its sha256.
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
    """One file of a data set, as it lies in the cache."""

    file: str
    bytes: int
    sha256: str


@dataclass(frozen=True)
class Dataset:
    """What the catalogue says of one data set. Its sources are tried in their order."""

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
        """All members together, for people to read."""
        return f"{sum(member.bytes for member in self.members) / 1e6:.1f} MB"


def catalog() -> dict[str, Dataset]:
    """Read the catalogue: every data set of the book by its name."""
    entries = tomllib.loads(CATALOG.read_text(encoding="utf-8"))
    for entry in entries.values():
        entry["members"] = [Member(**member) for member in entry["members"]]
    return {name: Dataset(**entry) for name, entry in entries.items()}


def find(name: str) -> Dataset:
    """Look a data set up in the catalogue.

    Raises:
        ValueError: The catalogue has no such name; the message lists those it has.
    """
    known = catalog()
    if name not in known:
        nearest = difflib.get_close_matches(name, known, n=1)
        hint = f"; did you mean {nearest[0]!r}?" if nearest else ""
        raise ValueError(f"name must be one of {', '.join(sorted(known))}: got {name!r}{hint}")
    return known[name]


def folder_of(name: str) -> Path:
    """Say where a data set lies: below `DLBOOK_DATA` if that is set, else below the user's cache folder."""
    return Path(os.environ.get("DLBOOK_DATA") or platformdirs.user_cache_path("dlbook")).expanduser().absolute() / name


def fetch(name: str, tell: Callable[[str], object] = lambda line: None) -> Path:
    """Give the folder that holds the files of a data set, each of them verified just now.

    A file that is missing, truncated or altered is fetched again, from the first source that serves it rightly. A
    file that you put there yourself, plain or as `.gz`, is as good as any other if its hash is right.

    Args:
        name: A name in the catalogue: "fashion-mnist", for example.
        tell: Called with each line of progress: `print`, for example.

    Raises:
        ValueError: The catalogue has no such name.
        OSError: No source could be had (the message says which file to put where by hand), the disk is full, or
            the folder cannot be written.
    """
    dataset, folder = find(name), folder_of(name)
    if not missing(dataset, folder):  # needs neither the lock nor any writing: the cache may be shared and read-only
        tell("from the cache")
        return folder
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with filelock.FileLock(folder / ".lock"):
            failures = _complete(dataset, folder, tell)
    except OSError as error:
        if error.errno in FULL:
            rule = f"the disk is full: make room for {dataset.size}"
        else:
            rule = f"the folder cannot be written ({error.strerror or error}): make it writable"
        advice = f"could not keep {name}, {rule}, or set DLBOOK_DATA to another folder"
        raise OSError(error.errno, advice, str(folder)) from error
    if missing(dataset, folder):
        raise OSError(_by_hand(name, dataset, folder, failures))
    return folder


def missing(dataset: Dataset, folder: Path) -> list[Member]:
    """List the members that `folder` lacks, or holds with other contents than the catalogue says."""
    return [member for member in dataset.members if _sha256(folder / member.file) != member.sha256]


def _sha256(path: Path) -> str | None:
    if not path.is_file():
        return None
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _complete(dataset: Dataset, folder: Path, tell: Callable[[str], object]) -> list[str]:
    """Bring what is missing into the folder, whose lock the caller holds; return what went wrong on the way."""
    part = folder / ".part"  # whatever is unfinished lies in here
    failures = []

    def bring(source: Source, members: list[Member]) -> None:
        tell(f"from {describe(source)}")
        shutil.rmtree(part, ignore_errors=True)  # the previous source's, or that of a process which was killed
        part.mkdir()
        try:
            for member in members:
                _keep(take(source, member.file, part), folder / member.file, member, part / ".finished")
        except UNUSABLE as error:
            if isinstance(error, OSError) and error.errno in FULL:
                raise
            failures.append(f"{describe(source)}: {error}")
            tell(f"  failed: {error}")

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
    """Copy a file, gunzipped if need be, to its path in the cache, where it appears whole and right or not at all."""
    zipped = taken.suffix == ".gz" and path.suffix != ".gz"
    with gzip.open(taken) if zipped else taken.open("rb") as source, finished.open("wb") as out:
        shutil.copyfileobj(source, out, BLOCK)
        out.flush()
        os.fsync(out.fileno())
    if (found := _sha256(finished)) != member.sha256:
        raise OSError(f"{taken.name} should have sha256 {member.sha256}, but has {found}")
    os.replace(finished, path)


def _by_hand(name: str, dataset: Dataset, folder: Path, failures: list[str]) -> str:
    """Say what was tried, why it failed, and which file the reader can put where."""
    lines = [f"could not get {name}; what was tried:", *(f"  {failure}" for failure in failures)]
    lines.append(f"To go on without a network, put these files ({dataset.url}) there by hand, plain or as .gz:")
    for member in missing(dataset, folder):
        lines += [f"  {folder / member.file} ({member.bytes:,} bytes)", f"    expected sha256 {member.sha256}"]
        if found := _sha256(folder / member.file):
            lines.append(f"    found    sha256 {found}")
    return "\n".join(lines)


def read_text(path: Path) -> str:
    r"""Read a file in UTF-8 as it is, with the lines ended by \n alone.

    Raises:
        ValueError: The file is not in UTF-8; the message says where.
    """
    try:
        return path.read_bytes().decode("utf-8").replace("\r\n", "\n")
    except UnicodeDecodeError as error:
        raise ValueError(
            f"{path.name} must be in UTF-8: got 0x{error.object[error.start]:02x} as byte {error.start + 1}"
        ) from error
