"""The endpoints as programs use them, against a studio in a process of its own. Needs no browser."""

from __future__ import annotations

import contextlib
import io
import json
import re
import shutil
import subprocess
import urllib.request
from pathlib import Path
from typing import Any

import pytest
from gradio_client import Client, handle_file
from gradio_client.exceptions import AppError
from PIL import Image

from tests.browser.studio import ROOT, Studio

DOCUMENT = (ROOT / "docs" / "api.md").read_text(encoding="utf-8")
PATIENCE = 120.0  # seconds; a job that is stopped must end


def examples(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", DOCUMENT, flags=re.DOTALL)


def at(studio: Studio, example: str) -> str:
    """The example, asked of this studio and its fake method."""
    return (
        example.replace("http://127.0.0.1:7860", studio.address)
        .replace("repvideo/pocket", "sketch/pocket")
        .replace(":feature_cache", ":trail")
    )


@pytest.fixture(scope="module")
def client(studio: Studio) -> Client:
    return Client(studio.address, verbose=False)


def refusal(client: Client, **asked: Any) -> str:
    with pytest.raises(AppError) as caught:
        client.predict(**asked)
    return str(caught.value)


def posted(studio: Studio, endpoint: str, body: dict[str, Any]) -> str:
    """What the stream of a plain HTTP call says."""
    address = f"{studio.address}/gradio_api/call"
    request = urllib.request.Request(
        f"{address}/v2/{endpoint}", json.dumps(body).encode(), {"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request) as answer:
        event = json.load(answer)["event_id"]
    with urllib.request.urlopen(f"{address}/{endpoint}/{event}") as stream:
        return stream.read().decode()


@pytest.mark.parametrize(
    "example", examples("python"), ids=lambda example: f"line {DOCUMENT[: DOCUMENT.index(example)].count(chr(10))}"
)
def test_the_documented_python_runs(studio, example):
    said = io.StringIO()
    with contextlib.redirect_stdout(said):
        exec(compile(at(studio, example), "docs/api.md", "exec"), {})
    assert "finished" in said.getvalue() or ".mp4" in said.getvalue()


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
def test_the_documented_curl_runs(studio):
    make, inspect = (at(studio, example) for example in examples("sh"))
    answers = []
    for example in (make, inspect):
        done = subprocess.run(["bash", "-euc", example], cwd=ROOT, check=True, capture_output=True, text=True)
        answers.append(json.loads(done.stdout.strip().removeprefix("data:"))[0])
    assert answers[0]["state"] == "finished" and answers[0]["videos"][0]["url"].startswith(studio.address)
    with urllib.request.urlopen(answers[0]["videos"][0]["url"]) as video:
        assert video.read(12)[4:8] == b"ftyp"
    assert answers[1]["generated"] is False or answers[1]["marks"]


def test_presets_say_what_can_be_set(client):
    offers = {offer["preset"]: offer for offer in client.predict(api_name="/presets")}
    fields = {field["name"]: field for field in offers["sketch/pocket"]["fields"]}
    assert offers["sketch/pocket"]["ready"] and offers["sketch/pocket"]["ideas"] == ["sketch/pocket:trail"]
    assert (fields["num_inference_steps"]["start"], fields["num_inference_steps"]["maximum"]) == (5, 1000)


def test_settings_seed_and_visitor_reach_the_video(client):
    visitor = "v" * 32
    asked = {"preset": "sketch/pocket", "prompt": "a square", "seed": 9, "settings": {"num_frames": 4}}
    made = client.predict(**asked, visitor=visitor, api_name="/generate")
    assert made["visitor"] == visitor and made["settings"]["num_frames"] == 4
    found = client.predict(file=handle_file(made["videos"][0]), api_name="/inspect")
    assert found["generated"] and found["settings"]["seed"] == 9 and found["settings"]["frames"] == 4


@pytest.mark.parametrize(
    ("asked", "sentence"),
    [
        ({"preset": "scetch/pocket"}, "Did you mean 'sketch/pocket'?"),
        ({"prompt": ""}, "Prompt is empty"),
        ({"settings": {"num_frames": 7}}, "Try 8."),
        ({"settings": {"num_frame": 8}}, "Did you mean 'num_frames'?"),
        ({"settings": {"num_frames": "eight"}}, "num_frames"),
        ({"visitor": "me"}, "visitor must be a name from an earlier answer"),
        ({"settings": {"fault": "error"}}, "RuntimeError"),
    ],
)
def test_what_cannot_be_made_is_refused_in_a_sentence(client, asked, sentence):
    asked = {"preset": "sketch/pocket", "prompt": "a square"} | asked
    assert sentence in refusal(client, **asked, api_name="/generate")


def test_a_subject_is_refused_by_a_method_that_takes_none(client):
    picture = handle_file(str(ROOT / "docs" / "pocket.png"))
    asked = {"preset": "sketch/pocket", "prompt": "a square", "subject": picture}
    assert "takes no picture of a subject" in refusal(client, **asked, api_name="/generate")


def test_pictures_that_were_sent_are_forgotten(client, tmp_path):
    picture, visitor = tmp_path / "mine.png", "f" * 32
    Image.new("RGB", (8, 8), "teal").save(picture)
    asked = {"preset": "sketch/pocket", "prompt": "a square", "subject": handle_file(str(picture))}
    assert "takes no picture" in refusal(client, **asked, visitor=visitor, api_name="/generate")
    assert client.predict(visitor="e" * 32, api_name="/forget")["deleted"] == {}, "another's"
    assert client.predict(visitor=visitor, api_name="/forget")["deleted"] == {"picture": 1}, "a refused one lies there"
    assert client.predict(visitor=visitor, api_name="/forget")["deleted"] == {}
    assert "visitor is missing" in refusal(client, visitor="", api_name="/forget")


@pytest.mark.parametrize("meta", [{}, {"meta": {"_type": "gradio.FileData"}}])
@pytest.mark.parametrize("path", ["/etc/passwd", str(ROOT / "README.md"), "../../etc/passwd", "a\0b"])
def test_a_path_that_was_not_uploaded_is_refused(studio, path, meta):
    file = {"path": path} | meta
    for endpoint, body in (("inspect", {"file": file}), ("metrics", {"videos": [file]})):
        said = posted(studio, endpoint, body)
        assert "event: error" in said and "root:" not in said and "Quintet" not in said
        assert str(ROOT) not in said


def test_a_cancelled_call_stops_its_job(client, holding):
    visitor = "c" * 32
    asked = {"preset": "sketch/held", "prompt": "a square", "visitor": visitor, "api_name": "/generate"}
    held = client.submit(**asked)
    states = iter(held)
    while next(states)["step"] < 2:
        pass
    held.cancel()
    free = client.submit(preset="sketch/pocket", prompt="a square", api_name="/generate")
    assert free.result(timeout=PATIENCE)["state"] == "finished", "the one worker is free again"


def test_a_comparison_has_every_cell(client):
    asked = {"prompt": "a square", "methods": ["sketch/pocket", "sketch/pocket:trail"], "api_name": "/compare"}
    grid = client.predict(**asked, vary="num_frames", values="4, 8, 9")
    states = [cell["state"] for cell in grid["cells"]]
    assert states == ["finished", "finished", "impossible"] * 2
    assert "Try 12." in grid["cells"][2]["message"] and len(grid["columns"]) == 3
    assert all(Path(cell["videos"][0]).read_bytes()[4:8] == b"ftyp" for cell in grid["cells"] if cell["videos"])


def test_clips_of_one_name_are_measured_each(client):
    asked = {"preset": "sketch/pocket", "prompt": "a square", "settings": {"views": 2}, "api_name": "/generate"}
    made = client.predict(**asked)
    numbers = client.predict(videos=[handle_file(path) for path in (made["videos"] * 2)[:3]], api_name="/metrics")
    assert len(numbers["clips"]) == 3
    values = [{number["metric"]: number["value"] for number in clip} for clip in numbers["clips"]]
    assert values[0] == values[2] and values[0]["flicker"] is not None
