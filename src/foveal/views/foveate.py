"""Foveated pictures: an image as a unit of a network sees it, and as a human eye sees it that fixates one point.

Both keep, at each position, only part of the image's bandwidth. ``retained`` is that part: 1 leaves the pixel as it is,
1/2 halves the finest detail. The blur is local, from a stack of Gaussian levels, one octave apart: the two that enclose
the wanted bandwidth are mixed so that the mixture passes exactly half of the contrast there (Perry and Geisler 2002).
docs/methods.md 9.

Images are float arrays (H, W, 3) with values in 0..1; positions and distances are in pixels of the source.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy import ndimage

from foveal.core.errors import FovealError

if TYPE_CHECKING:
    from foveal.fields.field import Field

GREY = 0.5
"""Brightness of positions that cannot be seen at all."""

NYQUIST = 0.5
"""Finest detail that pixels can carry, in cycles per pixel."""

LEVELS = 7
"""Levels of the stack; the last keeps 1/64 of the bandwidth."""

ALPHA, HALF_RESOLUTION, THRESHOLD = 0.106, 2.3, 1 / 64
"""Geisler and Perry 1998: decay of contrast with spatial frequency; eccentricity (degrees) at which resolution is
halved; smallest contrast threshold."""


def foveate(image: np.ndarray, field: Field, gamma: float = 1.0) -> np.ndarray:
    """``image`` as the field's unit sees it: sharp where the field is strong, blurred towards its edge, grey outside.

    The image must have the field's source shape, (H, W, 3) in 0..1. The bandwidth kept at x is (w(x) / max w)**gamma.
    Blurring mixes visible positions only: what the unit cannot see leaves no trace in the picture. Raises FovealError
    for another shape, a source that is no plane, a field without any weight or a negative gamma.
    """
    picture = _checked(image)
    weights = np.abs(np.asarray(field.full(), dtype=float))
    if weights.ndim != 2:
        raise FovealError(
            f"{field.layer}: only a field over a plane can be foveated; this source has {weights.ndim} axes"
        )
    if picture.shape[:2] != weights.shape:
        image_size, size = ("x".join(map(str, shape)) for shape in (picture.shape[:2], weights.shape))
        raise FovealError(f"{field.layer}: the image is {image_size}, the source {size}")
    if gamma < 0:
        raise FovealError(f"gamma must not be negative, got {gamma:g}")
    if not weights.max(initial=0.0) > 0:
        raise FovealError(f"{field.layer}: unit {field.unit} reads nothing of the source")
    seen = weights > 0
    retained = np.where(seen, (weights / weights.max()) ** gamma, 0.0)
    return np.where(seen[..., None], blur_to(picture, retained, seen), GREY)


def human_view(
    image: np.ndarray, fixation: tuple[float, float], pixels_per_degree: float, relative: bool = False
) -> np.ndarray:
    """``image`` (H, W, 3) as an eye sees it that fixates ``fixation`` (row, column), by the cut-off of :func:`cutoff`.

    ``pixels_per_degree`` fixes the viewing distance. Detail finer than the pixels themselves counts as kept, so the
    picture is untouched as far out as the eye resolves every pixel. With ``relative`` the finest detail that the fovea
    resolves is taken to be the pixel, whatever the distance: what is left is the fall-off of the eye, e2 / (e + e2),
    which compares with a network's unit. Raises FovealError for a distance that is not positive.
    """
    picture = _checked(image)
    if not pixels_per_degree > 0:
        raise FovealError(f"pixels per degree must be positive, got {pixels_per_degree:g}")
    visible = cutoff(eccentricity(picture.shape[:2], fixation, pixels_per_degree))
    limit = visible / cutoff(0.0) if relative else visible / pixels_per_degree / NYQUIST
    return blur_to(picture, np.minimum(limit, 1.0))


def eccentricity(shape: tuple[int, ...], fixation: tuple[float, float], pixels_per_degree: float) -> np.ndarray:
    """Angle in degrees between each pixel of a flat screen and the fixated one."""
    rows, columns = np.ogrid[: shape[0], : shape[1]]
    distance = np.hypot(rows - fixation[0], columns - fixation[1])
    return np.degrees(np.arctan(np.radians(distance / pixels_per_degree)))


def cutoff(degrees: np.ndarray | float) -> np.ndarray:
    """Finest visible detail in cycles per degree at an eccentricity: e2 ln(1/CT0) / (alpha (e + e2))."""
    return np.asarray(HALF_RESOLUTION * np.log(1 / THRESHOLD) / (ALPHA * (np.asarray(degrees) + HALF_RESOLUTION)))


def critical_eccentricity(cycles_per_degree: float) -> float:
    """Eccentricity in degrees beyond which that detail is invisible: the inverse of :func:`cutoff`."""
    return float(HALF_RESOLUTION / (ALPHA * cycles_per_degree) * np.log(1 / THRESHOLD) - HALF_RESOLUTION)


def matching_pixels_per_degree(half_width: float) -> float:
    """Viewing distance at which the eye's resolution is halved ``half_width`` pixels from the fixated point."""
    return half_width / HALF_RESOLUTION


def blur_to(image: np.ndarray, retained: np.ndarray, seen: np.ndarray | None = None) -> np.ndarray:
    """Blur each pixel of ``image`` (H, W, C) until ``retained`` (H, W), in 0..1, of the bandwidth is left.

    Where ``seen`` is given, only positions where it holds are mixed. What asks for less than the last level keeps gets
    the last level.
    """
    wanted = np.clip(retained, 0.5 ** (LEVELS - 1), 1.0)
    level = np.clip(np.floor(-np.log2(wanted)), 0, LEVELS - 2).astype(int)
    share = _share(wanted, level)[..., None]
    result = np.zeros_like(image)
    below = image
    for index in range(LEVELS - 1):
        above = _level(image, index + 1, seen)
        here = (level == index)[..., None]
        result = np.where(here, share * below + (1 - share) * above, result)
        below = above
    return result


def _share(wanted: np.ndarray, level: np.ndarray) -> np.ndarray:
    """Share of the sharper of two levels, so that together they pass half of the contrast at the wanted bandwidth."""
    sharper, softer = (2.0 ** -np.square(wanted * 2.0 ** (level + step)) for step in (0, 1))
    return np.asarray((0.5 - softer) / (sharper - softer))


def _level(image: np.ndarray, index: int, seen: np.ndarray | None) -> np.ndarray:
    """The image with 1/2**index of its bandwidth: a Gaussian that passes half of the contrast at that frequency.

    A pixel itself counts as a Gaussian that passes half at the Nyquist frequency; variances of blurs add.
    """
    own = np.sqrt(np.log(2) / 2) / (np.pi * NYQUIST)
    sigma = (own * np.sqrt(4.0**index - 1), own * np.sqrt(4.0**index - 1), 0.0)
    if seen is None:
        return np.asarray(ndimage.gaussian_filter(image, sigma, mode="nearest"))
    weights = seen.astype(float)[..., None]
    total = ndimage.gaussian_filter(weights, sigma, mode="constant")
    mixed = ndimage.gaussian_filter(image * weights, sigma, mode="constant")
    return np.where(total > 1e-12, mixed / np.maximum(total, 1e-12), GREY)


def _checked(image: np.ndarray) -> np.ndarray:
    picture = np.asarray(image, dtype=float)
    if picture.ndim != 3 or picture.shape[2] != 3:
        raise FovealError(f"an image has the shape (height, width, 3), got {picture.shape}")
    if not np.isfinite(picture).all() or picture.min(initial=0.0) < 0 or picture.max(initial=0.0) > 1:
        raise FovealError("an image has finite values between 0 and 1")
    return picture
