"""A small ray tracer in numba: ellipsoids, boxes, cylinders, cones, tori, a painted face, ground, hills and sky.

Colours are linear in [0, 1]; depth is the distance along the optical axis in world units.
"""

# pyright: reportIndexIssue=false
from __future__ import annotations

import math

import numba as nb
import numpy as np

from models.pocket.world import primitives as p

ELLIPSOID, BOX, CYLINDER, CONE, TORUS = p.ELLIPSOID, p.BOX, p.CYLINDER, p.CONE, p.TORUS
STRIPED, FACE = p.STRIPED, p.FACE
CENTRE, ROTATION, HALF, COLOUR, SECOND, PATTERN, OWNER, CUT, REACH = (
    p.CENTRE, p.ROTATION, p.HALF, p.COLOUR, p.SECOND, p.PATTERN, p.OWNER, p.CUT, p.REACH,
)  # fmt: skip
FAR = 1e9
TUBE = 0.36
LIGHT = (0.44, 0.76, 0.48)
WALL = 4  # ground index of the plain wall behind people

jit = nb.njit(cache=True, fastmath=True, error_model="numpy")


@jit
def _to_local(row, x, y, z):
    """A direction of the world in a primitive's axes."""
    a, b, c = ROTATION, ROTATION + 3, ROTATION + 6
    return (
        row[a] * x + row[b] * y + row[c] * z,
        row[a + 1] * x + row[b + 1] * y + row[c + 1] * z,
        row[a + 2] * x + row[b + 2] * y + row[c + 2] * z,
    )


@jit
def _to_world(row, x, y, z):
    """A direction in a primitive's axes, in the world."""
    a, b, c = ROTATION, ROTATION + 3, ROTATION + 6
    return (
        row[a] * x + row[a + 1] * y + row[a + 2] * z,
        row[b] * x + row[b + 1] * y + row[b + 2] * z,
        row[c] * x + row[c + 1] * y + row[c + 2] * z,
    )


@jit
def _hit_torus(ox, oy, oz, dx, dy, dz):
    """Sphere tracing of a unit torus standing upright (axis z, ring radius 1 - TUBE), in scaled local space."""
    b = ox * dx + oy * dy + oz * dz
    a = dx * dx + dy * dy + dz * dz
    c = ox * ox + oy * oy + oz * oz - 1.02
    disc = b * b - a * c
    if disc < 0:
        return FAR
    t = max((-b - math.sqrt(disc)) / a, 0.0)
    speed = math.sqrt(a)
    for _ in range(40):
        x, y, z = ox + t * dx, oy + t * dy, oz + t * dz
        ring = math.sqrt(x * x + y * y) - (1 - TUBE)
        d = math.sqrt(ring * ring + z * z) - TUBE
        if d < 0.003:
            return t
        t += d / speed
        if x * x + y * y + z * z > 1.3 and (x * dx + y * dy + z * dz) > 0:
            return FAR
    return FAR


@jit
def _hit(row, ox, oy, oz, dx, dy, dz, out):
    """Nearest hit of a ray with one primitive; `out` gets the local point and local normal (unit-shape space)."""
    px, py, pz = ox - row[1], oy - row[2], oz - row[3]
    # a bounding sphere in world space spares most of the work
    a = dx * dx + dy * dy + dz * dz
    b = px * dx + py * dy + pz * dz
    if b * b - a * (px * px + py * py + pz * pz - row[REACH]) < 0:
        return FAR
    kind = int(row[0])
    hx, hy, hz = row[HALF], row[HALF + 1], row[HALF + 2]
    if kind == TORUS:
        hz = hx
    lx, ly, lz = _to_local(row, px, py, pz)
    vx, vy, vz = _to_local(row, dx, dy, dz)
    lx, ly, lz, vx, vy, vz = lx / hx, ly / hy, lz / hz, vx / hx, vy / hy, vz / hz
    best = FAR
    if kind == ELLIPSOID:
        a = vx * vx + vy * vy + vz * vz
        b = lx * vx + ly * vy + lz * vz
        disc = b * b - a * (lx * lx + ly * ly + lz * lz - 1.0)
        if disc > 0:
            root = math.sqrt(disc)
            for sign in (-1.0, 1.0):
                t = (-b + sign * root) / a
                if t > 1e-3:
                    x, y, z = lx + t * vx, ly + t * vy, lz + t * vz
                    if row[CUT] * x + row[CUT + 1] * y + row[CUT + 2] * z > row[CUT + 3]:
                        out[0], out[1], out[2], out[3], out[4], out[5] = x, y, z, x, y, z
                        best = t
                        break
    elif kind == BOX:
        near, far = -FAR, FAR
        axis, sign = 0, 1.0
        for k in range(3):
            o = lx if k == 0 else ly if k == 1 else lz
            v = vx if k == 0 else vy if k == 1 else vz
            v = v if abs(v) > 1e-9 else 1e-9
            t0, t1 = (-1 - o) / v, (1 - o) / v
            s = -1.0
            if t0 > t1:
                t0, t1, s = t1, t0, 1.0
            if t0 > near:
                near, axis, sign = t0, k, s
            far = min(far, t1)
        if near < far and near > 1e-3:
            out[0], out[1], out[2] = lx + near * vx, ly + near * vy, lz + near * vz
            out[3], out[4], out[5] = 0.0, 0.0, 0.0
            out[3 + axis] = sign
            best = near
    elif kind == CYLINDER:
        qa, qb, qc = vx * vx + vz * vz, lx * vx + lz * vz, lx * lx + lz * lz - 1
        disc = qb * qb - qa * qc
        if disc > 0:
            t = (-qb - math.sqrt(disc)) / qa
            y = ly + t * vy
            if t > 1e-3 and abs(y) <= 1:
                x, z = lx + t * vx, lz + t * vz
                out[0], out[1], out[2], out[3], out[4], out[5] = x, y, z, x, 0.0, z
                best = t
        if abs(vy) > 1e-9:
            side = -1.0 if vy > 0 else 1.0
            t = (side - ly) / vy
            x, z = lx + t * vx, lz + t * vz
            if 1e-3 < t < best and x * x + z * z <= 1:
                out[0], out[1], out[2], out[3], out[4], out[5] = x, side, z, 0.0, side, 0.0
                best = t
    elif kind == CONE:
        # radius (1 - y) / 2 for y in [-1, 1]
        k, m = (1 - ly) / 2, -vy / 2
        qa, qb, qc = vx * vx + vz * vz - m * m, lx * vx + lz * vz - k * m, lx * lx + lz * lz - k * k
        disc = qb * qb - qa * qc
        if disc > 0 and abs(qa) > 1e-9:
            root = math.sqrt(disc)
            for sign in (-1.0, 1.0):
                t = (-qb + sign * root) / qa
                y = ly + t * vy
                if 1e-3 < t < best and abs(y) <= 1:
                    x, z = lx + t * vx, lz + t * vz
                    out[0], out[1], out[2], out[3], out[4], out[5] = x, y, z, x, (1 - y) / 4, z
                    best = t
        if vy > 1e-9:
            t = (-1 - ly) / vy
            x, z = lx + t * vx, lz + t * vz
            if 1e-3 < t < best and x * x + z * z <= 1:
                out[0], out[1], out[2], out[3], out[4], out[5] = x, -1.0, z, 0.0, -1.0, 0.0
                best = t
    else:
        t = _hit_torus(lx, ly, lz, vx, vy, vz)
        if t < FAR:
            x, y, z = lx + t * vx, ly + t * vy, lz + t * vz
            ring = math.sqrt(x * x + y * y) + 1e-9
            shrink = 1 - (1 - TUBE) / ring
            out[0], out[1], out[2], out[3], out[4], out[5] = x, y, z, x * shrink, y * shrink, z
            best = t
    return best


@jit
def _paint_face(face, x, y, z, rgb):
    """Eyes, brows, mouth, beard and glasses on the unit sphere; +z is where the face looks."""
    for k in range(3):
        rgb[k] = face[k]
    if z < 0.05:
        return
    smile, opened, gaze, apart, jaw = face[11], face[12], face[14], face[15], face[16]
    beard_line = -0.24 - 0.30 * max(0.0, 1 - abs(x) / 0.5) + 0.30 * abs(x) ** 2
    if face[10] > 0.5 and y < beard_line + jaw:
        for k in range(3):
            rgb[k] = face[3 + k]
    side = 1.0 if x > 0 else -1.0
    ex, ey = x - side * apart, y - 0.10
    if ex * ex + ey * ey * 1.3 < 0.030:
        for k in range(3):
            rgb[k] = 0.97
        ix = ex - gaze
        if ix * ix + ey * ey < 0.0125:
            for k in range(3):
                rgb[k] = face[6 + k] if ix * ix + ey * ey > 0.0022 else 0.03
    if abs(ey - 0.24 - 0.05 * smile + 0.35 * ex * ex) < 0.042 and abs(ex) < 0.20:
        for k in range(3):
            rgb[k] = face[3 + k] * 0.75
    if face[9] > 0.5:
        ring = math.sqrt(ex * ex + ey * ey)
        if (
            abs(ring - 0.245) < 0.038
            or (abs(x) < apart - 0.22 and abs(ey) < 0.034)
            or (abs(x) > apart + 0.22 and abs(ey) < 0.034)
        ):
            for k in range(3):
                rgb[k] = 0.05
    mx, my = x, y + 0.50 - jaw * 0.5
    width = 0.24 + 0.16 * smile
    curve = my - smile * 0.26 * (mx * mx / 0.10 - 0.55)
    tall = 0.045 + 0.05 * smile + 0.13 * opened
    if abs(mx) < width and (mx / width) ** 2 + (curve / tall) ** 2 < 1:
        inside = (mx / width) ** 2 + (curve / tall) ** 2 < 0.45 and (opened > 0.3 or smile > 0.4)
        red = 0.95 if inside and smile > 0.4 else 0.25 if inside else 0.70
        rgb[0], rgb[1], rgb[2] = red, 0.95 if inside and smile > 0.4 else 0.05 if inside else 0.16, (
            0.93 if inside and smile > 0.4 else 0.06 if inside else 0.18)  # fmt: skip


@jit
def _sky(dx, dy, dz, sky, hills, rgb):
    """Sky gradient with hills along the horizon; the hills are a function of azimuth, so they turn with the camera."""
    length = math.sqrt(dx * dx + dy * dy + dz * dz)
    e, azimuth = dy / length, math.atan2(dx, -dz)
    ridge = 0.075 + 0.040 * math.sin(3 * azimuth + hills[0])
    ridge += 0.034 * math.sin(7 * azimuth + hills[1]) + 0.018 * math.sin(13 * azimuth + hills[2])
    up = min(max(e / 0.42, 0.0), 1.0)
    if sky == 0:
        rgb[0], rgb[1], rgb[2] = 0.80 - 0.45 * up, 0.90 - 0.28 * up, 0.98
        if e < ridge:
            rgb[0], rgb[1], rgb[2] = 0.40, 0.54, 0.62
    elif sky == 1:
        rgb[0], rgb[1], rgb[2] = 0.99 - 0.42 * up, 0.66 - 0.40 * up, 0.36 + 0.20 * up
        if e < ridge:
            rgb[0], rgb[1], rgb[2] = 0.42, 0.22, 0.30
    else:
        rgb[0], rgb[1], rgb[2] = 0.13 - 0.09 * up, 0.15 - 0.11 * up, 0.34 - 0.18 * up
        if e < ridge:
            rgb[0], rgb[1], rgb[2] = 0.06, 0.09, 0.13


@jit
def _ground(x, z, far, ground, rgb):
    """Each ground has a pattern fixed to the world, so that a moving camera can be seen; it fades with distance."""
    fade = math.exp(-max(far - 5.0, 0.0) * 0.16)
    if ground == 0:
        band = 0.5 + 0.5 * math.sin(2.2 * x)
        rgb[0], rgb[1], rgb[2] = 0.25 + 0.09 * band, 0.47 + 0.11 * band, 0.20 + 0.05 * band
    elif ground == 1:
        wave = 0.5 + 0.5 * math.sin(2.4 * z + 0.9 * math.sin(1.1 * x))
        rgb[0], rgb[1], rgb[2] = 0.80 + 0.08 * wave, 0.67 + 0.09 * wave, 0.44 + 0.09 * wave
    elif ground == 2:
        fx, fz = x / 1.7 - math.floor(x / 1.7), z / 1.7 - math.floor(z / 1.7)
        joint = fx < 0.08 or fz < 0.08
        shade = 0.55 - (0.15 * fade if joint else 0.0)
        rgb[0], rgb[1], rgb[2] = shade, shade, shade * 1.04
    else:
        odd = (math.floor(x / 1.8) + math.floor(z / 1.8)) % 2
        shade = 0.53 + (-0.26 if odd else 0.26) * fade
        rgb[0], rgb[1], rgb[2] = shade, shade, shade


@jit
def _shadowed(rows, x, y, z, out):
    for k in range(rows.shape[0]):
        if _hit(rows[k], x, y, z, LIGHT[0], LIGHT[1], LIGHT[2], out) < 60.0:
            return True
    return False


@jit
def _trace(rows, face, ox, oy, oz, dx, dy, dz, ground, sky, wall, hills, rgb, work):
    """Colour of one ray into `rgb`; returns (distance along the ray, owner)."""
    best, which = FAR, -1
    for k in range(rows.shape[0]):
        t = _hit(rows[k], ox, oy, oz, dx, dy, dz, work)
        if t < best:
            best, which = t, k
    if ground != WALL and dy < -1e-6 and -oy / dy < best:
        t = -oy / dy
        x, z = ox + t * dx, oz + t * dz
        _ground(x, z, t, ground, rgb)
        dim = 0.62 if sky == 2 else 0.94 if sky == 1 else 1.0
        if _shadowed(rows, x, 1e-3, z, work):
            dim *= 0.50
        fog = 1 - math.exp(-max(t - 7.0, 0.0) * 0.055)
        haze = (0.74, 0.84, 0.90) if sky == 0 else (0.80, 0.55, 0.42) if sky == 1 else (0.10, 0.12, 0.22)
        for k in range(3):
            rgb[k] = rgb[k] * dim * (1 - fog) + haze[k] * fog
        return t, 0
    if which < 0:
        if ground == WALL:
            up = min(max(0.5 + 1.4 * dy / math.sqrt(dx * dx + dy * dy + dz * dz), 0.0), 1.0)
            for k in range(3):
                rgb[k] = wall[k] * (0.72 + 0.36 * up)
        else:
            _sky(dx, dy, dz, sky, hills, rgb)
        return FAR, 0
    row = rows[which]
    _hit(row, ox, oy, oz, dx, dy, dz, work)
    lx, ly, lz = work[0], work[1], work[2]
    hz = row[HALF] if int(row[0]) == TORUS else row[HALF + 2]
    nx, ny, nz = work[3] / row[HALF], work[4] / row[HALF + 1], work[5] / hz
    wx, wy, wz = _to_world(row, nx, ny, nz)
    size = math.sqrt(wx * wx + wy * wy + wz * wz) + 1e-9
    wx, wy, wz = wx / size, wy / size, wz / size
    if wx * dx + wy * dy + wz * dz > 0:  # the inner side of a cut shell
        wx, wy, wz = -wx, -wy, -wz
    for k in range(3):
        rgb[k] = row[COLOUR + k]
    if int(row[PATTERN]) == STRIPED:
        angle = math.atan2(ly, lx) if int(row[0]) == TORUS else math.atan2(lx, lz)
        if math.sin(3 * angle) > 0.25:
            for k in range(3):
                rgb[k] = row[SECOND + k]
    elif int(row[PATTERN]) == FACE:
        _paint_face(face, lx, ly, lz, rgb)
    light = max(0.0, wx * LIGHT[0] + wy * LIGHT[1] + wz * LIGHT[2])
    shade = 0.52 + 0.55 * light
    if sky == 2 and ground != WALL:
        shade *= 0.86
    length = math.sqrt(dx * dx + dy * dy + dz * dz)
    gleam = 0.0
    if int(row[PATTERN]) != FACE:
        gx, gy, gz = LIGHT[0] - dx / length, LIGHT[1] - dy / length, LIGHT[2] - dz / length
        g = (wx * gx + wy * gy + wz * gz) / (math.sqrt(gx * gx + gy * gy + gz * gz) + 1e-9)
        gleam = 0.22 * max(0.0, g) ** 24 if ground != WALL else 0.06 * max(0.0, g) ** 16
    for k in range(3):
        rgb[k] = min(rgb[k] * shade + gleam, 1.0)
    return best, int(row[OWNER])


@jit
def _ray(pose, focal, i, j, height, width, s, supersample, direction):
    """Direction of sub-ray `s` of pixel (i, j)."""
    u = (j + ((s % supersample) + 0.5) / supersample - width / 2) / focal
    v = (i + ((s // supersample) + 0.5) / supersample - height / 2) / focal
    for k in range(3):
        direction[k] = pose[k, 0] * u + pose[k, 1] * v + pose[k, 2]


@nb.njit(cache=True, fastmath=True, nogil=True, error_model="numpy")
def trace_clip(rows, face, poses, focal, ground, sky, wall, hills, supersample, frames, depth, mask):
    """Fill `frames` uint8 [frames, height, width, 3], `depth` float32 and `mask` uint8 [frames, height, width].

    rows [frames, primitives, FIELDS], face [frames, FACE_FIELDS], poses camera-to-world [frames, 4, 4].
    Depth and mask are those of the pixel's middle; depth is 0 at infinity. Only pixels that differ from a
    neighbour are supersampled.
    """
    count, height, width = mask.shape
    rgb, work, total, d = np.zeros(3), np.zeros(6), np.zeros(3), np.zeros(3)
    first = np.zeros((height, width, 3))
    for f in range(count):
        c = poses[f]
        ox, oy, oz = c[0, 3], c[1, 3], c[2, 3]
        for i in range(height):
            for j in range(width):
                _ray(c, focal, i, j, height, width, 0, 1, d)
                t, owner = _trace(rows[f], face[f], ox, oy, oz, d[0], d[1], d[2], ground, sky, wall, hills, rgb, work)
                first[i, j] = rgb
                depth[f, i, j] = t if t < FAR else 0.0
                mask[f, i, j] = owner
        for i in range(height):
            for j in range(width):
                rough = False
                for k in range(3):
                    middle = first[i, j, k]
                    for a, b in ((-1, 0), (1, 0), (0, -1), (0, 1)):
                        y, x = min(max(i + a, 0), height - 1), min(max(j + b, 0), width - 1)
                        rough = rough or abs(first[y, x, k] - middle) > 0.045
                total[:] = first[i, j]
                if rough and supersample > 1:
                    for s in range(supersample * supersample):
                        _ray(c, focal, i, j, height, width, s, supersample, d)
                        _trace(rows[f], face[f], ox, oy, oz, d[0], d[1], d[2], ground, sky, wall, hills, rgb, work)
                        for k in range(3):
                            total[k] += rgb[k]
                    for k in range(3):
                        total[k] = (total[k] - first[i, j, k]) / (supersample * supersample)
                for k in range(3):
                    frames[f, i, j, k] = np.uint8(min(255.0, 255.0 * total[k] + 0.5))
