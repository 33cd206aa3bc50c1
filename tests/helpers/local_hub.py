"""A hub on the loopback device."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

OLD, NEW = "a" * 40, "b" * 40


class LocalHub:
    """A hub on the loopback device that answers the requests of `huggingface_hub`, and remembers them.

    Attributes:
        url: for HF_ENDPOINT.
        files: (repo, commit, name) to content.
        main: repo to the commit of its branch main.
        requests: "METHOD path" of all requests so far, with " bytes=…" where a part was asked for.
        cut: the next GET of a file ends after so many bytes.
        lie: files are sent backwards, under their own hash.
        tokens: access tokens of all uploads so far.
    """

    def __init__(self) -> None:
        self.files: dict[tuple[str, str, str], bytes] = {}
        self.main: dict[str, str] = {}
        self.requests: list[str] = []
        self.cut: int | None = None
        self.lie = False
        self.tokens: list[str | None] = []
        owner = self

        class Handler(BaseHTTPRequestHandler):
            def do_HEAD(self) -> None:
                owner.answer(self)

            def do_GET(self) -> None:
                owner.answer(self)

            def do_POST(self) -> None:
                owner.take(self)

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True).start()

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()

    def add(self, repo: str, files: dict[str, bytes], commit: str = OLD) -> None:
        self.main[repo] = commit
        self.files |= {(repo, commit, name): content for name, content in files.items()}

    def answer(self, request: BaseHTTPRequestHandler) -> None:
        path, part = request.path.partition("?")[0], request.headers.get("Range", "")
        self.requests.append(f"{request.command} {path} {part}".strip())
        if match := re.fullmatch(r"/api/models/([^/]+/[^/]+)/(revision|tree)/([^/]+)", path):
            repo, kind, revision = match.groups()
            commit = self.commit(repo, revision)
            names = sorted(name for r, c, name in self.files if (r, c) == (repo, commit))
            if not names:
                return self.refuse(request, repo)
            entries = [
                {"type": "file", "path": name, "oid": "0" * 40, "size": len(self.files[repo, commit, name])}
                for name in names
            ]
            info = {"id": repo, "sha": commit, "siblings": [{"rfilename": name} for name in names]}
            body = json.dumps(info if kind == "revision" else entries).encode()
            return self.send(request, 200, body, {"Content-Type": "application/json"})
        if match := re.fullmatch(r"/([^/]+/[^/]+)/resolve/([^/]+)/(.+)", path):
            repo, revision, name = match.groups()
            commit = self.commit(repo, revision)
            content = self.files.get((repo, commit, name))
            if content is None:
                return self.refuse(request, repo)
            digest = hashlib.sha256(content).hexdigest()
            headers = {"ETag": f'"{digest}"', "X-Linked-Etag": f'"{digest}"', "X-Repo-Commit": commit}
            headers |= {"X-Linked-Size": str(len(content)), "Accept-Ranges": "bytes"}
            content, status, length = content[::-1] if self.lie else content, 200, len(content)
            if actual := re.fullmatch(r"bytes=(\d+)-", part):
                start, status = int(actual[1]), 206
                headers["Content-Range"] = f"bytes {start}-{length - 1}/{length}"
                content = content[start:]
            return self.send(request, status, content, headers)
        return self.refuse(request, "")

    def take(self, request: BaseHTTPRequestHandler) -> None:
        """Answer the requests of an upload: create a repository or branch, sort the files, commit them."""
        body = request.rfile.read(int(request.headers.get("Content-Length", 0)))
        path = request.path.partition("?")[0]
        self.requests.append(f"{request.command} {path}")
        self.tokens.append(request.headers.get("Authorization"))
        answer: dict[str, object] = {}
        if path == "/api/repos/create":
            values = json.loads(body)
            repo = f"{values['organization']}/{values['name']}"
            self.main.setdefault(repo, OLD)
            answer = {"url": f"{self.url}/{repo}"}
        elif path == "/api/validate-yaml":
            answer = {"errors": [], "warnings": []}
        elif re.fullmatch(r"/api/models/[^/]+/[^/]+/preupload/.+", path):
            names = [entry["path"] for entry in json.loads(body)["files"]]
            answer = {"files": [{"path": name, "uploadMode": "regular", "shouldIgnore": False} for name in names]}
        elif match := re.fullmatch(r"/api/models/([^/]+/[^/]+)/commit/(.+)", path):
            repo = match[1]
            lines = [json.loads(line) for line in body.decode().splitlines()]
            files = {
                line["value"]["path"]: base64.b64decode(line["value"]["content"])
                for line in lines
                if line["key"] == "file"
            }
            self.add(repo, files, NEW)
            answer = {"commitUrl": f"{self.url}/{repo}/commit/{NEW}", "commitOid": NEW, "commitMessage": "done"}
        elif not re.fullmatch(r"/api/models/[^/]+/[^/]+/branch/.+", path):
            return self.refuse(request, "")
        return self.send(request, 200, json.dumps(answer).encode(), {"Content-Type": "application/json"})

    def commit(self, repo: str, revision: str) -> str:
        return self.main.get(repo, "") if revision == "main" else revision

    def refuse(self, request: BaseHTTPRequestHandler, repo: str) -> None:
        code = "EntryNotFound" if repo in self.main else "RepoNotFound"
        self.send(request, 404, b"", {"X-Error-Code": code})

    def send(self, request: BaseHTTPRequestHandler, status: int, body: bytes, headers: dict[str, str]) -> None:
        request.send_response(status)
        for key, value in (headers | {"Content-Length": str(len(body))}).items():
            request.send_header(key, value)
        request.end_headers()
        if request.command in ("GET", "POST"):
            if self.cut is not None and "resolve" in request.path:
                body, self.cut = body[: self.cut], None
                request.close_connection = True
            request.wfile.write(body)
