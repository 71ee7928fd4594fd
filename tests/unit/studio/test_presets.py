from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from studio.presets import load_presets, parse_values, preset_for, request_with
from tests.unit.studio.conftest import PACKAGES, PRESETS

GOOD = "method: sketch\nrequest: {prompt: a red square}\n"


def write(folder: Path, text: str, name: str = "sketch/pocket.yaml") -> Path:
    file = folder / name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text, encoding="utf-8")
    return file


def refusal(folder: Path, text: str) -> str:
    write(folder, text)
    with pytest.raises(ValueError) as caught:
        load_presets(folder, PACKAGES)
    return str(caught.value)


def test_a_preset_is_a_complete_valid_request(preset):
    assert preset.key == "sketch/pocket"
    assert preset.request.num_inference_steps == 5
    assert preset.examples[0].request.num_inference_steps == 20
    assert preset.examples[0].request.seed == preset.request.seed
    assert preset.recipe.method == "sketch"


def test_an_example_may_have_a_video_or_several_views(tmp_path):
    file = write(tmp_path, GOOD + "examples: [{video: one.mp4}, {video: [one.mp4, two.mp4]}, {title: none}]\n")
    for name in ("one.mp4", "two.mp4"):
        (file.parent / name).touch()
    examples = load_presets(tmp_path, PACKAGES)["sketch/pocket"].examples
    assert [len(example.videos) for example in examples] == [1, 2, 0]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (GOOD + "reqest: {}\n", ["pocket.yaml", "'reqest'", "Did you mean 'request'?"]),
        (GOOD + "examples: [{request: {steps: 4}}]\n", ["'steps'", "Did you mean 'num_inference_steps'?"]),
        (GOOD.replace("prompt:", "promt:"), ["pocket.yaml", "request", "'promt'", "Did you mean 'prompt'?"]),
        (GOOD + "weights: {transformer: x}\n", ["pocket.yaml", "weights", "'transformer'"]),
        (GOOD + "weights: {longest: 4}\n", ["pocket.yaml: request", "at most 4 with these weights, got 8"]),
        ("method: scetch\n", ["pocket.yaml", "there is no method 'scetch'"]),
        ("method: sketch\nrequest: {num_inference_steps: 2.5}\n", ["request: num_inference_steps", "2.5"]),
        ("method: sketch\nrequest: {num_inference_steps: 0}\n", ["pocket.yaml", "between 1 and 1000, got 0"]),
        ("method: sketch\nrequest: {prompt: ''}\n", ["pocket.yaml", "Prompt is empty"]),
        (GOOD + "examples: [{request: {sed: 1}}]\n", ["examples[0]: request", "Did you mean 'seed'?"]),
        (GOOD + "examples: [{request: 5}]\n", ["examples[0]: request", "key: value", "got int"]),
        (GOOD + f"weights: {{longest: {'a' * 1000}}}\n", ["pocket.yaml: weights: longest"]),
        (GOOD + "examples: [{video: gone.mp4}]\n", ["examples[0]: video", "gone.mp4"]),
        ("method: [sketch\n", ["pocket.yaml", "not valid YAML"]),
        ("just words\n", ["pocket.yaml", "key: value"]),
        ("method: sketch\nrequest: 5\n", ["pocket.yaml: request", "key: value"]),
    ],
)
def test_a_broken_preset_is_refused_with_its_file_and_key(tmp_path, text, words):
    message = refusal(tmp_path, text)
    assert all(word in message for word in words), message
    assert "\n" not in message and len(message) < 600


def test_a_preset_in_another_methods_folder_is_refused(tmp_path):
    write(tmp_path, GOOD, "other/pocket.yaml")
    with pytest.raises(ValueError, match="belongs in the folder sketch/"):
        load_presets(tmp_path, PACKAGES)


def test_a_folder_without_presets_is_refused(tmp_path):
    with pytest.raises(ValueError, match="no presets in"):
        load_presets(tmp_path / "nowhere")


def test_pocket_comes_first_and_names_are_looked_up_with_a_hint(tmp_path):
    write(tmp_path, GOOD, "sketch/full.yaml")
    write(tmp_path, GOOD, "sketch/pocket.yaml")
    presets = load_presets(tmp_path, PACKAGES)
    assert preset_for("sketch", presets=presets).name == "pocket"
    assert preset_for("sketch", "full", presets).name == "full"
    with pytest.raises(ValueError, match=r"no method 'sketsch'. Did you mean 'sketch'\?"):
        preset_for("sketsch", presets=presets)
    with pytest.raises(ValueError, match=r"no preset 'ful'. Did you mean 'full'\?"):
        preset_for("sketch", "ful", presets)


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"prompt": "  "}, "Prompt is empty"),
        ({"prompt": "a" * 10_000}, "10,000 characters"),
        ({"num_frames": 7}, r"multiple of 4, got 7. Try 8"),
        ({"num_inference_steps": "many"}, "num_inference_steps"),
        ({"seed": -1}, "at least 0"),
        ({"nope": 1}, "'nope'"),
    ],
)
def test_bad_values_are_refused_with_one_sentence(preset, values, words):
    with pytest.raises(ValueError, match=words) as caught:
        request_with(preset.request, values)
    assert "\n" not in str(caught.value)


def test_whole_floats_from_a_browser_are_integers(preset):
    request: Any = request_with(preset.request, {"num_inference_steps": 7.0, "seconds_per_step": 1})
    assert (request.num_inference_steps, request.seconds_per_step) == (7, 1.0)
    assert isinstance(request.num_inference_steps, int)


def test_words_of_the_command_line_keep_text_as_written(preset):
    cls = type(preset.request)
    assert parse_values(cls, ["prompt=yes: 1", "seed=3", "trail=off"]) == {
        "prompt": "yes: 1",
        "seed": 3,
        "trail": False,
    }
    with pytest.raises(ValueError, match="key=value"):
        parse_values(cls, ["seed"])


def test_loading_presets_imports_no_torch():
    code = (
        "import sys; from pathlib import Path; from studio.presets import load_presets;"
        f"load_presets(Path({str(PRESETS)!r}), {PACKAGES!r}); assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_the_page_opens_on_a_preset_that_needs_words_only():
    presets = load_presets()
    first = next(iter(presets.values()))
    assert first.key == "repvideo/pocket"
    assert preset_for("echovideo", presets=presets).name == "pocket"


@settings(deadline=None, max_examples=60)
@given(
    st.text(st.sampled_from("\\${}a:?'\"") | st.characters(codec="utf-8"), min_size=1, max_size=30).filter(str.strip)
)
@example("${oc.env:PATH}")
@example("\\${oc.env:PATH}")
@example("???")
@example("\\???")
def test_words_are_never_read_as_anything_but_words(preset, words):
    asked: Any = request_with(preset.request, {"prompt": words})
    assert asked.prompt == words


@pytest.mark.parametrize("key", ["mcm/pocket", "cvd/pocket"])
@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"height": 100}, "multiples of 16 with these weights, got 100 and 64"),
        ({"num_frames": 32}, "at most 16 with these weights, got 32"),
    ],
)
def test_what_networks_cannot_make_is_known_before_they_are_loaded(key, values, words):
    preset = load_presets()[key]
    with pytest.raises(ValueError, match=words):
        preset.check(request_with(preset.request, values))
    preset.check(request_with(preset.request, {"height": 96}))
