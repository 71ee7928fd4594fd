"""The recipes: what they train is what the studio runs, and an interrupted run goes on where it stopped."""

from __future__ import annotations

import shutil
from typing import Any

import numpy as np
import torch
from diffusers import AutoencoderKLCogVideoX
from torch import Tensor
from transformers import T5EncoderModel

from models.pocket.judge import truth
from models.pocket.recipes import judge, text, transformer
from models.pocket.recipes.attention import MatmulAttention
from models.pocket.recipes.autoencoder import to_model
from models.pocket.recipes.dataset import TINTED, scene_of
from models.pocket.recipes.decoder import Decoder, Redrawer, export
from models.pocket.recipes.echovideo import FaceToVideo
from models.pocket.recipes.latents import scaled_encoder
from models.pocket.recipes.training import AveragedWeights, Rank, Run, trapezoid
from models.pocket.recipes.transformer import (
    COARSE_GROUP,
    CONFIG,
    FOLDERS,
    FRAMES,
    GROUP,
    SCHEDULER,
    Clips,
    Noise,
    TextToVideo,
    beginning,
    finer,
    groups_seen,
    patchify,
)
from models.pocket.recipes.vae import WEIGHTS, frame_autoencoder, inflate
from models.pocket.world import caption, render_clip, sample_scene
from models.repvideo.transformer import RepVideoTransformer3DModel

RANK = Rank(0, 1, torch.device("cpu"))


def reconstructed(vae: Any, clip: Tensor) -> Tensor:
    return vae.decode(vae.encode(clip).latent_dist.mean).sample


def test_the_inflated_vae_gives_every_frame_what_the_frame_network_gives() -> None:
    torch.manual_seed(0)
    frames = frame_autoencoder().eval()
    with torch.no_grad():
        for parameter in frames.parameters():  # leave the zero initialisation, so that every branch counts
            parameter.add_(torch.randn_like(parameter) * 0.02)
    video = inflate(frames, 1.0).eval()
    clip = torch.rand(1, 3, 1, 16, 16) * 2 - 1
    with torch.no_grad():
        one = reconstructed(frames, clip)
        same = reconstructed(video, clip)
        still = reconstructed(video, clip.expand(-1, -1, 6, -1, -1))
    assert torch.allclose(one, same, atol=1e-5)
    assert torch.allclose(still, one.expand_as(still), atol=1e-5)


def test_training_forward_equals_the_network_the_studio_runs() -> None:
    torch.manual_seed(0)
    tokenizer = text.build_tokenizer()
    model = TextToVideo(len(tokenizer)).eval()
    latents, timestep = torch.randn(2, FRAMES, 8, 16, 16), torch.tensor([100, 900])
    ids = text.tokenize(tokenizer, ["a red cube bounces", ""])
    with torch.no_grad():
        patches = model(latents, timestep, ids, torch.arange(FRAMES // GROUP), feature_cache=True)
        words = model.text_encoder(ids).last_hidden_state
        whole = model.transformer(latents, words, timestep, image_rotary_emb=(model.cos, model.sin)).sample
    assert torch.allclose(patchify(whole), patches, atol=1e-5)


def test_finer_tokens_read_and_draw_a_still_clip_as_the_coarse_ones_do() -> None:
    torch.manual_seed(0)
    words = len(text.build_tokenizer())
    coarse, fine = TextToVideo(words, COARSE_GROUP), TextToVideo(words, GROUP)
    fine.load_state_dict(finer(coarse.state_dict()) | dict(fine.named_buffers()), strict=False)
    still = torch.randn(1, 1, 8, 16, 16).expand(-1, COARSE_GROUP, -1, -1, -1)
    with torch.no_grad():
        read = [
            network.transformer.patch_embed.proj(patches) - network.transformer.patch_embed.proj.bias
            for network, patches in ((coarse, patchify(still, COARSE_GROUP)), (fine, patchify(still[:, :GROUP])))
        ]
        hidden = torch.randn(1, 64, 192)
        drawn = [network.transformer.proj_out(hidden).unflatten(-1, (8, -1, 4)) for network in (coarse, fine)]
    assert torch.allclose(read[1], 0.7 * read[0], atol=1e-5)
    assert torch.allclose(drawn[1], drawn[0].unflatten(3, (2, GROUP)).mean(3), atol=1e-5)


def test_what_was_learned_on_the_coarse_network_is_added_to_the_base() -> None:
    torch.manual_seed(0)
    base, coarse = (
        {f"transformer.{name}": weight for name, weight in network.named_parameters()}
        for network in (
            RepVideoTransformer3DModel(**CONFIG),
            RepVideoTransformer3DModel(**{**CONFIG, "patch_size_t": COARSE_GROUP}),
        )
    )
    learned = finer(dict(FaceToVideo(COARSE_GROUP).named_parameters()))
    same, moved = FaceToVideo(), FaceToVideo()
    for model, start in ((same, finer(coarse)), (moved, base)):
        model.start_from(start)
        model.carry_over(learned, finer(coarse))
    for name, found in same.named_parameters():
        assert torch.allclose(found, learned[name], atol=1e-5), name
    layer = "transformer.transformer_blocks.0.ff.net.0.proj.weight"
    change = moved.get_parameter(layer) - learned[layer]
    assert torch.allclose(change, base[layer] - coarse[layer], atol=1e-5)


def test_groups_seen_alone_stand_at_their_true_place() -> None:
    """With attention cut between groups there would be no difference; here the position must reach the output."""
    torch.manual_seed(0)
    tokenizer = text.build_tokenizer()
    model = TextToVideo(len(tokenizer)).eval()
    latents, ids = torch.randn(1, GROUP, 8, 16, 16), text.tokenize(tokenizer, ["a cone rests"])
    with torch.no_grad():
        first, last = (model(latents, torch.tensor([500]), ids, torch.tensor([g]), False) for g in (0, 4))
    assert (first - last).abs().max() > 1e-3


def test_the_base_sees_some_frames_until_its_last_steps_and_what_follows_sees_all() -> None:
    everything = FRAMES // GROUP
    early = [groups_seen("base", 0.5, draw / 100) for draw in range(100)]
    assert set(early) == {everything, 8 // GROUP} and early.count(everything) < 20
    assert {groups_seen("base", 0.9, draw / 100) for draw in range(100)} == {everything}
    assert {groups_seen("repvideo", progress / 10, 0.99) for progress in range(10)} == {everything}
    coarse = [groups_seen("coarse", progress, 0.3) for progress in (0.1, 0.5, 0.9)]
    assert coarse == [1, 2, FRAMES // COARSE_GROUP]


def test_training_can_go_on_from_the_repositorys_weights() -> None:
    tokenizer = text.build_tokenizer()
    model = TextToVideo(len(tokenizer)).eval()
    missing, unexpected = model.load_state_dict(beginning("base", True, RANK.device), strict=False)
    assert (missing, unexpected) == (["text_encoder.encoder.embed_tokens.weight"], [])  # shares `shared`
    ids = text.tokenize(tokenizer, ["a red cube bounces"])
    saved: Any = RepVideoTransformer3DModel.from_pretrained(FOLDERS["repvideo_off"], torch_dtype=torch.float32)
    encoder: Any = T5EncoderModel.from_pretrained(WEIGHTS / "text_encoder", torch_dtype=torch.float32)
    latents, timestep, everything = (
        torch.randn(1, FRAMES, 8, 16, 16),
        torch.tensor([500]),
        torch.arange(FRAMES // GROUP),
    )
    with torch.no_grad():
        expected = saved(
            latents,
            encoder(ids).last_hidden_state,
            timestep,
            image_rotary_emb=(model.cos, model.sin),
            feature_cache=False,
        ).sample
        assert torch.allclose(model(latents, timestep, ids, everything, False), patchify(expected), atol=1e-4)


def test_every_process_has_its_share_of_all_kinds_of_clips_beside_their_scenes(monkeypatch) -> None:
    stored = {"train": np.arange(7.0), TINTED: 100 + np.arange(4.0)}
    monkeypatch.setattr(transformer, "open_latents", lambda split, kind: stored[split])
    for index, expected in enumerate(([0, 2, 4, 6, 100, 102], [1, 3, 5, 101, 103])):
        data = Clips(("train", TINTED), Rank(index, 2, RANK.device), text.build_tokenizer())
        assert data.clips.tolist() == expected
        assert data.scenes == [scene_of(TINTED if i >= 100 else "train", i % 100) for i in expected]
        times = np.bincount(data.epoch, minlength=len(expected)).tolist()
        bounce = [any(solid.motion == "bounces" for solid in scene.solids) for scene in data.scenes]
        assert times == [3 if it_bounces else 1 for it_bounces in bounce]
        assert set(times) == {1, 3}
        rng = np.random.default_rng(0)
        drawn = np.concatenate([data.draw(1, rng) for _ in data.epoch])
        assert sorted(drawn) == data.epoch.tolist(), "an epoch shows each as often as it should"


def test_the_judge_learns_from_renders_of_several_kinds_beside_what_they_show(monkeypatch) -> None:
    stored = {"train": np.arange(7), "held_out": 100 + np.arange(4), TINTED: 200 + np.arange(5)}
    monkeypatch.setattr(judge, "open_clips", stored.__getitem__)
    renders = judge.Renders({"train": slice(None), "held_out": slice(2), TINTED: slice(-3, None)})
    shown = [("train", i) for i in range(7)] + [("held_out", 0), ("held_out", 1)] + [(TINTED, i) for i in (2, 3, 4)]
    assert len(renders) == len(shown)
    chosen = np.array([0, 6, 7, 8, 9, 11])
    assert renders.clips(chosen).tolist() == [0, 6, 100, 101, 202, 204]
    assert renders.known.tolist() == [list(truth(scene_of(kind, index)).values()) for kind, index in shown]


def test_matmul_attention_equals_the_fused_one() -> None:
    from diffusers.models.attention_processor import Attention, CogVideoXAttnProcessor2_0

    torch.manual_seed(0)
    layer = Attention(24, dim_head=16, heads=2, qk_norm="layer_norm", bias=True, out_bias=True, processor=None)
    video, words = torch.randn(2, 12, 24), torch.randn(2, 5, 24)
    rotary = (torch.randn(12, 16), torch.randn(12, 16))
    arguments: Any = (layer, video, words, None, rotary)  # diffusers annotates the pair as one tensor
    with torch.no_grad():
        pairs = zip(MatmulAttention()(*arguments), CogVideoXAttnProcessor2_0()(*arguments), strict=True)
        assert all(torch.allclose(a, b, atol=1e-5) for a, b in pairs)


def test_noise_follows_the_zero_terminal_snr_schedule() -> None:
    from diffusers import CogVideoXDDIMScheduler

    scheduler: Any = CogVideoXDDIMScheduler(**SCHEDULER)  # its IntTensor means any tensor of integers
    clean, noise = torch.randn(2, 1, 1, 4, 4), torch.randn(2, 1, 1, 4, 4)
    timestep = torch.tensor([999, 250])
    noisy, velocity = Noise(scheduler, torch.device("cpu"))(clean, noise, timestep)
    assert torch.allclose(noisy[0], noise[0], atol=1e-4)  # nothing of the clip is left at the end
    assert torch.allclose(velocity, scheduler.get_velocity(clean, noise, timestep), atol=1e-5)


def test_tokens_know_the_world_and_drop_punctuation() -> None:
    tokenizer = text.build_tokenizer()
    ids = text.tokenize(tokenizer, ["A red CUBE, bounces!", "a red cube bounces", "a zebra"])
    assert torch.equal(ids[0], ids[1])
    assert tokenizer.unk_token_id in ids[2] and tokenizer.unk_token_id not in ids[1]
    assert ids.shape == (3, text.MAX_TOKENS)


def test_a_run_resumes_with_its_clock_and_counts(tmp_path) -> None:
    run = Run(tmp_path, 100.0, RANK)
    assert run.resume() is None
    run.step, run.samples, run.elapsed = 7, 56, 12.0
    run.save(numbers=torch.arange(3))
    again = Run(tmp_path, 100.0, RANK)
    state = again.resume()
    assert state is not None and torch.equal(state["numbers"], torch.arange(3))
    assert (again.step, again.samples) == (7, 56)
    assert 0.12 <= again.progress < 0.2
    assert not list(tmp_path.glob("*.partial"))


def test_averaged_weights_approach_the_weights() -> None:
    module = torch.nn.Linear(2, 2)
    average = AveragedWeights(module, 0.9)
    with torch.no_grad():
        module.weight.fill_(1.0)
    for _ in range(200):
        average.update(module)
    assert torch.allclose(average.values["weight"], module.weight, atol=1e-4)


def test_the_learning_rate_warms_up_holds_and_falls() -> None:
    factors = [trapezoid(p, 0.1, 0.5) for p in np.linspace(0, 1, 101)]
    assert factors[0] < 0.02 and factors[10] == factors[50] == 1.0
    assert factors[75] == 0.5 and factors[100] == 0.0
    assert trapezoid(1.0, 0.1, 0.0) == 1.0


def test_the_transformer_is_small() -> None:
    model = TextToVideo(len(text.build_tokenizer()))
    assert sum(p.numel() for p in model.transformer.parameters()) * 2 < 9e6
    assert CONFIG["in_channels"] == 8


def test_a_decoder_in_training_is_the_saved_one_and_goes_back_alone(tmp_path) -> None:
    folder = tmp_path / "vae"
    shutil.copytree(WEIGHTS / "vae", folder)
    saved: Any = AutoencoderKLCogVideoX.from_pretrained(folder, torch_dtype=torch.float32)
    decoder, latents = Decoder(folder).eval(), torch.randn(1, 4, 8, 4, 4)
    with torch.no_grad():
        before = saved.decode(latents.transpose(1, 2) / saved.config.scaling_factor).sample
        assert torch.allclose(decoder(latents), before, atol=1e-4)
        for parameter in decoder.vae.parameters():
            parameter.mul_(1.1)
        export(decoder, folder)
        again: Any = AutoencoderKLCogVideoX.from_pretrained(folder, torch_dtype=torch.float32)
        after = again.decode(latents.transpose(1, 2) / again.config.scaling_factor).sample
        assert torch.allclose(after, decoder(latents), atol=0.02 * float(after.abs().max())), "halves have 11 bits"
    assert all(torch.equal(a, b) for a, b in zip(saved.encoder.parameters(), again.encoder.parameters(), strict=True))


def test_a_clip_redrawn_from_earlier_on_is_less_like_itself() -> None:
    scene = sample_scene(3, "test", 0.0)
    with torch.no_grad():
        clean = scaled_encoder("cogvideox", RANK.device)(to_model(torch.from_numpy(render_clip(scene).frames)))[None]
    redrawer, words = Redrawer(RANK.device), [caption(scene, np.random.default_rng(0))]
    errors = [
        float((redrawer(clean, words, first, torch.Generator().manual_seed(0)) - clean).square().mean())
        for first in (24, 20, 12)
    ]
    assert errors[0] < errors[1] < errors[2] < float(clean.square().mean()), "and never another clip"
