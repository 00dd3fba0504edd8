"""Which prior (a unit with its effective field) learns from which object: receptive field distance and assignment.

After RFLA (Xu et al., ECCV 2022; docs/methods.md 5.2). A box with center (x, y) and sides (w, h) is taken as a Gaussian
with mean (x, y) and standard deviations (w/2, h/2); so is a prior, whose box is a fraction of its theoretical receptive
field or the effective one. Boxes are rows (center x, center y, width, height) in pixels. Pure NumPy: no network is
needed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from foveal.core.errors import FovealError

Boxes = np.ndarray
DISTANCES = ("kl", "wasserstein", "kl10", "exp")
FRACTION = 0.5
"""Side of a prior's box over the theoretical receptive field."""
SHRINK = 0.9
"""By how much the prior's box is shrunk in the second stage."""
TOP = (3, 1)
"""Priors per object in the first and in the second stage."""
BACKGROUND = 0.8
"""A prior whose best receptive field distance is lower than this learns the background."""
POSITIVE, NEGATIVE, IGNORED = 1, 0, -1


def kl_divergence(priors: Boxes, objects: Boxes) -> np.ndarray:
    """KL(prior || object) of the Gaussians of two lists of boxes: (priors, objects). The direction matters.

    Raises FovealError for arrays that are no boxes with positive sides.
    """
    p, o = _boxes(priors, "priors")[:, None], _boxes(objects, "objects")[None]
    ratio = (p[..., 2:] / o[..., 2:]) ** 2
    shift = 4 * ((p[..., :2] - o[..., :2]) / o[..., 2:]) ** 2
    return np.asarray(0.5 * (ratio + shift - np.log(ratio) - 1).sum(axis=-1))


def wasserstein(priors: Boxes, objects: Boxes) -> np.ndarray:
    """Squared 2-Wasserstein distance of the Gaussians: (priors, objects), in squared pixels."""
    p, o = _boxes(priors, "priors")[:, None], _boxes(objects, "objects")[None]
    return np.asarray(((p[..., :2] - o[..., :2]) ** 2).sum(axis=-1) + ((p[..., 2:] - o[..., 2:]) ** 2).sum(axis=-1) / 4)


def receptive_field_distance(priors: Boxes, objects: Boxes, distance: str = "kl") -> np.ndarray:
    """Closeness in 0..1 (1: the same Gaussian) of each prior to each object: (priors, objects).

    distance: "kl" for 1 / (1 + KL), "wasserstein" for 1 / (1 + W squared), "kl10" for 1 / (10 + KL), at most 0.1, "exp"
    for exp(-KL / 10). Raises FovealError for any other word.
    """
    if distance not in DISTANCES:
        raise FovealError(f"unknown receptive field distance '{distance}'; expected one of {', '.join(DISTANCES)}")
    if distance == "wasserstein":
        return np.asarray(1 / (1 + wasserstein(priors, objects)))
    divergence = kl_divergence(priors, objects)
    if distance == "exp":
        return np.asarray(np.exp(-divergence / 10))
    return np.asarray(1 / ((10 if distance == "kl10" else 1) + divergence))


@dataclass(frozen=True, eq=False)
class Assignment:
    """What each prior learns. All arrays have one entry per prior.

    label: 1 an object, 0 background, -1 ignored; object: index of its object, -1 for none; stage: 1 or 2 where
    assigned, else 0; closeness: the distance (1: equal) to its object, else the best to any.
    """

    label: np.ndarray
    object: np.ndarray
    stage: np.ndarray
    closeness: np.ndarray

    def priors_of(self, index: int) -> np.ndarray:
        """Indices of the priors that learn object ``index``."""
        return np.flatnonzero(self.object == index)


def assign(
    priors: Boxes,
    objects: Boxes,
    *,
    distance: str = "kl",
    top: tuple[int, int] = TOP,
    shrink: float = SHRINK,
    background: float = BACKGROUND,
    inside: bool = False,
) -> Assignment:
    """Hierarchical label assignment: per object its ``top[0]`` closest priors, then, with the priors' boxes shrunk, its
    ``top[1]`` closest of those still free; a prior wanted by several objects goes to the closest.

    Priors left over are background where their best closeness is below ``background``, else ignored. inside: only
    priors whose center lies in the object may learn it. Raises FovealError for settings that have no meaning.
    """
    _check(top, shrink)
    if len(objects) == 0:
        zeros = np.zeros(len(priors), int)
        return Assignment(zeros, zeros - 1, zeros.copy(), np.zeros(len(priors)))
    close = receptive_field_distance(priors, objects, distance)
    allowed = _inside(np.asarray(priors, float), np.asarray(objects, float)) if inside else np.ones(close.shape, bool)
    owner, stage = np.full(len(close), -1), np.zeros(len(close), int)
    _claim(np.where(allowed, close, -1.0), top[0], owner, stage, 1)
    smaller = np.asarray(priors, float) * np.array([1, 1, shrink, shrink])
    second = receptive_field_distance(smaller, objects, distance)
    _claim(np.where(allowed & (owner < 0)[:, None], second, -1.0), top[1], owner, stage, 2)
    best = close.max(axis=1)
    label = np.where(owner >= 0, POSITIVE, np.where(best < background, NEGATIVE, IGNORED))
    rows = np.arange(len(close))
    at_stage = np.where(stage == 2, second[rows, owner], close[rows, owner])
    return Assignment(label, owner, stage, np.where(owner >= 0, at_stage, best))


def prior_boxes(centers: np.ndarray, sides: tuple[float, float], fraction: float = FRACTION) -> Boxes:
    """Boxes (x, y, w, h) at ``centers`` (n, 2: x, y) with ``fraction`` of the field's ``sides`` (width, height)."""
    centers = np.asarray(centers, float).reshape(-1, 2)
    return np.concatenate([centers, np.tile(np.multiply(sides, fraction), (len(centers), 1))], axis=1)


def _claim(close: np.ndarray, count: int, owner: np.ndarray, stage: np.ndarray, number: int) -> None:
    """Give each object its ``count`` closest priors; entries below 0 may not be taken. Writes owner and stage."""
    order = np.argsort(-close, axis=0, kind="stable")[:count]
    wanted = np.zeros(close.shape, bool)
    np.put_along_axis(wanted, order, True, axis=0)
    wanted &= close >= 0
    taken = wanted.any(axis=1)
    owner[taken] = np.where(wanted, close, -1.0).argmax(axis=1)[taken]
    stage[taken] = number


def _inside(priors: Boxes, objects: Boxes) -> np.ndarray:
    distance = np.abs(priors[:, None, :2] - objects[None, :, :2])
    return np.asarray((distance <= objects[None, :, 2:] / 2).all(axis=-1))


def _boxes(given: Any, name: str) -> np.ndarray:
    boxes = np.asarray(given, float)
    if boxes.ndim != 2 or boxes.shape[1] != 4 or not np.isfinite(boxes).all() or not (boxes[:, 2:] > 0).all():
        raise FovealError(f"{name}: expected rows (x, y, width, height) with positive sides, got shape {boxes.shape}")
    return boxes


def _check(top: tuple[int, int], shrink: float) -> None:
    if min(top) < 0 or top[0] < 1 or not 0 < shrink <= 1:
        raise FovealError(f"assignment: top {top} must be at least (1, 0) and shrink {shrink} in (0, 1]")
