"""Every reader of what strangers hand in, with good samples to damage. One class each: a case is made, then read."""

from __future__ import annotations

import hashlib
import io
import json
import random
import shutil
import struct
import zipfile
from abc import ABC, abstractmethod
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from studio.enclosed import BOX, enclosed
from tests.benchmark.fuzz_mutation import damaged, damaged_tree, damaged_words, json_text

ROOT = Path(__file__).parents[2]
FAKES = ROOT / "tests/fakes/presets"
SETTINGS = {
    "studio": "quintet", "format": 1, "method": "sketch", "preset": "sketch/pocket", "seed": 7, "frames": 4, "fps": 8,
    "request": {"prompt": "a red square", "seed": 7, "num_inference_steps": 5, "num_frames": 8, "trail": True},
    "weights": {"unet": "0" * 64}, "versions": {"torch": "2"}, "device": "cpu", "seconds": 1.5, "peak_memory_mb": 90,
    "cameras": [{"pose": [1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1], "lens": [0.8, 0.8, 0.5, 0.5]}] * 4,
}  # fmt: skip
PRESET = {
    "method": "sketch", "title": "Sketch", "place": 3, "weights": {"longest": 32},
    "request": {"prompt": "a square", "num_frames": 8, "seed": 3},
    "examples": [{"title": "one", "request": {"prompt": "two", "trail": False}}],
}  # fmt: skip


class Parser(ABC):
    """`folder` is the parser's own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @abstractmethod
    def make(self, lots: random.Random) -> Path:
        """A damaged file."""

    @abstractmethod
    def read(self, path: Path) -> None:
        """ValueError or StudioError for what is refused."""

    def put(self, name: str, content: bytes) -> Path:
        path = self.folder / name
        path.write_bytes(content)
        return path


class VideoSettings(Parser):
    """Settings, cameras and report of an mp4: half the cases damage the JSON inside, half the file."""

    def make(self, lots: random.Random) -> Path:
        if lots.random() < 0.5:
            return film(self.folder / "case.mp4", json_text(damaged_tree(SETTINGS, lots), lots))
        good = film(self.folder / "good.mp4", json.dumps(SETTINGS)).read_bytes()
        return self.put("case.mp4", damaged(good, lots, (b"#EXTM3U\n/etc/passwd\n",)))

    def read(self, path: Path) -> None:
        from studio.cameras import clip_cameras
        from studio.outputs import read_settings
        from studio.presets import load_presets
        from studio.provenance import Findings
        from studio.provenance.report import lines
        from studio.restored import restored

        settings = read_settings(path)
        clip_cameras(path)
        lines(Findings(path.name, None, None, None, settings))
        restored(settings, load_presets(FAKES, ("models", "tests.fakes")))


class Marks(Parser):
    """The inspector: XMP, C2PA manifest, watermark."""

    def make(self, lots: random.Random) -> Path:
        from studio import provenance

        good = self.folder / "signed.mp4"
        if not good.exists():
            provenance.mark_video(film(good, json.dumps(SETTINGS), side=64), self.folder / "certificate")
            self.put("good.webp", _picture("WEBP", xmp=provenance.XMP))
        sources = (good.read_bytes(), (self.folder / "good.webp").read_bytes())
        content = damaged(sources[lots.random() < 0.3], lots, sources)
        if lots.random() < 0.3:  # marks stand at the end
            content = sources[0][:-900] + damaged(sources[0][-900:], lots)
        return self.put("case.bin", content)

    def read(self, path: Path) -> None:
        from studio import provenance
        from studio.provenance.report import lines, summary

        findings = provenance.inspect(path, self.folder / "certificate")
        summary(findings)
        lines(findings)


class Pictures(Parser):
    """What a worker decodes."""

    def make(self, lots: random.Random) -> Path:
        kinds = ("PNG", "JPEG", "WEBP", "BMP", "GIF", "TIFF")
        sources = tuple(_picture(kind) for kind in kinds)
        return self.put("case.png", damaged(lots.choice(sources[:4] * 3 + sources[4:]), lots, sources))

    def read(self, path: Path) -> None:
        from models.common.pictures import read_picture

        assert read_picture(path).shape[2] == 3


class EnclosedFiles(Parser):
    """Pictures and camera files inside a video: the box and what lies in it."""

    def make(self, lots: random.Random) -> Path:
        listed = [["picture", len(_picture("PNG"))], ["cameras", 20]]
        if lots.random() < 0.5:
            listed = damaged_tree(listed, lots)
        header = json_text(listed, lots).encode()
        body = struct.pack(">I", len(header)) + header + _picture("PNG") + b"a camera path      \n"
        body = damaged(body, lots) if lots.random() < 0.5 else body
        return self.put("case.mp4", struct.pack(">I4s16s", 24 + len(body), b"uuid", BOX) + body)

    def read(self, path: Path) -> None:
        for file in enclosed(path):
            assert file.suffix in (".png", ".jpg", ".bmp", ".webp", ".txt")


class Poses(Parser):
    """RealEstate10K files."""

    def make(self, lots: random.Random) -> Path:
        rows = [f"{i * 33000} 0.6 1.0 0.5 0.5 0 0 1 0 0 {i / 9:.3f} 0 1 0 0 0 0 1 0" for i in range(6)]
        words = "\n".join(["https://example.invalid/walk", *rows])
        return self.put("case.txt", damaged_words(words, lots).encode("utf-8", "surrogatepass"))

    def read(self, path: Path) -> None:
        from models.common.cameras import read_camera_file

        track = read_camera_file(path).resampled(16)
        assert np.isfinite(track.relative()).all()


class Presets(Parser):
    """presets/<method>/<name>.yaml."""

    def make(self, lots: random.Random) -> Path:
        (self.folder / "sketch").mkdir(exist_ok=True)
        if lots.random() < 0.6:
            return self.put("sketch/case.yaml", json.dumps(damaged_tree(PRESET, lots)).encode())
        words = damaged_words(yaml.safe_dump(PRESET), lots)
        return self.put("sketch/case.yaml", words.encode("utf-8", "surrogatepass"))

    def read(self, path: Path) -> None:
        from studio.presets import load_preset

        load_preset(path, ("tests.fakes",))


class Bundles(Parser):
    """Zips dropped on the compare tab, taken all the way into history and folder."""

    def __init__(self, folder: Path) -> None:
        from studio.compare import Comparisons
        from studio.executors.inline import InlineExecutor
        from studio.history import History
        from studio.jobs import JobQueue
        from studio.presets import load_presets
        from studio.settings import StudioSettings

        super().__init__(folder)
        self.presets = load_presets(FAKES, ("models", "tests.fakes"))
        self.home = folder / "home"
        self.history = History(self.home / "history.sqlite")
        jobs = JobQueue(InlineExecutor(StudioSettings(output_dir=self.home)), self.history)
        self.made = Comparisons(self.home / "comparisons", jobs, self.history, self.presets)
        self.clip = film(folder / "clip.mp4", json.dumps(SETTINGS)).read_bytes()
        member = {
            "row": 0, "column": 0, "label": "Sketch", "variant": "sketch/pocket", "preset": "sketch/pocket",
            "request": SETTINGS["request"], "reason": "", "clips": ["clips/00-0.mp4"], "seconds": 1.5,
        }  # fmt: skip
        self.manifest = {
            "studio": "quintet", "format": 1, "id": "1-a", "created": 1e9, "title": "a red square", "rows": ["Sketch"],
            "columns": [""], "members": [member, member | {"clips": [], "reason": "too long"}],
        }  # fmt: skip

    def make(self, lots: random.Random) -> Path:
        tree = damaged_tree(self.manifest, lots) if lots.random() < 0.6 else self.manifest
        content = {"comparison.json": json_text(tree, lots).encode(), "clips/00-0.mp4": self.clip}
        if lots.random() < 0.1:
            content["clips/00-0.mp4"] = damaged(self.clip, lots)
        if lots.random() < 0.1:
            content[lots.choice(("../../out.mp4", "clips/../../a.mp4", "/abs.mp4", "clips\\..\\a.mp4"))] = b"x"
        sums = "".join(f"{hashlib.sha256(data).hexdigest()}  {name}\n" for name, data in content.items())
        out = io.BytesIO()
        packed = lots.choice((zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA))
        with zipfile.ZipFile(out, "w", packed) as archive:
            for name, data in (content | {"SHA256SUMS": sums.encode()}).items():
                archive.writestr(name, data)
        raw = out.getvalue()
        return self.put("case.zip", damaged(raw, lots) if lots.random() < 0.3 else raw)

    def read(self, path: Path) -> None:
        from studio.compare import bundle

        outside = sorted(self.folder.iterdir())
        try:
            found = bundle.restore(path, "visitor", self.home, self.made, self.history, self.presets)
            states = self.made.states(found.comparison, "visitor")
            assert all(one.is_relative_to(self.home) for state in states for one in state.paths)
        finally:
            assert sorted(self.folder.iterdir()) == outside, "a zip wrote outside its folder"
            for imported in self.home.glob("imported-*"):
                shutil.rmtree(imported)


class Weights(Parser):
    """Headers of safetensors files, and the LoRA that is read from one."""

    def make(self, lots: random.Random) -> Path:
        tensors = {
            f"transformer.transformer_blocks.0.attn1.to_q.lora_{part}.weight": {
                "dtype": "F16", "shape": [4, 4], "data_offsets": [at, at + 32],
            }
            for part, at in (("A", 0), ("B", 32))
        }  # fmt: skip
        said = {"format": "pt", "lora_adapter_metadata": json.dumps({"transformer.r": 4, "transformer.lora_alpha": 4})}
        header: dict[str, Any] = {"__metadata__": said, **tensors}
        if lots.random() < 0.6:
            header = damaged_tree(header, lots)
        text = json_text(header, lots).encode()
        content = len(text).to_bytes(8, "little") + text + bytes(64)
        return self.put("case.safetensors", damaged(content, lots) if lots.random() < 0.5 else content)

    def read(self, path: Path) -> None:
        from models.customvideox.lora import LoraFile, LoraSettings
        from studio.registry.files import read_header

        try:
            read_header(path)
        finally:
            LoraFile.read(str(path)).settings(LoraSettings())


PARSERS: dict[str, Callable[[Path], Parser]] = {
    "settings": VideoSettings,
    "marks": Marks,
    "pictures": Pictures,
    "enclosed files": EnclosedFiles,
    "poses": Poses,
    "presets": Presets,
    "bundles": Bundles,
    "weights": Weights,
}


def film(path: Path, comment: str, side: int = 32) -> Path:
    """Four frames with a comment, as the studio writes them."""
    import av

    with av.open(str(path), "w", "mp4", {"movflags": "faststart+use_metadata_tags"}) as container:
        container.metadata["comment"] = comment.replace("\0", " ")
        stream = container.add_stream("libx264", rate=8, options={"preset": "ultrafast"})
        stream.width, stream.height, stream.pix_fmt = side, side, "yuv420p"
        for index in range(4):
            frame = np.full((side, side, 3), 40 * index, np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, "rgb24")))
        container.mux(stream.encode())
    return path


def _picture(kind: str, **options: Any) -> bytes:
    from PIL import Image

    out = io.BytesIO()
    Image.fromarray(np.arange(40 * 48 * 3, dtype=np.uint8).reshape(40, 48, 3)).save(out, kind, **options)
    return out.getvalue()
