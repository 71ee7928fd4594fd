"""How long until the page answers, against the smallest Gradio app there is, started in turns in the same run.

    python -m tests.benchmark.startup [--repeats 5]

Both are cold processes; the clock runs from the spawn to the first HTTP 200 of the page itself. What both pay is the
import of Gradio. The last line is one JSON object.
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).parents[2]
PATIENCE_SECONDS = 120.0
LOOK_EVERY_SECONDS = 0.01
ONE_TEXTBOX = """
import sys
import gradio as gr
with gr.Blocks() as page:
    gr.Textbox()
page.launch(server_name="127.0.0.1", server_port=int(sys.argv[1]), ssr_mode=False, quiet=True)
"""


def main(repeats: int = 5) -> dict[str, float]:
    """Print the table; the medians in seconds, and their ratio."""
    seconds: dict[str, list[float]] = {"one textbox": [], "studio": []}
    for name in seconds:
        first_answer(name)  # fills the file cache, and the .pyc and .pyi files that a first import writes
    for _ in range(repeats):
        for name, times in seconds.items():
            times.append(first_answer(name))
    medians = {name: statistics.median(times) for name, times in seconds.items()}
    ratio = medians["studio"] / medians["one textbox"]
    print("| app | median s to first HTTP 200 | fastest | slowest |\n|---|---|---|---|")
    for name, times in seconds.items():
        print(f"| {name} | {medians[name]:.2f} | {min(times):.2f} | {max(times):.2f} |")
    print(f"ratio {ratio:.3f}, at most 1.25 is asked\n")
    result = {
        "benchmark": "startup",
        "studio_seconds": round(medians["studio"], 3),
        "one_textbox_seconds": round(medians["one textbox"], 3),
        "ratio": round(ratio, 3),
        "repeats": repeats,
    }
    print(json.dumps(result))
    return {name: value for name, value in result.items() if isinstance(value, float)}


def usual_environment() -> dict[str, str]:
    """Python keeps what it has compiled, as it does everywhere but in containers that are told not to."""
    environment = os.environ | {"GRADIO_ANALYTICS_ENABLED": "False"}
    if environment.pop("PYTHONDONTWRITEBYTECODE", ""):
        environment["PYTHONPYCACHEPREFIX"] = str(Path(tempfile.gettempdir(), "quintet-startup-pycache"))
    return environment


def first_answer(name: str) -> float:
    """Seconds from the spawn to the page; the process and its workers are ended afterwards."""
    with tempfile.TemporaryDirectory() as folder, socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
        free.close()
        app = ["app.py", "--port", str(port), "--output-dir", folder]
        command = app if name == "studio" else ["-c", ONE_TEXTBOX, str(port)]
        begin = time.perf_counter()
        process = subprocess.Popen(
            [sys.executable, *command],
            cwd=ROOT,
            env=usual_environment() | {"GRADIO_TEMP_DIR": folder},
            stdout=subprocess.DEVNULL,
            start_new_session=True,
        )
        try:
            _wait_for_page(process, port, begin + PATIENCE_SECONDS)
            return time.perf_counter() - begin
        finally:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def _wait_for_page(process: subprocess.Popen[bytes], port: int, deadline: float) -> None:
    while time.perf_counter() < deadline:
        if process.poll() is not None:
            raise RuntimeError(f"the app ended with exit code {process.returncode} before its page was up")
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE_SECONDS)
        try:
            connection.request("GET", "/")
            if connection.getresponse().status == http.client.OK:
                return
        except ConnectionError:
            time.sleep(LOOK_EVERY_SECONDS)
        finally:
            connection.close()
    raise TimeoutError(f"no page after {PATIENCE_SECONDS:.0f} s")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Start-up against the smallest Gradio app")
    parser.add_argument("--repeats", type=int, default=5)
    main(parser.parse_args().repeats)
