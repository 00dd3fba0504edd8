"""The playground in a real browser: what it shows is checked against arithmetic by hand."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, quote, urlencode

import pytest

from support.browser import Watched, axe_faults, chromium, watched
from support.paths import TESTS
from support.serve_process import Running, running

pytestmark = pytest.mark.xdist_group("serve browser")  # its tests share their pages

FIVE = "conv3x4 conv3x4 conv3x4 conv3x4 conv3x4"
CONTRAST = (TESTS / "support" / "contrast.js").read_text(encoding="utf-8")
BRIGHTEST = """() => {
  const canvas = document.getElementById("heat"), pen = canvas.getContext("2d");
  const { data, width, height } = pen.getImageData(0, 0, canvas.width, canvas.height);
  let x = 0, y = 0, count = 0;
  for (let i = 0; i < width * height; i++) {
    const [r, g, b] = data.subarray(4 * i);
    if (r > 245 && g > 215 && b < 80) { count++; x += i % width; y += Math.floor(i / width); }
  }
  return { count, x: x / count / width, y: y / count / height };
}"""
"""How many pixels have the colour of the peak, and where their middle is, as shares of the picture."""
CHOSEN = """() => {
  const spec = document.getElementById("spec");
  return spec.value.slice(spec.selectionStart, spec.selectionEnd);
}"""
UNTRANSLATED = """() => [...document.querySelectorAll("[data-t]")]
  .filter((node) => node.textContent === node.dataset.t && node.dataset.t.includes("_")).length"""
HOSTILE = '</script><img src=x onerror="alert(1)"><script>alert(2)</script>'


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with running(tmp_path_factory.mktemp("folder")) as found:
        yield found


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with chromium() as found:
        yield found


@pytest.fixture
def shown(server: Running, browser: Any) -> Iterator[Watched]:
    """The playground as it opens; at the end, nothing may have gone wrong and nobody else been asked."""
    with watched(browser) as found:
        found.page.goto(f"{server.base}/?token={server.token}")
        found.page.wait_for_selector("#heat[data-layer]")
        yield found
        found.check(server.base.removeprefix("http://"))


def show(page: Any, text: str, shape: str = "3x64x64", **more: str) -> None:
    """Open the link of a network."""
    page.evaluate(
        "hash => { location.hash = hash; }", urlencode({"text": text, "input": shape} | more, quote_via=quote)
    )


def tile(page: Any, name: str, value: str) -> None:
    """Wait until a number is shown."""
    page.wait_for_function(
        "([id, value]) => document.querySelector(`#tile-${id} .value`)?.textContent === value", arg=[name, value]
    )


def settled(page: Any) -> None:
    page.wait_for_selector("#results[aria-busy='false']:not(.stale)")


def test_typing_a_network_changes_its_numbers(shown: Watched) -> None:
    page = shown.page
    page.fill("#input", "3x32x32")
    page.fill("#spec", "")
    page.click("#spec")
    page.keyboard.type(FIVE, delay=3)
    tile(page, "rf", "11")
    tile(page, "stride_long", "1")
    # 3 x 3 x 3 inputs x 4 outputs + 4 biases, then four times 3 x 3 x 4 x 4 + 4.
    tile(page, "parameters", str(112 + 4 * 148))
    # 32 x 32 positions: 108 products for the first layer, 144 for each of the others.
    tile(page, "adds", "700 k")
    assert 32 * 32 * (108 + 4 * 144) == 700_416
    page.keyboard.type(" pool2 conv3x4")
    # The pool adds one position, the layer after it two strides of two.
    tile(page, "rf", "16")
    tile(page, "stride_long", "2")
    sizes = page.locator("#layers td:nth-child(4) b").all_text_contents()
    assert sizes == ["3", "5", "7", "9", "11", "12", "16"]


def test_vgg13_sees_348_at_the_classifier(shown: Watched) -> None:
    page = shown.page
    page.select_option("#example", "vgg13")
    tile(page, "rf", "348")
    tile(page, "parameters", "133 M")
    row = page.locator("tr[data-layer='fc1']")
    assert row.locator("b").text_content() == "348"
    assert page.locator("tr[data-layer='pool5'] b").text_content() == "156"
    page.wait_for_function("() => document.getElementById('field-legend').textContent.includes('348')")


def test_the_field_of_the_last_layer_is_drawn(shown: Watched) -> None:
    page = shown.page
    show(page, "5*conv3x4")
    page.wait_for_selector("#heat[data-layer='conv5']")
    settled(page)
    assert "11" in page.get_attribute("#heat", "aria-label")
    # The brightest place of the picture is its middle.
    peak = page.evaluate(BRIGHTEST)
    assert peak["count"] > 50
    assert abs(peak["x"] - 0.5) < 0.06
    assert abs(peak["y"] - 0.5) < 0.06
    for kind in ("paths", "edges", "support", "energy"):
        page.click(f"[data-kind='{kind}']")
        page.wait_for_function("kind => document.getElementById('heat').ariaLabel.startsWith(kind)", arg=kind)
    page.click("[data-view='input']")
    assert page.get_attribute("[data-view='input']", "aria-pressed") == "true"


def test_an_error_stands_at_its_place_and_goes_when_mended(shown: Watched) -> None:
    page = shown.page
    page.fill("#spec", "conv3x64 pol2 conv3x8")
    page.wait_for_selector("#problem:not([hidden])")
    assert page.text_content("#marks mark") == "pol2"
    assert "unknown layer kind 'pol'" in page.text_content("#problem-text")
    assert page.get_attribute("#spec", "aria-invalid") == "true"
    page.click("#go")
    assert page.evaluate(CHOSEN) == "pol2"
    page.keyboard.type("pool2")
    page.wait_for_selector("#problem", state="hidden")
    # 3, then one for the pool, then two strides of two.
    tile(page, "rf", "8")


def test_layers_are_added_by_buttons_and_taken_back(shown: Watched) -> None:
    page = shown.page
    page.fill("#spec", "")
    page.click("#quick button:has-text('conv3x64,s2')")
    page.click("#quick button:has-text('pool2')")
    page.select_option("#b-kind", "conv")
    page.fill("#b-size", "5")
    page.fill("#b-channels", "7")
    page.fill("#b-d", "2")
    page.click("#build .strong")
    assert page.input_value("#spec") == "conv3x64,s2 pool2 conv5x7,d2"
    # 3 at stride 2; the pool adds 2 (stride 4); 8 steps of 4.
    tile(page, "rf", str(3 + 2 + 8 * 4))
    page.click("#undo")
    tile(page, "rf", "5")
    page.click("#quick button:has-text('[conv3')")
    tile(page, "rf", str(5 + 4 * 4))


def test_layers_are_added_to_yaml_too(shown: Watched) -> None:
    page = shown.page
    page.fill("#spec", "input: 1x32x32\nlayers:\n  - conv3x4\n")
    tile(page, "rf", "3")
    page.click("#quick button:has-text('[conv3')")
    tile(page, "rf", "7")


def test_a_link_holds_the_network(shown: Watched, server: Running, browser: Any) -> None:
    page = shown.page
    page.fill("#spec", "conv5x3 conv5x3")
    page.fill("#input", "2x40x40")
    tile(page, "rf", "9")
    page.click("#share")
    link = page.input_value("#link")
    assert server.token not in link
    assert parse_qs(link.split("#")[1])["text"] == ["conv5x3 conv5x3"]
    assert page.input_value("#command") == 'foveal analyze "conv5x3 conv5x3" --input 1,2,40,40'
    with watched(browser) as other:
        other.page.goto(f"{server.base}/?token={server.token}")
        other.page.goto(link)
        tile(other.page, "rf", "9")
        assert other.page.input_value("#spec") == "conv5x3 conv5x3"
        assert other.page.input_value("#input") == "2x40x40"
        other.page.reload()
        tile(other.page, "rf", "9")


def test_code_of_the_network(shown: Watched) -> None:
    page = shown.page
    show(page, "conv3x8,relu pool2 fc5", "3x8x8")
    tile(page, "output", "5")
    page.click("#code")
    page.wait_for_selector("#code-text")
    text = page.input_value("#code-text")
    assert "nn.Conv2d(3, 8, 3, padding=1)" in text
    assert "nn.Linear(128, 5)" in text  # 8 channels of 4 x 4
    compile(text, "net.py", "exec")
    page.keyboard.press("Escape")
    assert not page.evaluate("document.getElementById('dialog').open")


def test_both_languages_by_browser_and_by_hand(server: Running, browser: Any) -> None:
    with watched(browser, locale="zh-CN") as found:
        page = found.page
        page.goto(f"{server.base}/?token={server.token}")
        page.wait_for_selector("#heat[data-layer]")
        assert page.get_attribute("html", "lang") == "zh-CN"
        assert page.text_content("#tile-rf dt") == "感受野"
        assert re.search("[\u4e00-\u9fff]", page.text_content("#field-about"))
        page.select_option("#language", "en")
        assert page.text_content("#tile-rf dt") == "Receptive field"
        assert page.get_attribute("html", "lang") == "en"
        page.reload()
        page.wait_for_selector("#heat[data-layer]")
        assert page.text_content("#h-network") == "Network"
        # No key is left without a text.
        assert page.evaluate(UNTRANSLATED) == 0
        found.check(server.base.removeprefix("http://"))


def test_all_of_it_by_keyboard(shown: Watched) -> None:
    page = shown.page
    seen: list[str] = []
    page.evaluate("document.body.focus()")
    for _ in range(60):
        page.keyboard.press("Tab")
        name = page.evaluate(
            "(() => { const n = document.activeElement; return n.id || n.closest('[id]')?.id || n.tagName; })()"
        )
        if name in ("BODY", *seen[:1]):  # once around
            break
        seen.append(name)
        # Whatever has the focus shows it.
        assert page.evaluate(
            "(() => { const n = document.activeElement, s = getComputedStyle(n), p = getComputedStyle(n.parentElement);"
            " return s.outlineStyle !== 'none' || p.boxShadow !== 'none'; })()"
        ), name
    assert {"open", "code", "share", "language", "theme", "example", "input", "spec", "quick", "b-kind", "chart",
            "kinds-choice", "view-choice", "layers"} <= set(seen)  # fmt: skip
    page.focus("#spec")
    page.keyboard.press("Control+A")
    page.keyboard.type("3*conv3x4")
    tile(page, "rf", "7")
    page.focus("#chart svg")
    page.keyboard.press("ArrowLeft")
    tile(page, "rf", "5")
    assert page.evaluate("document.activeElement.getAttribute('role')") == "slider"
    assert page.get_attribute("#chart svg", "aria-valuetext") == "conv2: 5"
    page.focus("#layers tr[tabindex='0']")
    page.keyboard.press("ArrowUp")
    tile(page, "rf", "3")
    page.keyboard.press("End")
    tile(page, "rf", "7")
    assert page.evaluate("document.activeElement.dataset.layer") == "conv3"


@pytest.mark.parametrize("shape", ["2x300", "1x24x24x24"])
def test_lines_and_volumes(shown: Watched, shape: str) -> None:
    page = shown.page
    show(page, "3*conv3x4", shape)
    tile(page, "rf", "7")
    page.wait_for_selector("#heat[data-layer='conv3']")
    settled(page)
    assert page.evaluate("document.getElementById('heat').width") > 100


def test_hostile_names_are_shown_as_text(shown: Watched, server: Running) -> None:
    page = shown.page
    text = f"name: {json.dumps(HOSTILE)}\ninput: 1x16x16\nlayers:\n  - conv3x2\n"
    show(page, text)
    tile(page, "rf", "3")
    show(page, f"conv3x2 {HOSTILE}")
    page.wait_for_selector("#problem:not([hidden])")
    show(page, "conv3x2", shape=HOSTILE)
    page.wait_for_function("() => document.getElementById('problem-text').textContent.includes('input')")
    show(page, "conv3x2", layer=HOSTILE, kind=HOSTILE, view=HOSTILE)
    tile(page, "rf", "3")
    assert page.locator("img").count() == 0
    sent = page.evaluate(
        """async (name) => {
          const post = (path, body) => fetch(path, { method: "POST", body }).then((answer) => answer.json());
          const text = "layers: [conv3, 'conv9x2,valid']";
          const { id } = await post(`/api/uploads?name=${encodeURIComponent(name)}`, text);
          return (await post("/api/networks", JSON.stringify({ upload: id, input: "1,3,4,4" }))).id;
        }""",
        f"{HOSTILE}.yaml",
    )
    page.goto(f"{server.base}/explore/{sent}")
    page.wait_for_selector("#doing.problem")
    assert page.locator("img").count() == 0


def test_a_pickle_is_refused_in_the_dialog(shown: Watched, tmp_path: Path) -> None:
    page = shown.page
    page.click("#open")
    wrong = tmp_path / "net.pt"
    wrong.write_bytes(b"\x80\x04.")
    page.set_input_files("#open-file", wrong)
    page.click("#dialog .strong")
    page.wait_for_selector("#open-said.problem")
    assert "never taken" in page.text_content("#open-said")
    # The browser itself notes the refusal in its console.
    assert all("415" in fault for fault in shown.faults)
    shown.faults.clear()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1280])
def test_it_fits_the_screen_and_has_contrast(server: Running, browser: Any, scheme: str, width: int) -> None:
    with watched(browser, color_scheme=scheme, viewport={"width": width, "height": 800}) as found:
        page = found.page
        page.goto(f"{server.base}/?token={server.token}")
        page.wait_for_selector("#heat[data-layer]")
        settled(page)
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        weak = page.evaluate(CONTRAST)
        assert weak == []
        button = "getComputedStyle(document.body).backgroundColor"
        before = page.evaluate(button)
        page.click("#theme")
        assert page.evaluate(button) != before
        assert page.evaluate(CONTRAST) == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_no_serious_fault(server: Running, browser: Any, scheme: str) -> None:
    with watched(browser, color_scheme=scheme, bypass_csp=True) as found:
        page = found.page
        page.goto(f"{server.base}/?token={server.token}")
        page.wait_for_selector("#heat[data-layer]")
        settled(page)
        assert axe_faults(page) == []
        page.click("#open")
        assert axe_faults(page) == []
        page.click("#dialog-close")
        page.fill("#spec", "conv3 pol2")
        page.wait_for_selector("#problem:not([hidden])")
        assert axe_faults(page) == []
