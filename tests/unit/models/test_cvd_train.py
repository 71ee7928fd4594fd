"""Pairs for the training of CVD, and one update at toy size."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from models.common import cameras
from models.cvd.homographies import random_homographies, warp_video
from models.cvd.train import CvdTraining, SynchronizationTrainer, fold_clip, warped_pair
from tests.unit.models import tiny_animatediff as tiny

FOLDED = 2 * tiny.FRAMES - 1


def clip(frames: int) -> torch.Tensor:
    return torch.rand(3, frames, tiny.SIZE, tiny.SIZE, generator=torch.Generator().manual_seed(frames)) * 2 - 1


def static_pair():
    poses = cameras.camera_path("orbit left", FOLDED)
    lens = cameras.pixel_intrinsics(np.tile(cameras.DEFAULT_INTRINSICS, (FOLDED, 1)), tiny.SIZE, tiny.SIZE)
    return fold_clip(clip(FOLDED), poses, lens)


def test_a_folded_clip_starts_twice_at_the_same_frame():
    pair = static_pair()
    assert pair.videos.shape == (2, 3, tiny.FRAMES, tiny.SIZE, tiny.SIZE)
    assert torch.equal(pair.videos[0, :, 0], pair.videos[1, :, 0])
    assert torch.equal(pair.videos[0, :, -1], clip(FOLDED)[:, 0])
    assert pair.cameras is not None
    np.testing.assert_allclose(pair.cameras.camera_to_world[:, 0], np.tile(np.eye(4), (2, 1, 1)))
    between = pair.cameras.fundamental_matrices()[0, 1]
    assert np.all(between[0] == 0)
    assert np.abs(between[1:]).max() > 0


def test_an_even_clip_cannot_be_folded():
    with pytest.raises(ValueError, match="odd number of frames, got 6"):
        fold_clip(clip(6), np.tile(np.eye(4), (6, 1, 1)), np.ones((6, 4)))


def test_a_warped_copy_shows_a_pixel_where_the_homography_puts_it():
    size = (33, 33)
    homographies = random_homographies(5, size, torch.Generator().manual_seed(3))
    torch.testing.assert_close(homographies[0], torch.eye(3))
    y, x = torch.meshgrid(torch.arange(33.0) - 16, torch.arange(33.0) - 16, indexing="ij")
    coordinates = torch.stack([x, y, torch.ones_like(x)])[:, None].expand(-1, 5, -1, -1)  # a picture of its own places
    warped, inside = warp_video(coordinates, homographies)
    for frame, matrix in enumerate(homographies):
        there = torch.einsum("ij,jyx->iyx", matrix, warped[:, frame])
        there = there / there[2:]
        error = (there[:2] - torch.stack([x, y])).abs().amax(0)
        assert error[inside[frame]].max() < 1e-2
    assert inside[0].all()
    assert inside.float().mean() > 0.5


@pytest.mark.parametrize("kind", ["static", "warped"])
def test_an_update_changes_the_cross_view_modules_only(kind):
    parts = tiny.cvd_parts()
    unet, generator = parts["unet"], torch.Generator().manual_seed(0)
    before = {name: parameter.clone() for name, parameter in unet.named_parameters()}
    settings = CvdTraining(learning_rate=1e-3)
    trainer = SynchronizationTrainer(
        unet, parts["pose_encoder"], parts["vae"], parts["scheduler"], generator, settings
    )
    pair = static_pair() if kind == "static" else warped_pair(clip(tiny.FRAMES), generator)
    text = torch.randn(1, 5, tiny.TEXT_DIM)
    losses = [trainer.step([pair], text, torch.zeros_like(text)) for _ in range(2)]
    assert np.all(np.isfinite(losses))
    changed = {name for name, parameter in unet.named_parameters() if not torch.equal(parameter, before[name])}
    assert changed == {name for name in before if ".cross_view." in name}


def test_synchronised_and_alone_differ_only_once_the_modules_have_learnt():
    parts = tiny.cvd_parts()
    trainer = SynchronizationTrainer(
        parts["unet"], parts["pose_encoder"], parts["vae"], parts["scheduler"], torch.Generator(), CvdTraining()
    )
    for name, parameter in parts["unet"].named_parameters():
        if ".cross_view.proj_out" in name:
            torch.nn.init.zeros_(parameter)
    text = torch.randn(1, 5, tiny.TEXT_DIM)

    def both() -> list[float]:
        losses = []
        for together in (True, False):
            trainer.generator.manual_seed(2)
            losses.append(trainer.loss(static_pair(), text, torch.zeros_like(text), synchronized=together).item())
        return losses

    together, alone = both()
    assert together == pytest.approx(alone, rel=1e-5)
    for _ in range(3):
        trainer.step([static_pair()], text, torch.zeros_like(text))
    together, alone = both()
    assert together != pytest.approx(alone, rel=1e-5)


@pytest.mark.parametrize(("share", "together"), [(0.0, 0), (1.0, 20)])
def test_views_have_a_timestep_of_their_own_or_share_one_as_in_sampling(share, together):
    parts = tiny.cvd_parts()
    trainer = SynchronizationTrainer(
        parts["unet"], parts["pose_encoder"], parts["vae"], parts["scheduler"], torch.Generator().manual_seed(0),
        CvdTraining(shared_timesteps=share),
    )  # fmt: skip
    seen: list[torch.Tensor] = []
    parts["unet"].register_forward_pre_hook(lambda _, inputs: seen.append(inputs[1]))
    text = torch.zeros(1, 5, tiny.TEXT_DIM)
    for _ in range(20):
        trainer.loss(static_pair(), text, text)
    assert sum(int(one == other) for one, other in seen) == together
    assert len({int(one) for one, _ in seen}) > 10
