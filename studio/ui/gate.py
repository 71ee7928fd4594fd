"""What stands before the page: who may ask, how much may be sent, and that nothing is fetched for a stranger.

Plain ASGI, around Gradio. Every refusal is a sentence with its HTTP status.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

MOST_JSON = 2_000_000  # bytes; what the page sends at a click is a few kilobytes
FORM_ROOM = 64_000  # bytes of headers around an uploaded file
HEADERS = [(b"x-content-type-options", b"nosniff"), (b"referrer-policy", b"same-origin")]
ELSEWHERE = ("http://", "https://")


class Gate:
    """`hosts`: names under which the page answers, any if empty. `most_upload` in bytes."""

    def __init__(self, app: App, hosts: tuple[str, ...] = (), most_upload: int = 100_000_000) -> None:
        self._app, self._hosts, self._most_upload = app, hosts, most_upload

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        try:
            self._check(scope)
            uploads = scope["path"].rstrip("/").endswith("/upload")
            body = Body(receive, self._most_upload + FORM_ROOM if uploads else MOST_JSON)
            if scope["method"] == "POST" and not uploads:
                await body.read()
            await self._app(scope, body.receive, _with_headers(send))
        except Refused as refused:  # the body is read before the page answers, so nothing has been sent yet
            await _say(send, refused.status, str(refused))

    def _check(self, scope: Scope) -> None:
        host = _header(scope, b"host")
        if self._hosts and _name(host) not in self._hosts:
            # A web site can point its own name at this machine and then speak to the page as if it were its own.
            raise Refused(
                421, f"This studio does not answer to the name {_name(host)[:80]!r}. Add it to allowed_hosts."
            )
        if "/file=http" in scope["path"].lower():
            raise Refused(403, "This studio fetches nothing from other addresses.")


class Refused(Exception):
    """An HTTP status and a sentence."""

    def __init__(self, status: int, words: str) -> None:
        super().__init__(words)
        self.status = status


class Body:
    """A request's body, counted as it comes; `read` holds all of it and looks for addresses in place of files."""

    def __init__(self, receive: Receive, most: int) -> None:
        self._receive, self._most = receive, most
        self._held: list[MutableMapping[str, Any]] = []
        self._count = 0

    async def read(self) -> None:
        content = b""
        while True:
            message = await self._next()
            self._held.append(message)
            content += message.get("body", b"")
            if not message.get("more_body"):
                break
        if _fetches(content):
            raise Refused(403, "Pictures are uploaded; this studio fetches nothing from other addresses.")

    async def receive(self) -> MutableMapping[str, Any]:
        return self._held.pop(0) if self._held else await self._next()

    async def _next(self) -> MutableMapping[str, Any]:
        message = await self._receive()
        self._count += len(message.get("body", b""))
        if self._count > self._most:
            raise Refused(413, f"This is more than the {self._most // 1_000_000} MB that may be sent at once.")
        return message


def _fetches(content: bytes) -> bool:
    """Whether a value of the page names an address where a file's path belongs: Gradio would fetch it."""
    try:
        pending: list[Any] = [json.loads(content)]
    except (ValueError, RecursionError):
        return False  # no JSON: Gradio refuses it
    while pending:
        value = pending.pop()
        if isinstance(value, dict):
            if str(value.get("path", "")).strip().lower().startswith(ELSEWHERE):
                return True
            pending.extend(value.values())
        elif isinstance(value, list):
            pending.extend(value)
    return False


def _header(scope: Scope, name: bytes) -> str:
    return next((value.decode("latin-1") for key, value in scope["headers"] if key == name), "")


def _name(host: str) -> str:
    """Without the port: localhost:7860, [::1]:7860."""
    bare = host.partition("]")[0].lstrip("[") if host.startswith("[") else host.partition(":")[0]
    return bare.lower()


def _with_headers(send: Send) -> Send:
    async def sending(message: MutableMapping[str, Any]) -> None:
        if message["type"] == "http.response.start":
            message = {**message, "headers": [*message.get("headers", []), *HEADERS]}
        await send(message)

    return sending


async def _say(send: Send, status: int, words: str) -> None:
    headers = [(b"content-type", b"text/plain; charset=utf-8"), *HEADERS]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": words.encode()})
