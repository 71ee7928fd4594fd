"""The attention bias: exact against a dense mask, computed once, and the attention that uses it."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from models.common import cameras
from models.cvd import epipolar_attention as module
from models.cvd.epipolar_attention import (
    EpipolarBias,
    PseudoLineBias,
    Synchronization,
    attention_bias,
    epipolar_attention,
    horizontal_slopes,
    pseudo_lines,
    random_slopes,
    token_points,
)

SIZE = (64, 64)
FRAMES = 5


def fundamental(num_views: int, name: str = "circle") -> dict[tuple[int, int], torch.Tensor]:
    poses = cameras.camera_paths(name, num_views, FRAMES)
    lens = cameras.pixel_intrinsics(np.array(cameras.DEFAULT_INTRINSICS), *SIZE)
    lenses = np.broadcast_to(cameras.intrinsic_matrices(lens), (num_views, FRAMES, 3, 3))
    between = cameras.fundamental_matrices_between(poses, lenses)
    return {pair: torch.from_numpy(matrix) for pair, matrix in between.items()}


def dense_mask(matrix: torch.Tensor, grid: tuple[int, int], slope: float) -> torch.Tensor:
    """One key and query at a time, in double precision, straight from spec_cvd_mcm.md 1.6."""
    rows, columns = grid
    points = [
        (SIZE[1] / columns * i + (SIZE[1] / columns - 1) / 2, SIZE[0] / rows * j + (SIZE[0] / rows - 1) / 2)
        for j in range(rows)
        for i in range(columns)
    ]
    out = np.zeros((len(matrix), len(points), len(points)))
    for frame, f in enumerate(matrix.double().numpy()):
        for q, (x, y) in enumerate(points):
            line = f @ [x, y, 1]
            if frame == 0:
                line = np.array([math.cos(slope), math.sin(slope), -(math.cos(slope) * x + math.sin(slope) * y)])
            for k, (u, v) in enumerate(points):
                out[frame, q, k] = abs(line @ [u, v, 1]) / (math.hypot(line[0], line[1]) + 1e-6)
        band = 3 / (SIZE[0] // 2) * out[frame].max()
        out[frame] = -np.maximum(out[frame] - band, 0) * 3 / (band + 1e-6)
    return torch.from_numpy(out)


@pytest.mark.parametrize("grid", [(4, 4), (3, 5)])
def test_the_kept_bias_is_the_dense_mask(grid):
    between = fundamental(2)
    bias = EpipolarBias(between, SIZE, lambda count: torch.full((count,), 0.7))
    bias.draw(FRAMES)
    pieces = bias.pieces(0, 1, grid, torch.float32)
    together = torch.cat([piece for _, piece in pieces])
    torch.testing.assert_close(together.double(), dense_mask(between[0, 1], grid, 0.7), atol=2e-3, rtol=1e-4)


def test_the_bias_is_computed_once_for_each_resolution_and_pair(monkeypatch):
    calls = []
    original = module.attention_bias
    monkeypatch.setattr(
        module, "attention_bias", lambda lines, *rest: calls.append(len(lines)) or original(lines, *rest)
    )
    bias = EpipolarBias(fundamental(2), SIZE, random_slopes(torch.Generator().manual_seed(1)))
    tokens = {grid: torch.randn(2, FRAMES, 2, grid[0] * grid[1], 4) for grid in ((4, 4), (2, 2))}
    sync = Synchronization(((1,), (0,)), bias)
    for _ in range(6):
        for grid, x in tokens.items():
            epipolar_attention(x, x, x, sync, grid)
    assert calls.count(FRAMES - 1) == 4  # two resolutions, two ordered pairs
    assert calls.count(1) == 12  # the first frame's lines are new in every call
    assert len(calls) == 16


def test_what_is_kept_stays_within_the_budget():
    pair_bytes = (FRAMES - 1) * 16 * 16 * 4
    bias = EpipolarBias(fundamental(4), SIZE, horizontal_slopes, budget_bytes=3 * pair_bytes)
    bias.draw(FRAMES)
    full = {pair: bias.pieces(*pair, (4, 4), torch.float32)[1][1].clone() for pair in bias.fundamental}
    assert bias.kept_bytes <= 3 * pair_bytes
    for pair, expected in full.items():
        torch.testing.assert_close(bias.pieces(*pair, (4, 4), torch.float32)[1][1], expected)


def test_attention_is_softmax_of_scores_and_bias():
    bias = EpipolarBias(fundamental(3), SIZE, lambda count: torch.full((count,), 1.1))
    query, key, value = torch.randn(3, 3, FRAMES, 2, 16, 4).unbind(0)
    partners = ((1, 2), (0,), (1,))
    out = epipolar_attention(query, key, value, Synchronization(partners, bias), (4, 4))
    for view, of_view in enumerate(partners):
        mask = torch.cat([torch.cat([p for _, p in bias.pieces(view, q, (4, 4), torch.float32)]) for q in of_view], -1)
        keys, values = (torch.cat([x[q] for q in of_view], dim=-2) for x in (key, value))
        weights = (query[view] @ keys.mT / 2 + mask[:, None]).softmax(-1)
        torch.testing.assert_close(out[view], weights @ values, atol=1e-5, rtol=1e-4)


def test_cameras_at_the_same_place_leave_attention_free():
    bias = EpipolarBias(fundamental(2, "still"), SIZE, horizontal_slopes)
    bias.draw(FRAMES)
    assert torch.all(bias.pieces(0, 1, (4, 4), torch.float32)[1][1] == 0)


def test_many_rows_are_not_dropped():
    """224 rows, where the authors' chunks of 128 lose 96."""
    x = torch.randn(7, 32, 1, 16, 4)
    bias = PseudoLineBias(SIZE, random_slopes(torch.Generator().manual_seed(0)), 7)
    sync = Synchronization(tuple(((view + 1) % 7,) for view in range(7)), bias)
    out = epipolar_attention(x, x, x, sync, (4, 4))
    assert out.shape == x.shape
    assert torch.isfinite(out).all()


def test_first_frame_lines_come_from_the_generator():
    def first(seed: int) -> torch.Tensor:
        bias = EpipolarBias(fundamental(2), SIZE, random_slopes(torch.Generator().manual_seed(seed)))
        bias.draw(FRAMES)
        return bias.pieces(0, 1, (4, 4), torch.float32)[0][1]

    assert torch.equal(first(1), first(1))
    assert not torch.equal(first(1), first(2))


def test_a_pseudo_line_passes_through_its_pixel():
    points = token_points((4, 6), SIZE)
    lines = pseudo_lines(points, torch.tensor([0.3, 2.0]))
    assert (lines * points).sum(-1).abs().max() < 1e-4
    assert torch.all(attention_bias(lines, points, SIZE).diagonal(dim1=1, dim2=2) == 0)


def test_the_bias_goes_down_to_the_number_of_half_pixels():
    points = token_points((8, 8), SIZE)
    lowest = attention_bias(pseudo_lines(points, torch.tensor([0.4])), points, SIZE).min()
    assert lowest.item() == pytest.approx(-(SIZE[0] // 2 - 3), abs=1e-3)
