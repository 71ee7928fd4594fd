"""Subject: is the object of the reference picture in the clip? The background of neither counts."""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, UInt8

from studio.metrics.looks import find, likeness, look_of
from studio.metrics.networks import DINO, dino_pictures, folder_of
from studio.metrics.pictures import reference_picture
from studio.metrics.score import Metric, NotComparable, Reading
from studio.metrics.take import Facts, Take

SHORTER = 96  # pixels of the shorter side in which frames are searched


def read(take: Take) -> Reading:
    """In each frame the square that holds most of the object's colours is found. There, from 0 to 100, the mean of
    the share of the colours found and the cosine of the edges' directions; with DINO on disk 100 times the cosine of
    its vectors of that square and of the object instead (DINO-I on the cut-out subject)."""
    facts = take.facts
    if facts.subject is None:
        raise NotComparable("No picture of an object was given.")
    picture = reference_picture(facts.subject)
    mask = object_mask(picture, facts)
    if not mask.any():
        raise NotComparable("The reference picture shows no object.")
    look = look_of(picture, mask)
    found = [find(_searchable(frame), look) for frame in take.frames]
    if not facts.world and _has_dino(facts):
        vectors = dino_pictures(np.stack([look.picture, *(square for _, square in found)]), facts.weights_dir)
        curve = (100 * vectors[1:] @ vectors[0]).tolist()
        return Reading(float(np.mean(curve)), tuple(curve), "DINO ViT-S/16")
    curve = [likeness(colours, square, look) for colours, square in found]
    return Reading(float(np.mean(curve)), tuple(curve), "colours and edges")


def object_mask(picture: UInt8[np.ndarray, "height width 3"], facts: Facts) -> Bool[np.ndarray, "height width"]:
    """The mask that was given, else everything that is not the plain background."""
    from models.customvideox.reference import NEARLY, WHITE, whiten_background

    if facts.subject_mask is None:
        return whiten_background(picture).min(2) < WHITE - NEARLY
    mask = reference_picture(facts.subject_mask)[..., 0] > 127
    if mask.shape != picture.shape[:2]:
        raise NotComparable("The mask of the reference picture has another size than the picture.")
    return mask


def _has_dino(facts: Facts) -> bool:
    try:
        folder_of(DINO, facts.weights_dir)
    except NotComparable:
        return False
    return True


def _searchable(frame: UInt8[np.ndarray, "height width 3"]) -> np.ndarray:
    import cv2

    height, width = frame.shape[:2]
    scale = SHORTER / min(height, width)
    if scale >= 1:
        return frame
    return cv2.resize(frame, (round(width * scale), round(height * scale)), interpolation=cv2.INTER_AREA)


METRIC = Metric(
    name="subject",
    title="Subject",
    unit="points",
    lowest=0.0,
    highest=100.0,
    better="higher",
    anchors=None,
    help="How much the clip's subject has the colours and shape of the reference's, backgrounds left out.",
    needs="a picture of an object, best on a plain background",
    not_comparable="between objects, or between the network-free number and DINO's",
    read=read,
)
