"""What the commands of the documents speak of: photographs, boxes, a text, files of networks and code of one's own."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper
from PIL import Image

CODE = """
import torch
from torch import nn
from torch.nn import functional as F


class Causal(nn.Module):
    def __init__(self, channels, length=3):
        super().__init__()
        self.conv, self.left = nn.Conv1d(channels, 4, length), length - 1

    def forward(self, x):
        return self.conv(F.pad(x, (self.left, 0)))


class AnySound(nn.Module):
    def __init__(self):
        super().__init__()
        self.wave, self.bands, self.image = Causal(1), Causal(4), nn.Conv2d(1, 4, (80, 3))

    def forward(self, x):
        if x.dim() == 4:
            return self.image(F.pad(x, (2, 0)))
        return (self.wave if x.shape[1] == 1 else self.bands)(x)


class UNet(nn.Module):
    def __init__(self):
        super().__init__()
        self.down, self.deep, self.up = nn.Conv2d(3, 4, 3, 1, 1), nn.Conv2d(4, 4, 3, 1, 1), nn.Conv2d(8, 4, 3, 1, 1)

    def forward(self, x):
        x = self.down(x)
        y = F.interpolate(self.deep(F.max_pool2d(x, 2)), scale_factor=2)
        return self.up(torch.cat([x, y], 1))


class Decoder(nn.Module):
    def __init__(self):
        super().__init__()
        self.table, self.out = nn.Embedding(50, 8), nn.Linear(8, 50)

    def forward(self, ids):
        x = self.table(ids)
        return self.out(F.scaled_dot_product_attention(x, x, x, is_causal=True))


class Levels(nn.Module):
    def __init__(self):
        super().__init__()
        self.fine, self.coarse = nn.Conv2d(3, 8, 3, 2, 1), nn.Conv2d(8, 8, 3, 2, 1)

    def forward(self, x):
        return self.fine(x), self.coarse(self.fine(x))


factory = AnySound
unet = lambda: (UNet(), (1, 3, 64, 64))
make = lambda: (UNet(), (1, 3, 128, 128))
tcn = lambda: (nn.Sequential(Causal(4), Causal(4)), (1, 4, 8000))
decoder = Decoder
detector = lambda: (Levels(), (1, 3, 64, 64))
classifier = lambda: (
    nn.Sequential(nn.Conv2d(3, 8, 3, 2, 1), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 5)), (1, 3, 64, 64)
)
"""


def furnish(folder: Path) -> None:
    """All of it into a folder."""
    rng = np.random.default_rng(0)
    (folder / "photos").mkdir()
    for name in ("photo.jpg", "photos/one.jpg", "photos/two.jpg"):
        Image.fromarray(rng.integers(0, 255, (96, 128, 3), np.uint8)).save(folder / name)
    boxes = [{"id": i, "image_id": 1, "category_id": 1, "bbox": [8, 8, 10 + 9 * i, 12 + 7 * i]} for i in range(30)]
    text = json.dumps({"images": [{"id": 1, "width": 640, "height": 640, "file_name": "a.jpg"}], "annotations": boxes,
                       "categories": [{"id": 1, "name": "thing"}]})  # fmt: skip
    (folder / "boxes.json").write_text(text)
    (folder / "instances.json").write_text(text)
    onnx.save(_network(32, 32), folder / "net.onnx")
    onnx.save(_network("height", "width"), folder / "detector.onnx")
    (folder / "package").mkdir()
    for name in ("package/__init__.py", "package/module.py", "mypackage.py", "small_unet.py"):
        (folder / name).write_text("" if "init" in name else CODE)
    _checkpoints(folder / "run")


def _checkpoints(folder: Path) -> None:
    """Weights of the network of code, as if of two epochs."""
    folder.mkdir()
    known: dict[str, Any] = {}
    exec(CODE, known)
    for epoch in (1, 2):
        torch.save(known["UNet"]().state_dict(), folder / f"epoch{epoch}.pt")


def _network(*lengths: int | str) -> onnx.ModelProto:
    """A convolution of images; a name is a length that stays open."""
    weight = numpy_helper.from_array(np.random.default_rng(1).normal(size=(4, 3, 3, 3)).astype(np.float32), "weight")
    node = helper.make_node("Conv", ["image", "weight"], ["map"], pads=[1, 1, 1, 1])
    image = helper.make_tensor_value_info("image", TensorProto.FLOAT, [1, 3, *lengths])
    out = helper.make_tensor_value_info("map", TensorProto.FLOAT, [1, 4, *lengths])
    graph = helper.make_graph([node], "net", [image], [out], [weight])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
