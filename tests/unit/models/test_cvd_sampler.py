"""Pairs, repetitions, seeds: the sampling of several views."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from models.cvd.sampler import GeneratorDraws, Schedule, ViewDenoiser, random_pairs, renoise
from tests.unit.models import tiny_animatediff as tiny


@settings(max_examples=50, deadline=None, derandomize=True)
@given(st.permutations(range(6)), st.integers(1, 6))
def test_every_view_looks_at_another(permutation, num_views):
    partners = random_pairs([view for view in permutation if view < num_views])
    assert len(partners) == num_views
    for view, of_view in enumerate(partners):
        assert view not in of_view
        assert len(of_view) == (0 if num_views == 1 else 1)
    mutual = sum(view == partners[partners[view][0]][0] for view in range(num_views) if num_views > 1)
    assert mutual >= num_views - num_views % 2 - (num_views == 1)


class CountingNetwork:
    """Stands for the UNet: remembers its calls, predicts a little of what it sees."""

    def __init__(self) -> None:
        self.calls = []

    def __call__(self, sample, timestep, text, conditions):
        self.calls.append((int(timestep), sample.shape[0], conditions.synchronization))
        return 0.1 * sample


@pytest.mark.parametrize(("repeats", "rounds"), [(1, 1), (3, 1), (2, 2)])
def test_steps_and_calls_are_as_many_as_announced(repeats, rounds):
    network, scheduler = CountingNetwork(), tiny.frame_parts()["scheduler"]
    scheduler.set_timesteps(4)
    denoiser = ViewDenoiser(network, torch.zeros(2, 3, 4), (), None, 3.0)
    steps = []
    schedule = Schedule(repeats, rounds)
    draws = GeneratorDraws(torch.Generator().manual_seed(0))
    out = denoiser.denoise(torch.randn(3, 4, 2, 4, 4), scheduler, schedule, draws, lambda x, _: steps.append(x))
    assert len(steps) == schedule.step_count(4) == 3 * repeats + 1
    assert len(network.calls) == len(steps) * rounds
    assert {rows for _, rows, _ in network.calls} == {6}
    assert torch.isfinite(out).all()


def test_the_authors_schedules():
    assert [Schedule.of_paper(views) for views in (1, 2, 4, 6)] == [
        Schedule(1, 1), Schedule(1, 1), Schedule(3, 1), Schedule(6, 2),
    ]  # fmt: skip


def test_renoising_undoes_a_step_in_distribution():
    scheduler = tiny.frame_parts()["scheduler"]
    scheduler.set_timesteps(25)
    t = scheduler.timesteps[3]
    a_t, a_prev = scheduler.alphas_cumprod[t], scheduler.alphas_cumprod[t - 40]
    back = renoise(torch.ones(1), torch.zeros(1), scheduler, t)
    spread = renoise(torch.zeros(1), torch.ones(1), scheduler, t)
    assert back.item() == pytest.approx((a_t / a_prev).sqrt().item())
    total = back.item() ** 2 * (1 - a_prev.item()) + spread.item() ** 2
    assert total == pytest.approx(1 - a_t.item(), rel=1e-5)
