"""What EchoVideo sees of a picture: every face, aligned and masked as it goes into the network."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from models.common.face_reader import FaceReader
from models.common.pictures import read_picture
from models.method import Sight


class FaceInspector:
    """Holds the face front end alone, so that showing faces loads none of the large parts."""

    def __init__(self, face_detector: Any, face_parser: Any = None, *, face_size: int) -> None:
        self.reader = FaceReader(face_detector, face_parser or face_detector, face_size)

    def __call__(self, field: str, picture: Path) -> list[Sight]:
        """The faces from left to right; `choice` is what `which_face` takes."""
        faces, largest = self.reader.read_all(read_picture(picture))
        return [
            Sight(face.picture, f"Face {index + 1}" if len(faces) > 1 else "Face", index + 1, index == largest)
            for index, face in enumerate(faces)
        ]
