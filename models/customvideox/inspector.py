"""What CustomVideoX sees of a picture: the subject cut out on white, in the frame of the video."""

from __future__ import annotations

from pathlib import Path

from models.common.pictures import read_picture
from models.customvideox.reference import place_subject
from models.method import Sight


class SubjectInspector:
    """Needs no weights."""

    def __init__(self, *, height: int, width: int) -> None:
        self.height, self.width = height, width

    def __call__(self, field: str, picture: Path) -> list[Sight]:
        """One sight, the whole input of the network."""
        return [Sight(place_subject(read_picture(picture), self.height, self.width), "Subject", first=True)]
