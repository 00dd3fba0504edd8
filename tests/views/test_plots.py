"""Pictures: the data that they show, their labels, shapes and provenance; never their pixels."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import warnings
from collections.abc import Callable, Iterator
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.text import Text
from mpl_toolkits.mplot3d import Axes3D
from PIL import Image

import foveal
from foveal.core.errors import FovealError
from foveal.fields.field import Field
from foveal.fields.kinds import field
from foveal.report.growth import growth
from foveal.report.results import Growth
from foveal.views import plots
from foveal.views.explain import explain
from foveal.views.foveate import foveate, human_view
from foveal.views.pictures import eye_chart
from foveal.views.plots import style
from foveal.views.plots.axes import gaussian, shares, window
from foveal.views.plots.explain import explanation_page
from foveal.views.plots.streaming import timeline
from foveal.views.plots.style import Picture

EDGES = [5, 13, 24, 31, 36, 37, 36, 31, 24, 13, 5]
"""docs/methods.md 1.8."""

STACK = "conv3x1,valid conv3x1,valid conv3x1,valid conv3x1,valid conv3x1,valid"


def line_field() -> Field:
    return field(foveal.trace(STACK, (1, 1, 15)), "conv5", kind="edges")


def plane_field(at: tuple[int, ...] | None = None) -> Field:
    return field(foveal.trace("conv3x4 pool2 conv3x4 conv3x4", (1, 3, 48, 64)), "conv3", kind="energy", at=at)


def volume_field() -> Field:
    return field(foveal.trace("conv3x2 conv3x2", (1, 1, 8, 12, 16)), "conv2", kind="paths")


def small_growth() -> Growth:
    return growth(foveal.trace("conv3x4 pool2 conv3x4 conv3x4", (1, 3, 48, 64)), ["conv1", "pool1", "conv2", "conv3"])


CHART = eye_chart((48, 64))

MAKERS: dict[str, Callable[[], Picture]] = {
    "line": lambda: plots.heat_map(line_field()),
    "plane": lambda: plots.heat_map(plane_field()),
    "border": lambda: plots.heat_map(plane_field((0, 0))),
    "volume": lambda: plots.heat_map(volume_field()),
    "profiles_line": lambda: plots.profiles(line_field()),
    "profiles_plane": lambda: plots.profiles(plane_field()),
    "profiles_volume": lambda: plots.profiles(volume_field()),
    "surface": lambda: plots.surface(plane_field()),
    "overlay": lambda: plots.overlay(plane_field(), CHART),
    "foveated": lambda: plots.foveated(
        plane_field(),
        [CHART, foveate(CHART, plane_field()), human_view(CHART, (24, 32), 60.0)],
        ["the picture", "as the unit sees it", "as an eye sees it"],
    ),
    "grid": lambda: plots.unit_grid([plane_field(at) for at in ((0, 0), (0, 9), (12, 16), (23, 31))], 2),
    "grid_of_sources": lambda: plots.unit_grid(
        [plane_field(), field(foveal.trace("conv5x1", (1, 1, 9, 9)), "conv1", kind="paths")], 2
    ),
    "grid_line": lambda: plots.unit_grid([line_field(), line_field()], 2),
    "side_by_side": lambda: plots.side_by_side(plane_field(), plane_field((3, 5)), ("one", "other")),
    "side_by_side_alternating": lambda: plots.side_by_side(
        plane_field(), field(foveal.trace("conv3x1,d8 conv3x1,d4 conv3x1", (1, 1, 48, 64)), "conv3"), ("one", "other")
    ),
    "side_by_side_line": lambda: plots.side_by_side(line_field(), line_field(), ("one", "other")),
    "growth": lambda: plots.growth_curves(small_growth()),
    "growths": lambda: plots.growth_curves([small_growth(), small_growth()]),
    "page": lambda: explanation_page(explain(foveal.trace("conv3x4 conv3x4", (1, 3, 48, 64)), "conv2")),
}


def test_a_line_is_drawn_as_its_values() -> None:
    axes = plots.heat_map(line_field()).axes[0]
    bars = {round(bar.get_x() + bar.get_width() / 2): bar.get_height() for bar in axes.patches}
    assert [bars[i] for i in range(2, 13)] == EDGES
    assert {str(n) for n in EDGES} <= {text.get_text() for text in axes.texts}
    assert axes.get_xlabel() == "position (samples)"
    assert axes.get_ylabel() == "edges"


def test_a_plane_is_drawn_as_shares_of_its_maximum_in_source_pixels() -> None:
    found = plane_field()
    axes = plots.heat_map(found).axes[0]
    (image,) = axes.images
    assert np.array_equal(np.asarray(image.get_array()), shares(found))
    assert image.get_extent() == [-0.5, 63.5, 47.5, -0.5]
    assert image.get_cmap().name == "cividis"
    assert axes.get_aspect() == 1
    low, high = axes.get_ylim()
    assert low > high, "rows run downwards"


def test_the_rf_box_is_where_the_field_says() -> None:
    found = plane_field((0, 0))
    (top, bottom), (left, right) = found.box
    assert top < 0
    boxes = [patch for patch in plots.heat_map(found).axes[0].patches if patch.get_label() == "RF box"]
    assert boxes[0].get_xy() == (left - 0.5, top - 0.5)
    assert (boxes[0].get_width(), boxes[0].get_height()) == (right - left, bottom - top)


def test_the_contour_encloses_what_exceeds_the_level() -> None:
    found = plane_field()
    axes = plots.heat_map(found).axes[0]
    contour = next(c for c in axes.collections if len(getattr(c, "levels", ())) == 1)
    (path,) = contour.get_paths()
    weights = shares(found)
    points = [(c, r) for r in range(weights.shape[0]) for c in range(weights.shape[1])]
    inside = path.contains_points(points).reshape(weights.shape)
    assert np.array_equal(inside, np.sqrt(weights) > 0.0455)  # the energy's root


def test_the_fitted_gaussian_is_the_one_of_the_metrics() -> None:
    angle = np.radians(30)
    rows, columns = np.ogrid[:61, :61]
    u = (columns - 30) * np.cos(angle) + (rows - 28) * np.sin(angle)
    v = -(columns - 30) * np.sin(angle) + (rows - 28) * np.cos(angle)
    found = Field.of(np.exp(-(u**2) / (2 * 9**2) - v**2 / (2 * 4**2)), center=(28.0, 30.0))
    places, values = gaussian(found, 1, (28, 30)) or (None, None)
    expected = np.exp(-((places - 30) ** 2) * (np.cos(angle) ** 2 / 81 + np.sin(angle) ** 2 / 16) / 2)
    assert np.allclose(values, expected, atol=1e-3)


def test_profiles_pass_through_the_maximum() -> None:
    found = plane_field()
    figure = plots.profiles(found)
    peak = np.unravel_index(int(shares(found).argmax()), found.source_shape)
    assert np.array_equal(figure.axes[0].lines[0].get_ydata(), shares(found)[:, peak[1]])
    assert np.array_equal(figure.axes[1].lines[0].get_ydata(), shares(found)[peak[0]])


def test_a_volume_is_drawn_as_three_slices_through_its_maximum() -> None:
    found = volume_field()
    images = [axes.images[0].get_array() for axes in plots.heat_map(found).axes[:3]]
    peak = np.unravel_index(int(shares(found).argmax()), found.source_shape)
    for axis, image in enumerate(images):
        assert np.array_equal(np.asarray(image), shares(found).take(peak[axis], axis=axis))


def test_growth_is_drawn_as_computed() -> None:
    rows = small_growth()
    assert rows.trf == (3, 4, 8, 12)
    assert rows.layers == ("conv1", "pool1", "conv2", "conv3")
    lines = plots.growth_curves(rows).axes[0].lines
    assert tuple(lines[0].get_ydata()) == rows.trf
    assert tuple(lines[1].get_ydata()) == rows.erf
    assert all(e <= t for e, t in zip(rows.erf, rows.trf))


def test_fields_over_one_source_share_their_window() -> None:
    fields = [plane_field(at) for at in ((0, 0), (23, 31))]
    axes = plots.unit_grid(fields, 2).axes
    assert axes[0].get_xlim() == axes[1].get_xlim() == window(*fields)[1]


def test_an_overlay_dims_what_carries_no_weight() -> None:
    found = plane_field()
    drawn = np.asarray(plots.overlay(found, CHART).axes[0].images[0].get_array())
    peak = np.unravel_index(int(shares(found).argmax()), found.source_shape)
    assert np.allclose(drawn[peak], CHART[peak])
    outside = shares(found) == 0
    assert drawn[outside].mean() < 0.35 * CHART[outside].mean()


@pytest.mark.parametrize("name", MAKERS)
def test_texts_are_whole_and_apart(name: str) -> None:
    assert faults(MAKERS[name]()) == []


def test_the_test_above_can_fail() -> None:
    figure = plots.heat_map(plane_field())
    assert faults(figure) == []
    assert len(list(visible_texts(figure))) > 15
    figure.text(0.5, 0.5, "one")
    figure.text(0.51, 0.5, "other")
    figure.text(0.97, 0.5, "cut off")
    assert {"'one' overlaps 'other'", "'cut off' is cut off"} <= set(faults(figure))


def faults(figure: Picture) -> list[str]:
    """Texts that leave the picture or lie on each other."""
    FigureCanvasAgg(figure).draw()
    found = []
    boxes = [(text.get_text(), text.get_window_extent()) for text in visible_texts(figure)]
    width, height = figure.get_size_inches() * figure.dpi
    for text, box in boxes:
        if min(box.x0, box.y0, width - box.x1, height - box.y1) < -1:
            found.append(f"'{text}' is cut off")
    for (one, first), (other, second) in combinations(boxes, 2):
        across = min(first.x1, second.x1) - max(first.x0, second.x0)
        down = min(first.y1, second.y1) - max(first.y0, second.y0)
        if min(across, down) > 1:
            found.append(f"'{one}' overlaps '{other}'")
    return found


def visible_texts(figure: Picture) -> Iterator[Text]:
    """Texts that are drawn; those of a surface are placed by its own projection and left out."""
    solid = [axes for axes in figure.axes if isinstance(axes, Axes3D)]
    hidden = {id(text) for axes in solid for text in axes.findobj(Text)}
    for axes in figure.axes:
        if not axes.axison:
            hidden |= {id(text) for axis in (axes.xaxis, axes.yaxis) for text in axis.findobj(Text)}
        # Ticks outside the limits exist but are not drawn.
        for axis, limits in ((axes.xaxis, axes.get_xlim()), (axes.yaxis, axes.get_ylim())):
            low, high = sorted(limits)
            for tick in axis.get_major_ticks():
                shown = low <= tick.get_loc() <= high
                hidden |= {id(t) for t in (tick.label1, tick.label2) if not shown or not t.get_visible()}
    for text in figure.findobj(Text):
        if id(text) not in hidden and text.get_visible() and text.get_text().strip():
            yield text


@pytest.mark.parametrize("name", ["plane", "grid", "side_by_side", "growth"])
def test_a_file_says_where_it_comes_from(name: str, tmp_path: Path) -> None:
    figure = MAKERS[name]()
    figure.save(tmp_path / "picture.png")
    with Image.open(tmp_path / "picture.png") as picture:
        said = json.loads(picture.info["Description"])
        assert picture.info["Software"] == f"foveal {foveal.__version__}"
        assert round(picture.info["dpi"][0]) == 100
    assert said["foveal"] == foveal.__version__
    if name == "plane":
        (record,) = said["fields"]
        found = plane_field()
        assert (record["layer"], record["unit"], record["kind"]) == ("conv3", list(found.unit), "energy")
        assert record["source_shape"] == [48, 64]


@pytest.mark.parametrize("suffix", [".png", ".svg", ".pdf"])
def test_the_same_picture_gives_the_same_bytes(suffix: str, tmp_path: Path) -> None:
    for name in ("first", "second"):
        plots.heat_map(plane_field()).save(tmp_path / f"{name}{suffix}")
    assert (tmp_path / f"first{suffix}").read_bytes() == (tmp_path / f"second{suffix}").read_bytes()


def test_pictures_need_no_pyplot_and_no_display() -> None:
    code = (
        "import sys, numpy as np\n"
        "from foveal.fields.field import Field\n"
        "from foveal.views import plots\n"
        "plots.heat_map(Field.of(np.eye(5))); plots.profiles(Field.of(np.ones(9)))\n"
        "assert 'matplotlib.pyplot' not in sys.modules"
    )
    environment = {"PATH": "/usr/bin", "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    "values",
    [np.zeros((4, 4)), np.ones((1, 1)), np.ones((1, 6)), np.ones((6, 6), dtype=bool), np.zeros(3), np.ones((2, 2, 2))],
)
def test_odd_fields_can_be_drawn(values: np.ndarray) -> None:
    FigureCanvasAgg(plots.heat_map(Field.of(values))).draw()
    FigureCanvasAgg(plots.profiles(Field.of(values))).draw()
    if min(values.shape) > 1 and values.ndim == 2:
        FigureCanvasAgg(plots.surface(Field.of(values))).draw()


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (lambda: plots.surface(line_field()), "a surface needs a source with 2 axes"),
        (lambda: plots.heat_map(Field.of(np.ones((2, 2, 2, 2)))), "a heat map needs a source with 2 axes"),
        (lambda: plots.surface(Field.of(np.ones((1, 6)))), "needs at least two positions"),
        (lambda: plots.overlay(plane_field(), CHART[:10]), "the image is 10x64, the source 48x64"),
        (lambda: plots.unit_grid([]), "no fields to draw"),
        (lambda: plots.unit_grid([line_field(), plane_field()]), "fields over one or two axes"),
        (lambda: plots.side_by_side(plane_field(), Field.of(np.eye(5)), ("a", "b")), "need one source shape"),
        (lambda: plots.growth_curves([]), "no layers to draw"),
        (lambda: plots.heat_map(line_field()).save("picture.bmp"), "a picture is written as one of"),
        (lambda: plots.heat_map(line_field()).save("/nowhere/picture.png"), "cannot be written"),
    ],
)
def test_bad_input_is_one_line(call: Callable[[], object], text: str) -> None:
    with pytest.raises(FovealError) as caught:
        call()
    assert text in str(caught.value)
    assert "\n" not in str(caught.value)


def test_pictures_speak_chinese_where_a_font_does(monkeypatch: pytest.MonkeyPatch) -> None:
    """The words of titles, axes, legends and ticks; names of layers stay."""
    monkeypatch.setenv("FOVEAL_LANG", "zh-CN")
    plan = foveal.stream("gallery:tcn", rate=16000.0, check=False)
    for font, said in (
        ("DejaVu Sans", ["tcn：relu9，以 56 为一块", "毫秒", "第 0 块"]),
        (None, ["milliseconds", "chunk 0"]),
    ):
        monkeypatch.setattr(style, "_chinese_font", lambda font=font: font)
        figure = timeline(plan)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the font of the test has no such signs
            figure.draw_without_rendering()
        axes = figure.get_axes()[0]
        texts = [axes.get_title(), axes.get_xlabel(), axes.get_yticklabels()[0].get_text()]
        assert set(said) <= set(texts)
