from __future__ import annotations

import pytest

from studio.messages import without_paths


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        ("The folder /home/ann/videos/out: No space.", "The folder out: No space."),
        ("There is no LoRA at '/srv/lora/mine'.", "There is no LoRA at 'mine'."),
        (r"C:\Users\ann\face.png is damaged.", "face.png is damaged."),
        ("~/.cache/quintet/full/x", "x"),
        ("(/a/b/c.mp4)", "(c.mp4)"),
        ("models/pocket/weights/x.safetensors is missing.", "models/pocket/weights/x.safetensors is missing."),
        ("python -m studio weights get METHOD/PRESET", "python -m studio weights get METHOD/PRESET"),
        ("See https://arxiv.org/abs/2501.1/x now", "See https://arxiv.org/abs/2501.1/x now"),
        ("either/or, 1/2 and a / b", "either/or, 1/2 and a / b"),
    ],
)
def test_paths_of_this_machine_are_cut_and_nothing_else(said, shown):
    assert without_paths(said) == shown
