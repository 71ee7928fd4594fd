"""How long the history's list takes to draw with many results: the whole of what a visit to the tab asks for.

    python -m tests.benchmark.history [--entries 1000]

Last line one JSON object; seconds, the 95th percentile of 40 draws each.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import tempfile
import time
from pathlib import Path
from types import SimpleNamespace

OWNER = "somebody"
DRAWS = 40
ASKED = {"newest": {}, "by words": {"words": "otter 7"}, "nothing found": {"words": "no such words"}, "all": {}}


def filled(folder: Path, count: int) -> object:
    """The tab over a history of this many results, each with its files."""
    import gradio as gr

    from studio.compare import Comparisons
    from studio.history import Entry, History
    from studio.presets import load_presets
    from studio.ui.gallery_tab import GalleryTab

    presets = load_presets()
    keys = list(presets)
    history = History(folder / "history.sqlite")
    for index in range(count):
        path = folder / f"{index}.mp4"
        path.write_bytes(b"%d" % index * 2000)
        key, request = keys[index % len(keys)], {"prompt": f"an otter {index} swims", "seed": index}
        made = time.time() - 60 * index
        history.adopt(Entry(str(index), OWNER, key, key.split("/")[0], request, made, "finished", (path,), path, 3.0))
    with gr.Blocks(), gr.Tabs():
        tab = GalleryTab(history, presets, gr.BrowserState(None))
    tab.compare = SimpleNamespace(made=Comparisons(folder / "none", None, history, {}))  # type: ignore[assignment]
    return tab


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--entries", type=int, default=1000)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        os.environ["GRADIO_TEMP_DIR"] = str(folder / "served")
        tab = filled(folder, options.entries)
        found = {}
        for name, asked in ASKED.items():
            length = options.entries if name == "all" else 24
            seconds = []
            for _ in range(DRAWS // 8 if name == "all" else DRAWS):
                start = time.perf_counter()
                tab.cards(OWNER, length, **asked)  # type: ignore[attr-defined]
                seconds.append(time.perf_counter() - start)
            found[name] = round(statistics.quantiles(seconds, n=20)[-1], 4)
            print(f"{name:14} {found[name]:.3f} s", flush=True)
        print(json.dumps({"benchmark": "history", "entries": options.entries, "seconds_p95": found}))


if __name__ == "__main__":
    main()
