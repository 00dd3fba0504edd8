"""Receptive field distance against the general formula for Gaussians, and assignment against hand-made cases."""

from __future__ import annotations

import numpy as np
import pytest

from foveal.core.errors import FovealError
from foveal.tasks.detection.assignment import (
    assign,
    kl_divergence,
    prior_boxes,
    receptive_field_distance,
    wasserstein,
)

PRIOR, OBJECT = np.array([[14, 9, 45.5, 45.5]]), np.array([[10, 12, 16, 8]])


def general_kl(p: np.ndarray, q: np.ndarray) -> float:
    """KL of two normal distributions with matrices: half of tr(S_q^-1 S_p) + d' S_q^-1 d - k + ln(|S_q| / |S_p|)."""
    sp, sq = np.diag(p[2:] ** 2 / 4), np.diag(q[2:] ** 2 / 4)
    inverse, d = np.linalg.inv(sq), q[:2] - p[:2]
    logs = np.log(np.linalg.det(sq) / np.linalg.det(sp))
    return float(0.5 * (np.trace(inverse @ sp) + d @ inverse @ d - 2 + logs))


def test_the_worked_example() -> None:
    assert kl_divergence(PRIOR, OBJECT)[0, 0] == pytest.approx(16.8401408, abs=1e-7)
    assert receptive_field_distance(PRIOR, OBJECT)[0, 0] == pytest.approx(0.0560534, abs=1e-7)
    assert kl_divergence(OBJECT, PRIOR)[0, 0] == pytest.approx(1.88483, abs=1e-5)
    assert wasserstein(PRIOR, OBJECT)[0, 0] == pytest.approx(594.125)
    assert receptive_field_distance(PRIOR, OBJECT, "wasserstein")[0, 0] == pytest.approx(1 / 595.125)
    assert receptive_field_distance(PRIOR, OBJECT, "kl10")[0, 0] == pytest.approx(1 / 26.8401408)
    assert receptive_field_distance(PRIOR, OBJECT, "exp")[0, 0] == pytest.approx(np.exp(-1.68401408))


def test_against_the_general_formula() -> None:
    generator = np.random.default_rng(0)
    priors, objects = (
        np.concatenate([generator.normal(0, 20, (n, 2)), generator.uniform(1, 60, (n, 2))], axis=1) for n in (7, 5)
    )
    found = kl_divergence(priors, objects)
    assert found.shape == (7, 5)
    expected = [[general_kl(p, o) for o in objects] for p in priors]
    np.testing.assert_allclose(found, expected, rtol=1e-10)


def test_equal_boxes_are_closest() -> None:
    boxes = np.array([[0, 0, 10, 10], [30, 5, 20, 8]])
    for distance in ("kl", "wasserstein", "exp"):
        np.testing.assert_allclose(np.diag(receptive_field_distance(boxes, boxes, distance)), 1)


def test_each_object_gets_its_closest_priors() -> None:
    priors = prior_boxes(np.array([[x, 0.0] for x in range(0, 100, 10)]), (20, 20))
    np.testing.assert_allclose(priors[3], [30, 0, 10, 10])
    found = assign(priors, np.array([[41, 0, 10, 10]]), top=(3, 1))
    # Distances from x = 41: 40 (1), 50 (9), 30 (11) in stage 1; 60 (19) next in stage 2.
    assert sorted(found.priors_of(0)) == [3, 4, 5, 6]
    assert [found.stage[i] for i in (3, 4, 5, 6)] == [1, 1, 1, 2]
    assert set(found.label[[0, 1, 2, 7, 8, 9]]) == {0}
    assert found.closeness[4] > found.closeness[5] > found.closeness[3]


def test_a_contested_prior_goes_to_the_closer_object() -> None:
    priors = np.array([[0.0, 0, 10, 10], [50, 0, 10, 10]])
    objects = np.array([[3.0, 0, 10, 10], [1, 0, 10, 10]])
    found = assign(priors, objects, top=(1, 0))
    assert found.object.tolist() == [1, -1]


def test_second_stage_serves_an_object_left_without() -> None:
    priors = np.array([[0.0, 0, 10, 10], [8, 0, 10, 10]])
    objects = np.array([[3.0, 0, 10, 10], [1, 0, 10, 10]])
    found = assign(priors, objects, top=(1, 1))
    assert found.object.tolist() == [1, 0]
    assert found.stage.tolist() == [1, 2]
    # The shrunk prior (9 wide) at distance 5 of a box 10 wide, by hand.
    kl = 0.5 * (2 * 0.81 + 4 * 25 / 100 - 2 * np.log(0.81) - 2)
    assert found.closeness[1] == pytest.approx(1 / (1 + kl))


def test_near_priors_left_over_are_ignored() -> None:
    priors = np.array([[0.0, 0, 10, 10], [0.5, 0, 10, 10], [1, 0, 10, 10], [90, 0, 10, 10]])
    found = assign(priors, np.array([[0.0, 0, 10, 10]]), top=(1, 1))
    assert found.label.tolist() == [1, 1, -1, 0]
    assert found.object.tolist() == [0, 0, -1, -1]


def test_only_priors_inside_where_asked() -> None:
    priors = np.array([[0.0, 0, 10, 10], [9, 0, 10, 10]])
    found = assign(priors, np.array([[0.0, 0, 10, 10]]), inside=True)
    assert found.object.tolist() == [0, -1]


def test_without_objects_all_is_background() -> None:
    found = assign(np.array([[0.0, 0, 10, 10]]), np.zeros((0, 4)))
    assert (found.label.tolist(), found.object.tolist()) == ([0], [-1])


def test_bad_input_is_refused() -> None:
    with pytest.raises(FovealError, match="priors: expected rows"):
        kl_divergence(np.zeros((2, 3)), OBJECT)
    with pytest.raises(FovealError, match="objects: expected rows"):
        kl_divergence(PRIOR, np.array([[0, 0, 0, 5.0]]))
    with pytest.raises(FovealError, match="unknown receptive field distance 'iou'; expected one of kl"):
        receptive_field_distance(PRIOR, OBJECT, "iou")
    with pytest.raises(FovealError, match="shrink 2"):
        assign(PRIOR, OBJECT, shrink=2)
