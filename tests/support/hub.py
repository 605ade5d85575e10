"""A Hugging Face Hub of one's own: serves folders as repositories, at 127.0.0.1."""

import contextlib
import hashlib
import json
import os
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote, urlsplit

COMMIT = "0123456789abcdef0123456789abcdef01234567"


class _Handler(BaseHTTPRequestHandler):
    repositories: dict[str, Path]

    def do_GET(self):
        self._answer(body=True)

    def do_HEAD(self):
        self._answer(body=False)

    def log_message(self, *args):
        pass

    def _answer(self, body):
        parts = unquote(urlsplit(self.path).path).strip("/").split("/")
        name = "/".join(parts[2:4] if parts[0] == "api" else parts[:2])
        folder = self.repositories.get(name)
        if folder is None:
            self._send(401, b"", {"X-Error-Code": "RepoNotFound"}, body)
        elif parts[:2] == ["api", "models"]:
            tree = len(parts) > 4 and parts[4] == "tree"
            self._json(_tree(folder) if tree else {"id": name, "sha": COMMIT, "siblings": []}, body)
        elif parts[2] == "resolve" and (folder / "/".join(parts[4:])).is_file():
            data = (folder / "/".join(parts[4:])).read_bytes()
            headers = {"ETag": f'"{_oid(data)}"', "X-Repo-Commit": COMMIT}
            self._send(200, data, headers, body)
        else:
            self._send(404, b"", {"X-Error-Code": "EntryNotFound", "X-Repo-Commit": COMMIT}, body)

    def _json(self, value, body):
        headers = {"Content-Type": "application/json"}
        self._send(200, json.dumps(value).encode(), headers, body)

    def _send(self, status, data, headers, body):
        self.send_response(status)
        for key, value in {**headers, "Content-Length": str(len(data))}.items():
            self.send_header(key, value)
        self.end_headers()
        if body:
            self.wfile.write(data)


def _oid(data):
    return hashlib.sha1(data, usedforsecurity=False).hexdigest()


def _tree(folder):
    return [
        {
            "type": "file",
            "path": file.relative_to(folder).as_posix(),
            "size": file.stat().st_size,
            "oid": _oid(file.read_bytes()),
        }
        for file in sorted(folder.rglob("*"))
        if file.is_file()
    ]


@contextlib.contextmanager
def serve(repositories):
    """Serve folders by repository name; yields the address."""
    handler = type("Handler", (_Handler,), {"repositories": repositories})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def environment(address, home):
    """What a process needs in its environment to use the hub at an address, and no other."""
    ours = {key: value for key, value in os.environ.items() if not key.startswith("HF_")}
    direct = {"NO_PROXY": "*", "no_proxy": "*", "HF_HUB_DISABLE_TELEMETRY": "1"}
    return {**ours, **direct, "HF_ENDPOINT": address, "HF_HOME": str(home)}
