"""What is measured in a process of its own: large inputs with the memory that they take, and the cold command line."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from pages import Content

Apart = dict[str, str | float]

SETUP = """
import json, re, time
import torch, torchvision, foveal
from torch import nn
torch.set_num_threads(1)
def wavenet(n):
    class Causal(nn.Module):
        def __init__(self):
            super().__init__()
            self.layers = nn.ModuleList(nn.Conv1d(1, 1, 2, dilation=2 ** (i % 10)) for i in range(30))
        def forward(self, x):
            for i, layer in enumerate(self.layers):
                x = x + torch.tanh(layer(nn.functional.pad(x, (2 ** (i % 10), 0))))
            return x
    return Causal(), (1, 1, n)
def unet(axes, n):
    conv, pool = (nn.Conv2d, nn.MaxPool2d) if axes == 2 else (nn.Conv3d, nn.MaxPool3d)
    class Level(nn.Module):
        def __init__(self, c, depth):
            super().__init__()
            self.down = nn.Sequential(conv(c, c, 3, padding=1), nn.ReLU(), conv(c, c, 3, padding=1), nn.ReLU())
            self.inner = Level(c, depth - 1) if depth else None
            self.pool, self.up = pool(2), nn.Upsample(scale_factor=2)
            self.out = nn.Sequential(conv(2 * c if depth else c, c, 3, padding=1), nn.ReLU())
        def forward(self, x):
            x = self.down(x)
            if self.inner is not None:
                x = torch.cat([x, self.up(self.inner(self.pool(x)))], 1)
            return self.out(x)
    return nn.Sequential(conv(1, 8, 3, padding=1), Level(8, 4)), (1, 1, *[n] * axes)
def retinanet():
    made = torchvision.models.detection.retinanet_resnet50_fpn(weights=None, weights_backbone=None)
    return made.eval(), (1, 3, 800, 800)
model, shape = {build}
def peak():  # of this process alone: getrusage begins with the memory of the one that started it
    return int(re.search(r"VmHWM:\\s+(\\d+)", open("/proc/self/status").read())[1])
before = peak()
began = time.process_time()
graph = foveal.trace(model, shape)
traced = time.process_time() - began
foveal.analyze(graph)
took = time.process_time() - began
memory = (peak() - before) / 1e3
print(json.dumps({"trace, s": traced, "trace + report, s": took, "over imports, MB": memory}))
"""

LARGE = {
    "WaveNet, 16,000 samples": "wavenet(16_000)",
    "WaveNet, 1,000,000 samples": "wavenet(1_000_000)",
    "WaveNet, 1,000,000,000 samples": "wavenet(1_000_000_000)",
    "U-Net, 512 x 512": "unet(2, 512)",
    "U-Net, 4096 x 4096": "unet(2, 4096)",
    "3-D U-Net, 256 x 256 x 256": "unet(3, 256)",
    "RetinaNet, 800 x 800": "retinanet()",
    "import torch": "",
    "foveal analyze torchvision:resnet50, first time": "analyze",
    "foveal analyze torchvision:resnet50, kept report": "analyze",
}
"""What is measured, and how its model is made; nothing to make: a command."""


def measured_apart(name: str) -> Apart:
    """Processor seconds and memory of one of them."""
    build = LARGE[name]
    if "(" in build:
        done = run([sys.executable, "-c", SETUP.replace("{build}", build)])
        return {"what": name, **json.loads(done)}
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-c", "import torch"] if not build else [sys.executable, "-m", "foveal", build]
        command += ["torchvision:resnet50"] if build else []
        if "kept" in name:
            run(command, FOVEAL_CACHE_DIR=folder)
        before = os.times()
        run(command, FOVEAL_CACHE_DIR=folder)
        after = os.times()
    spent = after.children_user + after.children_system - before.children_user - before.children_system
    return {"what": name, "trace, s": "", "trace + report, s": spent, "over imports, MB": ""}


def run(command: list[str], **more: str) -> str:
    """What a process of this interpreter says, in one thread."""
    source = str(Path(__file__).resolve().parent.parent / "src")
    paths = os.pathsep.join([source, *filter(None, [os.environ.get("PYTHONPATH")])])
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": paths, **more}
    return subprocess.run(command, check=True, capture_output=True, text=True, env=environment).stdout


def apart_table(rows: list[Apart]) -> Content:
    """One line for each."""
    heading = ("what", "trace, s", "trace + report, s", "over imports, MB")
    cells = [tuple(f"{row[h]:.2f}" if isinstance(row[h], float) else str(row[h]) for h in heading) for row in rows]
    return heading, cells
