"""The world's portraits tell the truth, and the networks trained on them find, mask and know people never seen."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.common.faces import FaceDetector, NoFaceError, extract_face
from models.pocket.faces import WEIGHTS, PocketFaces
from models.pocket.world import Person, Scene, sample_scene
from models.pocket.world import scene as names
from models.pocket.world.portraits import CLOTH, HAIR, HAT, SKIN, part_labels, portrait
from models.pocket.world.primitives import primitives


def person(seed: int, split: str = "held_out") -> Person:
    who = sample_scene(seed, split, 1.0).person
    assert who is not None
    return who


@given(st.sampled_from(names.HAIR_STYLES), st.sampled_from(names.HATS), st.integers(0, 50))
@settings(max_examples=30, deadline=None)
def test_every_primitive_of_a_person_has_a_part_label(style: str, hat: str, seed: int) -> None:
    who = replace(person(seed), hair_style=style, hat=hat)
    rows, _ = primitives(Scene(person=who), 2)
    assert len(part_labels(who)) == rows.shape[1]


@pytest.mark.parametrize("seed", range(8))
def test_landmarks_lie_on_the_eyes_that_are_painted(seed: int) -> None:
    who = replace(person(seed), glasses=False, hat="none", hair_style="bald")
    drawn = portrait(who, side=192)
    pupil = drawn.image[tuple(np.round(drawn.landmarks[:2, ::-1]).astype(int).T)].astype(int)
    iris = 255 * np.asarray(names.EYES[who.eyes])
    for colour in pupil:
        assert colour.max() < 70 or np.abs(colour / colour.max() - iris / iris.max()).max() < 0.25
    assert drawn.landmarks[0, 0] < drawn.landmarks[1, 0]
    assert drawn.landmarks[3, 1] > drawn.landmarks[2, 1] > drawn.landmarks[0, 1]


def test_parts_follow_the_dress() -> None:
    bare, hatted = (portrait(replace(person(1), hat=hat, hair_style="long")) for hat in ("none", "wizard hat"))
    assert not (bare.parts == HAT).any()
    assert (hatted.parts == HAT).mean() > 0.05
    for label in (SKIN, HAIR, CLOTH):
        assert (bare.parts == label).any()


def test_a_portrait_depends_on_its_generator_alone() -> None:
    first, second = (portrait(person(3), np.random.default_rng(5)) for _ in range(2))
    assert np.array_equal(first.image, second.image)
    assert not np.array_equal(first.image, portrait(person(3), np.random.default_rng(6)).image)


@pytest.fixture(scope="module")
def faces() -> PocketFaces:
    if not Path(WEIGHTS, "config.json").exists():
        pytest.skip("the face networks are not trained here: python -m models.pocket.recipes.faces")
    return PocketFaces.from_pretrained(WEIGHTS).float().eval()


def test_it_is_a_face_detector(faces: PocketFaces) -> None:
    assert isinstance(faces, FaceDetector)


def test_landmarks_of_people_never_seen_are_found(faces: PocketFaces) -> None:
    errors = []
    for seed in range(40):
        drawn = portrait(person(3000 + seed), side=160)
        (found,) = faces.detect(drawn.image)
        errors.append(np.linalg.norm(found.landmarks - drawn.landmarks, axis=1).mean() / 160)
    assert np.median(errors) < 0.02


def test_two_people_side_by_side_are_two_faces_from_the_left(faces: PocketFaces) -> None:
    pictures = [portrait(replace(person(s), hat="none"), side=128) for s in (11, 12)]
    both = np.concatenate([p.image for p in pictures], axis=1)
    found = sorted(faces.detect(both), key=lambda face: float(face.box[0]))
    assert len(found) == 2
    for index, face in enumerate(found):
        wanted = pictures[index].landmarks + np.array([128 * index, 0])
        assert np.abs(face.landmarks - wanted).max() < 12


def test_a_wall_holds_no_face(faces: PocketFaces) -> None:
    wall = np.full((90, 120, 3), (150, 160, 170), np.uint8)
    assert faces.detect(wall) == []
    with pytest.raises(NoFaceError):
        extract_face(wall, faces, faces.parse, size=64)


def test_the_picture_a_method_sees_has_no_hat_and_no_shirt(faces: PocketFaces) -> None:
    who = replace(person(21), hat="cap", hat_colour="green", shirt="green", skin="light", hair_style="short")
    picture = portrait(who, side=160).image
    seen = extract_face(picture, faces, faces.parse, size=64).picture
    unmasked = extract_face(picture, faces, lambda pixels: np.full(pixels.shape[2:], SKIN), size=64).picture

    def greenish(image: np.ndarray) -> float:
        red, green, blue = np.moveaxis(image.astype(int), -1, 0)
        return float(((green > red + 40) & (green > blue + 40)).mean())

    assert greenish(unmasked) > 0.05
    assert greenish(seen) < 0.3 * greenish(unmasked)


def test_a_person_is_known_again_in_another_picture(faces: PocketFaces) -> None:
    vectors = []
    for seed in range(40):
        rng = np.random.default_rng(seed)
        pair = []
        while len(pair) < 2:
            found = faces.detect(portrait(person(5000 + seed), rng, side=128).image)
            pair += [found[0].identity / np.linalg.norm(found[0].identity)] if len(found) == 1 else []
        vectors.append(pair)
    first, second = np.moveaxis(np.asarray(vectors), 1, 0)
    likeness = first @ second.T
    same, other = np.diag(likeness), likeness[~np.eye(len(likeness), dtype=bool)]
    assert (same[:, None] > other[None]).mean() > 0.9  # of pairs of pairs; 0.5 is chance
