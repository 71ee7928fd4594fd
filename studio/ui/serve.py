"""Start everything behind the page, open it, and warm the worker once it is up."""

from __future__ import annotations

import gc
import importlib.util
import os
import threading
from collections.abc import Mapping
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

from studio.events import StudioError
from studio.limits import Limits
from studio.one_heap import one_heap
from studio.settings import StudioSettings
from studio.uncollected import uncollected

if TYPE_CHECKING:
    import gradio as gr

    from studio.presets import Preset
    from studio.ui.served import ServedFolder

# Read when gradio and huggingface_hub are imported, so it is said before.
os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")
os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
# Our own queue orders the work. Said here, since `Blocks.queue` would build the whole server a second time.
os.environ.setdefault("GRADIO_DEFAULT_CONCURRENCY_LIMIT", "none")
# Counts of events for a dashboard that is not shown: a table of all of them was built anew after each.
os.environ.setdefault("GRADIO_ANALYTICS_MAX_EVENTS", "1")
os.environ.setdefault("GRADIO_ANALYTICS_CACHE_FREQUENCY", "1000000000")

HISTORY_FILE = "history.sqlite"
LOOPBACK = ("127.0.0.1", "localhost", "::1")
OPEN_PAGES = 500  # whose state is kept, some 70 kB each; the one that was idle longest goes first
GRADIO_THREADS = 40  # each page that follows a job holds one; every job that may wait gets one more


def serve(settings: StudioSettings) -> None:
    """Run the page until interrupted. StudioError or ValueError when it cannot start."""
    from studio.folder_lock import only_studio
    from studio.ui.served import served_folder

    one_heap()
    with only_studio(settings.output_dir), served_folder(settings.output_dir) as served, ExitStack() as ending:
        with uncollected():
            page, address = _opened(settings, served, ending)
            gc.freeze()  # what the start made stays: with a crowd, a look through all of it would hold every answer up
            gc.collect()  # counted anew: few objects are left, so that the closed connections are found soon
        print(f"Quintet is at {address} (Ctrl-C ends it)", flush=True)
        page.block_thread()


def _opened(settings: StudioSettings, served: ServedFolder, ending: ExitStack) -> tuple[gr.Blocks, str]:
    """The page, which answers already, and its address; `ending` closes what is behind it."""
    from studio.compare import Comparisons
    from studio.compare.record import COMPARISONS
    from studio.executors import make_executor
    from studio.history import History
    from studio.jobs import JobQueue
    from studio.presets import FAVOURITE, load_presets, offered
    from studio.ui.app import build_app
    from studio.ui.expiry import Expiry
    from studio.weights.downloads import Downloads
    from studio.weights.library import Library

    known = load_presets(settings.preset_dir, settings.method_packages)
    presets = offered(known, settings.offer)
    fetch_accepted(settings, known)
    history = History(settings.output_dir / HISTORY_FILE)
    ending.callback(history.close)
    executor = make_executor(settings)
    jobs = JobQueue(executor, history, settings.max_queue, limits_of(settings))
    ending.callback(jobs.close)
    if settings.executor == "zerogpu":  # in this thread, before the page opens
        executor.warm([p.recipe for p in presets.values() if settings.offer or p.name == FAVOURITE])
    shown = executor if is_private(settings) else None  # strangers do not see nor empty the memory
    downloads = Downloads(Library(settings.cache_dir), is_private(settings))
    page = build_app(presets, jobs, history, downloads, shown, settings.certificate_dir, settings.keep_hours)
    served.sweep_from_now(settings.keep_hours)
    comparisons = Comparisons(settings.output_dir / COMPARISONS, jobs, history, presets)
    Expiry(history, comparisons, settings.keep_hours).sweep_from_now()
    address = _open(page, settings)
    if settings.executor != "zerogpu":
        first_recipes = (next(iter(presets.values())).recipe,)
        threading.Thread(target=executor.warm, args=(first_recipes,), name="warm the worker", daemon=True).start()
    return page, address


def fetch_accepted(settings: StudioSettings, presets: Mapping[str, Preset]) -> None:
    """Bring the weights whose terms the owner accepted. StudioError when they cannot be had."""
    from studio.presets import offered
    from studio.weights.command import ProgressLine
    from studio.weights.fetching import get
    from studio.weights.library import Library

    for preset in offered(presets, settings.fetch).values() if settings.fetch else ():
        line = ProgressLine()
        get(Library(settings.cache_dir), preset, line.show, lambda: False)
        line.end()


def _open(page: gr.Blocks, settings: StudioSettings) -> str:
    try:
        return page.launch(**launch_options(settings), prevent_thread_lock=True)[1]
    except OSError as error:
        raise StudioError(
            f"The page cannot listen on {settings.host}:{settings.port}: {error}", "Choose another --port."
        ) from error


def is_private(settings: StudioSettings) -> bool:
    """Whether only this machine reaches the page: strangers do not fill a disk with downloads."""
    return settings.host in LOOPBACK and not {"SPACE_ID", "GRADIO_SERVER_NAME"} & os.environ.keys()


def limits_of(settings: StudioSettings) -> Limits:
    """Where strangers reach the page, one of them leaves room in the queue for two others."""
    each = settings.max_queue_each or (0 if is_private(settings) else -(-settings.max_queue // 3))
    return Limits(settings.max_pixels, settings.max_frames, settings.max_steps, each)


def hosts_of(settings: StudioSettings) -> tuple[str, ...]:
    """The names the page answers to; all, where it is meant to be reached."""
    return (*LOOPBACK, *(name.lower() for name in settings.allowed_hosts)) if is_private(settings) else ()


def launch_options(settings: StudioSettings) -> dict[str, Any]:
    """What the page is launched with. A Space names its address by GRADIO_SERVER_NAME."""
    if settings.mcp and importlib.util.find_spec("mcp") is None:
        raise StudioError("The endpoints cannot be offered to agents: mcp is not installed.", "docs/api.md shows how.")
    from starlette.middleware import Middleware

    from studio.ui import player
    from studio.ui.gate import Gate
    from studio.ui.kept_page import KeptPage
    from studio.ui.theme import STYLE, quintet_theme

    most_upload = settings.max_upload_mb * 1_000_000
    name, _, password = settings.login.partition(":")
    before = [Middleware(Gate, hosts_of(settings), most_upload)]
    before += [] if settings.login else [Middleware(KeptPage)]
    return {
        "auth": (name, password) if settings.login else None,
        "max_file_size": most_upload,
        "app_kwargs": {"middleware": before},
        "server_name": os.environ.get("GRADIO_SERVER_NAME", settings.host),
        "server_port": settings.port or None,
        "theme": quintet_theme(),
        "css_paths": [STYLE, STYLE.with_name("compare.css")],
        "head": player.head(),
        "footer_links": [],
        "run_history": False,
        "state_session_capacity": OPEN_PAGES,
        "ssr_mode": False,
        "share": False,
        "max_threads": GRADIO_THREADS + settings.max_queue,
        "show_error": False,
        "mcp_server": settings.mcp,
        "quiet": True,
    }
