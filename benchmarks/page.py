"""The report page: how long it takes to write, how large it is, and how long a hover takes in a real browser.

    python benchmarks/page.py [SOURCE ...]      default: ResNet-50, a U-Net, Swin-T and a 1-D network
    python benchmarks/page.py --layers 1000     a chain of that many convolutions: does it still open?

A hover is timed inside the page, for 200 units of the first layer shown, one per frame and then with rests between in
which the foveated view is drawn: from the first callback of the frame that handles the pointer (a) to the end of its
scripts and forced layout, and (b) to the first task after that frame. The budget is 16 ms. Frames without a hover are
timed the same way, for comparison. Needs Chromium and playwright.
"""

from __future__ import annotations

import argparse
import shutil
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

import foveal
from foveal.ir.graph import Graph
from foveal.views.page.build import report_page

SOURCES = ("torchvision:resnet50", "gallery:unet", "torchvision:swin_t", "gallery:tcn")
BUDGET = 16.0
FLAGS = ("--no-sandbox", "--disable-gpu", "--disable-background-networking", "--no-first-run")
HOVER = """async ([moves, rest]) => {
  const canvas = document.querySelector("#x-grid canvas");
  canvas.scrollIntoView({ block: "center" });
  const box = canvas.getBoundingClientRect(), scripts = [], painted = [];
  const channel = new MessageChannel();
  for (let i = 0; i < 200; i++) {
    if (rest) await new Promise((done) => setTimeout(done, rest));
    const x = box.left + box.width * ((i * 0.6180339887) % 1), y = box.top + box.height * ((i * 0.7548776662) % 1);
    let start = 0;
    requestAnimationFrame(() => { start = performance.now(); });
    if (moves) canvas.dispatchEvent(new PointerEvent("pointermove", { clientX: x, clientY: y, bubbles: true }));
    await new Promise((done) => requestAnimationFrame(() => {
      document.body.getBoundingClientRect();
      scripts.push(performance.now() - start);
      channel.port1.onmessage = () => { painted.push(performance.now() - start); done(); };
      channel.port2.postMessage(0);
    }));
  }
  return { scripts, painted };
}"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sources", nargs="*", default=SOURCES)
    parser.add_argument("--layers", type=int, help="a chain of that many convolutions instead")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        if given.layers:
            text = f"{given.layers}*(conv3x4)"
            measured(f"{given.layers} layers", Path(folder), lambda: foveal.trace(text, (1, 3, 64, 64)))
        else:
            for source in given.sources:
                measured(source, Path(folder), lambda source=source: foveal.trace(source))


def measured(name: str, folder: Path, trace: Any) -> None:
    """Trace, write, open and hover; one line each."""
    start = time.perf_counter()
    graph: Graph = trace()
    traced = time.perf_counter()
    page = report_page(graph)
    written = time.perf_counter()
    path = folder / "report.html"
    path.write_text(page, encoding="utf-8")
    print(f"{name}: traced in {traced - start:.2f} s, written in {written - traced:.2f} s, {len(page) / 1e6:.2f} MB")
    in_browser(path)


def in_browser(path: Path) -> None:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=shutil.which("chromium"), args=list(FLAGS))
        page = browser.new_page(viewport={"width": 1400, "height": 1000})
        start = time.perf_counter()
        page.goto(path.as_uri())
        page.wait_for_selector("html[data-ready=true]", timeout=120_000)
        print(f"  ready {time.perf_counter() - start:.2f} s after it was opened")
        for moves, rest, name in ((False, 0, "idle"), (True, 0, "hover"), (True, 200, "hover with rests")):
            found = page.evaluate(HOVER, [moves, rest])
            for key, what in (("scripts", "scripts and layout"), ("painted", "until painted")):
                times = np.array(found[key])
                share = float((times <= BUDGET).mean())
                print(
                    f"  {name}, {what}: median {np.median(times):.1f} ms, 95th percentile "
                    f"{np.percentile(times, 95):.1f} ms, within {BUDGET:.0f} ms {share:.1%}"
                )
        browser.close()


if __name__ == "__main__":
    main()
