"""A visitor without a browser: the same requests as the page's, over HTTP, and what comes back."""

from __future__ import annotations

import gzip
import http.client
import json
import re
import secrets
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from html import unescape
from types import MappingProxyType
from typing import Any
from urllib.parse import urlsplit

API = "/gradio_api"
CONFIG = "window.gradio_config = "
PATIENCE_SECONDS = 600.0
CLIP = re.compile(r'<video class="q-picture" src="([^"]+)" aria-label="Video: ([^"]*)"')
STATE = re.compile(r'data-state="(\w+)"')
FAILURE = re.compile(r'class="q-words"><strong>No video</strong><p>([^<]+)<')
ALERT = re.compile(r'class="q-alert" role="alert">([^<]+)<')


@dataclass(frozen=True)
class Made:
    """What a press of Generate came to. `state` is done, failed, stopped, refused or gone (no answer)."""

    state: str
    words: str = ""  # the refusal, or the prompt that the result is labelled with
    clip: bytes = b""
    seconds: float = 0.0


class Visitor:
    """One page of one browser; `name` as the browser would keep it."""

    def __init__(self, address: str, name: str = "") -> None:
        self._host = urlsplit(address).netloc
        self.name = name or secrets.token_urlsafe(24)
        self._session = secrets.token_hex(8)
        self._config: dict[str, Any] = {}

    def open(self) -> float:
        """Load the page, a new one each time as after a reload; seconds until it was there."""
        start = time.perf_counter()
        page = self.get("/", {"Accept-Encoding": "gzip"})
        seconds = time.perf_counter() - start
        self._session = secrets.token_hex(8)
        self._config = self._config or _description(page)
        return seconds

    def settle(self) -> None:
        """What a browser does once the page is there: its load events, and those that follow."""
        self._run(
            [event for event in self._config["dependencies"] if "load" in (name for _, name in event["targets"])]
        )

    def generate(self, tab: str, prompt: str, **values: Any) -> Made:
        """Press Generate in a tab and wait for the end. `values` by field name."""
        start = time.perf_counter()
        button = self._button(tab)
        shown = ""
        try:
            self._join(button, {"prompt": prompt} | values)
            for output in self._answers():
                shown = output or shown
        except (OSError, http.client.HTTPException):
            return Made("gone", seconds=time.perf_counter() - start)
        seconds = time.perf_counter() - start
        states, found, alert = STATE.findall(shown), CLIP.search(shown), ALERT.search(shown)
        if found is None:
            state = states[-1] if states else "refused" if alert else "gone"
            said = alert or FAILURE.search(shown)
            return Made(state, unescape(said[1]) if said else "", seconds=seconds)
        clip = self.get("/" + unescape(found[1]))
        return Made("done", unescape(found[2]), clip, seconds)

    def start(self, tab: str, prompt: str, **values: Any) -> None:
        """Press Generate and leave at once, as a browser that is closed."""
        self._join(self._button(tab), {"prompt": prompt} | values)

    def after(self, tab: str) -> None:
        """The events that follow Generate: the history is drawn anew."""
        self._run(self._following([self._button(tab)]))

    def get(self, path: str, headers: Mapping[str, str] = MappingProxyType({})) -> bytes:
        """The body; OSError for another status than 200."""
        connection = http.client.HTTPConnection(self._host, timeout=PATIENCE_SECONDS)
        try:
            connection.request("GET", path, headers=headers)
            answer = connection.getresponse()
            body = answer.read()
            if answer.status != http.client.OK:
                raise OSError(f"{path[:80]} answered {answer.status}")
            return gzip.decompress(body) if answer.getheader("Content-Encoding") == "gzip" else body
        finally:
            connection.close()

    def first_method_tab(self) -> str:
        """The label of the first tab with a Generate button of its own, Compare left out."""
        labels = [c["props"]["label"] for c in self._config["components"] if c["type"] == "tabitem"]
        return next(label for label in labels if label not in ("Compare", "History", "Inspect"))

    def _button(self, tab: str) -> dict[str, Any]:
        """The event of a tab's Generate."""
        inside = self._inside(next(c["id"] for c in self._config["components"] if c["props"].get("label") == tab))
        button = next(
            c["id"]
            for c in self._config["components"]
            if c["id"] in inside and "q-generate" in (c["props"].get("elem_classes") or [])
        )
        return next(d for d in self._config["dependencies"] if [button, "click"] in [list(t) for t in d["targets"]])

    def _inside(self, id: int) -> set[int]:
        """Every component below one in the page's layout."""
        pending, found = [self._config["layout"]], set()
        while pending:
            node = pending.pop()
            inside = node["id"] in found or node["id"] == id
            for child in node.get("children") or []:
                if inside:
                    found.add(child["id"])
                pending.append(child)
        return found

    def _run(self, wave: list[dict[str, Any]]) -> None:
        while wave:
            asked = [event for event in wave if event["backend_fn"]]
            for event in asked:
                self._join(event, {})
            for _ in self._answers() if asked else ():
                pass
            wave = self._following(wave)

    def _following(self, events: list[dict[str, Any]]) -> list[dict[str, Any]]:
        past = {event["id"] for event in events}
        return [event for event in self._config["dependencies"] if event["trigger_after"] in past]

    def _join(self, event: dict[str, Any], values: dict[str, Any]) -> None:
        parts = {component["id"]: component for component in self._config["components"]}
        data = [self._value(parts[id], values) for id in event["inputs"]]
        trigger = next((id for id, _ in event["targets"]), None)
        body = {"data": data, "fn_index": event["id"], "session_hash": self._session, "trigger_id": trigger}
        connection = http.client.HTTPConnection(self._host, timeout=PATIENCE_SECONDS)
        try:
            connection.request("POST", API + "/queue/join", json.dumps(body), {"Content-Type": "application/json"})
            answer = connection.getresponse()
            words = answer.read()
            if answer.status != http.client.OK:
                raise OSError(f"the page answered {answer.status}: {words[:200]!r}")
        finally:
            connection.close()

    def _value(self, part: dict[str, Any], values: dict[str, Any]) -> Any:
        if part["type"] == "browserstate":
            return self.name
        classes = part["props"].get("elem_classes") or []
        field = next((name.removeprefix("q-field-") for name in classes if name.startswith("q-field-")), "")
        return values.get(field, part["props"].get("value"))

    def _answers(self) -> Iterator[str]:
        """What the events that were joined answer, as text, until the last has ended."""
        connection = http.client.HTTPConnection(self._host, timeout=PATIENCE_SECONDS)
        try:
            connection.request("GET", f"{API}/queue/data?session_hash={self._session}")
            for line in connection.getresponse():
                if not line.startswith(b"data: "):
                    continue
                message = json.loads(line[6:])
                if message["msg"] in ("process_generating", "process_completed"):
                    yield "".join(_texts(message.get("output", {}).get("data", [])))
                if message["msg"] == "close_stream":
                    return
                if message["msg"] == "unexpected_error":
                    break
            raise OSError("the page went away in the middle of an answer")
        finally:
            connection.close()


def _description(page: bytes) -> dict[str, Any]:
    """Of the components and events, as the page brings it."""
    text = page.decode()
    return json.JSONDecoder().raw_decode(text, text.index(CONFIG) + len(CONFIG))[0]


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        yield from _texts(list(value.values()))
    elif isinstance(value, list):
        for one in value:
            yield from _texts(one)
