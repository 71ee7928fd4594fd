"""Training at full size, with tiny parts: a folder of clips becomes a LoRA, and a stopped run continues."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import av
import numpy as np
import pytest
import torch
from diffusers import CogVideoXDDIMScheduler
from PIL import Image
from safetensors.torch import load_file

from models.customvideox.dataset import EncodedClips, read_clip, read_entries
from models.customvideox.lora import LoraSettings, load_lora
from models.customvideox.train import Fit, fit, main
from models.customvideox.transformer import CustomVideoXTransformer3DModel
from tests.unit.models import cogvideox_parts as parts
from tests.unit.models.test_customvideox_network import network

SIZE = ["--frames", "8", "--fps", "8", "--height", "24", "--width", "32"]


@pytest.fixture
def data(tmp_path: Path) -> Path:
    folder = tmp_path / "data"
    folder.mkdir()
    lines = []
    for index, colour in enumerate(((220, 20, 20), (20, 20, 220))):
        _write_video(folder / f"{index}.mp4", colour)
        picture = np.full((32, 32, 3), 255, np.uint8)
        picture[8:24, 8:24] = colour
        Image.fromarray(picture).save(folder / f"{index}.png")
        lines.append(json.dumps({"video": f"{index}.mp4", "caption": "a ball", "reference": f"{index}.png"}))
    (folder / "metadata.jsonl").write_text("\n".join(lines) + "\n")
    return folder


@pytest.fixture
def base(tmp_path: Path) -> Path:
    folder = tmp_path / "base"
    network(parts.PATCHED).save_pretrained(folder / "transformer")
    parts.vae(1).save_pretrained(folder / "vae")
    parts.text_encoder().save_pretrained(folder / "text_encoder")
    parts.tokenizer().save_pretrained(folder / "tokenizer")
    CogVideoXDDIMScheduler(**parts.SCHEDULER).save_pretrained(folder / "scheduler")
    return folder


def _write_video(path: Path, colour: tuple[int, int, int], frames: int = 24, rate: int = 16) -> None:
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=rate)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for index in range(frames):
            picture = np.full((48, 64, 3), 10 * index, np.uint8)
            picture[16:32, 2 * index : 2 * index + 12] = colour
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, "rgb24")))
        container.mux(stream.encode())


def test_a_clip_is_read_at_the_rate_asked_for(data):
    clip = read_clip(data / "0.mp4", 8, 8.0, 24, 32)
    assert clip.shape == (8, 24, 32, 3)
    light = clip[:, -2:].mean((1, 2, 3))
    assert np.allclose(np.diff(light), 20, atol=6)  # every second frame of the file
    with pytest.raises(ValueError, match=r"0\.mp4 has 12 frames at 8 a second; training needs 13"):
        read_clip(data / "0.mp4", 13, 8.0, 24, 32)


def test_a_folder_becomes_a_lora_that_the_network_takes(data, base, tmp_path, capsys):
    output = tmp_path / "lora"
    main(["encode", str(data), "--base", str(base), *SIZE, "--pictures", "3"])
    tensors = load_file(data / "encoded" / "000000.safetensors")
    assert tensors["latents"].shape == (8, parts.CHANNELS, 6, 8)
    assert tensors["pictures"].shape == (3, parts.CHANNELS, 6, 8)
    assert tensors["words"].shape == (parts.TEXT_TOKENS, parts.TEXT_DIM)
    main(["fit", str(data), "--base", str(base), "--output", str(output), "--rank", "2", "--alpha", "2",
          "--steps", "3", "--clips", "2", "--save-every", "3", "--learning-rate", "0.01"])  # fmt: skip
    lora = load_lora(str(output), network(parts.PATCHED), LoraSettings())
    assert lora.settings == LoraSettings(rank=2, alpha=2.0, rows="reference")
    assert all(update.up.abs().max() > 0 for update in lora.blocks[0].values())  # pyright: ignore
    line = json.loads((output / "log.jsonl").read_text())
    assert line["step"] == 3 and line["clips_per_second"] > 0 and line["loss"] > 0
    assert '"step": 3' in capsys.readouterr().out


def test_a_stopped_run_continues_and_other_settings_are_refused(data, base, tmp_path):
    main(["encode", str(data), "--base", str(base), *SIZE])
    settings = LoraSettings(rank=2, alpha=2.0)
    output = tmp_path / "lora"
    fit(data, base, output, settings, Fit(steps=2, clips=1, save_every=2))
    fit(data, base, output, settings, Fit(steps=4, clips=1, save_every=2))
    steps = [json.loads(line)["step"] for line in (output / "log.jsonl").read_text().splitlines()]
    assert steps == [2, 4]
    assert torch.load(output / "state.pt", weights_only=True)["step"] == 4
    with pytest.raises(ValueError, match="was begun with other settings than rank 4 on to_q"):
        fit(data, base, output, LoraSettings(rank=4), Fit(steps=5))


@pytest.mark.parametrize("mask", ["cached", "joint"])
def test_the_loss_falls_on_one_clip(data, base, tmp_path, mask):
    main(["encode", str(data), "--base", str(base), *SIZE])
    (data / "encoded" / "000001.safetensors").unlink()
    settings = LoraSettings(rank=4, alpha=4.0, mask=mask)
    plan = Fit(steps=6, clips=4, save_every=6, learning_rate=0.02, warm_up=1, dropped=0.0)
    first = fit(data, base, tmp_path / "lora", settings, plan)
    later = fit(data, base, tmp_path / "lora", settings, replace(plan, steps=18))
    assert later < 0.97 * first


def test_a_lora_on_the_pictures_rows_always_has_one(data, base, tmp_path):
    main(["encode", str(data), "--base", str(base), *SIZE])
    settings = LoraSettings(rank=2, alpha=2.0, rows="reference")
    assert fit(data, base, tmp_path / "lora", settings, Fit(steps=2, clips=2, dropped=1.0, save_every=2)) > 0


def test_words_and_pictures_are_dropped_as_often_as_asked(data, base):
    main(["encode", str(data), "--base", str(base), *SIZE])
    drawn = [EncodedClips(data / "encoded", dropped, dropped, 0) for dropped in (0.0, 1.0)]
    _, words, picture = drawn[0].draw()
    _, no_words, no_picture = drawn[1].draw()
    assert picture is not None and picture.shape == (1, 1, parts.CHANNELS, 6, 8)
    assert no_picture is None
    assert torch.equal(no_words[0], drawn[1].nothing) and not torch.equal(words, no_words)


def test_a_folder_that_cannot_be_used_is_a_sentence(data, base, tmp_path):
    with pytest.raises(ValueError, match=r"There is no metadata\.jsonl in"):
        read_entries(tmp_path)
    (data / "metadata.jsonl").write_text('{"video": "0.mp4"}\n')
    with pytest.raises(ValueError, match="line 1: needs video, caption, reference as JSON"):
        read_entries(data)
    (data / "metadata.jsonl").write_text('{"video": "9.mp4", "caption": "a", "reference": "0.png"}\n')
    with pytest.raises(ValueError, match=r"line 1: there is no file .*9\.mp4"):
        read_entries(data)
    with pytest.raises(ValueError, match="Run the encode stage"):
        fit(data, base, tmp_path / "lora", LoraSettings(rank=2), Fit(steps=1))


def test_the_network_is_read_by_from_pretrained(base):
    loaded = CustomVideoXTransformer3DModel.from_pretrained(base / "transformer")
    assert all(
        torch.equal(a, b) for a, b in zip(loaded.parameters(), network(parts.PATCHED).parameters(), strict=True)
    )
