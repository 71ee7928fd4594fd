"""The endpoints: the same queue, owner, limits and checks as the page. Docstrings are what clients read."""

from __future__ import annotations

import contextlib
import inspect as signatures
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import gradio as gr
from gradio import FileData

from models.method import request_fields
from studio import provenance
from studio.compare import Brief, CellState, Comparisons, Costs, Numbers, variants, weights_here
from studio.compare.by_name import plan_by_name
from studio.compare.numbers import asked_of
from studio.compare.record import Member
from studio.events import TERMINAL, Failed, StudioError
from studio.jobs import JobQueue
from studio.outputs import read_settings
from studio.presets import Preset, did_you_mean
from studio.ui.api import answers
from studio.ui.api.uploads import check_consent, request_of, uploaded
from studio.ui.controls import check_uploads
from studio.ui.own_pictures import OwnPictures
from studio.ui.visitor import visitor_name

MOST_CLIPS = 6  # of one scene


def answering(answer: Any) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """The type of an endpoint's answer: of each one where it answers several times."""

    def declare(function: Callable[..., Any]) -> Callable[..., Any]:
        declared = signatures.signature(function).replace(return_annotation=answer)
        function.__signature__ = declared  # type: ignore[attr-defined]
        return function

    return declare


@contextlib.contextmanager
def in_words() -> Iterator[None]:
    """What a client can act on reaches it as a sentence; anything else stays in the log."""
    try:
        yield
    except (ValueError, StudioError) as error:
        raise gr.Error(str(error), print_exception=False) from None


class Endpoints:
    """One method for each endpoint."""

    def __init__(
        self, presets: Mapping[str, Preset], jobs: JobQueue, made: Comparisons, costs: Costs, numbers: Numbers,
        own: OwnPictures, certificates: Path,
    ) -> None:  # fmt: skip
        self._presets, self._jobs, self._made, self._own = presets, jobs, made, own
        self._costs, self._numbers, self._certificates = costs, numbers, certificates

    @answering(list[answers.Offer])
    def presets(self) -> list[answers.Offer]:
        """Every preset: whether it can run here, its ideas, and its settings with their starting values."""
        return [answers.offer(preset, weights_here(preset)) for preset in self._presets.values()]

    @answering(answers.Made)
    def generate(
        self,
        preset: str,
        prompt: str,
        seed: int | None = None,
        settings: dict[str, Any] | None = None,
        person: FileData | None = None,
        subject: FileData | None = None,
        consent: bool = False,
        visitor: str = "",
    ) -> Iterator[answers.Made]:
        """Make a video. Answers with progress, the last time with the finished video; cancelling stops the job.

        Args:
            preset: A name from presets, for example "repvideo/pocket".
            prompt: What happens in the video.
            seed: The same seed and settings give the same video; the preset's own when left out.
            settings: Other settings by name, see presets; what is left out stays as the preset has it.
            person: A picture of a person's face, for methods that keep a face.
            subject: A picture of a thing, for methods that keep a subject.
            consent: Say true if you have the right to use the person's face.
            visitor: The name under which this is queued, from an earlier answer; a new one when left out.
        """
        with in_words():
            chosen = self._preset(preset)
            owner = self._visitor(visitor)
            pictures = self._pictures(person, subject, owner)
            check_consent(chosen, pictures, consent)
            values = {**(settings or {}), "prompt": prompt} | ({} if seed is None else {"seed": seed})
            job = self._jobs.submit(chosen, request_of(chosen, values, pictures), owner)
        try:
            for event in job.events():
                if isinstance(event, Failed):
                    raise gr.Error(f"{event.message} {event.advice}".strip(), print_exception=False)
                yield answers.made(job)
        finally:
            self._jobs.stop(job.id, job.owner)  # nobody waits for it any more

    @answering(answers.Compared)
    def compare(
        self,
        prompt: str,
        methods: list[str] | None = None,
        seeds: list[int] | None = None,
        vary: str = "",
        values: str = "",
        person: FileData | None = None,
        subject: FileData | None = None,
        cameras: str = "",
        consent: bool = False,
        visitor: str = "",
    ) -> Iterator[answers.Compared]:
        """Make one video with each of several methods. Answers whenever one begins or ends; cancelling stops them.

        Args:
            prompt: What happens in the videos.
            methods: Presets, and with ":idea" behind them that idea off; all that can make it when left out.
            seeds: A column for each; 42 when left out.
            vary: The name of a setting to vary in the columns, instead of seeds.
            values: Its values, between commas.
            person: A picture of a person's face.
            subject: A picture of a thing.
            cameras: Camera paths by name, for methods with cameras.
            consent: Say true if you have the right to use the person's face.
            visitor: The name under which this is queued, from an earlier answer; a new one when left out.
        """
        with in_words():
            owner = self._visitor(visitor)
            pictures = self._pictures(person, subject, owner)
            for preset in self._presets.values():
                check_consent(preset, pictures, consent)
            check_uploads(cameras)
            brief = Brief(prompt, "", tuple(seeds or (42,)), pictures["person"], pictures["subject"], cameras)
            self._check_varied(vary, values)
            plan = plan_by_name(variants(self._presets.values()), brief, methods or (), vary, values, self._costs)
            comparison = self._made.start(plan, owner)
        try:
            for member in comparison.members:
                job = self._jobs.get(member.job, owner) if member.job else None
                for event in job.events() if job else ():
                    if isinstance(event, TERMINAL):
                        yield answers.compared(comparison, self._made.states(comparison, owner), owner)
            yield answers.compared(comparison, self._made.states(comparison, owner), owner)
        finally:
            self._made.stop(comparison, owner)

    @answering(answers.Measured)
    def metrics(
        self, videos: list[FileData], person: FileData | None = None, subject: FileData | None = None,
        prompt: str = "", visitor: str = "",
    ) -> answers.Measured:  # fmt: skip
        """Measure the clips of one scene: one video, or all views of it.

        Args:
            videos: Up to six videos of one scene.
            person: The face that should be kept.
            subject: The thing that should be kept.
            prompt: What should happen; what the file itself says when left out.
            visitor: Whose pictures these are, from an earlier answer; with it, forget reaches them.
        """
        with in_words():
            paths = [path for file in videos if (path := uploaded(file, "videos"))]
            if not 1 <= len(paths) <= MOST_CLIPS:
                raise ValueError(f"videos must hold 1 to {MOST_CLIPS} files, got {len(paths)}.")
            pictures = self._pictures(person, subject, self._visitor(visitor))
            asked = asked_of(self._as_cell(tuple(paths), prompt), self._presets)
            assert asked is not None, "every file was there a moment ago"
            facts = (("face", pictures["person"]), ("subject", pictures["subject"]))
            return answers.measured(self._numbers.measure(replace(asked, facts=(*asked.facts, *facts))))

    @answering(answers.Inspected)
    def inspect(self, file: FileData) -> answers.Inspected:
        """Which marks of generated content a video or picture carries, and what each of them proves.

        Args:
            file: Any video or picture.
        """
        with in_words():
            path = uploaded(file, "file")
            if path is None:
                raise ValueError("There is no file.")
            return answers.inspected(provenance.inspect(path, self._certificates))

    @answering(answers.Forgotten)
    def forget(self, visitor: str) -> answers.Forgotten:
        """Delete every picture this visitor sent, and stop what is being made from them. The videos stay.

        Args:
            visitor: A name from an earlier answer.
        """
        with in_words():
            if not visitor:
                raise ValueError("visitor is missing; it is a name from an earlier answer.")
            return answers.forgotten(self._own.forget(self._visitor(visitor)))

    def _preset(self, key: str) -> Preset:
        if key not in self._presets:
            raise ValueError(f"There is no preset {key!r}. {did_you_mean(key, self._presets)}")
        preset = self._presets[key]
        if missing := weights_here(preset):
            raise ValueError(missing)
        return preset

    def _pictures(self, person: Any, subject: Any, owner: str) -> dict[Any, Path | None]:
        found = {"person": uploaded(person, "person"), "subject": uploaded(subject, "subject")}
        for path in found.values():
            self._own.note(owner, path)
        return found

    def _visitor(self, name: str) -> str:
        known = visitor_name(name or None)
        if name and known != name:
            raise ValueError("visitor must be a name from an earlier answer, or be left out.")
        return known

    def _check_varied(self, field: str, values: str) -> None:
        """A varied camera path may name no file of this machine."""
        for preset in self._presets.values():
            info = request_fields(preset.method.request).get(field)
            if info is not None and info.kind == "camera_path":
                for value in values.replace("\n", ",").split(","):
                    check_uploads(value)

    def _as_cell(self, paths: tuple[Path, ...], prompt: str) -> CellState:
        """Clips that were given, as a finished cell. What their file says of itself is believed as far as words go."""
        settings: dict[str, Any] = {}
        with contextlib.suppress(ValueError):
            settings = read_settings(paths[0])
        said = settings.get("request")
        preset = self._presets.get(str(settings.get("preset")))
        infos = request_fields(preset.method.request) if preset else {}
        request = {
            name: value
            for name, value in (said.items() if isinstance(said, dict) else ())
            if name in infos and infos[name].kind not in ("image", "camera_path" if _names_file(value) else "")
        }
        request |= {"prompt": prompt} if prompt else {}
        seconds = settings.get("seconds")
        member = Member(0, 0, "", "", preset.key if preset else "", request)
        return CellState(
            member, "finished", paths=paths, seconds=seconds if isinstance(seconds, int | float) else None
        )


def _names_file(value: Any) -> bool:
    """Whether a camera path, as a file says it was, is a file of some machine."""
    try:
        check_uploads(str(value))
    except ValueError:
        return True
    return False
