from __future__ import annotations

from typing import Any

import gradio as gr
import pytest

from studio.ui.memory_panel import MemoryPanel, describe, gigabytes

STATUS: dict[str, Any] = {
    "state": "ready", "device": "cuda", "bytes": 10_400_000_000, "host_bytes": 8_900_000_000, "budget": 80_000_000_000,
    "reserved": 2_000_000_000,
    "components": [
        {"names": ["transformer"], "methods": ["echovideo"], "source": "a", "dtype": "bfloat16", "place": "cuda",
         "bytes": 10_400_000_000, "host_bytes": 0, "leased": True},
        {"names": ["text_encoder"], "methods": ["echovideo", "repvideo"], "source": "b", "dtype": "<i>",
         "place": "ram", "bytes": 0, "host_bytes": 8_900_000_000, "leased": False},
    ],
}  # fmt: skip
EMPTY = {"state": "absent", "device": "auto", "bytes": 0, "components": []}


class Memory:
    """An executor as far as the panel knows it."""

    def __init__(self, state: str, freed: int) -> None:
        self.state, self.freed, self.asked = state, freed, 0

    def status(self) -> dict[str, Any]:
        return STATUS | {"state": self.state}

    def unload(self) -> int:
        self.asked += 1
        return self.freed


def panel(state: str, freed: int) -> tuple[MemoryPanel, Memory]:
    executor = Memory(state, freed)
    with gr.Blocks(analytics_enabled=False) as page:
        made = MemoryPanel(executor)  # type: ignore[arg-type]
        made.connect(page)
    return made, executor


def test_components_are_listed_with_place_and_size_and_escaped():
    shown = describe(STATUS)
    assert "12.4 GB of 80.0 GB used" in shown and "8.9 GB of copies" in shown
    assert "<b>transformer</b> (echovideo): bfloat16, 10.4 GB, on the GPU, in use" in shown
    assert "<b>text encoder</b> (echovideo, repvideo): &lt;i&gt;, 8.9 GB, in this machine&#x27;s memory" in shown


def test_before_the_first_job_it_says_so():
    assert describe(EMPTY) == '<p class="q-sums">auto, no worker yet: 0.0 MB used.</p>'


@pytest.mark.parametrize(
    ("state", "freed", "words", "asked"),
    [
        ("ready", 19_300_000_000, "Freed 19.3 GB.", 1),
        ("ready", 0, "nothing to free", 1),
        ("busy", 19_300_000_000, "A job is running", 0),
    ],
)
def test_unload_says_what_it_freed_and_leaves_a_running_job_alone(state, freed, words, asked):
    made, executor = panel(state, freed)
    assert words in made.on_unload()[1] and executor.asked == asked


@pytest.mark.parametrize(("size", "words"), [(0, "0.0 MB"), (4_100_000, "4.1 MB"), (3_200_000_000, "3.2 GB")])
def test_sizes_are_said_in_round_numbers(size, words):
    assert gigabytes(size) == words
