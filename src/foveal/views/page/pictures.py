"""What the fields are drawn on: a photo or the test chart for a plane, a signal for a line, a phantom for a volume."""

from __future__ import annotations

import base64
import zlib
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np

from foveal.core.errors import FovealError, SourceError
from foveal.core.pictures import read_image
from foveal.views.pictures import eye_chart

LARGEST = 640
"""Longest side of an embedded picture, in pixels; larger ones are scaled down."""
POINTS = 4096
"""Most points of an embedded signal."""


def backdrop(lengths: tuple[int, ...], path: str | None = None) -> dict[str, Any]:
    """What lies under the fields of a source with these lengths: kind "image", "signal", "volume" or "none".

    path: a photo for a plane; raises FovealError where the source is no plane, SourceError for an unreadable file.
    """
    if path is not None and len(lengths) != 2:
        raise FovealError(f"--image: the source has {len(lengths)} axes; only a source with two can lie on an image")
    if len(lengths) == 2:
        return _plane((lengths[0], lengths[1]), path)
    if len(lengths) == 1:
        return {"kind": "signal", "name": "", "values": _signal(lengths[0])}
    if len(lengths) == 3:
        return {"kind": "volume", "name": "", **_volume(lengths)}
    return {"kind": "none", "name": ""}


def _plane(shape: tuple[int, int], path: str | None) -> dict[str, Any]:
    from PIL import Image

    values = test_scene(shape) if path is None else read_image(path, shape)
    picture = Image.fromarray(np.rint(values * 255).astype(np.uint8))
    scale = min(1.0, LARGEST / max(shape))
    if scale < 1:
        size = (max(1, round(shape[1] * scale)), max(1, round(shape[0] * scale)))
        picture = picture.resize(size, Image.Resampling.LANCZOS)
    stream = BytesIO()
    try:
        picture.save(stream, "JPEG", quality=88)
    except (OSError, ValueError) as error:
        raise SourceError(f"{path}: cannot be embedded: {error}") from None
    text = base64.b64encode(stream.getvalue()).decode("ascii")
    return {"kind": "image", "name": "" if path is None else Path(path).name, "uri": f"data:image/jpeg;base64,{text}"}


def test_scene(shape: tuple[int, int]) -> np.ndarray:
    """A generated picture (H, W, 3) in 0..1: hills under a sun with a boat and lines of letters; coarse shapes that one
    recognises and detail of every size, so that it shows what a unit loses.
    """
    height, width = shape
    y, x = np.mgrid[0:height, 0:width].astype(float)
    u, v = (x + 0.5) / width, (y + 0.5) / height
    sky = np.stack([0.97 - 0.35 * (1 - v), 0.84 - 0.22 * (1 - v), 0.70 + 0.14 * (1 - v)], axis=-1)
    sun = np.hypot((u - 0.68) * width / height, v - 0.26)
    scene = np.where((sun < 0.105)[..., None], (0.99, 0.95, 0.80), sky)
    for level, tone in ((0.46, (0.45, 0.53, 0.64)), (0.55, (0.31, 0.42, 0.52)), (0.64, (0.18, 0.30, 0.38))):
        ridge = level - 0.09 * np.sin(5.1 * u + 9 * level) - 0.035 * np.sin(17 * u + 31 * level)
        ridge = ridge - 0.012 * np.sin(61 * u + 7 * level)
        scene = np.where((v > ridge)[..., None], tone, scene)
    water = v > 0.72
    glint = 0.5 + 0.5 * np.sin(2 * np.pi * (v - 0.72) * (18 + 60 * (1 - v))) * np.cos(9 * u + 40 * v)
    waves = np.stack([0.16 + 0.30 * glint, 0.33 + 0.27 * glint, 0.42 + 0.20 * glint], axis=-1)
    scene = np.where(water[..., None], waves, scene)
    hull = (np.abs(u - 0.33) < 0.11 - 0.9 * np.abs(v - 0.765)) & (v > 0.75) & (v < 0.79)
    sail = (u > 0.325) & (u < 0.325 + 0.85 * (v - 0.60)) & (v > 0.60) & (v < 0.74)
    scene = np.where(hull[..., None], (0.42, 0.16, 0.12), scene)
    scene = np.where(sail[..., None], (0.96, 0.93, 0.86), scene)
    rows = max(1, height // 9)
    if height >= 32 and width >= 32:
        scene[height - rows :] = eye_chart((rows, width))
    return np.clip(scene, 0.0, 1.0)


def _signal(length: int) -> dict[str, Any]:
    """A generated waveform in -1..1, as minima and maxima over equal stretches: tones that come and go."""
    time = np.linspace(0, 1, length)
    wave = 0.55 * np.sin(2 * np.pi * (6 * time + 14 * time**2)) * np.exp(-(((time - 0.32) / 0.2) ** 2))
    wave = wave + 0.45 * np.sin(2 * np.pi * 41 * time) * np.exp(-(((time - 0.72) / 0.12) ** 2))
    wave = wave + 0.05 * np.random.default_rng(0).standard_normal(length)
    step = max(1, -(-length // POINTS))
    edges = np.arange(0, length, step)
    low, high = np.minimum.reduceat(wave, edges), np.maximum.reduceat(wave, edges)
    return {"step": step, "low": [round(float(a), 3) for a in low], "high": [round(float(a), 3) for a in high]}


def _volume(lengths: tuple[int, ...]) -> dict[str, Any]:
    """A generated phantom of ellipsoids, as bytes on a grid of at most 48 samples per axis."""
    shape = tuple(min(n, 48) for n in lengths)
    d, h, w = np.meshgrid(*(np.linspace(-1, 1, n) if n > 1 else np.zeros(1) for n in shape), indexing="ij")
    body = 0.25 * (d**2 / 0.9 + h**2 / 0.8 + w**2 / 0.6 < 1)
    body = body + 0.3 * ((d - 0.1) ** 2 / 0.2 + (h + 0.2) ** 2 / 0.08 + (w - 0.25) ** 2 / 0.06 < 1)
    body = body + 0.35 * ((d + 0.2) ** 2 / 0.1 + (h - 0.3) ** 2 / 0.05 + (w + 0.2) ** 2 / 0.07 < 1)
    values = np.rint(np.clip(body, 0, 1) * 255).astype(np.uint8)
    data = base64.b64encode(zlib.compress(values.tobytes(), 9)).decode("ascii")
    return {"shape": list(shape), "data": data}
