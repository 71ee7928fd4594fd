"""What waits for a page goes once it was sent, and not before."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import gradio as gr
import pytest
from starlette.middleware import Middleware

from studio.ui.spent_queues import SpentQueues
from tests.benchmark.visitor import Visitor


@pytest.mark.parametrize("let_go", [True, False])
def test_pages_that_were_answered_leave_nothing_in_gradio_s_queue(let_go):
    with gr.Blocks(analytics_enabled=False) as page:
        words = gr.Textbox()
        page.load(lambda: "here", None, words)
    before = [Middleware(SpentQueues)] if let_go else []
    address = page.launch(prevent_thread_lock=True, quiet=True, ssr_mode=False, app_kwargs={"middleware": before})[1]
    try:
        for _ in range(3):
            visitor = Visitor(address)
            visitor.open()
            visitor.settle()  # asks twice: the second time a queue is made again
            visitor.settle()
    finally:
        page.close()  # once the server's loop has ended, so have the streams
    kept = 0 if let_go else 3
    assert len(page._queue.pending_messages_per_session) == len(page._queue.pending_event_ids_session) == kept


def test_what_is_still_to_be_answered_stays_when_a_stream_is_cut_off():
    queue = SimpleNamespace(
        pending_event_ids_session={"waits": {"one"}, "answered": set()},
        pending_messages_per_session={"waits": object(), "answered": object()},
    )

    async def cut_off(*_: Any) -> None:
        raise ConnectionError

    async def nothing(*_: Any) -> Any:
        return None

    page = SimpleNamespace(get_blocks=lambda: SimpleNamespace(_queue=queue))
    for session in ("waits", "answered", "unknown"):
        scope = {
            "type": "http", "path": "/gradio_api/queue/data", "app": page,
            "query_string": f"session_hash={session}".encode(),
        }  # fmt: skip
        with pytest.raises(ConnectionError):
            asyncio.run(SpentQueues(cut_off)(scope, nothing, nothing))
    assert set(queue.pending_event_ids_session) == set(queue.pending_messages_per_session) == {"waits"}
