"""Scene -> what the tracer draws: a row of numbers per primitive and frame (layout below), and the painted face."""

from __future__ import annotations

import math

import numpy as np

from models.pocket.world.scene import COLOURS, EYES, HAIR_COLOURS, SKINS, Person, Scene, Solid

ELLIPSOID, BOX, CYLINDER, CONE, TORUS = range(5)
PLAIN, STRIPED, FACE = range(3)
# where a row keeps what: kind, centre, rotation, half sizes, two colours, pattern, owner, cutting plane, squared reach
KIND, CENTRE, ROTATION, HALF, COLOUR, SECOND = 0, 1, 4, 13, 16, 19
PATTERN, OWNER, CUT, REACH, FIELDS = 22, 23, 24, 28, 29
KINDS = {"sphere": ELLIPSOID, "cube": BOX, "cylinder": CYLINDER, "cone": CONE, "torus": TORUS}

# The face as numbers: skin, hair, eyes (rgb each), glasses, beard, smile, mouth open, blink, gaze, eye spacing, brows
FACE_FIELDS = 17


def primitives(scene: Scene, num_frames: int) -> tuple[np.ndarray, np.ndarray]:
    """Rows [frames, primitives, FIELDS] and face [frames, FACE_FIELDS], float32."""
    times = np.linspace(0.0, 1.0, num_frames) if num_frames > 1 else np.full(1, 0.5)
    if scene.person is not None:
        drawn = [_person(scene.person, t) for t in times]
    else:
        drawn = [([_solid(s, t, i + 1) for i, s in enumerate(scene.solids)], np.zeros(FACE_FIELDS)) for t in times]
    rows = np.stack([np.stack(frame) for frame, _ in drawn]).astype(np.float32)
    return rows, np.stack([face for _, face in drawn]).astype(np.float32)


def _row(kind: int, centre, half, colour, *, turn=None, second=(0.97, 0.97, 0.97), pattern=PLAIN, owner=1, cut=None):
    row = np.zeros(FIELDS)
    row[KIND], row[PATTERN], row[OWNER] = kind, pattern, owner
    row[CENTRE : CENTRE + 3], row[HALF : HALF + 3] = centre, half
    row[ROTATION : ROTATION + 9] = (np.eye(3) if turn is None else turn).ravel()
    row[COLOUR : COLOUR + 3], row[SECOND : SECOND + 3] = colour, second
    row[CUT : CUT + 4] = (0, 0, 0, -9) if cut is None else cut
    corner = {BOX: 3.0, CYLINDER: 2.0, CONE: 2.0}.get(kind, 1.0)  # squared radius of the unit shape's bounding sphere
    row[REACH] = corner * max(half) ** 2
    return row


def _yaw(angle: float) -> np.ndarray:
    c, s = math.cos(angle), math.sin(angle)
    return np.array([[c, 0, s], [0, 1, 0], [-s, 0, c]])


def _pitch(angle: float) -> np.ndarray:
    c, s = math.cos(angle), math.sin(angle)
    return np.array([[1, 0, 0], [0, c, -s], [0, s, c]])


def _solid(solid: Solid, t: float, owner: int) -> np.ndarray:
    """One solid at time t in [0, 1]; each motion is large enough to be seen at 64 pixels."""
    x, z = solid.place
    lift, turn, size = 0.0, solid.turn, solid.size
    match solid.motion:
        case "bounces":
            lift = 1.25 * abs(math.sin(math.pi * (2.5 * t + solid.phase)))
        case "slides left" | "slides right":
            x += (1 if solid.motion.endswith("right") else -1) * 2.6 * (t - 0.5)
        case "spins":
            turn += 1.35 * math.pi * t
        case "circles":
            angle = 2 * math.pi * (t + solid.phase)
            x, z = x + 1.15 * math.cos(angle), z + 1.15 * math.sin(angle)
        case "grows":
            size *= 0.45 + 0.85 * t
        case "rises":
            lift = 1.9 * t
    half = {
        "sphere": (size, size, size),
        "cube": (0.82 * size,) * 3,
        "cylinder": (0.68 * size, size, 0.68 * size),
        "cone": (0.95 * size, 1.05 * size, 0.95 * size),
        "torus": (size, size, 0.34 * size),
    }[solid.shape]
    return _row(
        KINDS[solid.shape], (x, half[1] + lift, z), half, solid.rgb,
        turn=_yaw(turn), pattern=STRIPED if solid.pattern == "striped" else PLAIN, owner=owner,
    )  # fmt: skip


def _person(person: Person, t: float) -> tuple[list[np.ndarray], np.ndarray]:
    yaw = pitch = smile = opened = gaze = 0.0
    swing = math.sin(2 * math.pi * t)
    match person.action:
        case "smiles":
            smile = float(np.clip(1.6 * t - 0.2, 0, 1))
        case "nods":
            pitch = 0.40 * math.sin(4 * math.pi * t)
        case "looks around":
            yaw, gaze = 0.85 * swing, 0.06 * swing
        case "turns left" | "turns right":
            yaw = (1 if person.action.endswith("right") else -1) * 0.95 * float(np.clip(1.5 * t - 0.15, 0, 1))
        case "talks":
            opened = abs(math.sin(3.5 * math.pi * t))
    width, tall, spacing, nose, jaw = person.build
    head = np.array([0.70 + 0.06 * width, 0.84 + 0.06 * tall, 0.72])
    turn = _yaw(yaw) @ _pitch(pitch)
    middle = np.array([0.0, 1.55, 0.0])
    skin, hair = SKINS[person.skin], HAIR_COLOURS[person.hair_colour]

    def at(offset) -> np.ndarray:
        return middle + turn @ (np.asarray(offset) * head)

    rows = [
        _row(ELLIPSOID, middle, head, skin, turn=turn, pattern=FACE),
        _row(ELLIPSOID, at((0, -0.12, 1.0)), np.array([0.10, 0.12, 0.12]) * (1 + 0.35 * nose), skin, turn=turn),
        _row(ELLIPSOID, (0, -0.12, -0.05), (1.12, 0.98, 0.62), COLOURS[person.shirt]),
        _row(CYLINDER, (0, 0.78, -0.05), (0.27, 0.3, 0.27), tuple(0.9 * c for c in skin)),
    ]
    style = person.hair_style
    hairs, hat = [], []
    if style == "short":
        hairs = [_row(ELLIPSOID, at((0, 0.06, -0.06)), head * 1.07, hair, turn=turn, cut=(0, 0.88, -0.47, 0.30))]
    elif style == "long":
        sides = [
            _row(ELLIPSOID, at((s * 0.92, -0.55, -0.28)), (0.24, 0.92, 0.36), hair, turn=turn) for s in (-1.0, 1.0)
        ]
        hairs = [
            _row(ELLIPSOID, at((0, 0.06, -0.08)), head * 1.10, hair, turn=turn, cut=(0, 0.80, -0.60, 0.22)),
            *sides,
        ]
    elif style == "curly":
        puffs = [
            _row(ELLIPSOID, at((s * 0.80, 0.50, -0.20)), (0.40, 0.42, 0.42), hair, turn=turn) for s in (-1.0, 1.0)
        ]
        hairs = [_row(ELLIPSOID, at((0, 0.62, -0.25)), (0.80, 0.62, 0.74), hair, turn=turn), *puffs]
    colour = COLOURS[person.hat_colour]
    if person.hat == "cap":
        hat = [
            _row(ELLIPSOID, at((0, 0.16, -0.04)), head * 1.15, colour, turn=turn, cut=(0, 1, 0, 0.36)),
            _row(CYLINDER, at((0, 0.60, 0.72)), (0.56, 0.05, 0.52), tuple(0.82 * c for c in colour), turn=turn),
        ]
    elif person.hat == "wizard hat":
        hat = [
            _row(CONE, at((0, 1.25, -0.06)), (0.68, 0.58, 0.68), colour, turn=turn),
            _row(CYLINDER, at((0, 0.60, -0.02)), (1.06, 0.06, 1.06), tuple(0.82 * c for c in colour), turn=turn),
        ]
    face = np.array([*skin, *hair, *EYES[person.eyes], person.glasses, person.beard, smile, opened, 0.0, gaze,
                     0.40 + 0.05 * spacing, 0.08 * jaw])  # fmt: skip
    return rows + hairs + hat, face
