"""How strongly the picture acts: the curve over the steps, the subject's words, its region, its cut-out."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from models.customvideox.attention_clip import attention_clip, colours, curve
from models.customvideox.entity_region import EntityMap, is_active, region, region_bias
from models.customvideox.entity_words import entity_span, entity_tokens, find_entity
from models.customvideox.reference import place_subject, whiten_background
from models.customvideox.time_aware_bias import strengths
from tests.unit.models import cogvideox_parts as parts


@pytest.mark.parametrize("steps", [2, 3, 25, 50])
def test_the_curve_is_a_parabola_with_its_ends_at_the_minimum(steps):
    values = strengths(steps, 0.3, 1.1)
    assert values[0] == values[-1] == pytest.approx(0.3)
    assert values == pytest.approx(values[::-1])
    second = np.diff(values, 2)
    assert np.allclose(second, second[0] if len(second) else 0)
    if steps % 2:
        assert max(values) == values[steps // 2] == pytest.approx(1.1)


@pytest.mark.parametrize("steps", [1, 2, 25])
def test_the_fixed_bias_is_as_strong_in_all(steps):
    fixed, shaped = strengths(steps, 0.3, 1.0, "fixed"), strengths(steps, 0.3, 1.0)
    assert len(set(fixed)) == 1
    assert sum(fixed) == pytest.approx(sum(shaped))


def test_many_steps_have_the_parabolas_own_mean():
    assert strengths(2000, 0.3, 1.0, "fixed")[0] == pytest.approx(0.3 + 0.7 * 2 / 3, abs=1e-3)


@pytest.mark.parametrize(
    ("prompt", "entity"),
    [
        ("the object bounces on grass, blue sky", "object"),
        ("A golden retriever runs along a sandy beach", "golden retriever"),
        ("a striped blue cube next to a red ring", "striped blue cube"),
        ("An old glass bus, driving through fog", "old glass bus"),
        ("my dog is asleep", "dog"),
        ("the person turns left in front of a green wall", "person"),
        ("toy robot", "toy robot"),
        ("the", "the"),
    ],
)
def test_the_subject_is_found_in_the_prompt(prompt, entity):
    assert find_entity(prompt) == entity
    start, end = entity_span(prompt, entity)
    assert prompt[start:end] == entity


@pytest.mark.parametrize("written", ["Red  Ball", "ball", "a red ball"])
def test_the_subject_may_be_corrected_by_hand(written):
    start, end = entity_span("Here a red ball rolls", written)
    assert "Here a red ball rolls"[start:end].lower() == " ".join(written.lower().split())


@pytest.mark.parametrize("written", ["cube", "bal", "ball red"])
def test_a_subject_that_is_not_in_the_prompt_is_a_sentence(written):
    with pytest.raises(ValueError, match=r"is not in the prompt.*for example 'red ball'"):
        entity_span("a red ball rolls", written)


def test_tokens_of_the_subject():
    tokenizer = parts.tokenizer()  # <pad> </s> <unk> a red ball
    ids = tokenizer("a red ball").input_ids
    assert [ids[i] for i in entity_tokens(tokenizer, "a red ball", "", 8)] == [4, 5]
    assert [ids[i] for i in entity_tokens(tokenizer, "a red ball", "ball", 8)] == [5]
    with pytest.raises(ValueError, match="lies behind the 2 tokens"):
        entity_tokens(tokenizer, "a red ball", "ball", 2)


def test_the_map_is_the_attention_of_the_subjects_words():
    torch.manual_seed(0)
    query, key = torch.randn(2, 10, 12, 16), torch.randn(2, 10, 8, 16)
    entity_map = EntityMap([1, 2], 6, (3, 2, 2))
    assert list(entity_map.layers) == [2, 3]
    assert entity_map.heat() is None
    entity_map.see(query, key)
    entity_map.finish_step()
    weights = (query[1] @ key[1].transpose(-1, -2) / 4).softmax(-1)
    expected = weights[..., [1, 2]].mean((0, 2)).view(3, 2, 2)
    expected = F.avg_pool2d(expected[:, None], 3, 1, 1, count_include_pad=False)[:, 0]
    expected = (expected - expected.min()) / (expected.max() - expected.min())
    heat = entity_map.heat()
    assert heat is not None
    torch.testing.assert_close(heat, expected, rtol=1e-4, atol=1e-5)


def test_the_map_remembers_earlier_steps_by_half():
    entity_map = EntityMap([0], 3, (1, 1, 3))
    for row in ([8.0, 0.0, 0.0], [0.0, 0.0, 8.0]):
        entity_map.see(torch.tensor(row).view(1, 1, 3, 1), torch.tensor([1.0, -1.0]).view(1, 1, 2, 1))
        entity_map.finish_step()
    average = entity_map._average
    assert average is not None
    assert average[0] == pytest.approx(average[2]) and average[0] > average[1]


@pytest.mark.parametrize("kind", ["soft", "hard"])
def test_the_region_is_where_the_map_is_high(kind):
    heat = torch.zeros(2, 4, 4)
    heat[0, 1, 1] = 1.0
    mask = region(heat, kind)
    assert mask[0, 1, 1] == 1
    assert mask.sum() == 1
    bias = region_bias(mask, 2.0, 0.5)
    assert bias.shape == (32,)
    assert bias[5] == pytest.approx(math.log(2))
    assert bias[0] == pytest.approx(math.log(0.5))


def test_a_flat_map_has_no_region():
    assert region(torch.full((2, 4, 4), 0.3)).max() < 1e-3
    assert not region(torch.full((2, 4, 4), 0.3), "hard").any()


def test_the_region_rests_in_the_first_and_last_steps():
    assert [is_active(s) for s in (0.0, 0.1, 0.5, 0.8, 0.9)] == [False, True, True, True, False]


def test_a_subject_on_a_plain_background_is_cut_out_and_centred():
    picture = np.full((40, 100, 3), (30, 160, 60), np.uint8)
    picture[10:30, 5:25] = (200, 0, 0)
    frame = place_subject(picture, 64, 96, fill=0.5)
    red = (frame[..., 0] > 150) & (frame[..., 1] < 60)
    rows, columns = np.flatnonzero(red.any(1)), np.flatnonzero(red.any(0))
    assert (rows[0], rows[-1], columns[0], columns[-1]) == (16, 47, 32, 63)
    assert (frame[~red] > 180).all()


def test_a_hole_of_the_backgrounds_colour_stays():
    picture = np.full((40, 40, 3), 255, np.uint8)
    picture[10:30, 10:30] = (200, 0, 0)
    picture[18:22, 18:22] = 255
    grey = picture.copy()
    grey[(picture == 255).all(2)] = 120
    assert np.array_equal(whiten_background(grey)[18:22, 18:22], grey[18:22, 18:22])
    assert (whiten_background(grey)[:5] == 255).all()


def test_a_photo_fills_the_frame_with_its_shape_kept():
    picture = np.random.default_rng(0).integers(0, 200, (50, 100, 3)).astype(np.uint8)
    frame = place_subject(picture, 64, 64)
    inked = frame.min(2) < 245
    assert inked.any(0).all()
    assert inked.any(1).sum() == 32


def test_an_empty_picture_is_a_sentence():
    with pytest.raises(ValueError, match="The reference picture is empty"):
        place_subject(np.full((32, 32, 3), 80, np.uint8), 64, 64)


def test_the_attention_clip_warms_where_the_map_is_high():
    frames = np.full((6, 64, 64, 3), 128, np.uint8)
    heat = np.zeros((3, 8, 8), np.float32)
    heat[:, :, :4] = 1.0
    clip = attention_clip(frames, heat, strengths(25), strengths(25))
    assert clip.shape == (6, 256 + 72, 256, 3) and clip.dtype == np.uint8
    assert clip[:, :256, :64].mean() > clip[:, :256, 192:].mean() + 40


def test_the_map_of_a_frame_lies_between_its_neighbours_in_time():
    heat = np.stack([np.zeros((4, 4)), np.ones((4, 4))]).astype(np.float32)
    clip = attention_clip(np.zeros((8, 256, 256, 3), np.uint8), heat, [1.0], [1.0])
    light = clip[:, :256].mean((1, 2, 3))
    assert (np.diff(light) >= 0).all() and light[-1] > light[0] + 50


def test_colours_grow_lighter_with_heat():
    assert (np.diff(colours(np.linspace(0, 1, 20)).mean(1)) > 0).all()


def test_the_curve_shows_the_region_only_where_it_differs():
    alone, both = (
        np.asarray(curve(strengths(9), inside, 200)) for inside in (strengths(9), [2 * s for s in strengths(9)])
    )
    orange = (255, 159, 67)
    assert not (alone == orange).all(2).any()
    assert (both == orange).all(2).any()
