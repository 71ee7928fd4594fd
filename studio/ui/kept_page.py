"""The page as it was drawn for the first visitor, kept for all others: it is the same for everybody."""

from __future__ import annotations

import asyncio
import gzip
from collections.abc import MutableMapping
from typing import Any
from urllib.parse import parse_qsl

from studio.ui.gate import App, Receive, Scope, Send

ADDRESS = (b"host", b"x-forwarded-host", b"x-forwarded-proto", b"x-gradio-server")  # headers that the page repeats
MOST_KEPT = 8  # a studio has one address, or few; strangers can make up more
COMPRESSED = (b"content-encoding", b"gzip")


class KeptPage:
    """Plain ASGI, around Gradio, which draws a megabyte anew at every visit and sends all of it. Not for a page behind
    a login, which differs."""

    def __init__(self, app: App) -> None:
        self._app = app
        self._kept: dict[tuple[object, ...], Answer] = {}
        self._drawing = asyncio.Lock()  # of fifty that come at once, one draws

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if not _asks_for_the_page(scope):
            await self._app(scope, receive, send)
            return
        # every value that was sent: Gradio takes the first of several
        key = (scope["scheme"], scope.get("root_path", ""), *(sent for sent in scope["headers"] if sent[0] in ADDRESS))
        accepted = b",".join(value for name, value in scope["headers"] if name == b"accept-encoding")
        answer = self._kept.get(key) or await self._drawn_once(key, scope, receive)
        await answer.send(send, b"gzip" in accepted)

    async def _drawn_once(self, key: tuple[object, ...], scope: Scope, receive: Receive) -> Answer:
        async with self._drawing:
            return self._kept.get(key) or await self._draw(key, scope, receive)

    async def _draw(self, key: tuple[object, ...], scope: Scope, receive: Receive) -> Answer:
        answer = Answer()
        await self._app(scope, receive, answer.take)
        if answer.status == 200:
            answer.compressed = await asyncio.to_thread(gzip.compress, answer.body)
            while len(self._kept) >= MOST_KEPT:
                del self._kept[next(iter(self._kept))]
            self._kept[key] = answer
        return answer


class Answer:
    """A status, headers and a body, whole."""

    def __init__(self) -> None:
        self.status, self.body, self.compressed = 0, b"", b""
        self._headers: list[tuple[bytes, bytes]] = []

    async def take(self, message: MutableMapping[str, Any]) -> None:
        if message["type"] == "http.response.start":
            self.status, self._headers = message["status"], list(message["headers"])
        elif message["type"] == "http.response.body":
            self.body += message.get("body", b"")

    async def send(self, send: Send, may_compress: bool) -> None:
        compress = may_compress and bool(self.compressed)
        body = self.compressed if compress else self.body
        headers = [(name, value) for name, value in self._headers if name.lower() != b"content-length"]
        headers += [(b"content-length", str(len(body)).encode()), (b"vary", b"accept-encoding")]
        headers += [COMPRESSED] if compress else []
        await send({"type": "http.response.start", "status": self.status, "headers": headers})
        await send({"type": "http.response.body", "body": body})


def _asks_for_the_page(scope: Scope) -> bool:
    """Also with the words that a Space adds; others can name a part of the page."""
    if scope["type"] != "http" or scope["method"] != "GET" or scope["path"] != "/":
        return False
    named = (name for name, _ in parse_qsl(scope.get("query_string", b"").decode("latin-1"), True))
    return all(name.startswith("__") for name in named)
