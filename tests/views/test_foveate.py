"""Foveated pictures: published values of the human cut-off, and properties of the views."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from foveal.core.errors import FovealError
from foveal.core.pictures import read_image
from foveal.fields.field import Field
from foveal.views.foveate import (
    GREY,
    blur_to,
    critical_eccentricity,
    cutoff,
    eccentricity,
    foveate,
    human_view,
    matching_pixels_per_degree,
)
from foveal.views.pictures import eye_chart
from support.rounding import close

SIDE = 65
MIDDLE = SIDE // 2


def gaussian_field(sigma: float = 8.0, reach: int = 24) -> Field:
    """A Gaussian about the middle, zero farther out than ``reach`` along either axis."""
    index = np.arange(-reach, reach + 1)
    line = np.exp(-(index**2) / (2 * sigma**2))
    first = MIDDLE - reach
    return Field.of(
        np.outer(line, line), center=(MIDDLE, MIDDLE), origin=(first, first), source_shape=(SIDE, SIDE), layer="conv"
    )


def noise(seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).random((SIDE, SIDE, 3))


@pytest.mark.parametrize(
    ("degrees", "cycles"),
    [(0, 39.235), (1, 27.345), (2.3, 19.617), (5, 12.362), (10, 7.337), (20, 4.047), (40, 2.133)],
)
def test_cutoff_of_the_eye(degrees: float, cycles: float) -> None:
    assert cutoff(degrees) == pytest.approx(cycles, abs=6e-4)


@pytest.mark.parametrize(("cycles", "degrees"), [(8, 8.98), (16, 3.34)])
def test_critical_eccentricity(cycles: float, degrees: float) -> None:
    assert critical_eccentricity(cycles) == pytest.approx(degrees, abs=6e-3)
    assert cutoff(critical_eccentricity(cycles)) == pytest.approx(cycles)


def test_matching_distance_halves_the_eye_at_the_half_width() -> None:
    half = 8 * np.sqrt(2 * np.log(2))
    distance = matching_pixels_per_degree(half)
    assert cutoff(half / distance) == pytest.approx(cutoff(0) / 2)


def test_eccentricity_is_an_angle_seen_from_the_viewing_distance() -> None:
    degrees = eccentricity((1, 201), (0, 100), 10.0)
    assert degrees[0, 100] == 0
    assert degrees[0, 110] == pytest.approx(1.0, abs=1e-3)
    assert degrees[0, 200] < 10.0
    assert close(degrees, degrees[:, ::-1], terms=16)


def test_the_strongest_pixel_is_unchanged() -> None:
    picture = noise()
    assert foveate(picture, gaussian_field())[MIDDLE, MIDDLE] == pytest.approx(picture[MIDDLE, MIDDLE], abs=1e-12)


def test_outside_the_field_all_is_grey() -> None:
    found = gaussian_field()
    seen = foveate(noise(), found)
    assert (seen[found.full() == 0] == GREY).all()
    assert not np.allclose(seen[found.full() > 0], GREY)


def test_what_the_unit_cannot_see_leaves_no_trace() -> None:
    found, first = gaussian_field(), noise(1)
    second = np.where((found.full() > 0)[..., None], first, noise(2))
    assert np.array_equal(foveate(first, found), foveate(second, found))


def test_gamma_zero_keeps_all_that_is_seen() -> None:
    found, picture = gaussian_field(), noise()
    inside = found.full() > 0
    assert np.allclose(foveate(picture, found, gamma=0)[inside], picture[inside])


def test_a_larger_gamma_blurs_more() -> None:
    found = gaussian_field()
    contrast = [foveate(noise(), found, gamma).std(where=(found.full() > 0)[..., None]) for gamma in (0, 0.5, 1, 2)]
    assert contrast == sorted(contrast, reverse=True)
    assert contrast[0] > contrast[-1]


def test_detail_falls_with_the_distance_from_the_center() -> None:
    """Local contrast of noise, averaged over many pictures, falls ring by ring."""
    found = gaussian_field()
    views = np.array([foveate(noise(seed), found) for seed in range(12)])
    spread = views.std(axis=(0, 3))
    rows, columns = np.ogrid[:SIDE, :SIDE]
    distance = np.maximum(abs(rows - MIDDLE), abs(columns - MIDDLE))
    rings = [spread[(distance >= r) & (distance < r + 5)].mean() for r in range(0, 20, 5)]
    assert all(a > b for a, b in pairwise(rings))


@settings(deadline=None, max_examples=25)
@given(st.floats(1 / 64, 1), st.floats(0, 1))
def test_blur_keeps_an_even_picture_and_never_leaves_its_range(retained: float, brightness: float) -> None:
    even = np.full((20, 20, 3), brightness)
    assert np.allclose(blur_to(even, np.full((20, 20), retained)), brightness)
    view = blur_to(noise()[:20, :20], np.full((20, 20), retained))
    assert view.min() >= 0
    assert view.max() <= 1


@pytest.mark.parametrize("retained", [0.5, 0.3, 0.25, 0.1, 0.06])
def test_half_of_the_contrast_is_left_at_the_retained_bandwidth(retained: float) -> None:
    """A sine at exactly that share of the Nyquist frequency keeps half of its contrast (up to the pixel's own half)."""
    length = 400
    wave = 0.5 + 0.4 * np.cos(np.pi * retained * np.arange(length))
    picture = np.repeat(wave[None, :, None], 3, axis=2)
    picture = np.repeat(picture, 3, axis=0)
    view = blur_to(picture, np.full(picture.shape[:2], retained))[1, 100:300, 0]
    kept = (view.max() - view.min()) / (wave.max() - wave.min())
    # The sharp picture already counts as passing 2 ** -retained**2 of it.
    assert kept * 2 ** -(retained**2) == pytest.approx(0.5, abs=0.02)


def test_human_view_is_sharp_as_far_as_the_eye_resolves_the_pixels() -> None:
    picture = noise()
    near = human_view(picture, (MIDDLE, MIDDLE), 70.0)
    degrees = eccentricity((SIDE, SIDE), (MIDDLE, MIDDLE), 70.0)
    resolved = cutoff(degrees) / 70.0 >= 0.5
    assert resolved.any()
    assert not resolved.all()
    assert np.allclose(near[resolved], picture[resolved])
    assert human_view(picture, (MIDDLE, MIDDLE), 200.0).std() < near.std()


def test_the_relative_view_shows_the_fall_off_at_any_distance() -> None:
    picture = noise()
    view = human_view(picture, (10, 50), 2.0, relative=True)
    assert view[10, 50] == pytest.approx(picture[10, 50])
    assert view.std() < picture.std()


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (lambda: foveate(np.zeros((4, 4, 3)), gaussian_field()), "the image is 4x4, the source 65x65"),
        (lambda: foveate(np.zeros((4, 4)), gaussian_field()), "an image has the shape"),
        (lambda: foveate(np.full((SIDE, SIDE, 3), 2.0), gaussian_field()), "values between 0 and 1"),
        (lambda: foveate(np.full((SIDE, SIDE, 3), np.nan), gaussian_field()), "values between 0 and 1"),
        (lambda: foveate(noise(), gaussian_field(), gamma=-1), "gamma must not be negative"),
        (lambda: foveate(noise(), Field.of(np.zeros((SIDE, SIDE)))), "reads nothing"),
        (lambda: foveate(noise(), Field.of(np.ones(5))), "this source has 1 axes"),
        (lambda: human_view(noise(), (0, 0), 0.0), "pixels per degree must be positive"),
    ],
)
def test_bad_input_is_one_line(call: object, text: str) -> None:
    with pytest.raises(FovealError) as caught:
        call()  # type: ignore[operator]
    assert text in str(caught.value)
    assert "\n" not in str(caught.value)


def test_the_chart_fills_any_shape_with_detail() -> None:
    for shape in ((1, 1), (7, 300), (224, 224)):
        chart = eye_chart(shape)
        assert chart.shape == (*shape, 3)
        assert chart.min() >= 0
        assert chart.max() <= 1
    thirds = [part.std() for part in np.array_split(chart, 3)]
    assert min(thirds) > 0.2
    assert np.array_equal(chart, eye_chart((224, 224)))


def test_photos_are_scaled_to_cover_the_source_and_cut(tmp_path: Path) -> None:
    from PIL import Image

    wide = np.zeros((20, 60, 3), dtype=np.uint8)
    wide[:, 20:40, 0] = 255
    Image.fromarray(wide).save(tmp_path / "wide.png")
    found = read_image(tmp_path / "wide.png", (20, 20))
    assert found.shape == (20, 20, 3)
    assert found[:, 2:-2, 0].min() > 0.9
    assert found[..., 1:].max() < 0.05


def test_photos_of_sixteen_bits_transparent_and_grey_ones_are_read(tmp_path: Path) -> None:
    from PIL import Image

    ramp = np.tile(np.linspace(0, 65535, 64), (64, 1))
    Image.fromarray(ramp.astype(np.uint16)).save(tmp_path / "deep.png")
    Image.fromarray((ramp / 257).astype(np.uint8)).convert("RGBA").save(tmp_path / "clear.png")
    Image.fromarray((ramp / 257).astype(np.uint8)).save(tmp_path / "grey.png")
    for name in ("deep", "clear", "grey"):
        found = read_image(tmp_path / f"{name}.png", (64, 64))
        assert np.allclose(found[..., 0], ramp / 65535, atol=0.01)
        assert np.array_equal(found[..., 0], found[..., 2])


@pytest.mark.parametrize("content", [b"", b"not an image", b"\x89PNG\r\n\x1a\nbroken", None])
def test_bad_photos_are_one_line(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "photo.jpg"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(FovealError, match=r"photo\.jpg") as caught:
        read_image(path, (8, 8))
    assert "\n" not in str(caught.value)


def test_a_truncated_photo_and_a_folder_are_one_line(tmp_path: Path) -> None:
    from PIL import Image

    Image.fromarray((noise() * 255).astype(np.uint8)).save(tmp_path / "whole.png")
    (tmp_path / "cut.png").write_bytes((tmp_path / "whole.png").read_bytes()[:2000])
    for path in (tmp_path / "cut.png", tmp_path):
        with pytest.raises(FovealError):
            read_image(path, (8, 8))
