"""The page is drawn once for each of its addresses, over a small app that draws."""

from __future__ import annotations

import asyncio
import dataclasses
import gzip
from typing import Any

import pytest

from studio.ui.kept_page import MOST_KEPT, KeptPage
from studio.ui.serve import launch_options

HOST = (b"host", b"localhost")


class Drawing:
    """Counts how often it is asked; tells the headers that it was asked with."""

    def __init__(self, status: int = 200) -> None:
        self.asked, self.status = 0, status

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self.asked += 1
        await asyncio.sleep(0)  # whoever else asks has a turn while this is drawn
        headers = [(b"content-type", b"text/html"), (b"content-length", b"7")]
        await send({"type": "http.response.start", "status": self.status, "headers": headers})
        for part in (f"{self.asked:03d}".encode(), b"page"):
            await send({"type": "http.response.body", "body": part, "more_body": part != b"page"})


async def ask(app: KeptPage, path: str = "/", query: bytes = b"", method: str = "GET", headers: Any = (HOST,)) -> Any:
    """Headers and body of the answer."""
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    async def receive() -> Any:
        return {"type": "http.request", "body": b""}

    scope = {"type": "http", "scheme": "http", "path": path, "query_string": query, "method": method}
    await app(scope | {"headers": list(headers)}, receive, send)
    return dict(sent[0]["headers"]), b"".join(message.get("body", b"") for message in sent[1:])


def test_a_crowd_costs_one_drawing():
    drawing = Drawing()

    async def crowd() -> list[Any]:
        app = KeptPage(drawing)
        return [*await asyncio.gather(*(ask(app) for _ in range(50))), await ask(app, query=b"__theme=dark")]

    answers = asyncio.run(crowd())
    assert drawing.asked == 1
    assert {body for _, body in answers} == {b"001page"}


def test_who_reads_gzip_gets_it():
    drawing = Drawing()

    async def both() -> list[Any]:
        app = KeptPage(drawing)
        return [await ask(app), await ask(app, headers=(HOST, (b"accept-encoding", b"gzip, br")))]

    (plain, body), (headers, packed) = asyncio.run(both())
    assert b"content-encoding" not in plain and plain[b"content-length"] == b"7"
    assert headers[b"content-encoding"] == b"gzip" and int(headers[b"content-length"]) == len(packed)
    assert gzip.decompress(packed) == body
    assert plain[b"vary"] == headers[b"vary"] == b"accept-encoding"


@pytest.mark.parametrize(
    "other",
    [
        {"headers": ((b"host", b"elsewhere"),)},
        {"headers": (HOST, (b"x-forwarded-host", b"elsewhere"))},
        {"headers": ((b"x-gradio-server", b"http://elsewhere"), (b"x-gradio-server", b""), HOST)},
        {"headers": (HOST, (b"x-forwarded-proto", b"https"))},
        {"query": b"deep_link=abc"},
        {"query": b"__theme=dark&page=two"},
        {"method": "HEAD"},
        {"path": "/config"},
    ],
)
def test_what_may_be_another_page_is_drawn(other):
    drawing = Drawing()

    async def one_and_other() -> tuple[Any, ...]:
        app = KeptPage(drawing)
        return await ask(app), await ask(app, **other), await ask(app)

    one, drawn, again = asyncio.run(one_and_other())
    assert drawn[1] == b"002page"
    assert one == again


def test_a_failure_is_not_kept():
    drawing = Drawing(status=500)

    async def twice() -> list[Any]:
        app = KeptPage(drawing)
        return [await ask(app), await ask(app)]

    assert [body for _, body in asyncio.run(twice())] == [b"001page", b"002page"]


def test_made_up_addresses_do_not_fill_the_memory():
    drawing = Drawing()

    async def many() -> KeptPage:
        app = KeptPage(drawing)
        for number in range(3 * MOST_KEPT):
            await ask(app, headers=((b"host", b"%d" % number),))
        return app

    assert len(asyncio.run(many())._kept) == MOST_KEPT


def test_a_page_behind_a_login_is_drawn_for_each(settings):
    def kept(options: Any) -> bool:
        return KeptPage in [one.cls for one in options["app_kwargs"]["middleware"]]

    assert kept(launch_options(settings))
    assert not kept(launch_options(dataclasses.replace(settings, login="me:secret")))
