"""One guided CVD step at the latents' size of 256x256 pixels: masks kept between layers and steps, against computed in
every attention layer for every row, as the authors do. Same output; the last line is one JSON object.

    OMP_NUM_THREADS=1 python -m tests.benchmark.cvd_step [--latents 32] [--views 2] [--steps 2]
"""

from __future__ import annotations

import argparse
import json
import time

import torch
from torch import Tensor

from models.cvd.cameras import view_cameras
from models.cvd.epipolar_attention import (
    EpipolarBias,
    attention_bias,
    epipolar_lines,
    horizontal_slopes,
    pseudo_lines,
    token_points,
)
from models.cvd.sampler import ViewDenoiser
from models.cvd.unet import CollaborativeUNet

FRAMES = 16
WIDTHS = (32, 64, 64, 64)


class RecomputedBias(EpipolarBias):
    """The straightforward port: a dense mask for every row of the batch, in every attention layer."""

    copies = 2

    def pieces(self, view: int, partner: int, grid: tuple[int, int], dtype: torch.dtype) -> list[tuple[slice, Tensor]]:
        fundamental = self.fundamental[view, partner].repeat(self.copies, 1, 1)
        points = token_points(grid, self.image_size)
        lines = epipolar_lines(fundamental, points)
        lines[::FRAMES] = pseudo_lines(points, self._slope)
        return [(slice(None), attention_bias(lines, points, self.image_size).to(dtype)[:FRAMES])]


def network() -> CollaborativeUNet:
    """Four levels and a motion module everywhere, as the released network, with few channels."""
    torch.manual_seed(0)
    unet = CollaborativeUNet(
        block_out_channels=WIDTHS, layers_per_block=1, num_attention_heads=4, cross_attention_dim=16
    )
    for name, parameter in unet.named_parameters():
        if "cross_view.proj_out" in name:
            torch.nn.init.normal_(parameter, std=0.1)
    return unet.eval()


def seconds_per_step(denoiser: ViewDenoiser, latents: Tensor, steps: int) -> tuple[float, Tensor]:
    """Processor seconds of one step, the first (which fills what is kept) not counted."""
    partners = tuple((view ^ 1,) for view in range(len(latents)))
    out = denoiser.predict_noise(latents, torch.tensor(500), partners)
    start = time.process_time()
    for _ in range(steps):
        out = denoiser.predict_noise(latents, torch.tensor(500), partners)
    return (time.process_time() - start) / steps, out


@torch.inference_mode()
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--latents", type=int, default=32)
    parser.add_argument("--views", type=int, default=2)
    parser.add_argument("--steps", type=int, default=2)
    options = parser.parse_args()
    size = 8 * options.latents
    cameras = view_cameras("circle", options.views, FRAMES, size, size)
    matrices = {pair: torch.from_numpy(matrix) for pair, matrix in cameras.fundamental_matrices().items()}
    latents = torch.randn(options.views, 4, FRAMES, options.latents, options.latents)
    unet, text = network(), torch.randn(2, 8, 16)
    results, outputs = {}, []
    for name, kind in (("kept", EpipolarBias), ("recomputed", RecomputedBias)):
        bias = kind(matrices, (size, size), horizontal_slopes)
        results[name], out = seconds_per_step(ViewDenoiser(unet, text, (), bias, 8.5), latents, options.steps)
        outputs.append(out)
    difference = ((outputs[0] - outputs[1]).abs().max() / outputs[1].abs().max()).item()
    print(f"kept {results['kept']:.2f} s, recomputed {results['recomputed']:.2f} s, difference {difference:.1e}")
    results |= {"speed_up": results["recomputed"] / results["kept"], "largest_difference": difference}
    print(json.dumps({key: round(value, 6) for key, value in results.items()}))


if __name__ == "__main__":
    main()
