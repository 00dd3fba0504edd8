"""The explorer of ``foveal serve`` in a real browser: what it draws is compared with what the engine says."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from html import unescape
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from foveal import receptive_field, trace
from support.browser import Watched, chromium, watched
from support.needs import needs
from support.serve_process import Running, running

pytestmark = pytest.mark.xdist_group("serve explorer")  # its tests share their pages

READY = "html[data-ready='true']"
HOSTILE = '</script><img src=x onerror="alert(1)">'
VOLUME = "input=1x16x40x40 conv3x8 conv3x8,s2 conv3x8,d2"
LINE = "input=2x200 causal3x4 causal3x4,d4 pool2"
GATED = "input=3x64x64 conv3x8 conv3x8,s2 se4 conv3x8"


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with chromium() as found:
        yield found


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("folder")


@pytest.fixture(scope="module")
def server(folder: Path) -> Iterator[Running]:
    Image.new("RGB", (300, 200), (20, 160, 90)).save(folder / "photo.png")
    with running(folder, "gallery:resnet18", "--image", str(folder / "photo.png")) as found:
        yield found


@pytest.fixture
def shown(server: Running, browser: Any) -> Iterator[Watched]:
    """The explorer of the network that the server was started with."""
    with watched(browser) as found:
        found.page.goto(f"{server.base}/?token={server.token}")
        found.page.wait_for_selector(READY, timeout=60_000)
        yield found
        found.check(server.base.removeprefix("http://"))


def opened(page: Any, server: Running, source: str) -> None:
    """Go to the explorer of another network."""
    with server.client() as client:
        job = client.post("/api/networks", json={"source": source}).json()
    page.goto(f"{server.base}/explore/{job['id']}")
    page.wait_for_selector(READY, timeout=60_000)


def choose(page: Any, layer: str) -> None:
    """Look at a layer, by its name."""
    options = page.locator("#x-layer option").all_text_contents()
    page.select_option("#x-layer", index=[option.split(" · ")[0] for option in options].index(layer))


def point(page: Any, unit: tuple[int, ...]) -> None:
    """Move the pointer to a unit of a grid with two axes, and wait until the page looks at it."""
    canvas = page.locator("#x-grid canvas")
    rows, columns = (int(canvas.get_attribute(f"data-{key}")) for key in ("rows", "columns"))
    box = canvas.bounding_box()
    page.mouse.move(
        box["x"] + (unit[1] + 0.5) * box["width"] / columns, box["y"] + (unit[0] + 0.5) * box["height"] / rows
    )
    looked_at(page, unit)


def looked_at(page: Any, unit: tuple[int, ...]) -> None:
    """Wait until the page looks at a unit."""
    said = f"({', '.join(map(str, unit))})"
    page.wait_for_function("unit => document.querySelector('.x-number-unit strong').textContent === unit", arg=said)


def drawn(page: Any, sort: str = "clipped") -> Any:
    """The box that the picture shows, as [first, end] per source axis; None where none is drawn."""
    text = page.get_attribute(f"#x-{sort}", "data-box")
    return None if text is None else json.loads(text)


def listed(box: Any) -> list[list[int]]:
    return [list(side) for side in box]


def own_field(page: Any) -> None:
    """Wait until the field is that of the very unit that is looked at."""
    page.wait_for_function("() => document.querySelector('.x-note').textContent.includes('this very unit')")


@pytest.mark.parametrize("layer", ["conv1", "layer2.conv3", "layer4.add2"])
def test_pointing_at_a_unit_draws_its_box(shown: Watched, layer: str) -> None:
    rf = receptive_field(trace("gallery:resnet18"), layer)
    page = shown.page
    choose(page, layer)
    last = tuple(n - 1 for n in rf.grid)
    for unit in ((0, 0), (rf.grid[0] // 3, rf.grid[1] // 2), last):
        point(page, unit)
        assert drawn(page) == listed(rf.box(unit, clip=True))
        reaches_out = rf.box(unit) != rf.box(unit, clip=True)
        assert drawn(page, "unclipped") == (listed(rf.box(unit)) if reaches_out else None)


def test_fields_of_any_unit_are_computed_on_demand(shown: Watched) -> None:
    page = shown.page
    asked: list[dict[str, Any]] = []
    page.on("request", lambda request: asked.append(request.post_data_json) if request.method == "POST" else None)
    # The page itself carries fields of the middle units of a dozen layers, and this is none of them.
    choose(page, "layer1.conv2")
    own_field(page)
    for unit in ((3, 50), (30, 20)):
        point(page, unit)
        own_field(page)
    assert [question["at"] for question in asked] == [[28, 28], [3, 50], [30, 20]]
    assert {question["layer"] for question in asked} == {"layer1.conv2"}
    for kind in ("paths", "support"):
        page.click(f"#explorer button:text-is('{kind}')")
        own_field(page)
    assert [question["kind"] for question in asked[3:]] == ["paths", "support"]


def test_a_press_on_the_input_shows_the_units_that_see_it(shown: Watched) -> None:
    rf = receptive_field(trace("gallery:resnet18"), "layer3.conv1")
    page = shown.page
    choose(page, "layer3.conv1")
    box = page.locator("#x-stage svg").bounding_box()
    page.mouse.click(box["x"] + 0.4 * box["width"], box["y"] + 0.3 * box["height"])
    page.wait_for_selector("#x-probe[d^='M']", state="attached")
    found = [int(number) for number in re.findall(r"\d+", page.text_content("#x-pixel"))]
    (row, column), counts = found[:2], found[2:]
    assert len(rf.units_of((row, column))) in counts


def test_by_keyboard(shown: Watched) -> None:
    page = shown.page
    choose(page, "layer4.conv1")
    page.focus("#x-grid")
    looked_at(page, (3, 3))
    for key, unit in {"ArrowRight": (3, 4), "ArrowDown": (4, 4), "Home": (0, 0), "End": (6, 6)}.items():
        page.keyboard.press(key)
        looked_at(page, unit)


@pytest.mark.parametrize(("source", "layer"), [(LINE, "pool1"), (VOLUME, "conv3"), (GATED, "conv3")])
def test_lines_volumes_and_gates(shown: Watched, server: Running, source: str, layer: str) -> None:
    page = shown.page
    opened(page, server, source)
    rf = receptive_field(trace(source), layer)
    choose(page, layer)
    page.focus("#x-grid")
    page.keyboard.press("Home")
    # The first unit of what the grid shows: of a volume, within the middle slice.
    unit = (*(n // 2 for n in rf.grid[:-2]), *(0 for _ in rf.grid[-2:]))
    looked_at(page, unit)
    assert drawn(page) == listed(rf.box(unit, clip=True))
    assert (drawn(page, "local") is not None) == (rf.local is not None)
    own_field(page)


def test_languages(shown: Watched) -> None:
    page = shown.page
    page.select_option("#language", "zh-CN")
    assert page.text_content("#to-playground") == "试验场"
    page.select_option("#language", "en")
    assert page.text_content("#to-playground") == "Playground"


def test_the_page_can_be_saved_and_then_asks_nobody(shown: Watched, tmp_path: Path) -> None:
    page = shown.page
    with page.expect_download() as download:
        page.click("#save")
    path = tmp_path / "report.html"
    download.value.save_as(path)
    text = unescape(path.read_text(encoding="utf-8"))
    assert "connect-src 'none'" in text
    assert "/api/" not in text


def test_hostile_names_in_an_onnx_file_are_text(shown: Watched, server: Running, tmp_path: Path) -> None:
    onnx = needs("onnx")
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
    page.wait_for_selector(READY, timeout=60_000)
    assert "onerror" in page.text_content("#layer-table")
    assert page.locator("img").count() == 0


def test_a_network_with_two_inputs(shown: Watched, server: Running, folder: Path) -> None:
    onnx = needs("onnx")
    helper = onnx.helper
    sizes = {"image": 3, "mask": 5}
    weights = [helper.make_tensor(f"w_{k}", 1, [1, 1, n, n], [1.0] * n * n) for k, n in sizes.items()]
    nodes = [
        helper.make_node("Conv", [k, f"w_{k}"], [f"seen_{k}"], name=f"seen_{k}", pads=[n // 2] * 4)
        for k, n in sizes.items()
    ]
    nodes.append(helper.make_node("Add", ["seen_image", "seen_mask"], ["sum"], name="sum"))
    values = {name: helper.make_tensor_value_info(name, 1, [1, 1, 20, 20]) for name in (*sizes, "sum")}
    graph = helper.make_graph(nodes, "two", [values[k] for k in sizes], [values["sum"]], weights)
    (folder / "two.onnx").write_bytes(helper.make_model(graph).SerializeToString())
    page = shown.page
    opened(page, server, "two.onnx")
    choose(page, "sum")
    # 3 wide for one input, 5 wide for the other; the middle unit is 10.
    assert drawn(page) == [[9, 12], [9, 12]]
    page.select_option("#x-source", label="mask")
    assert drawn(page) == [[8, 13], [8, 13]]


def test_the_way_to_the_playground_takes_the_network_along(shown: Watched) -> None:
    page = shown.page
    page.click("#to-playground")
    page.wait_for_selector("#heat[data-layer]")
    assert page.input_value("#spec") == "gallery:resnet18"
    page.click("#explore")
    page.wait_for_selector(READY, timeout=60_000)
    choose(page, "layer4.add2")
