"""Detection on real networks: ``python examples/detection.py`` makes what docs/tasks-detection.md shows.

Needs torchvision, scikit-image (a photograph) and facenet-pytorch (MTCNN's trained first stage). About a minute.
"""

from __future__ import annotations

import importlib
import importlib.util
import json
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from PIL import Image
from PIL.PngImagePlugin import PngInfo
from skimage import data

import foveal
from foveal.tasks.audit import audit
from foveal.tasks.detection.dense import dense_check
from foveal.tasks.detection.pyramid import levels
from foveal.tasks.detection.record import RegionPicture
from foveal.tasks.detection.regions import regions
from foveal.views.plots.detection import region_picture

IMAGES = Path(__file__).parent.parent / "docs" / "images" / "tasks"
NINE = "conv3x8 pool2 conv3x16 pool2 conv3x32 pool4 conv3x64 pool8 conv1x10"
"""Stride 128: three by three outputs on 384 pixels."""
SCALE = 0.14
"""The face of the photograph is about 100 px wide; at this scale it fits the 12 px that P-Net sees."""


def p_net() -> Any:
    """MTCNN's P-Net with trained weights; only that module of the package is imported."""
    found = importlib.util.find_spec("facenet_pytorch")
    if found is None:
        raise SystemExit("facenet-pytorch is not installed: pip install --no-deps facenet-pytorch")
    package = ModuleType("facenet_pytorch")
    package.__path__ = list(found.submodule_search_locations or [])
    sys.modules["facenet_pytorch"] = package
    return importlib.import_module("facenet_pytorch.models.mtcnn").PNet().eval()


def photograph(scale: float) -> np.ndarray:
    """The astronaut of scikit-image, (H, W, 3) in 0..1."""
    picture = Image.fromarray(data.astronaut())
    side = round(picture.width * scale)
    return np.asarray(picture.resize((side, side), Image.Resampling.LANCZOS), dtype=float) / 255


def shrink(path: Path) -> None:
    """Reduce a picture with a photograph in it to a palette; what it says about itself stays in it."""
    with Image.open(path) as picture:
        said = PngInfo()
        for key, text in picture.info.items():
            if isinstance(text, str):
                said.add_text(key, text)
        small = picture.convert("RGB").quantize(256, dither=Image.Dither.NONE)
    small.save(path, optimize=True, pnginfo=said)


def dense_detector() -> None:
    """P-Net window by window and as one, on the photograph; the nine outputs about the best one."""
    image = photograph(SCALE)
    source = ((image * 255 - 127.5) / 128).transpose(2, 0, 1)[None].astype(np.float32)
    graph = foveal.trace(p_net(), source.shape)
    started = time.perf_counter()
    check = dense_check(graph, "softmax4_1", source)
    print(
        f"P-Net on {image.shape[0]}x{image.shape[1]}: {check.windows} windows of {check.window[0]} px, largest "
        f"difference {check.difference:.2g} of {check.scale:.3g}; multiply-adds {check.sliding:,} against "
        f"{check.dense:,}: {check.cheaper:.2f} times ({time.perf_counter() - started:.1f} s)"
    )
    scores = graph.backend.run({graph.sources[0].name: source}, ["softmax4_1"], dtype="float32")["softmax4_1"][0, 1]
    best = tuple(int(i) for i in np.unravel_index(scores.argmax(), scores.shape))
    (level,) = levels(graph)
    cells = regions(graph, level, at=(best[0], best[1]))
    drawn = tuple(replace(item, label=f"{scores[item.unit]:.2f}") for item in cells.regions)
    print(f"best output {best}: score {scores[best]:.3f}, pixels {cells.regions[4].box}")
    shown = RegionPicture(replace(cells, layer="P-Net, score of a face", regions=drawn), image=image)
    region_picture(shown).save(IMAGES / "p-net.png")


def annotations(folder: str) -> str:
    """A small COCO file: sizes drawn from a log-normal distribution about 60 px, seeded."""
    generator = np.random.default_rng(0)
    sizes = np.exp(generator.normal(np.log(60), 1.0, 300)).clip(4, 560)
    entries = []
    for size, ratio in zip(sizes, np.exp(generator.normal(0, 0.3, 300))):
        width, height = size * ratio**0.5, size / ratio**0.5
        x, y = generator.uniform(0, max(1.0, 640 - width)), generator.uniform(0, max(1.0, 480 - height))
        entries.append({"image_id": 1, "category_id": 1, "bbox": [float(n) for n in (x, y, width, height)]})
    path = Path(folder) / "objects.json"
    images = [{"id": 1, "file_name": "drawn.png", "width": 640, "height": 480}]
    document = {"images": images, "categories": [{"id": 1, "name": "thing"}], "annotations": entries}
    path.write_text(json.dumps(document), encoding="utf-8")
    return str(path)


def torchvision_detectors() -> None:
    """RetinaNet and FCOS with a COCO-format file: levels, anchors, objects."""
    with tempfile.TemporaryDirectory() as folder:
        path = annotations(folder)
        for name in ("retinanet_resnet50_fpn", "fcos_resnet50_fpn"):
            found = audit(foveal.trace(f"torchvision:{name}"), "detection", objects=path)
            print(f"\n{found}")
            if name.startswith("retinanet"):
                found.figure("levels").save(IMAGES / f"{name}-levels.png")  # type: ignore[attr-defined]


def nine_outputs() -> None:
    """A network that ends in 3 x 3 outputs on the photograph: their fields and the label each would learn."""
    photo = photograph(1.0)
    with tempfile.TemporaryDirectory() as folder:
        Image.fromarray((photo * 255).astype(np.uint8)).save(Path(folder) / "astronaut.png")
        boxes = {"face": [180, 70, 90, 120], "flag": [0, 0, 130, 300], "shuttle": [405, 60, 75, 180]}
        entries = [{"image_id": 1, "category_id": i, "bbox": box} for i, box in enumerate(boxes.values())]
        document = {
            "images": [{"id": 1, "file_name": "astronaut.png", "width": 512, "height": 512}],
            "categories": [{"id": i, "name": name} for i, name in enumerate(boxes)],
            "annotations": entries,
        }
        path = Path(folder) / "astronaut.json"
        path.write_text(json.dumps(document), encoding="utf-8")
        graph = foveal.trace(NINE, (1, 3, 384, 384))
        found = audit(graph, "detection", objects=str(path), image=f"{folder}/astronaut.png")
        found.figure("regions").save(IMAGES / "nine-outputs.png", dpi=80)  # type: ignore[attr-defined]
        shrink(IMAGES / "nine-outputs.png")
        print(f"\n{found}")


if __name__ == "__main__":
    IMAGES.mkdir(parents=True, exist_ok=True)
    dense_detector()
    nine_outputs()
    torchvision_detectors()
