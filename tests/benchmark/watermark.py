"""How well the invisible watermark hides, survives and keeps silent: renders of the world, 95% intervals.

    python -m tests.benchmark.watermark [--clips 200] [--side 64]

Every clip is first written as the studio writes it (x264, crf 18), then treated. The last row is clips without it.
"""

from __future__ import annotations

import argparse
import io
import json
from collections.abc import Callable

import av
import cv2
import numpy as np

from models.pocket.world import render_clip, sample_scene
from studio.metrics.intervals import share
from studio.provenance.watermark import detect, embed

FIRST_SEED = 3_000_000


def encoded(frames: np.ndarray, crf: int, preset: str = "medium") -> np.ndarray:
    """The frames after H.264."""
    file = io.BytesIO()
    with av.open(file, "w", "mp4") as container:
        stream = container.add_stream("libx264", rate=8, options={"crf": str(crf), "preset": preset})
        stream.height, stream.width = frames.shape[1:3]
        stream.pix_fmt = "yuv420p"
        for frame in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(np.ascontiguousarray(frame), format="rgb24")))
        container.mux(stream.encode())
    file.seek(0)
    with av.open(file, "r") as container:
        return np.stack([frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)])


def halved(frames: np.ndarray) -> np.ndarray:
    size = (frames.shape[2] // 2, frames.shape[1] // 2)
    return np.stack([cv2.resize(frame, size, interpolation=cv2.INTER_AREA) for frame in frames])


def cropped(frames: np.ndarray) -> np.ndarray:
    """A twentieth off each edge, in even pixels."""
    edge = max(2, round(frames.shape[1] / 20) // 2 * 2)
    return frames[:, edge:-edge, edge:-edge]


TREATMENTS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "as written (crf 18)": lambda frames: frames,
    "crf 23": lambda frames: encoded(frames, 23),
    "crf 28": lambda frames: encoded(frames, 28),
    "half size, crf 23": lambda frames: encoded(halved(frames), 23),
    "half size, crf 28": lambda frames: encoded(halved(frames), 28),
    "10% crop, crf 23": lambda frames: encoded(cropped(frames), 23),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clips", type=int, default=200)
    parser.add_argument("--side", type=int, default=64)
    parser.add_argument("--frames", type=int, default=20)
    options = parser.parse_args()
    cv2.setNumThreads(1)
    found: dict[str, int] = dict.fromkeys((*TREATMENTS, "no mark"), 0)
    weakest = dict.fromkeys(TREATMENTS, np.inf)
    ratios, silent = [], []
    for index in range(options.clips):
        scene = sample_scene(FIRST_SEED + index, "test")
        clip = render_clip(scene, options.frames, options.side, options.side).frames
        marked = embed(clip)
        ratios.append(10 * np.log10(255**2 / ((marked.astype(np.float64) - clip) ** 2).mean()))
        written = encoded(marked, 18, "veryfast")
        for name, treat in TREATMENTS.items():
            seen = detect(treat(written))
            found[name] += seen.found
            weakest[name] = min(weakest[name], seen.strength)
        without = detect(encoded(clip, 18, "veryfast"))
        found["no mark"] += without.found
        silent.append(without.strength)
    print(f"{options.clips} clips of {options.side} x {options.side}, {options.frames} frames")
    print(f"PSNR of the marked clip: mean {np.mean(ratios):.1f} dB, lowest {min(ratios):.1f} dB")
    rows = []
    for name, count in found.items():
        interval = share(count, options.clips)
        rows.append(
            {"treatment": name, "found": count, "low": round(interval.low, 3), "high": round(interval.high, 3)}
        )
        print(f"{name:22}{100 * interval.value:6.1f}%   {100 * interval.low:5.1f} .. {100 * interval.high:5.1f}")
    print(f"strongest without the mark: {max(silent):.1f}")
    print(json.dumps({"benchmark": "watermark", "side": options.side, "clips": options.clips,
                      "psnr_lowest": round(min(ratios), 2), "rows": rows}))  # fmt: skip


if __name__ == "__main__":
    main()
