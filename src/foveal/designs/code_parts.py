"""The pieces of emitted PyTorch code: helper, blocks and necks as text. ``Nd`` stands for 1d, 2d or 3d.

They are written as ``ruff format`` leaves them, so that what is put together from them is formatted too.
"""

from __future__ import annotations

CONV = '''
def conv(
    inputs: int,
    outputs: int,
    kernel: int,
    stride: int = 1,
    dilation: int = 1,
    groups: int = 1,
) -> list[nn.Module]:
    """A convolution and its norm; an even kernel as wide as its stride tiles the map."""
    tiles = kernel == stride and kernel % 2 == 0
    padding = 0 if tiles else dilation * (kernel - 1) // 2
    return [
        nn.ConvNd(
            inputs, outputs, kernel, stride, padding, dilation, groups, bias=False
        ),
        nn.BatchNormNd(outputs),
    ]
'''

CAUSAL_CONV = '''
class CausalConv1d(nn.Conv1d):
    """A convolution that reads nothing after its own position."""

    def forward(self, x: Tensor) -> Tensor:
        reach = self.dilation[0] * (self.kernel_size[0] - 1)
        return super().forward(nn.functional.pad(x, (reach, 0)))


def conv(
    inputs: int,
    outputs: int,
    kernel: int,
    stride: int = 1,
    dilation: int = 1,
    groups: int = 1,
) -> list[nn.Module]:
    """A causal convolution and its norm."""
    return [
        CausalConv1d(inputs, outputs, kernel, stride, 0, dilation, groups, bias=False),
        nn.BatchNorm1d(outputs),
    ]
'''

_SIGNATURE = """
    def __init__(
        self,
        inputs: int,
        outputs: int,
        kernel: int,
        stride: int = 1,
        dilation: int = 1,
    ) -> None:
        super().__init__()
"""

_SHORTCUT = """        self.shortcut: nn.Module = nn.Identity()
        if stride > 1 or inputs != outputs:
            self.shortcut = nn.Sequential(*conv(inputs, outputs, 1, stride))

    def forward(self, x: Tensor) -> Tensor:
        return torch.relu(self.path(x) + self.shortcut(x))
"""

BLOCKS = {
    "plain": (
        "Plain",
        '''
class Plain(nn.Sequential):
    """One convolution."""
'''
        + _SIGNATURE.replace("super().__init__()", "layers = conv(inputs, outputs, kernel, stride, dilation)")
        + """        super().__init__(*layers, nn.ReLU(inplace=True))
""",
    ),
    "residual": (
        "Residual",
        '''
class Residual(nn.Module):
    """Two convolutions and a shortcut (He et al. 2015)."""
'''
        + _SIGNATURE
        + """        self.path = nn.Sequential(
            *conv(inputs, outputs, kernel, stride, dilation),
            nn.ReLU(inplace=True),
            *conv(outputs, outputs, kernel, 1, dilation),
        )
"""
        + _SHORTCUT,
    ),
    "bottleneck": (
        "Bottleneck",
        '''
class Bottleneck(nn.Module):
    """Narrow, convolve, widen, and a shortcut (He et al. 2015, stride in the middle)."""
'''
        + _SIGNATURE
        + """        inner = outputs // 4
        self.path = nn.Sequential(
            *conv(inputs, inner, 1),
            nn.ReLU(inplace=True),
            *conv(inner, inner, kernel, stride, dilation),
            nn.ReLU(inplace=True),
            *conv(inner, outputs, 1),
        )
"""
        + _SHORTCUT,
    ),
    "separable": (
        "Separable",
        '''
class Separable(nn.Sequential):
    """Each channel for itself, then a mix of the channels (Howard et al. 2017)."""
'''
        + _SIGNATURE.replace("super().__init__()", "super().__init__(")
        + """            *conv(inputs, inputs, kernel, stride, dilation, groups=inputs),
            nn.ReLU(inplace=True),
            *conv(inputs, outputs, 1),
            nn.ReLU(inplace=True),
        )
""",
    ),
    "large": (
        "Large",
        '''
class Large(nn.Module):
    """A patch where size or width change; then a wide depthwise kernel (Liu et al. 2022)."""
'''
        + _SIGNATURE
        + """        self.patch: nn.Module = nn.Identity()
        if stride > 1 or inputs != outputs:
            self.patch = nn.Sequential(*conv(inputs, outputs, stride, stride))
        self.path = nn.Sequential(
            *conv(outputs, outputs, kernel, 1, dilation, groups=outputs),
            WIDEN(outputs, 4 * outputs, 1),
            nn.GELU(),
            *conv(4 * outputs, outputs, 1),
        )

    def forward(self, x: Tensor) -> Tensor:
        x = self.patch(x)
        return x + self.path(x)
""",
    ),
    "dilated": (
        "Dilated",
        '''
class Dilated(nn.Module):
    """One convolution and a shortcut."""
'''
        + _SIGNATURE
        + """        self.path = nn.Sequential(*conv(inputs, outputs, kernel, stride, dilation))
"""
        + _SHORTCUT,
    ),
}
"""Block -> name of its class, and the class."""

PYRAMID = '''
class Pyramid(nn.Module):
    """Each level gets what the coarser ones know (Lin et al. 2017)."""

    def __init__(self, widths: list[int], width: int, factors: list[int]) -> None:
        super().__init__()
        self.lateral = nn.ModuleList(nn.ConvNd(w, width, 1) for w in widths)
        self.up = nn.ModuleList(nn.Upsample(scale_factor=f) for f in factors)
        self.smooth = nn.ModuleList(
            nn.ConvNd(width, width, 3, padding=1) for _ in widths
        )

    def forward(self, maps: list[Tensor]) -> list[Tensor]:
        levels = [layer(x) for layer, x in zip(self.lateral, maps)]
        for i in reversed(range(len(self.up))):
            levels[i] = levels[i] + self.up[i](levels[i + 1])
        return [layer(x) for layer, x in zip(self.smooth, levels)]
'''

DECODER = '''
class Decoder(nn.Module):
    """Back up, joined with the maps on the way (Ronneberger et al. 2015)."""

    def __init__(self, widths: list[int], factors: list[int]) -> None:
        super().__init__()
        self.up = nn.ModuleList(nn.Upsample(scale_factor=f) for f in factors)
        self.mix = nn.ModuleList()
        for i in range(len(factors)):
            fine, coarse = widths[i], widths[i + 1]
            self.mix.append(
                nn.Sequential(
                    *conv(coarse + fine, fine, 3),
                    nn.ReLU(inplace=True),
                    *conv(fine, fine, 3),
                    nn.ReLU(inplace=True),
                )
            )

    def forward(self, maps: list[Tensor]) -> Tensor:
        x = maps[-1]
        for i in reversed(range(len(self.up))):
            x = self.mix[i](torch.cat([self.up[i](x), maps[i]], 1))
        return x
'''

POOLING = '''
class PyramidPooling(nn.Module):
    """Averages over cells of several widths beside the map (Zhao et al. 2017)."""

    def __init__(self, inputs: int, width: int, cells: list[int]) -> None:
        super().__init__()
        inner = max(1, width // len(cells))
        self.paths = nn.ModuleList(
            nn.Sequential(
                nn.AvgPoolNd(cell),
                *conv(inputs, inner, 1),
                nn.ReLU(inplace=True),
                nn.Upsample(scale_factor=cell),
            )
            for cell in cells
        )
        self.mix = nn.Sequential(
            *conv(inputs + inner * len(cells), width, 3),
            nn.ReLU(inplace=True),
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.mix(torch.cat([x, *(path(x) for path in self.paths)], 1))
'''

PARALLEL = '''
class ParallelDilations(nn.Module):
    """Several dilations side by side (Chen et al. 2017)."""

    def __init__(self, inputs: int, width: int, rates: list[int]) -> None:
        super().__init__()
        layers = [conv(inputs, width, 1)]
        layers += [conv(inputs, width, 3, dilation=rate) for rate in rates]
        self.paths = nn.ModuleList(
            nn.Sequential(*layer, nn.ReLU(inplace=True)) for layer in layers
        )
        self.mix = nn.Sequential(
            *conv(width * len(layers), width, 1),
            nn.ReLU(inplace=True),
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.mix(torch.cat([path(x) for path in self.paths], 1))
'''

NECKS = {
    "pyramid": PYRAMID,
    "encoder-decoder": DECODER,
    "pyramid-pooling": POOLING,
    "parallel-dilations": PARALLEL,
}
