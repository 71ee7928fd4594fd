"""Options put into effect on one module, once, when it is made."""

from __future__ import annotations

import contextlib
from typing import Any

import torch
from torch import nn

from models.method import Component
from studio.events import StudioError
from studio.registry.casting import cast_when_used
from studio.registry.options import Options

REPEATED = {  # class of the network -> classes of its blocks, where diffusers does not say
    "CogVideoXTransformer3DModel": ("CogVideoXBlock",),
    "UNetMotionModel": ("BasicTransformerBlock",),
    "UNet3DConditionModel": ("BasicTransformerBlock",),
}
CACHE_CONTEXT = "job"  # both branches of the guidance go through in one batch


def tune(module: nn.Module, component: Component, compute: torch.dtype, options: Options) -> None:
    """Everything in `options` that concerns this module. StudioError for what it cannot do."""
    if options.small_weights == "float8":
        cast_when_used(module, compute)
    _tune_vae(module, options)
    if "denoise" not in component.stages or hasattr(module, "decoder"):
        return
    if options.attention:
        from models.common.attention_backends import use_backend

        try:
            use_backend(module, options.attention)
        except ValueError as error:
            raise StudioError(str(error), "Leave the setting `attention` empty, or install what it needs.") from error
    if options.block_cache:
        _cache_blocks(module, component.name, options.block_cache)
    if options.compile:
        compile_blocks(module)


def compile_blocks(module: nn.Module, **how: Any) -> int:
    """Compile every repeated block on its own, which takes a tenth of the time of the whole; how many there are."""
    names = set(getattr(module, "_repeated_blocks", None) or ())
    names |= {name for cls in type(module).__mro__ for name in REPEATED.get(cls.__name__, ())}
    blocks = [part for part in module.modules() if names & {cls.__name__ for cls in type(part).__mro__}]
    for block in blocks:
        block.compile(**how)
    return len(blocks)


def _tune_vae(vae: Any, options: Options) -> None:
    if options.vae_slicing and hasattr(vae, "enable_slicing"):
        vae.enable_slicing()
    if options.vae_tiling and hasattr(vae, "enable_tiling"):
        vae.enable_tiling()


def _cache_blocks(network: Any, name: str, threshold: float) -> None:
    """diffusers' first-block cache. Refused where blocks read each other's outputs: a cache would hand on old ones."""
    if not getattr(network, "blocks_are_independent", True):
        raise StudioError(
            f"The {name} cannot skip blocks: each reads what others made, and would see old values.",
            "Set block_cache to 0 for this method.",
        )
    if not hasattr(network, "enable_cache") or not hasattr(network, "transformer_blocks"):
        return
    from diffusers.hooks import FirstBlockCacheConfig

    for block in {type(block) for block in network.transformer_blocks}:
        _make_known(block)
    network.enable_cache(FirstBlockCacheConfig(threshold))
    start_caching(network)


def start_caching(network: Any) -> None:
    """Caches ask to be told whose call it is; a reset forgets that too."""
    from diffusers.hooks.hooks import CacheContext, _set_cache_context

    _set_cache_context(network, CacheContext(CACHE_CONTEXT))


def _make_known(block: type) -> None:
    """A subclass of a block that diffusers knows takes the same arguments in the same order."""
    from diffusers.hooks._helpers import TransformerBlockMetadata, TransformerBlockRegistry

    for base in block.__mro__:
        with contextlib.suppress(ValueError):
            known = TransformerBlockRegistry.get(base)
            if base is not block:
                indices = (known.return_hidden_states_index, known.return_encoder_hidden_states_index)
                TransformerBlockRegistry.register(block, TransformerBlockMetadata(*indices))
            return
    raise StudioError(f"Blocks of the kind {block.__name__} cannot be skipped.", "Set block_cache to 0.")
