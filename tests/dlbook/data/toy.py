"""A data set of two files, "toy", and a server that has it."""

import contextlib
import hashlib
import http.server
import json
import socket
import threading

FILES = {"one.txt": b"first file\n" * 1000, "two.txt": b"second file\n" * 1000}


def sha256(content):
    return hashlib.sha256(content).hexdigest()


def write_catalog(path, *sources, files=FILES):
    """Write a catalogue of one data set, "toy"."""

    def inline(table):
        return "{" + ", ".join(f"{key} = {json.dumps(value)}" for key, value in table.items()) + "}"

    facts = ["title", "owner", "licence", "citation", "unclear"]
    members = [{"file": file, "bytes": len(content), "sha256": sha256(content)} for file, content in files.items()]
    lines = ["[toy]", 'url = "https://toy.example"', *(f'{fact} = "the {fact}"' for fact in facts)]
    lines.append(f"members = [{', '.join(inline(member) for member in members)}]")
    lines.append(f"sources = [{', '.join(inline(source) for source in sources)}]")
    path.write_text("\n".join(lines), encoding="utf-8")


class Server(http.server.ThreadingHTTPServer):
    """Serves `pages`, each the bytes of a file or a function that answers by itself, and notes what was got."""

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.pages = {}
        self.got = []
        self.half_sent, self.go_on = threading.Event(), threading.Event()
        self.url = f"http://127.0.0.1:{self.server_port}"


class Handler(http.server.BaseHTTPRequestHandler):
    def do_HEAD(self):
        self.send_response(200)
        self.end_headers()

    def do_GET(self):
        self.server.got.append(self.path)
        page = self.server.pages.get(self.path)
        if page is None:
            self.send_error(404)
        elif callable(page):
            page(self)
        else:
            self.send(page)

    def send(self, content, length=None):
        self.send_response(200)
        self.send_header("Content-Length", str(len(content) if length is None else length))
        self.end_headers()
        with contextlib.suppress(ConnectionError):  # the other side was killed
            self.wfile.write(content)
            self.wfile.flush()

    def log_message(self, *args):
        pass


def nowhere():
    """An address where nothing listens."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return f"http://127.0.0.1:{taken.getsockname()[1]}"


def contents(folder):
    """Everything in a folder of the cache but the lock."""
    paths = [path for path in folder.rglob("*") if path.is_file() and path.name != ".lock"]
    return {str(path.relative_to(folder)): path.read_bytes() for path in paths}
