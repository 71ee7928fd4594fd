"""What stands before the page, over a small app that answers with what it was sent."""

from __future__ import annotations

import asyncio
import json
from concurrent.futures import ThreadPoolExecutor

import pytest

from studio.settings import StudioSettings
from studio.ui.gate import MOST_JSON, Gate
from studio.ui.serve import hosts_of, launch_options


async def _echo(scope, receive, send):
    body = b""
    more = True
    while more:
        message = await receive()
        body += message.get("body", b"")
        more = message.get("more_body", False)
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": body})


def ask(path="/gradio_api/queue/join", body=b"", method="POST", host="localhost:7860", pieces=1, **options):
    """Status, body and headers of the answer."""
    size = -(-len(body) // pieces) or 1
    parts = [body[start : start + size] for start in range(0, len(body), size)] or [b""]
    messages = [{"type": "http.request", "body": part, "more_body": True} for part in parts]
    messages[-1]["more_body"] = False
    sent = []

    async def receive():
        return messages.pop(0)

    async def send(message):
        sent.append(message)

    scope = {"type": "http", "method": method, "path": path, "headers": [(b"host", host.encode())]}
    with ThreadPoolExecutor(1) as other:  # after a browser test a loop of Playwright's runs in this thread
        other.submit(asyncio.run, Gate(_echo, **options)(scope, receive, send)).result()
    return sent[0]["status"], sent[1]["body"], dict(sent[0]["headers"])


@pytest.mark.parametrize("pieces", [1, 3])
def test_what_is_sent_arrives_whole(pieces):
    body = json.dumps({"data": ["http://in.words", {"path": "/tmp/upload.png"}]}).encode()
    status, answer, headers = ask(body=body, pieces=pieces)
    assert (status, answer) == (200, body) and headers[b"x-content-type-options"] == b"nosniff"


@pytest.mark.parametrize("pieces", [1, 7])
def test_too_much_is_refused_with_the_number_and_an_upload_may_be_larger(pieces):
    body = b" " * (MOST_JSON + 1)
    status, answer, _ = ask(body=body, pieces=pieces)
    assert status == 413 and b"2 MB" in answer
    assert ask("/gradio_api/upload", body, pieces=pieces, most_upload=3_000_000)[0] == 200
    assert ask("/gradio_api/upload", body, pieces=pieces, most_upload=1_000_000)[0] == 413


@pytest.mark.parametrize(
    "value",
    [
        {"path": "http://example.org/a.png", "meta": {"_type": "gradio.FileData"}},
        {"path": " HTTPS://example.org/a.png"},
        [{"deep": [{"path": "http://127.0.0.1/"}]}],
    ],
)
def test_an_address_in_place_of_a_file_is_refused(value):
    assert ask(body=json.dumps({"data": [value]}).encode())[0] == 403


def test_an_address_is_found_however_it_is_spelled():
    assert ask(body=rb'{"data": [{"p\u0061th": "\u0068ttps://example.org/"}]}')[0] == 403


def test_nothing_is_fetched_through_the_page():
    assert ask("/gradio_api/file=https://example.org/", method="GET")[0] == 403
    assert ask("/gradio_api/file=/tmp/a.mp4", method="GET")[0] == 200


def test_nested_nonsense_is_handed_on():
    assert ask(body=b"[" * 200_000 + b"http")[0] == 200


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("localhost:7860", 200),
        ("127.0.0.1", 200),
        ("[::1]:7860", 200),
        ("LOCALHOST", 200),
        ("evil.org", 421),
        ("", 421),
    ],
)
def test_a_private_page_answers_to_its_own_names_only(host, status):
    assert ask(host=host, hosts=hosts_of(StudioSettings()))[0] == status


def test_names_can_be_added_and_a_public_page_answers_to_all(monkeypatch):
    assert ask(host="studio.lab", hosts=hosts_of(StudioSettings(allowed_hosts=("Studio.Lab",))))[0] == 200
    assert hosts_of(StudioSettings(host="0.0.0.0")) == ()
    monkeypatch.setenv("SPACE_ID", "someone/quintet")
    assert hosts_of(StudioSettings()) == ()


def test_the_page_is_launched_closed_and_quiet(monkeypatch):
    monkeypatch.delenv("GRADIO_SERVER_NAME", raising=False)
    options = launch_options(StudioSettings(login="ann:secret:with:colons", max_upload_mb=3))
    assert (options["server_name"], options["share"], options["run_history"]) == ("127.0.0.1", False, False)
    assert options["auth"] == ("ann", "secret:with:colons") and options["max_file_size"] == 3_000_000
    assert options["show_error"] is False and launch_options(StudioSettings())["auth"] is None


@pytest.mark.parametrize("login", ["ann", "ann:", ":secret", ":"])
def test_a_login_without_name_or_password_is_refused(login):
    with pytest.raises(ValueError, match="name:password"):
        StudioSettings(login=login)
