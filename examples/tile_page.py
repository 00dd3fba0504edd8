"""The text detector of rapidocr_onnxruntime over a page of 4000 x 3008 pixels, in passes of tiles and on the whole."""

from __future__ import annotations

import resource
import sys
import time
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import onnxruntime
from PIL import Image, ImageDraw, ImageFont

from foveal.tasks.tiling.passes import run_in_passes
from foveal.tasks.tiling.stitching import compared


def page(height: int, width: int) -> np.ndarray:
    """A page of text, (1, 3, height, width), normalised as the detector expects."""
    picture = Image.new("RGB", (width, height), "white")
    draw = ImageDraw.Draw(picture)
    for n, top in enumerate(range(60, height - 60, 80)):
        draw.text((80, top), f"Line {n}: the quick brown fox jumps over the lazy dog. " * 3, "black", _font(36))
    pixels = np.asarray(picture, np.float32).transpose(2, 0, 1)[None] / 255
    return (pixels - np.float32(0.5)) / np.float32(0.5)


def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size)


def main(height: int = 4000, width: int = 3008, tile: int = 1536) -> None:
    """Measure and print."""
    spec = find_spec("rapidocr_onnxruntime")
    assert spec is not None
    assert spec.origin is not None
    model = Path(spec.origin).parent / "models" / "ch_PP-OCRv4_det_infer.onnx"
    image = page(height, width)
    start = time.perf_counter()
    done = run_in_passes(model, image, tile)
    middle = time.perf_counter()
    for names, plan in zip(done.means, done.plans):
        print(f"{len(names)} means, halo {plan.halo}, {plan.count} tiles of {plan.tile}")
    print(
        f"{middle - start:.0f} s in passes, {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10} MiB", flush=True
    )
    session = onnxruntime.InferenceSession(str(model), providers=["CPUExecutionProvider"])
    whole = session.run(None, {session.get_inputs()[0].name: image})[0]
    print(f"{time.perf_counter() - middle:.0f} s whole; {compared(whole, done.output, done.plans[-1].count)}")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
