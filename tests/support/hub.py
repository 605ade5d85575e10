"""A Hugging Face Hub of one's own, at 127.0.0.1: repositories of commits that one reads and pushes.

It answers the requests that `huggingface_hub` makes for a snapshot and for a commit, with files of
weights on Git LFS.
"""

import base64
import contextlib
import hashlib
import json
import os
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote, urlsplit

TOKEN, READER = "hf_writes", "hf_reads"


@dataclass
class Repo:
    """Commits by id, and the ids of branches and tags."""

    commits: dict[str, dict[str, bytes]] = field(default_factory=dict)
    refs: dict[str, str] = field(default_factory=dict)
    private: bool = False

    def commit(self, files: dict[str, bytes], branch: str = "main") -> str:
        """Add files to a branch; return the commit."""
        whole = {**self.commits.get(self.refs.get(branch, ""), {}), **files}
        named = [(name, _oid(data)) for name, data in sorted(whole.items())]
        commit = _oid(json.dumps([named, len(self.commits)]).encode())
        self.commits[commit] = whole
        self.refs[branch] = commit
        return commit

    def at(self, revision: str) -> str | None:
        """Return the commit of a revision."""
        found = self.refs.get(revision, revision)
        return found if found in self.commits else None


@dataclass
class Hub:
    """Repositories by name.

    Attributes:
        repositories: Them.
        halved: Files of which an answer ends in the middle.
        uploads: What was put into the large file storage, by its SHA-256.
        commits: How many commits were made by requests.
        address: Where it is.
    """

    repositories: dict[str, Repo] = field(default_factory=dict)
    halved: set[str] = field(default_factory=set)
    uploads: dict[str, bytes] = field(default_factory=dict)
    commits: int = 0
    address: str = ""

    def add(self, name: str, folder: Path, **options: bool) -> Repo:
        """Make a repository of the files of a folder."""
        repo = self.repositories[name] = Repo(**options)
        repo.commit(files_of(folder))
        return repo


def files_of(folder: Path) -> dict[str, bytes]:
    """Return the files of a folder by their paths."""
    every = (file for file in sorted(folder.rglob("*")) if file.is_file())
    return {file.relative_to(folder).as_posix(): file.read_bytes() for file in every}


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    hub: Hub

    def do_GET(self):
        self._read(body=True)

    def do_HEAD(self):
        self._read(body=False)

    def do_PUT(self):
        data = self._received()
        if hashlib.sha256(data).hexdigest() == self.path.removeprefix("/lfs/"):
            self.hub.uploads[self.path.removeprefix("/lfs/")] = data
            return self._send(200)
        return self._send(400)

    def do_POST(self):
        data, parts = self._received(), self._parts()
        if parts == ["api", "validate-yaml"]:
            return self._json({"errors": [], "warnings": []})
        if self._token not in (TOKEN, READER):
            return self._json({"error": "Invalid username or password."}, 401)
        if self._token == READER:
            return self._json({"error": "Forbidden"}, 403)
        if parts == ["api", "repos", "create"]:
            return self._create(json.loads(data))
        if parts[-3:] == ["lfs", "objects", "batch"]:
            return self._json({"objects": [self._placed(o) for o in json.loads(data)["objects"]]})
        repo, action, revision = self.hub.repositories["/".join(parts[2:4])], parts[4], parts[5]
        if action == "branch":
            return self._branch(repo, revision)
        if action == "preupload":
            return self._json({"files": [_mode(file) for file in json.loads(data)["files"]]})
        return self._commit(repo, revision, [json.loads(line) for line in data.splitlines()])

    def log_message(self, *args):
        pass

    @property
    def _token(self):
        return self.headers.get("Authorization", "").removeprefix("Bearer ")

    def _parts(self):
        return [unquote(part) for part in urlsplit(self.path).path.strip("/").split("/")]

    def _received(self):
        if self.headers.get("Transfer-Encoding") != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length", 0)))
        parts = []  # in chunks, each after its size
        while size := int(self.rfile.readline() or b"0", 16):
            parts.append(self.rfile.read(size))
            self.rfile.readline()
        self.rfile.readline()
        return b"".join(parts)

    def _create(self, asked):
        name = f"{asked['organization']}/{asked['name']}"
        if name in self.hub.repositories:
            return self._json({"url": f"{self.hub.address}/{name}"}, 409)
        repo = self.hub.repositories[name] = Repo(private=asked.get("visibility") == "private")
        repo.commit({".gitattributes": b"*.safetensors filter=lfs diff=lfs merge=lfs -text\n"})
        return self._json({"url": f"{self.hub.address}/{name}"})

    def _branch(self, repo, branch):
        if branch in repo.refs:
            return self._json({"error": "it exists"}, 409)
        repo.refs[branch] = repo.refs["main"]
        return self._json({})

    def _placed(self, asked):
        action = {"upload": {"href": f"{self.hub.address}/lfs/{asked['oid']}"}}
        return {"oid": asked["oid"], "size": asked["size"], "actions": action}

    def _commit(self, repo, branch, lines):
        files = {}
        for line in lines:
            value = line["value"]
            if line["key"] == "file":
                files[value["path"]] = base64.b64decode(value["content"])
            elif line["key"] == "lfsFile":
                files[value["path"]] = self.hub.uploads[value["oid"]]
        self.hub.commits += 1
        commit = repo.commit(files, branch)
        self._json({"commitUrl": f"{self.hub.address}/x/x/commit/{commit}", "commitOid": commit})

    def _read(self, *, body):
        parts = self._parts()
        api = parts[0] == "api"
        name = "/".join(parts[2:4] if api else parts[:2])
        repo = self.hub.repositories.get(name)
        if repo is None or (repo.private and self._token not in (TOKEN, READER)):
            return self._send(401, b"", {"X-Error-Code": "RepoNotFound"}, body)
        rest = parts[4:] if api else parts[2:]
        revision = rest[1] if len(rest) > 1 else "main"
        if (commit := repo.at(revision)) is None:
            return self._send(404, b"", {"X-Error-Code": "RevisionNotFound"}, body)
        files = repo.commits[commit]
        if api and rest[:1] == ["tree"]:
            return self._json([_listed(*item) for item in files.items()], body=body)
        if api:
            return self._json({"id": name, "sha": commit, "siblings": []}, body=body)
        path = "/".join(rest[2:])
        if (data := files.get(path)) is None:
            missing = {"X-Error-Code": "EntryNotFound", "X-Repo-Commit": commit}
            return self._send(404, b"", missing, body)
        return self._file(path, data, commit, body)

    def _file(self, path, data, commit, body):
        headers = {"ETag": f'"{_oid(data)}"', "X-Repo-Commit": commit}
        if body and path in self.hub.halved:
            self.send_response(200)
            for key, value in {**headers, "Content-Length": str(len(data))}.items():
                self.send_header(key, value)
            self.end_headers()
            self.wfile.write(data[: len(data) // 2])
            self.close_connection = True
            return None
        return self._send(200, data, headers, body)

    def _json(self, value, status=200, *, body=True):
        headers = {"Content-Type": "application/json"}
        self._send(status, json.dumps(value).encode(), headers, body)

    def _send(self, status, data=b"", headers=None, body=True):
        self.send_response(status)
        for key, value in {**(headers or {}), "Content-Length": str(len(data))}.items():
            self.send_header(key, value)
        self.end_headers()
        if body:
            self.wfile.write(data)


def _mode(file):
    large = file["path"].endswith(".safetensors")
    return {
        "path": file["path"], "uploadMode": "lfs" if large else "regular", "shouldIgnore": False,
    }  # fmt: skip


def _oid(data):
    return hashlib.sha1(data, usedforsecurity=False).hexdigest()


def _listed(path, data):
    return {"type": "file", "path": path, "size": len(data), "oid": _oid(data)}


@contextlib.contextmanager
def running():
    """Yield a hub that answers."""
    hub = Hub()
    handler = type("Handler", (_Handler,), {"hub": hub})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    hub.address = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@contextlib.contextmanager
def serve(repositories):
    """Serve folders by repository name; yields the address."""
    with running() as hub:
        for name, folder in repositories.items():
            hub.add(name, folder)
        yield hub.address


def environment(address, home, **more):
    """What a process needs in its environment to use the hub at an address, and no other."""
    ours = {key: value for key, value in os.environ.items() if not key.startswith("HF_")}
    direct = {"NO_PROXY": "*", "no_proxy": "*", "HF_HUB_DISABLE_TELEMETRY": "1"}
    plain = {"HF_HUB_DISABLE_XET": "1", "HF_HUB_DISABLE_PROGRESS_BARS": "1"}  # it has Git LFS
    return {**ours, **direct, **plain, "HF_ENDPOINT": address, "HF_HOME": str(home), **more}
