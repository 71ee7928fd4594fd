"""A copy of a finished video with the pictures and camera files it was asked with inside; made on request alone."""

from __future__ import annotations

import tempfile
from html import escape
from pathlib import Path
from typing import Any

import gradio as gr

from studio.enclosed import enclose, own_files
from studio.events import Finished
from studio.jobs import Job, JobQueue
from studio.ui.media import cached, file_url
from studio.ui.own_pictures import OwnPictures
from studio.ui.stage import alert

GONE = "The video or the files it was made from are no longer here. Generate it again."


class EncloseBox:
    """A button under the result, there only when the video was made from files of the person's own."""

    def __init__(self, jobs: JobQueue, own: OwnPictures, certificates: Path | None) -> None:
        self._jobs, self._own, self._certificates = jobs, own, certificates
        self.button = gr.Button("Copy with my files inside", size="sm", visible=False, elem_classes="q-enclose")
        self.said = gr.HTML("", apply_default_css=False)

    def shown(self, job: Job | None) -> dict[Any, Any]:
        """For the job whose video is on the stage, None for any other."""
        wanted = job is not None and isinstance(job.latest, Finished) and bool(own_files(job.request))
        return {self.button: gr.update(visible=wanted), self.said: ""}

    def on_click(self, owner: str | None, job_id: str | None) -> str:
        """A link to each clip's copy, or why there is none."""
        job = self._jobs.get(job_id, owner) if job_id and owner else None
        event = job.latest if job is not None else None
        files = own_files(job.request) if job is not None else {}
        if not isinstance(event, Finished) or not files:
            return alert(GONE)
        links = []
        with tempfile.TemporaryDirectory(prefix="quintet-enclosed-") as folder:
            for path in event.paths:
                copy = Path(folder) / f"{path.stem}-with-files.mp4"
                try:
                    enclose(path, copy, files, self._certificates)
                except FileNotFoundError:
                    return alert(GONE)
                except ValueError as error:
                    return alert(str(error))
                self._own.note(owner, cached(copy), "file with pictures inside")
                address = escape(file_url(copy) or "")
                links.append(f'<a href="{address}" download="{escape(copy.name)}">{escape(copy.name)}</a>')
        return f'<p class="q-told" role="status">Drop it here again to have your files back. {" ".join(links)}</p>'
