"""Identity: is the person in the clip the one in the reference picture?"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float, UInt8

from studio.metrics.networks import photo_faces, pocket_faces
from studio.metrics.pictures import reference_picture
from studio.metrics.score import Metric, NotComparable, Reading
from studio.metrics.take import Take

if TYPE_CHECKING:
    from models.common.faces import FaceDetector


def read(take: Take) -> Reading:
    """Mean over the frames of max(0, cosine) of the recogniser's vectors; frames without a face are left out and
    counted in the note (FaceSim of ConsisID, on every frame)."""
    facts = take.facts
    if facts.face is None:
        raise NotComparable("No picture of a person was given.")
    detector = pocket_faces() if facts.world else photo_faces(facts.weights_dir)
    reference = face_vector(reference_picture(facts.face), detector, facts.which_face)
    if reference is None:
        raise NotComparable("No face is found in the reference picture.")
    vectors = [face_vector(frame, detector) for frame in take.frames]
    curve = tuple(None if vector is None else max(0.0, float(vector @ reference)) for vector in vectors)
    found = [value for value in curve if value is not None]
    if not found:
        raise NotComparable("No face is found in any frame.")
    note = f"a face in {100 * len(found) / len(curve):.0f}% of the frames, spread {np.std(found):.2f}"
    return Reading(float(np.mean(found)), curve, note)


def face_vector(
    picture: UInt8[np.ndarray, "height width 3"], detector: FaceDetector, which: int = 0
) -> Float[np.ndarray, " dim"] | None:
    """Unit vector of the largest face, or of number `which` from the left; None without it."""
    from models.common.faces import chosen_face

    faces = sorted(detector.detect(picture), key=lambda face: float(face.box[0]))
    if len(faces) < max(which, 1):
        return None
    vector = chosen_face(faces, which - 1 if which else None).identity.astype(np.float64)
    return vector / max(float(np.linalg.norm(vector)), 1e-12)


METRIC = Metric(
    name="identity",
    title="Identity",
    unit="cosine",
    lowest=0.0,
    highest=1.0,
    better="higher",
    anchors=None,
    help="How alike the recogniser finds the clip's face and the reference's, frame by frame.",
    needs="a picture of a person and a face recogniser: the world's own, or ArcFace on disk",
    not_comparable="between recognisers, so not between pocket and full clips, or without a face in the clip",
    read=read,
)
