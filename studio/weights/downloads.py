"""Downloads that the page starts: one thread for each preset, however many visitors watch it."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field

from studio.events import StudioError
from studio.presets import Preset
from studio.weights.fetching import Progress, get, survey
from studio.weights.library import Library, Status
from studio.weights.transfer import DownloadStopped

POLL_SECONDS = 0.3  # between two looks of a page that follows
logger = logging.getLogger(__name__)


@dataclass
class Download:
    """One that runs or has run; `failure` is a sentence for the person."""

    progress: Progress | None = None
    failure: str = ""
    running: bool = True
    stop: threading.Event = field(default_factory=threading.Event)


class Downloads:
    """`allowed`: whether visitors of this page may start them; where they are strangers, they may not."""

    def __init__(self, library: Library, allowed: bool = True) -> None:
        self.library, self.allowed = library, allowed
        self._lock = threading.Lock()
        self._of: dict[str, Download] = {}

    def status(self, preset: Preset) -> Status:
        return self.library.status(preset)

    def state(self, preset: Preset) -> Download | None:
        """The newest download of this preset since the studio began."""
        return self._of.get(preset.key)

    def start(self, preset: Preset, agreed: bool) -> Download:
        """Begin, or join the one that runs. ValueError without consent to the terms."""
        if not self.allowed:
            raise ValueError("Downloads are started on the machine itself, not from this page.")
        if not agreed:
            raise ValueError("Accept the terms first.")
        with self._lock:
            known = self._of.get(preset.key)
            if known is not None and known.running:
                return known
            download = self._of[preset.key] = Download()
        threading.Thread(target=self._run, args=(preset, download), name=f"download {preset.key}", daemon=True).start()
        return download

    def stop(self, preset: Preset) -> None:
        """What has arrived is kept."""
        download = self._of.get(preset.key)
        if download is not None:
            download.stop.set()

    def follow(self, preset: Preset) -> Iterator[Download]:
        """The download as it goes on, until it has ended; nothing when there is none."""
        while (download := self._of.get(preset.key)) is not None:
            yield download
            if not download.running:
                return
            time.sleep(POLL_SECONDS)

    def _run(self, preset: Preset, download: Download) -> None:
        def on_progress(progress: Progress) -> None:
            download.progress = progress

        try:
            survey(self.library, preset)
            get(self.library, preset, on_progress, download.stop.is_set)
        except DownloadStopped:
            download.failure = "Stopped. What has arrived is kept; Download continues."
        except StudioError as error:
            download.failure = str(error)
        except Exception:  # a thread's last word: the page would wait for ever
            logger.exception("the download of %s failed", preset.key)
            download.failure = "The download failed; the log has the reason."
        finally:
            download.running = False
