"""RepVideo's released SAT checkpoint -> diffusers layout: a name table plus three splits, strict, one shard in memory.

    python -m models.repvideo.convert CHECKPOINT OUTPUT_FOLDER [--config network.yaml] [--vae 3d-vae.pt]

CHECKPOINT is a folder with the text file `latest` and `<latest>/mp_rank_00_model_states.pt`. OUTPUT_FOLDER gets
`transformer` and `scheduler`. Files are opened with `weights_only=True`. Names and chunk order: Vchitect/RepVideo
sat/dit_video_concat.py, sat/transformer_gating.py. `python -m studio weights get repvideo/full` fetches and converts.
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import torch
from diffusers.schedulers.scheduling_dpm_cogvideox import CogVideoXDPMScheduler
from torch import Tensor

from models.common.conversion import Renamed, check_names, load_pickle, pick, write_folder
from models.repvideo.transformer import RepVideoTransformer3DModel

NETWORK_PREFIX = "model.diffusion_model."
POSITIONS = "mixins.pos_embed.pos_embedding"  # a fixed table: recomputed, not converted

# sat/configs/cogvideox_2b.yaml in diffusers' words
RELEASED_CONFIG: dict[str, Any] = {
    "num_attention_heads": 30,
    "attention_head_dim": 64,
    "in_channels": 16,
    "out_channels": 16,
    "time_embed_dim": 512,
    "text_embed_dim": 4096,
    "num_layers": 30,
    "sample_width": 90,
    "sample_height": 60,
    "sample_frames": 49,
    "patch_size": 2,
    "temporal_compression_ratio": 4,
    "max_text_seq_length": 226,
    "spatial_interpolation_scale": 1.875,
    "feature_group_size": 6,
    "norm_out_eps": 1e-6,
}

# sat/configs/cogvideox_2b.yaml: ZeroSNRDDPMDiscretization with shift_scale 3, v prediction
RELEASED_SCHEDULER: dict[str, Any] = {
    "num_train_timesteps": 1000,
    "beta_start": 0.00085,
    "beta_end": 0.012,
    "beta_schedule": "scaled_linear",
    "prediction_type": "v_prediction",
    "rescale_betas_zero_snr": True,
    "snr_shift_scale": 3.0,
    "set_alpha_to_one": True,
    "clip_sample": False,
    "timestep_spacing": "trailing",
}

_WB = r"(weight|bias)"
_LAYER = r"(\d+)"
_BLOCK = r"transformer_blocks.\1."


def _norm1(modulation: Tensor) -> Tensor:
    chunks = modulation.chunk(12)
    return torch.cat([chunks[i] for i in (0, 1, 2, 6, 7, 8)])


def _norm2(modulation: Tensor) -> Tensor:
    chunks = modulation.chunk(12)
    return torch.cat([chunks[i] for i in (3, 4, 5, 9, 10, 11)])


def _third(index: int) -> Callable[[Tensor], Tensor]:
    return lambda fused: fused.chunk(3)[index]


# SAT name -> diffusers names, each with the part of the tensor it takes (None: all of it)
NAMES: tuple[tuple[str, dict[str, Callable[[Tensor], Tensor] | None]], ...] = (
    (r"transformer\.learnable_gating", {"learnable_gating": None}),
    (rf"time_embed\.0\.{_WB}", {r"time_embedding.linear_1.\1": None}),
    (rf"time_embed\.2\.{_WB}", {r"time_embedding.linear_2.\1": None}),
    (rf"mixins\.patch_embed\.(proj|text_proj)\.{_WB}", {r"patch_embed.\1.\2": None}),
    (
        rf"mixins\.adaln_layer\.adaLN_modulations\.{_LAYER}\.1\.{_WB}",
        {_BLOCK + r"norm1.linear.\2": _norm1, _BLOCK + r"norm2.linear.\2": _norm2},
    ),
    (rf"mixins\.adaln_layer\.query_layernorm_list\.{_LAYER}\.{_WB}", {_BLOCK + r"attn1.norm_q.\2": None}),
    (rf"mixins\.adaln_layer\.key_layernorm_list\.{_LAYER}\.{_WB}", {_BLOCK + r"attn1.norm_k.\2": None}),
    (
        rf"transformer\.layers\.{_LAYER}\.attention\.query_key_value\.{_WB}",
        {_BLOCK + rf"attn1.to_{part}.\2": _third(i) for i, part in enumerate("qkv")},
    ),
    (rf"transformer\.layers\.{_LAYER}\.attention\.dense\.{_WB}", {_BLOCK + r"attn1.to_out.0.\2": None}),
    (rf"transformer\.layers\.{_LAYER}\.input_layernorm\.{_WB}", {_BLOCK + r"norm1.norm.\2": None}),
    (rf"transformer\.layers\.{_LAYER}\.post_attention_layernorm\.{_WB}", {_BLOCK + r"norm2.norm.\2": None}),
    (rf"transformer\.layers\.{_LAYER}\.mlp\.dense_h_to_4h\.{_WB}", {_BLOCK + r"ff.net.0.proj.\2": None}),
    (rf"transformer\.layers\.{_LAYER}\.mlp\.dense_4h_to_h\.{_WB}", {_BLOCK + r"ff.net.2.\2": None}),
    (rf"transformer\.final_layernorm\.{_WB}", {r"norm_final.\1": None}),
    (rf"mixins\.final_layer\.norm_final\.{_WB}", {r"norm_out.norm.\1": None}),
    (rf"mixins\.final_layer\.adaLN_modulation\.1\.{_WB}", {r"norm_out.linear.\1": None}),
    (rf"mixins\.final_layer\.linear\.{_WB}", {r"proj_out.\1": None}),
)


def config_from_upstream(params: Mapping[str, Any]) -> dict[str, Any]:
    """The authors' `network_config.params` in diffusers' words."""
    modules = params["modules"]
    positions = modules["pos_embed_config"]["params"]
    if positions["height_interpolation"] != positions["width_interpolation"]:
        raise ValueError("height_interpolation and width_interpolation differ; one spatial scale can be represented.")
    if not modules["adaln_layer_config"]["params"]["qk_ln"]:
        raise ValueError("qk_ln is off in this configuration; CogVideoX blocks normalise queries and keys.")
    heads = params["num_attention_heads"]
    return RELEASED_CONFIG | {
        "num_attention_heads": heads,
        "attention_head_dim": params["hidden_size"] // heads,
        "in_channels": params["in_channels"],
        "out_channels": params["out_channels"],
        "time_embed_dim": params["time_embed_dim"],
        "text_embed_dim": modules["patch_embed_config"]["params"]["text_hidden_size"],
        "num_layers": params["num_layers"],
        "sample_width": params["latent_width"],
        "sample_height": params["latent_height"],
        "sample_frames": params["num_frames"],
        "patch_size": params["patch_size"],
        "temporal_compression_ratio": params["time_compressed_rate"],
        "max_text_seq_length": positions["text_length"],
        "spatial_interpolation_scale": positions["height_interpolation"],
    }


def rename(names: Iterable[str]) -> Renamed:
    """Diffusers name -> (SAT name, part) for the network's tensors, and what is left over under its prefix."""
    renamed = Renamed()
    for name in names:
        if not name.startswith(NETWORK_PREFIX):
            renamed.ignored.append(name)  # the engine's text encoder and VAE, when they are in the file
            continue
        inner = name.removeprefix(NETWORK_PREFIX)
        if inner == POSITIONS:
            renamed.ignored.append(name)
            continue
        for pattern, targets in NAMES:
            if match := re.fullmatch(pattern, inner):
                for target, part in targets.items():
                    renamed.sources[match.expand(target)] = (name, part)
                break
        else:
            renamed.unexpected.append(name)
    return renamed


def network_sources(tensors: Mapping[str, Tensor], config: Mapping[str, Any]) -> Renamed:
    """The name table for these tensors, checked against the network of `config`: every name and shape, both ways."""
    with torch.device("meta"):
        expected = RepVideoTransformer3DModel(**config)
    renamed = rename(tensors)
    check_names(renamed, tensors, expected.state_dict(), "RepVideo network")
    positions = tensors.get(NETWORK_PREFIX + POSITIONS)
    if positions is not None and not positions.is_meta:
        table: Any = RepVideoTransformer3DModel(**{**config, "num_layers": 0}).patch_embed.pos_embedding
        if positions.shape != table.shape or not torch.allclose(positions.float(), table.float(), atol=2e-3):
            raise ValueError(
                f"{NETWORK_PREFIX + POSITIONS} is not the table this configuration makes; check the sizes."
            )
    return renamed


def convert_tensors(tensors: Mapping[str, Tensor], config: Mapping[str, Any]) -> dict[str, Tensor]:
    """All tensors of the network under diffusers' names, in memory; for tests and small networks."""
    renamed = network_sources(tensors, config)
    return {name: pick(tensors, source) for name, source in renamed.sources.items()}


def read_checkpoint(folder: Path) -> dict[str, Tensor]:
    """The `module` state dict of a SAT checkpoint folder, mapped from the file rather than read."""
    latest = folder / "latest"
    if not latest.is_file():
        raise ValueError(f"{folder} has no file 'latest'. Give the folder that holds it and the folder it names.")
    path = folder / latest.read_text().strip() / "mp_rank_00_model_states.pt"
    state = load_pickle(path)
    if "module" not in state:
        raise ValueError(f"{path} holds no 'module'; its top-level names are {', '.join(map(str, state))}.")
    return state["module"]


def convert_release(checkpoint: Path, output: Path, config: Mapping[str, Any] | None = None) -> str:
    """Write `transformer` and `scheduler` below `output`; what was written, in a line."""
    config = RELEASED_CONFIG if config is None else config
    tensors = read_checkpoint(checkpoint)
    renamed = network_sources(tensors, config)
    with torch.device("meta"):
        described = RepVideoTransformer3DModel(**config)
    files = write_folder(output / "transformer", described, tensors, renamed)
    CogVideoXDPMScheduler(**RELEASED_SCHEDULER).save_pretrained(output / "scheduler")
    return f"transformer: {len(renamed.sources)} tensors in {len(files)} files; {len(renamed.ignored)} others left out"


def main(argv: list[str] | None = None) -> None:
    """Convert one checkpoint and say what was written."""
    from models.common.cogvideox.vae_conversion import convert_vae

    parser = argparse.ArgumentParser(prog="python -m models.repvideo.convert", description=__doc__)
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("output", type=Path)
    parser.add_argument("--config", type=Path, help="the authors' YAML, when not the released 2B network")
    parser.add_argument("--vae", type=Path, help="the authors' 3d-vae.pt, converted to OUTPUT_FOLDER/vae")
    options = parser.parse_args(argv)
    config = RELEASED_CONFIG
    if options.config:
        from omegaconf import OmegaConf

        tree: Any = OmegaConf.to_container(OmegaConf.load(options.config))
        network = tree["model"]["network_config"]["params"] if "model" in tree else tree
        config = config_from_upstream(network)
    print(convert_release(options.checkpoint, options.output, config))
    if options.vae:
        count = convert_vae(options.vae, options.output / "vae")
        print(f"vae: {count} tensors")


if __name__ == "__main__":
    main()
