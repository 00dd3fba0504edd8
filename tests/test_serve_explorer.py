"""The explorer of ``foveal serve`` in a real browser: what it draws is compared with what the engine says."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from browser import Watched, chromium, watched
from foveal import receptive_field, trace
from serve_process import Running, running

CONTRAST = (Path(__file__).parent / "contrast.js").read_text(encoding="utf-8")
HOSTILE = '</script><img src=x onerror="alert(1)">'
VOLUME = "input=1x16x40x40 conv3x8 conv3x8,s2 conv3x8,d2"
LINE = "input=2x200 causal3x4 causal3x4,d4 pool2"
GATED = "input=3x64x64 conv3x8 conv3x8,s2 se4 conv3x8"


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with chromium() as found:
        yield found


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    folder = tmp_path_factory.mktemp("folder")
    Image.new("RGB", (300, 200), (20, 160, 90)).save(folder / "photo.png")
    with running(folder, "gallery:resnet18", "--image", str(folder / "photo.png")) as found:
        yield found


@pytest.fixture
def shown(server: Running, browser: Any) -> Iterator[Watched]:
    """The explorer of the network that the server was started with."""
    with watched(browser) as found:
        found.page.goto(f"{server.base}/?token={server.token}")
        found.page.wait_for_selector("body[data-ready]", timeout=60_000)
        yield found
        found.check(server.base.removeprefix("http://"))


def opened(page: Any, server: Running, source: str) -> None:
    """Go to the explorer of another network."""
    with server.client() as client:
        job = client.post("/api/networks", json={"source": source}).json()
    page.goto(f"{server.base}/explore/{job['id']}")
    page.wait_for_selector("body[data-ready]", timeout=60_000)


def listed(unit: tuple[int, ...]) -> str:
    """A unit as the page notes it."""
    return json.dumps(unit, separators=(",", ":"))


def point(page: Any, grid: tuple[int, ...], unit: tuple[int, ...]) -> None:
    """Move the pointer to a unit of a grid with one or two axes."""
    box = page.locator("#grid").bounding_box()
    rows, columns = (1, *grid)[-2:]
    row, column = (0, *unit)[-2:]
    page.mouse.move(box["x"] + (column + 0.5) * box["width"] / columns, box["y"] + (row + 0.5) * box["height"] / rows)
    page.wait_for_function(
        "unit => document.getElementById('stage').dataset.unit === unit",
        arg=listed(unit),
    )


def drawn(page: Any) -> dict[str, Any]:
    """The boxes that the picture shows, clipped and unclipped."""
    return {key: json.loads(page.get_attribute("#stage", f"data-{key}")) for key in ("clipped", "unclipped")}


@pytest.mark.parametrize("layer", ["conv1", "layer2.conv3", "layer4.add2"])
def test_pointing_at_a_unit_draws_its_box(shown: Watched, layer: str) -> None:
    rf = receptive_field(trace("gallery:resnet18"), layer)
    page = shown.page
    page.select_option("#layer", layer)
    last = tuple(n - 1 for n in rf.grid)
    for unit in ((0, 0), (rf.grid[0] // 3, rf.grid[1] // 2), last):
        point(page, rf.grid, unit)
        assert drawn(page) == {
            "clipped": [list(side) for side in rf.box(unit, clip=True)],
            "unclipped": [list(side) for side in rf.box(unit)],
        }


def test_fields_of_any_unit_are_computed_on_demand(shown: Watched) -> None:
    page = shown.page
    page.select_option("#layer", "layer1.conv2")
    for kind in ("energy", "paths", "support"):
        page.click(f"[data-kind='{kind}']")
        point(page, (56, 56), (3, 50))
        page.wait_for_selector(f"#stage[data-field='{kind}']")
        point(page, (56, 56), (30, 20))
        page.wait_for_selector(f"#stage[data-field='{kind}'][data-unit='[30,20]']")
    page.click("[data-kind='none']")
    page.wait_for_selector("#stage[data-field='']")


def test_a_click_on_the_input_shows_the_units_that_see_it(shown: Watched) -> None:
    rf = receptive_field(trace("gallery:resnet18"), "layer3.conv1")
    page = shown.page
    page.select_option("#layer", "layer3.conv1")
    box = page.locator("#stage").bounding_box()
    # The input fills the canvas but for an edge of 12 % of its own size on each side.
    inner = box["width"] / 1.24 if box["width"] < box["height"] + 2 else box["height"] / 1.24
    page.mouse.click(box["x"] + 0.12 * inner + inner * 100.5 / 224, box["y"] + 0.12 * inner + inner * 60.5 / 224)
    said = re.fullmatch(r"(\d+) of the shown units see \((\d+), (\d+)\)", page.text_content("#box-seen_by"))
    assert said is not None
    count, row, column = map(int, said.groups())
    # A click has whole screen pixels, which are smaller than a position of the input here.
    assert abs(row - 60) <= 1
    assert abs(column - 100) <= 1
    assert count == len(rf.units_of((row, column)))
    page.focus("#stage")
    page.keyboard.press("ArrowRight")
    count = len(rf.units_of((row, column + 1)))
    assert page.text_content("#box-seen_by") == f"{count} of the shown units see ({row}, {column + 1})"
    page.keyboard.press("Escape")
    assert page.locator("#box-seen_by").count() == 0


def test_by_keyboard(shown: Watched) -> None:
    page = shown.page
    page.select_option("#layer", "layer4.conv1")
    page.focus("#grid")
    assert page.get_attribute("#stage", "data-unit") == "[3,3]"
    for key, unit in (
        ("ArrowRight", "[3,4]"),
        ("ArrowDown", "[4,4]"),
        ("Home", "[4,0]"),
        ("Shift+ArrowRight", "[4,6]"),
    ):
        page.keyboard.press(key)
        assert page.get_attribute("#stage", "data-unit") == unit
    page.focus("#layers tr[tabindex='0']")
    page.keyboard.press("ArrowDown")
    assert page.input_value("#layer") == "layer4.bn1"
    page.focus("#chart svg")
    page.keyboard.press("Home")
    assert page.input_value("#layer") == "conv1"


def test_the_table_filters(shown: Watched) -> None:
    page = shown.page
    page.fill("#filter", "layer2.add")
    names = page.locator("#layers tbody th").all_text_contents()
    assert {"layer2.add1", "layer2.add2"} <= set(names)
    assert len(names) <= 3


def test_the_photo_is_the_ground(shown: Watched) -> None:
    page = shown.page
    page.click("[data-kind='none']")
    pixel = page.evaluate(
        """() => {
          const canvas = document.getElementById("stage");
          return [...canvas.getContext("2d").getImageData(canvas.width / 2 + 9, canvas.height / 2 + 9, 1, 1).data];
        }"""
    )
    assert all(abs(a - b) <= 6 for a, b in zip(pixel[:3], (20, 160, 90), strict=True)), pixel
    assert "photo.png" in page.text_content("#stage-note")


@pytest.mark.parametrize(("source", "layer"), [(LINE, "pool1"), (VOLUME, "conv3"), (GATED, "conv3")])
def test_lines_volumes_and_gates(shown: Watched, server: Running, source: str, layer: str) -> None:
    page = shown.page
    opened(page, server, source)
    rf = receptive_field(trace(source), layer)
    page.select_option("#layer", layer)
    page.focus("#grid")
    page.keyboard.press("Home")
    unit = (*(n // 2 for n in rf.grid[:-1]), 0)
    assert page.get_attribute("#stage", "data-unit") == listed(unit)
    assert drawn(page)["clipped"] == [list(side) for side in rf.box(unit, clip=True)]
    assert (page.locator("#box-local_rf").count() == 1) == (rf.local is not None)


def test_languages_and_looks(shown: Watched) -> None:
    page = shown.page
    page.select_option("#language", "zh-CN")
    assert page.text_content("#h-grid") == "单元"
    assert page.text_content("[data-kind='paths']") == "路径"
    assert page.evaluate(CONTRAST) == []
    page.click("#theme")
    assert page.evaluate(CONTRAST) == []
    page.set_viewport_size({"width": 390, "height": 800})
    page.wait_for_timeout(200)
    assert page.evaluate("document.documentElement.scrollWidth") <= 390


def test_hostile_names_in_an_onnx_file_are_text(shown: Watched, server: Running, tmp_path: Path) -> None:
    onnx = pytest.importorskip("onnx")
    helper = onnx.helper
    weight = helper.make_tensor("w", 1, [2, 1, 3, 3], [1.0] * 18)
    node = helper.make_node("Conv", [HOSTILE, "w"], ["y"], name=HOSTILE, pads=[1, 1, 1, 1])
    value = [helper.make_tensor_value_info(name, 1, [1, n, 8, 8]) for name, n in ((HOSTILE, 1), ("y", 2))]
    model = helper.make_model(helper.make_graph([node], HOSTILE, value[:1], value[1:], [weight]))
    path = tmp_path / "net.onnx"
    path.write_bytes(model.SerializeToString())
    page = shown.page
    page.goto(f"{server.base}/playground")
    page.click("#open")
    page.set_input_files("#open-file", path)
    page.click("#dialog .strong")
    page.wait_for_selector("body[data-ready]", timeout=60_000)
    assert "onerror" in page.text_content("#layers")
    assert page.locator("img").count() == 0
