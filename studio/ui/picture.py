"""A picture in the form: upload one or take one of the studio's, see what the method sees, choose, agree."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

import gradio as gr

from models.method import label_of
from studio.events import Failed, Seen
from studio.jobs import JobQueue
from studio.presets import Preset, shipped_pictures
from studio.ui import cards
from studio.ui.controls import Form
from studio.ui.media import cached, cached_bytes, file_url
from studio.ui.own_pictures import OwnPictures

LOOKING = '<p class="q-told">Looking at the picture …</p>'
QUIET: dict[str, Any] = {"concurrency_limit": None, "show_progress": "hidden", "api_visibility": "private"}
# One worker looks at one picture at a time; who waits for it must not hold all of the page's threads.
LOOKS = QUIET | {"concurrency_limit": 4, "concurrency_id": "looks"}


@dataclass(frozen=True)
class Sight:
    """What a method sees, as the page shows it: `address` of the picture."""

    address: str
    label: str
    choice: Any
    first: bool


Sights = tuple[Sight, ...]


class PictureField:
    """One picture field of a tab. What it shows of a person's own picture is noted, so that it can be forgotten."""

    def __init__(
        self, name: str, form: Form, preset: Preset, jobs: JobQueue, visitor: gr.BrowserState, own: OwnPictures
    ) -> None:
        self.name, self.form, self.preset, self.jobs = name, form, preset, jobs
        self.visitor, self.own = visitor, own
        self.info = form.fields[name]
        self.shelf = shipped_pictures(preset, name)
        self._digests = {_digest(path): path for path in self.shelf}
        with gr.Column(elem_classes="q-picture-field"):
            self._draw()

    def _draw(self) -> None:
        self.form.draw(self.name)
        cards_html = _shelf(self.shelf)
        self.offered = gr.HTML(
            cards_html, js_on_load=cards.SCRIPT, apply_default_css=False, visible=len(self.shelf) > 1
        )
        self.sights = gr.State(())
        self.fault = gr.State("")  # why the method cannot use the picture, once a worker has looked
        self.seen = gr.HTML(
            "", js_on_load=cards.SCRIPT, apply_default_css=False, visible=self.info.inspected, elem_classes="q-seen"
        )
        if self.info.chooses:
            self.form.draw(self.info.chooses)
        self.consent = gr.Checkbox(False, label=self.info.consent, visible=False, elem_classes="q-consent")
        self.forget = gr.Button("Forget my pictures", size="sm", visible=False, elem_classes="q-forget")
        self.forgot = gr.HTML("", apply_default_css=False)

    @property
    def image(self) -> Any:
        return self.form.components[self.name]

    @property
    def standing(self) -> list[Any]:
        """What `check` takes."""
        return [self.consent, self.fault]

    @property
    def choice(self) -> Any:
        """The field that a click on a sight fills, or None."""
        return self.form.components.get(self.info.chooses)

    def connect(self, tab: gr.Tab) -> None:
        chosen = [] if self.choice is None else [self.choice]
        self.offered.click(self.on_shelf, None, [self.image, *chosen], **QUIET)
        self.image.change(self.on_change, [self.visitor, self.image], [self.consent, self.forget], **QUIET)
        self.image.upload(lambda: "", None, self.forgot, **QUIET)
        if self.choice is not None:  # a new picture has other faces; a click or "use these settings" chooses again
            self.image.input(lambda: 0, None, self.choice, **QUIET)
        if not self.info.inspected:
            return
        looks = [self.image.change, tab.select]
        gr.on(looks, self.on_look, self._looked_at, self._shown, trigger_mode="always_last", **LOOKS)
        if self.choice is not None:
            self.seen.click(self.on_choose, None, self.choice, **QUIET)
            self.choice.change(_draw_sights, [self.sights, self.choice], self.seen, **QUIET)

    def look_after(self, event: Any) -> None:
        """Look once `event` is over: the tab a page opens with is never selected."""
        if self.info.inspected:
            event.then(self.on_look, self._looked_at, self._shown, **LOOKS)

    @property
    def _looked_at(self) -> list[Any]:
        return [self.visitor, self.image, *([] if self.choice is None else [self.choice])]

    @property
    def _shown(self) -> list[Any]:
        return [self.sights, self.seen, self.fault]

    def origin(self, picture: Path | None) -> Path | None:
        """A shipped picture by its own name, whatever copy of it the browser gave back."""
        return self._digests.get(_digest(picture), picture) if picture and picture.is_file() else picture

    def check(self, picture: Path | None, agreed: bool, fault: str) -> None:
        """ValueError for a picture that cannot be used, and for a person's own one without the agreement to it."""
        if picture and fault:
            raise ValueError(f"{label_of(self.name, self.info)}: {fault}")
        if self.needs_consent(picture) and not agreed:
            raise ValueError(f'Tick "{self.info.consent}" first, or take another picture.')

    def needs_consent(self, picture: Path | None) -> bool:
        """True for a person's own picture in a field that asks for agreement."""
        return bool(self.info.consent) and self._is_own(picture)

    def _is_own(self, picture: Path | None) -> bool:
        return picture is not None and self.origin(picture) not in self.shelf

    def on_shelf(self, click: gr.EventData) -> dict[Any, Any]:
        """The picture, as a copy that the page may load, with nobody chosen in it yet."""
        index = str(getattr(click, "id", ""))
        known = {str(number): path for number, path in enumerate(self.shelf)}
        if index not in known:
            return {self.image: gr.skip()}
        return {self.image: cached(known[index])} | ({} if self.choice is None else {self.choice: 0})

    def on_change(self, owner: str | None, picture: str | None) -> tuple[Any, Any]:
        """Whether to ask for agreement, and to offer that the picture is forgotten."""
        self.own.note(owner, picture)
        path = Path(picture) if picture else None
        return gr.update(visible=self.needs_consent(path)), gr.update(visible=self._is_own(path))

    def on_look(
        self, owner: str | None, picture: str | None, chosen: float | None = None
    ) -> Iterator[tuple[Any, Any, str]]:
        """Ask a worker. What it cuts out of a person's own picture is noted and goes with the picture."""
        if not picture:
            yield (), "", ""
            return
        yield (), LOOKING, ""
        answer = self.jobs.inspect(self.preset, self.name, Path(picture))
        if isinstance(answer, Failed):
            told = f"{answer.message} {answer.advice}".strip()
            yield (), f'<p class="q-told q-wrong" role="alert">{escape(told)}</p>', told if answer.bad_input else ""
        elif not Path(picture).is_file():  # forgotten meanwhile
            yield (), "", ""
        else:
            sights = tuple(self._published(seen, owner, Path(picture)) for seen in answer)
            yield sights, _draw_sights(sights, chosen), ""

    def _published(self, seen: Seen, owner: str | None, picture: Path) -> Sight:
        """As a file among the others: the page is given an address, and no part of it holds the pixels."""
        path = cached_bytes(seen.picture, "seen.webp")
        if self._is_own(picture):
            self.own.note(owner, path, "cut-out")
        return Sight(file_url(path) or "", seen.label, seen.choice, seen.first)

    def on_choose(self, click: gr.EventData) -> Any:
        number = str(getattr(click, "id", ""))
        return int(number) if number.isdigit() else gr.skip()


def _draw_sights(sights: Sights, chosen: float | None = None) -> str:
    """Every sight with the chosen one marked; buttons where there is a choice."""
    if not sights:
        return ""
    marked = int(chosen or 0)
    if marked not in [sight.choice for sight in sights]:
        marked = next((sight.choice for sight in sights if sight.first), None)
    told = "What the model sees" if len(sights) == 1 else f"What the model sees: {len(sights)} faces. Choose one."
    faces = "".join(_sight(sight, sight.choice == marked, len(sights) > 1) for sight in sights)
    return f'<p class="q-told">{told}</p><div class="q-faces">{faces}</div>'


def _sight(sight: Sight, marked: bool, choosable: bool) -> str:
    picture = f'<img src="{escape(sight.address)}" alt="{escape(sight.label)} as the model sees it">'
    if not choosable:
        return f'<span class="q-face">{picture}</span>'
    return (
        f'<button type="button" class="q-face" data-action="choose" data-id="{escape(str(sight.choice))}"'
        f' aria-pressed="{str(marked).lower()}" aria-label="{escape(sight.label)}">{picture}'
        f"<span>{escape(str(sight.choice))}</span></button>"
    )


def _shelf(pictures: tuple[Path, ...]) -> str:
    shown = "".join(
        f'<button type="button" class="q-face" data-action="take" data-id="{index}"'
        f' aria-label="{escape(_title(path))}" title="{escape(_title(path))}">'
        f'<img src="{escape(file_url(path) or "")}" alt=""></button>'
        for index, path in enumerate(pictures)
    )
    return f'<div class="q-faces" role="group" aria-label="Pictures to try">{shown}</div>'


def _title(path: Path) -> str:
    return path.stem.replace("-", " ").capitalize()


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
