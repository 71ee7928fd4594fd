"""Clips -> H.264 mp4 with its settings inside and a poster beside; reads the settings back.

Files are written under a hidden name in the same folder and named last: a reader never meets half a video.
Importing this is light: numpy, Pillow and av come with the first use.
"""

from __future__ import annotations

import contextlib
import dataclasses
import itertools
import json
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

from models.method import Clip
from studio import provenance
from studio.events import JobSpec, StudioError, kept_values, left_out
from studio.video_files import MOVFLAGS, open_video, read_frames

FORMAT = 1
POSTER_QUALITY = 85
# crf 18 is visually lossless, veryfast as good there as medium in a third of the time. Macroblock-tree rate control
# is off: on small frames its AVX-512 code reads memory that nobody wrote, and the same frames gave different files.
ENCODER = {"preset": "veryfast", "crf": "18", "x264-params": "mbtree=0"}
# For pages that hold many clips: a third of the bytes, the watermark still found.
SMALL = {"preset": "veryslow", "crf": "28", "x264-params": "mbtree=0:keyint=250"}
NO_SEI = "filter_units=remove_types=6"  # x264's note on itself: 0.6 kB that nobody reads
BT709 = 1  # ffmpeg's number of this standard for primaries, transfer and matrix


class OutputError(StudioError):
    """The result could not be written; the message says where and why."""


@dataclass(frozen=True)
class Saved:
    """What is on disk: a video per clip, and the poster of the first."""

    paths: tuple[Path, ...]
    poster: Path


def check_folder(folder: Path) -> None:
    """Make the folder and try it, so that a job that cannot be saved is refused before it is computed."""
    with _explained(folder):
        folder.mkdir(parents=True, exist_ok=True)
        probe = folder / f".quintet-probe-{os.getpid()}-{time.time_ns()}"
        try:
            probe.write_bytes(b"quintet")
        finally:
            probe.unlink(missing_ok=True)


def save(
    clips: Sequence[Clip],
    spec: JobSpec,
    folder: Path,
    facts: Mapping[str, Any] | None = None,
    certificates: Path | None = None,
) -> Saved:
    """Write every clip, all or none. `facts` (weights, versions, seconds, ...) joins the request in the file.

    Every file is marked as generated (studio/provenance); `certificates` is the folder of the signing certificate,
    without which files carry the other marks only.
    """
    if not clips:
        raise ValueError("The method gave no video.")
    for clip in clips:
        _check(clip)
    folder = spec.output.parent if spec.output else folder
    settings = _settings(spec, facts or {})
    clips = [dataclasses.replace(clip, frames=provenance.watermarked(clip.frames)) for clip in clips]
    parts: list[Path] = []
    with _explained(folder):
        folder.mkdir(parents=True, exist_ok=True)
        try:
            for index, clip in enumerate(clips):
                parts.append(folder / f".{spec.id}-{index}.mp4")
                own = {"clip": clip.name, "fps": clip.fps, "frames": len(clip.frames)}
                if clip.cameras:
                    own["cameras"] = [dataclasses.asdict(camera) for camera in clip.cameras]
                _write_video(clip, parts[-1], settings | own)
                provenance.mark_video(parts[-1], certificates)
            parts.append(folder / f".{spec.id}-poster.webp")
            _write_poster(clips[0], parts[-1])
            names = [clip.name or (str(index + 1) if len(clips) > 1 else "") for index, clip in enumerate(clips)]
            return _publish(parts, names, spec, folder)
        finally:
            for part in parts:
                part.unlink(missing_ok=True)


def write_small(source: Path, target: Path) -> None:
    """One of our videos in a few kilobytes, settings and marks inside, unsigned. ValueError when it is not ours."""
    import numpy as np

    settings = read_settings(source)
    frames, fps = read_frames(source)
    part = target.with_name(f".{target.name}")
    try:
        _write_video(Clip(np.stack(frames), fps), part, settings, SMALL)
        provenance.mark_video(part, None)
        part.replace(target)
    finally:
        part.unlink(missing_ok=True)


def remove_unfinished(spec: JobSpec, folder: Path) -> None:
    """Delete what a worker that died left of a job."""
    for part in (spec.output.parent if spec.output else folder).glob(f".{spec.id}-*"):
        with contextlib.suppress(OSError):
            part.unlink()


def read_settings(path: Path) -> dict[str, Any]:
    """The settings inside one of our videos. ValueError says what the file is instead."""
    if not path.is_file():
        raise ValueError(f"There is no file {path}.")
    with open_video(path) as container:
        comment = container.metadata.get("comment", "")
    try:
        settings = json.loads(comment)
    except (ValueError, RecursionError):
        settings = None
    if not isinstance(settings, dict) or settings.get("studio") != "quintet":
        raise ValueError(f"{path.name} was not made by Quintet, or its settings were removed.")
    form = settings.get("format")
    if not isinstance(form, int) or form > FORMAT:
        raise ValueError(f"{path.name} was made by a newer Quintet (settings format {form!r:.40}).")
    return settings


def encode_webp(frames: Any, fps: float = 8.0, quality: int = 70, xmp: bytes = b"") -> bytes:
    """A small animated WebP of uint8 [frames, height, width, 3], or a still of [height, width, 3]."""
    import io

    from PIL import Image

    pictures = [Image.fromarray(frame) for frame in (frames if frames.ndim == 4 else frames[None])]
    out = io.BytesIO()
    animation = {"save_all": True, "append_images": pictures[1:], "duration": round(1000 / fps), "loop": 0}
    pictures[0].save(out, "WEBP", quality=quality, method=0, xmp=xmp, **(animation if len(pictures) > 1 else {}))
    return out.getvalue()


def _settings(spec: JobSpec, facts: Mapping[str, Any]) -> dict[str, Any]:
    request = kept_values(spec.request)
    return {
        "studio": "quintet",
        "format": FORMAT,
        "method": spec.method,
        "preset": spec.preset,
        "request": request,
        **({"left_out": missing} if (missing := left_out(spec.request)) else {}),
        "seed": request.get("seed"),
        "created": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
        **facts,
    }


def _check(clip: Clip) -> None:
    shape, dtype = tuple(clip.frames.shape), str(clip.frames.dtype)
    assert dtype == "uint8" and len(shape) == 4 and shape[0] and shape[3] == 3, f"not a clip: {dtype} {shape}"


def _write_video(clip: Clip, path: Path, settings: dict[str, Any], encoder: Mapping[str, str] = ENCODER) -> None:
    import av
    import numpy as np
    from av.bitstream import BitStreamFilterContext
    from av.video.reformatter import ColorRange, Colorspace

    height, width = clip.frames.shape[1:3]
    frames = np.pad(
        clip.frames, ((0, 0), (0, height % 2), (0, width % 2), (0, 0)), mode="edge"
    )  # yuv420p needs even sides
    with av.open(str(path), "w", options={"movflags": MOVFLAGS}) as container:
        container.metadata["title"] = f"{settings['method']} {settings['seed']}"
        container.metadata["comment"] = json.dumps(settings, ensure_ascii=False, default=str)
        rate = Fraction(clip.fps).limit_denominator(1001)
        stream = container.add_stream("libx264", rate=rate, options=dict(encoder))
        stream.height, stream.width = frames.shape[1:3]
        stream.pix_fmt = "yuv420p"
        context = stream.codec_context
        context.gop_size = max(1, round(clip.fps))  # a key frame a second: seeking stays quick
        context.color_primaries = context.color_trc = context.colorspace = BT709
        context.color_range = ColorRange.MPEG
        container.start_encoding()
        bare = BitStreamFilterContext(NO_SEI, stream, stream)
        for pixels in frames:
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(pixels), format="rgb24")
            frame = frame.reformat(format="yuv420p", dst_colorspace=Colorspace.ITU709, dst_color_range=ColorRange.MPEG)
            for packet in stream.encode(frame):
                container.mux(bare.filter(packet))
        for packet in stream.encode():
            container.mux(bare.filter(packet))
    with av.open(str(path)) as container:  # a disk that filled up is not always reported while writing
        written = container.streams.video[0].frames
    if written != len(frames):
        raise OSError(f"only {written} of {len(frames)} frames were written")


def _write_poster(clip: Clip, path: Path) -> None:
    still = clip.frames[len(clip.frames) // 2]
    path.write_bytes(encode_webp(still, quality=POSTER_QUALITY, xmp=provenance.XMP))


def _publish(parts: list[Path], names: list[str], spec: JobSpec, folder: Path) -> Saved:
    """Give the finished parts their names, the poster first, so that whoever sees a video finds its poster."""
    *videos, poster = parts
    if spec.output:
        stem, suffix = spec.output.stem, spec.output.suffix
        paths = [folder / f"{stem}{f'-{name}' if name else ''}{suffix}" for name in names]
        poster.replace(folder / f"{stem}.webp")
        for video, path in zip(videos, paths, strict=True):
            video.replace(path)
        return Saved(tuple(paths), folder / f"{stem}.webp")
    for stem in _stems(spec, folder):
        targets = [folder / f"{stem}.webp", *(folder / f"{stem}{f'-{name}' if name else ''}.mp4" for name in names)]
        if _link_all([poster, *videos], targets):
            return Saved(tuple(targets[1:]), targets[0])
    raise AssertionError("unreachable: the numbers do not end")


def _stems(spec: JobSpec, folder: Path) -> Iterator[str]:
    """repvideo-20261121-0007-seed42, numbered on from the day's last."""
    day = f"{spec.method}-{time.strftime('%Y%m%d')}"
    numbers = [path.name.removeprefix(day + "-").split("-")[0].split(".")[0] for path in folder.glob(f"{day}-*")]
    first = 1 + max((int(number) for number in numbers if number.isdigit()), default=0)
    seed = getattr(spec.request, "seed", None)
    for number in itertools.count(first):
        yield f"{day}-{number:04d}" + ("" if seed is None else f"-seed{seed}")


def _link_all(sources: list[Path], targets: list[Path]) -> bool:
    """Name all or none; False when a name is taken. A link, unlike a rename, never replaces another's file."""
    done: list[Path] = []
    try:
        for source, target in zip(sources, targets, strict=True):
            _link(source, target)
            done.append(target)
    except BaseException as error:
        for target in done:
            target.unlink(missing_ok=True)
        if isinstance(error, FileExistsError):
            return False
        raise
    return True


def _link(source: Path, target: Path) -> None:
    try:
        os.link(source, target)
    except FileExistsError:
        raise
    except OSError:  # a file system without links: claim the name, then fill it
        os.close(os.open(target, os.O_CREAT | os.O_EXCL))
        source.replace(target)


@contextlib.contextmanager
def _explained(folder: Path) -> Iterator[None]:
    """OSError, av's included, as a sentence about the output folder."""
    try:
        yield
    except OSError as error:
        reason = error.strerror or str(error)
        raise OutputError(
            f"The video cannot be written to the folder {folder}: {reason}.",
            "Free some space there or choose another output folder.",
        ) from error
