"""Gradio's page, spared what it repeats for every answer and every visitor: it opens sooner and holds a crowd."""

from __future__ import annotations

import copy
import functools
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import gradio as gr
from gradio.blocks import Block, BlocksConfig

UNDESCRIBED: Mapping[str, Any] = MappingProxyType({})


class Page(gr.Blocks):
    """`gr.Blocks` with less work; for a page without `gr.render` and `gr.DeepLinkButton`."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.default_config = PageConfig(self)

    def __exit__(self, *error: Any) -> None:
        """Gradio asks four times for a description of all components before it answers the first visitor: once drawn,
        they are described once."""
        describe = self.default_config.get_config
        whole = functools.cache(describe)
        self.default_config.get_config = lambda renderable=None: describe(renderable) if renderable else whole()
        super().__exit__(*error)

    async def postprocess_data(self, block_fn: Any, predictions: Any, state: Any) -> list[Any]:
        """Only of the components that a handler named: Gradio builds every other output anew at each answer, thirty of
        a tab for one position in the queue."""
        if not _names_components(predictions):
            return await super().postprocess_data(block_fn, predictions, state)
        named = copy.copy(block_fn)
        named.outputs = [block for block in block_fn.outputs if block in predictions]
        if len(named.outputs) < len(predictions):  # one that is no output: Gradio says so
            named = block_fn
        shown = dict(zip(named.outputs, await super().postprocess_data(named, predictions, state), strict=True))
        return [shown.get(block, None if block.stateful else gr.skip()) for block in block_fn.outputs]


class PageConfig(BlocksConfig):
    """The components of a page. What is copied for a visitor describes none of them: Gradio keeps a description of all
    for links into the page's state, a megabyte and a fifth of a second for each page that is opened."""

    def __copy__(self) -> BlocksConfig:
        visitors = super().__copy__()
        visitors.config_for_block = _undescribed
        return visitors


def _undescribed(*_: Any, **__: Any) -> Any:
    return UNDESCRIBED


def _names_components(predictions: Any) -> bool:
    return (
        isinstance(predictions, Mapping) and bool(predictions) and all(isinstance(key, Block) for key in predictions)
    )
