"""The playground as people first use it: long work gives way, files are dropped, names and pasted code understood."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from typing import Any

import pytest

import foveal
from foveal.app.serve.lanes import Lane, SupersededError
from foveal.app.serve.playground import summary
from foveal.core.errors import SourceError
from support.browser import chromium, watched
from support.needs import needs
from support.serve_process import Running, running

DROP = """(text) => {
  const carried = new DataTransfer();
  carried.items.add(new File([text], "net.yaml", { type: "text/yaml" }));
  document.body.dispatchEvent(new DragEvent("drop", { dataTransfer: carried, bubbles: true, cancelable: true }));
}"""


def test_a_new_text_ends_the_work_for_the_old_one() -> None:
    """By the order of events, not by the clock: the old call is refused, the new one answered by a fresh worker."""
    lane = Lane("test", 120, 3 << 30)
    try:
        old = lane.submit("growth", {"text": "900*conv3x64", "shape": "3x224x224"}, ("page", "growth", "old"))
        while lane._running is None:
            time.sleep(0.01)
        other = lane.submit("summary", {"text": "conv3x4", "shape": "1x8x8"}, ("another page", "summary", "x"))
        new = lane.submit("summary", {"text": "conv3x4", "shape": "1x8x8"}, ("page", "summary", "new"))
        assert json.loads(new.result(timeout=60))["layers"][0]["size"] == [3, 3]
        with pytest.raises(SupersededError):
            old.result(timeout=0)
        assert other.result(timeout=0)
    finally:
        lane.close()


def test_pasted_code_is_read_and_never_run() -> None:
    needs("torch")
    text = "net = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.ReLU(), torch.nn.MaxPool2d(2), nn.Conv2d(8, 4, 3))"
    said = summary(text, "3x32x32")
    # 3, then 3 + 1 = 4 behind the pool of stride 2, then 4 + 2 * 2
    assert [row["size"] for row in said["layers"]] == [[3, 3], [3, 3], [4, 4], [8, 8]]
    assert summary("torchvision:resnet18", "3x64x64")["parameters"] == 11_689_512  # the model's own page at PyTorch
    named = "Sequential(OrderedDict([('first', Conv1d(2, 2, 5, dilation=3)), ('last', ReLU())]))"
    assert foveal.receptive_field(foveal.trace(named), "last").size == (13,)
    for bad, told in (
        ("nn.Sequential(__import__('os').system('true'))", "no layer that is known here"),
        ("nn.Sequential(nn.ReLU()); print(1)", "nothing else"),
        ("nn.Sequential(*[nn.ReLU()])", r"no \* and"),
        ("nn.Sequential(nn.Conv2d(3, open('x'), 3))", "no layer that is known here"),
        ("nn.Sequential(nn.Conv2d(3, 4))", "kernel_size"),
        ("nn.Sequential(nn.Conv2d(3,", "not Python"),
        ("nn.Sequential(nn.Linear(2, 3).__class__(2, 3))", "no layer that is known here"),
    ):
        with pytest.raises(SourceError, match=told):
            foveal.trace(bad)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with running(tmp_path_factory.mktemp("folder")) as found:
        yield found


def until(page: Any, holds: str, given: Any = None) -> None:
    """Wait until an expression holds (asked from outside: the page's own policy forbids evaluating text)."""
    for _ in range(600):
        if page.evaluate(holds, given):
            return
        page.wait_for_timeout(50)
    raise AssertionError(f"never became true: {holds}")


def test_the_page(server: Running) -> None:
    with chromium() as browser, watched(browser) as found:
        page: Any = found.page
        page.goto(f"{server.base}/?token={server.token}")
        page.wait_for_selector("#heat[data-layer]")
        # The box follows the gallery.
        page.select_option("#example", "wavenet_stack")
        wanted = foveal.trace("gallery:wavenet_stack")
        shape = "x".join(map(str, wanted.values[wanted.sources[0].value].shape[1:]))
        until(page, "(shape) => document.getElementById('input').value === shape", shape)
        # A file that is dropped comes into the editor; one layer is one layer.
        page.evaluate(DROP, "input: 1x16x16\nlayers: [conv5x2]\n")
        until(page, "() => document.getElementById('status').textContent.startsWith('1 layer;')")
        assert page.locator("#tile-rf .value").inner_text() == "5"
        assert page.locator("#input").input_value() == "1x16x16"
        found.check(server.base.removeprefix("http://"))
