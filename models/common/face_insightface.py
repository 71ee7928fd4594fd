"""Faces in photographs by insightface's detector and recogniser, read from a folder; nothing is ever downloaded.

The models (antelopev2, as EchoVideo uses it) are for non-commercial research only. insightface is not among the
studio's requirements: requirements-faces.txt says how to add it.
"""

from __future__ import annotations

import functools
import shutil
import zipfile
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from models.common.faces import DetectedFace

DETECTOR_SIDE = 640  # the square a picture is fitted into, as the authors set it
SECOND_THRESHOLD = 0.3  # of the second look; the first asks for 0.5
CPU = ("CPUExecutionProvider",)  # once per video, and onnxruntime's GPU build would be one more thing to install


class InsightFaceDetector:
    """`folder` holds one detection and one recognition model as .onnx files, as unpacked from antelopev2.zip."""

    def __init__(self, folder: Path, providers: Sequence[str] = CPU) -> None:
        self.folder, self.providers = Path(folder), tuple(providers)

    @classmethod
    def from_pretrained(cls, folder: Path) -> InsightFaceDetector:
        """Models are opened with the first picture."""
        return cls(folder)

    def detect(self, image: np.ndarray) -> list[DetectedFace]:
        """Every face of uint8 RGB [height, width, 3]; `identity` is the raw vector, not normalised."""
        return [DetectedFace(face.bbox, face.kps, face.embedding) for face in self._analysis.get(_bgr(image))]

    def landmarks(self, image: np.ndarray) -> np.ndarray | None:
        """The most central face [5, 2] of a second, less sure look.

        The authors ask another detector here (facexlib's RetinaFace); this one is asked again instead.
        """
        detector = self._analysis.models["detection"]
        threshold = detector.det_thresh
        try:
            detector.det_thresh = SECOND_THRESHOLD
            boxes, points = detector.detect(_bgr(image), max_num=0, metric="default")
        finally:
            detector.det_thresh = threshold
        if not len(boxes):
            return None
        middle = np.array(image.shape[1::-1]) / 2
        distances = np.linalg.norm((boxes[:, :2] + boxes[:, 2:4]) / 2 - middle, axis=1)
        return points[int(distances.argmin())]

    def recognise(self, aligned: np.ndarray) -> np.ndarray:
        """The vector [512] of an aligned face, which the recogniser shrinks to its own input."""
        return self._analysis.models["recognition"].get_feat(_bgr(aligned)).flatten()

    @functools.cached_property
    def _analysis(self) -> Any:
        try:
            from insightface.app import FaceAnalysis  # pyright: ignore[reportMissingImports]
        except ImportError as error:
            raise ValueError(
                "Reading photographs needs the packages of requirements-faces.txt, which are not installed: "
                "pip install --no-deps -r requirements-faces.txt"
            ) from error
        if not any(self.folder.glob("*.onnx")):
            raise ValueError(
                f"The folder {self.folder} holds no face models. Unpack antelopev2.zip so that its five .onnx files "
                "lie in it; models/echovideo/README.md has the address and the terms."
            )
        analysis = FaceAnalysis(
            name=str(self.folder), allowed_modules=["detection", "recognition"], providers=list(self.providers)
        )
        analysis.prepare(ctx_id=-1 if self.providers == CPU else 0, det_size=(DETECTOR_SIDE, DETECTOR_SIDE))
        return analysis


def unpack(archive: Path, output: Path) -> None:
    """The .onnx files of a model pack such as antelopev2.zip, whatever folder they lie in there."""
    output.mkdir(parents=True, exist_ok=True)
    try:
        with zipfile.ZipFile(archive) as pack:
            models = [entry for entry in pack.infolist() if entry.filename.endswith(".onnx")]
            for entry in models:
                with pack.open(entry) as source, (output / PurePosixPath(entry.filename).name).open("wb") as target:
                    shutil.copyfileobj(source, target)
    except zipfile.BadZipFile as error:
        raise ValueError(f"{archive.name} is not a zip file; download it again.") from error
    if not models:
        raise ValueError(f"{archive.name} holds no .onnx file; it is another model pack.")


def _bgr(image: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(image[..., ::-1])
