"""What waits to be sent to a page, let go once all of it was sent: Gradio keeps an empty queue for each of the last
2,000 pages, and a word about every page there ever was."""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qs

from studio.ui.gate import App, Receive, Scope, Send

STREAM = "/queue/data"


class SpentQueues:
    """Plain ASGI, around Gradio."""

    def __init__(self, app: App) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await self._app(scope, receive, send)
        finally:
            if scope["type"] == "http" and scope["path"].endswith(STREAM):
                asked = parse_qs(scope.get("query_string", b"").decode("latin-1"))
                for page in asked.get("session_hash", ()):
                    _let_go(scope["app"].get_blocks()._queue, page)


def _let_go(queue: Any, page: str) -> None:
    """Unless an event is under way: its answer is waited for, or the page asks again where it was cut off."""
    if not queue.pending_event_ids_session.get(page):
        queue.pending_event_ids_session.pop(page, None)
        queue.pending_messages_per_session.pop(page, None)
