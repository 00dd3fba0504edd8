"""Detectors with published or hand-made fields, as small PyTorch modules of few channels."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from types import ModuleType

import torch
from torch import Tensor, nn


class S3FD(nn.Module):
    """VGG16 to fc7 with an undilated fc6, two more stages, and a 3x3 predictor on six maps (ICCV 2017)."""

    def __init__(self, shifted: bool = False) -> None:
        super().__init__()
        stages = [_convs(3, 2), _convs(2, 2), _convs(2, 3), _convs(2, 3), _convs(2, 3)]
        self.stages = nn.ModuleList(stages)
        self.pool = nn.MaxPool2d(2, 2)
        self.fc = nn.Sequential(nn.Conv2d(2, 2, 3, padding=1), nn.Conv2d(2, 2, 1))
        self.conv6 = nn.Sequential(nn.Conv2d(2, 2, 1), nn.Conv2d(2, 2, 3, 2, 1))
        self.conv7 = nn.Sequential(nn.Conv2d(2, 2, 1), nn.Conv2d(2, 2, 3, 2, 1))
        self.heads = nn.ModuleList(nn.Conv2d(2, 2, 3, padding=1) for _ in range(6))
        # A fault on purpose: all padding of the first stage on one side.
        self.before = nn.ZeroPad2d((24, -24, 24, -24)) if shifted else nn.Identity()

    def forward(self, x: Tensor) -> list[Tensor]:
        x = self.before(x)
        maps = []
        for index, stage in enumerate(self.stages):
            x = stage(x)
            if index >= 2:
                maps.append(x)
            x = self.pool(x)
        for part in (self.fc, self.conv6, self.conv7):
            x = part(x)
            maps.append(x)
        return [head(item) for head, item in zip(self.heads, maps)]


def _convs(channels: int, count: int) -> nn.Sequential:
    return nn.Sequential(*(nn.Conv2d(channels if i == 0 else 2, 2, 3, padding=1) for i in range(count)))


class TwoLevels(nn.Module):
    """docs/cases.md C13: stride 2, stride 2; the coarse level is a 3x3, the fine one adds it, repeated, to a 1x1."""

    def __init__(self) -> None:
        super().__init__()
        self.c3, self.c4 = nn.Conv2d(1, 2, 3, 2, 1), nn.Conv2d(2, 2, 3, 2, 1)
        self.lateral3, self.lateral4 = nn.Conv2d(2, 2, 1), nn.Conv2d(2, 2, 1)
        self.p3, self.p4 = nn.Conv2d(2, 2, 3, padding=1), nn.Conv2d(2, 2, 3, padding=1)
        self.up = nn.Upsample(scale_factor=2)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        c3 = self.c3(x)
        top = self.lateral4(self.c4(c3))
        return self.p3(self.lateral3(c3) + self.up(top)), self.p4(top)


class Bottleneck(nn.Module):
    """Valid convolutions only: 3x3, 2x2 pooling, 3x3, 3x3, then two heads: field 12, stride 2 (MTCNN's first stage)."""

    def __init__(self, padding: int = 0) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(1, 4, 3, padding=padding), nn.PReLU(4), nn.MaxPool2d(2, 2), nn.Conv2d(4, 4, 3, padding=padding),
            nn.PReLU(4), nn.Conv2d(4, 4, 3, padding=padding), nn.PReLU(4),
        )  # fmt: skip
        self.score, self.box = nn.Conv2d(4, 2, 1), nn.Conv2d(4, 4, 1)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        x = self.body(x)
        return self.score(x), self.box(x)


def bottom_up() -> nn.Module:
    """A ResNet-50 without a pyramid whose two further levels have two 3x3 each: 35 91 267 427 555 811."""
    from torchvision.models import resnet50

    class Levels(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.body = resnet50(weights=None)
            self.p6 = nn.Sequential(nn.Conv2d(2048, 4, 3, padding=1), nn.Conv2d(4, 4, 3, 2, 1))
            self.p7 = nn.Sequential(nn.Conv2d(4, 4, 3, padding=1), nn.Conv2d(4, 4, 3, 2, 1))
            self.heads = nn.ModuleList(nn.Conv2d(c, 2, 1) for c in (256, 512, 1024, 2048, 4, 4))

        def forward(self, x: Tensor) -> list[Tensor]:
            b = self.body
            x = b.maxpool(b.relu(b.bn1(b.conv1(x))))
            maps = []
            for part in (b.layer1, b.layer2, b.layer3, b.layer4, self.p6, self.p7):
                x = part(x)
                maps.append(x)
            return [head(item) for head, item in zip(self.heads, maps)]

    with torch.device("meta"):
        return Levels().eval()


def p_net() -> nn.Module | None:
    """MTCNN's first stage with its trained weights from facenet-pytorch; None where that is not installed."""
    found = importlib.util.find_spec("facenet_pytorch")
    if found is None or found.submodule_search_locations is None:
        return None
    # The package's own start imports a download library; only its module is needed.
    package = ModuleType("facenet_pytorch")
    package.__path__ = list(found.submodule_search_locations)
    before = sys.modules.get("facenet_pytorch")
    sys.modules["facenet_pytorch"] = package
    try:
        model: nn.Module = importlib.import_module("facenet_pytorch.models.mtcnn").PNet().eval()
    finally:
        sys.modules.pop("facenet_pytorch")
        if before is not None:
            sys.modules["facenet_pytorch"] = before
    return model
