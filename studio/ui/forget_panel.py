"""One button that deletes the visitor's own pictures and all that was made of them, and says what remains."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from pathlib import Path
from typing import Any

import gradio as gr

from studio.ui.own_pictures import OwnPictures
from studio.ui.picture import PictureField

QUIET: dict[str, Any] = {"concurrency_limit": None, "show_progress": "hidden", "api_visibility": "private"}
ABOUT = (
    '<p class="q-about">Pictures you add lie on this machine so that videos can be made from them; within a day they '
    "are deleted by themselves. This deletes them now, with what was cut out of them and every file that holds them. "
    "Videos stay in History until you delete them there.</p>"
)


class ForgetPanel:
    """One line when folded."""

    def __init__(self, own: OwnPictures) -> None:
        self._own = own
        with gr.Accordion("Your pictures", open=False, elem_classes="q-memory"):
            gr.HTML(ABOUT, apply_default_css=False)
            self.forget = gr.Button("Forget my pictures", size="sm", elem_classes="q-unload")
            self.said = gr.HTML("", apply_default_css=False)

    def connect(
        self, visitor: gr.BrowserState, fields: Sequence[PictureField], pictures: Sequence[Any], ticks: Sequence[Any],
        lines: Sequence[Any], copies: Sequence[Any],
    ) -> None:  # fmt: skip
        """`pictures`: every component that may hold one, beside those of the `fields`; `ticks`: agreements; `lines`:
        what may show an address of a deleted file; `copies`: buttons that would need the pictures."""
        self._fields, self._lines, self._copies = fields, lines, copies
        self._pictures = [*pictures, *(field.image for field in fields)]
        self._ticks = [*ticks, *(field.consent for field in fields)]
        seen = [part for field in fields for part in (field.sights, field.seen, field.forgot)]
        outputs = [self.said, *self._pictures, *self._ticks, *seen, *lines, *copies]
        buttons = [self.forget.click, *(field.forget.click for field in fields)]
        gr.on(buttons, self.on_forget, [visitor, *self._pictures], outputs, **QUIET)

    def on_forget(self, owner: str | None, *shown: str | None) -> dict[Any, Any]:
        """Delete, empty what shows a deleted picture, take the ticks away."""
        words = self._own.forget(owner).words if owner else "There was no picture of yours here."
        told = f'<p class="q-told" role="status">{escape(words)}</p>'
        updates: dict[Any, Any] = {self.said: told} | dict.fromkeys(self._lines, "")
        gone = {
            image
            for image, picture in zip(self._pictures, shown, strict=True)
            if picture is not None and not Path(picture).is_file()
        }
        updates |= dict.fromkeys(gone, None)
        updates |= {tick: gr.update(value=False) for tick in self._ticks}
        updates |= {button: gr.update(visible=False) for button in self._copies}
        for field in self._fields:
            if field.image in gone:
                updates |= {field.sights: (), field.seen: "", field.forgot: told}
        return updates
