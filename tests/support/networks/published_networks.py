"""Networks whose receptive fields are published but that no library builds: as small PyTorch modules."""

from __future__ import annotations

import torch
import torchvision
from torch import Tensor, nn
from torch.nn import functional as F
from torchvision.models.googlenet import Inception


class ValidUNet(nn.Module):
    """The first U-Net: two valid 3x3 a level, 2x2 max pooling, 2x2 transposed convolutions, cropped skips."""

    def __init__(self, depth: int) -> None:
        super().__init__()
        self.down = nn.ModuleList(_double(1 if level == 0 else 2) for level in range(depth))
        self.bottom = _double(2)
        self.up = nn.ModuleList(nn.ConvTranspose2d(2, 2, 2, 2) for _ in range(depth))
        self.merge = nn.ModuleList(_double(4) for _ in range(depth))
        self.head = nn.Conv2d(2, 2, 1)

    def forward(self, x: Tensor) -> Tensor:
        skips = []
        for down in self.down:
            x = down(x)
            skips.append(x)
            x = F.max_pool2d(x, 2)
        x = self.bottom(x)
        for up, merge in zip(self.up, self.merge):
            x = up(x)
            x = merge(torch.cat([_center_crop(skips.pop(), x.shape[-1]), x], dim=1))
        return self.head(x)


def _double(channels: int) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(channels, 2, 3), nn.ReLU(), nn.Conv2d(2, 2, 3), nn.ReLU())


def _center_crop(x: Tensor, length: int) -> Tensor:
    first = (x.shape[-1] - length) // 2
    return x[..., first : first + length, first : first + length]


def patch_gan(strided: int = 3) -> nn.Sequential:
    """The pix2pix discriminator without its norms: ``strided`` 4x4 of stride 2, then two of stride 1, padding 1."""
    strides = [2] * strided + [1, 1]
    return nn.Sequential(*(nn.Conv2d(3 if i == 0 else 2, 2, 4, stride, 1) for i, stride in enumerate(strides)))


def paper_googlenet(five: bool) -> nn.Module:
    """torchvision's GoogLeNet with the 3x3 fourth pooling of the paper, and with its 5x5 branches where ``five``."""
    model = torchvision.models.googlenet(weights=None, init_weights=False, aux_logits=False)
    model.maxpool4 = nn.MaxPool2d(3, stride=2, ceil_mode=True)
    for module in model.modules():
        if five and isinstance(module, Inception):
            conv = module.branch3[1].conv
            module.branch3[1].conv = nn.Conv2d(conv.in_channels, conv.out_channels, 5, padding=2, bias=False)
    return model


class RetinaNetMaps(nn.Module):
    """Backbone, pyramid and heads of a torchvision RetinaNet, without image resizing and box decoding."""

    def __init__(self, name: str) -> None:
        super().__init__()
        model = torchvision.models.get_model(name, weights=None, weights_backbone=None)
        self.backbone, self.head = model.backbone, model.head

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        return self.head(list(self.backbone(x).values()))
