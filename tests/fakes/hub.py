"""A model hub on this machine: the few answers of the real one that a download needs, and its faults on demand."""

from __future__ import annotations

import contextlib
import hashlib
import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

PIECE = 1 << 16  # bytes sent at once
SMALL = 1 << 10  # smaller files are plain git blobs, larger ones have a sha256, as on the hub
TRICKLE_SECONDS = 0.2  # between two bytes of an answer that is held


@dataclass
class Answer:
    """What was asked for and how many bytes were given."""

    method: str
    path: str
    start: int = 0
    sent: int = 0


@dataclass
class Hub:
    """`repositories`: name -> (commit, path -> content). `plain`: path -> content, as another web server has it."""

    address: str
    repositories: dict[str, tuple[str, dict[str, bytes]]] = field(default_factory=dict)
    plain: dict[str, bytes] = field(default_factory=dict)
    answers: list[Answer] = field(default_factory=list)
    gone: set[str] = field(default_factory=set)  # repositories that answer 404
    gated: set[str] = field(default_factory=set)  # repositories that answer 403
    damaged: set[str] = field(default_factory=set)  # files whose content is not the published one
    cut_after: dict[str, int] = field(default_factory=dict)  # file -> bytes, then the connection breaks
    hold_after: dict[str, int] = field(default_factory=dict)  # file -> bytes, then one at a time until `release`
    no_ranges: bool = False
    held: threading.Event = field(default_factory=threading.Event)  # an answer has reached its hold
    release: threading.Event = field(default_factory=threading.Event)

    def publish(self, repository: str, files: dict[str, bytes], commit: str = "c" * 40) -> None:
        self.repositories[repository] = (commit, files)

    def sent(self, name: str) -> list[Answer]:
        """The answers that carried bytes of a file."""
        return [answer for answer in self.answers if answer.method == "GET" and answer.path.endswith(name)]

    def info(self, repository: str) -> dict[str, Any]:
        commit, files = self.repositories[repository]
        siblings = []
        for path, content in files.items():
            git = hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest()
            sibling: dict[str, Any] = {"rfilename": path, "size": len(content), "blobId": git}
            if len(content) >= SMALL:
                digest = hashlib.sha256(content).hexdigest()
                sibling["lfs"] = {"sha256": digest, "size": len(content), "pointerSize": 130}
            siblings.append(sibling)
        return {"id": repository, "modelId": repository, "sha": commit, "siblings": siblings, "tags": []}


@contextlib.contextmanager
def running_hub() -> Iterator[Hub]:
    """Serve until the block ends."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    server.daemon_threads = True
    hub = Hub(f"http://127.0.0.1:{server.server_address[1]}")
    server.hub = hub  # type: ignore[attr-defined]
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield hub
    finally:
        hub.release.set()
        server.shutdown()
        server.server_close()
        thread.join()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    @property
    def hub(self) -> Hub:
        return self.server.hub  # type: ignore[attr-defined]

    def do_HEAD(self) -> None:
        self._answer(body=False)

    def do_GET(self) -> None:
        self._answer(body=True)

    def log_message(self, format: str, *args: Any) -> None:
        pass

    def _answer(self, body: bool) -> None:
        path = urlsplit(self.path).path
        answer = Answer(self.command, path)
        self.hub.answers.append(answer)
        parts = path.strip("/").split("/")
        if parts[:2] == ["api", "models"]:
            self._info("/".join(parts[2:4]), parts[5] if len(parts) > 5 else "main")
        elif len(parts) > 4 and parts[2] == "resolve":
            repository, revision, name = "/".join(parts[:2]), parts[3], "/".join(parts[4:])
            commit, files = self.hub.repositories.get(repository, ("", {}))
            if repository in self.hub.gone or name not in files or revision not in ("main", commit):
                self._refuse(404, "EntryNotFound")
            else:
                self._content(answer, name, files[name], body)
        elif path in self.hub.plain:
            self._content(answer, path, self.hub.plain[path], body)
        else:
            self._refuse(404, "EntryNotFound")

    def _info(self, repository: str, revision: str) -> None:
        if repository in self.hub.gone or repository not in self.hub.repositories:
            self._refuse(404, "RepoNotFound")
        elif repository in self.hub.gated:
            self._refuse(403, "GatedRepo")
        elif revision not in ("main", self.hub.repositories[repository][0]):
            self._refuse(404, "RevisionNotFound")
        else:
            words = json.dumps(self.hub.info(repository)).encode()
            self._head(200, len(words), {"Content-Type": "application/json"})
            self.wfile.write(words)

    def _content(self, answer: Answer, name: str, content: bytes, body: bool) -> None:
        if name in self.hub.damaged:
            content = bytes([content[0] ^ 1]) + content[1:]
        asked = self.headers.get("Range", "")
        start = int(asked.removeprefix("bytes=").partition("-")[0]) if asked and not self.hub.no_ranges else 0
        if start >= len(content) > 0:
            self._head(416, 0, {"Content-Range": f"bytes */{len(content)}"})
            return
        answer.start = start
        extra = {"Content-Range": f"bytes {start}-{len(content) - 1}/{len(content)}"} if start else {}
        self._head(206 if start else 200, len(content) - start, extra)
        if body:
            with contextlib.suppress(ConnectionError):
                self._send(answer, name, content[start:])

    def _send(self, answer: Answer, name: str, content: bytes) -> None:
        cut, hold = self.hub.cut_after.pop(name, None), self.hub.hold_after.pop(name, None)
        while content:
            piece = content[:PIECE]
            if cut is not None and answer.sent >= cut:
                self.close_connection = True
                self.connection.close()
                return
            if hold is not None and answer.sent >= hold and not self.hub.release.is_set():
                self.hub.held.set()
                self.hub.release.wait(TRICKLE_SECONDS)
                piece = content[:1]  # a line that is merely slow: nobody gives it up
            self.wfile.write(piece)
            answer.sent += len(piece)
            content = content[len(piece) :]

    def _head(self, status: int, length: int, extra: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in ({"Content-Length": str(length), "Accept-Ranges": "bytes"} | extra).items():
            self.send_header(name, value)
        self.end_headers()

    def _refuse(self, status: int, code: str) -> None:
        self._head(status, 0, {"X-Error-Code": code})
