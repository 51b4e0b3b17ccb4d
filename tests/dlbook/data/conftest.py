"""Data that several files test; a server, a catalogue and a cache of one's own: no test needs a network."""

import gzip
import threading

import pytest

from dlbook.data import sources, store
from dlbook.data.beijing import beijing_pm25
from tests.dlbook.data.toy import FILES, Server, write_catalog


@pytest.fixture(scope="session")
def beijing():
    return beijing_pm25()


@pytest.fixture
def server():
    server = Server()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    server.pages = {f"/{file}": content for file, content in FILES.items()}
    server.pages |= {f"/{file}.gz": gzip.compress(content) for file, content in FILES.items()}
    yield server
    server.go_on.set()
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def catalog(tmp_path, monkeypatch):
    """A function that writes the catalogue in force; the cache is an empty one, and no host is known as silent."""
    path = tmp_path / "catalog.toml"
    monkeypatch.setattr(store, "CATALOG", path)
    monkeypatch.setenv("DLBOOK_DATA", str(tmp_path / "cache"))
    monkeypatch.setattr(sources, "silent", {})
    return lambda *sources, **options: write_catalog(path, *sources, **options)
