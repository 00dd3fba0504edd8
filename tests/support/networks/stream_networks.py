"""Own copies of networks that streams are planned for: structure by papers and configurations, few channels."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class Wav2Vec(nn.Module):
    """wav2vec 2.0, table of section 4.1: widths 10, 3 x 4, 2 x 2, strides 5, 2 x 6; group norm behind the first."""

    def __init__(self, norm: bool = False) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for place, (kernel, stride) in enumerate([(10, 5)] + [(3, 2)] * 4 + [(2, 2)] * 2):
            layers += [nn.Conv1d(4 if place else 1, 4, kernel, stride, bias=False)]
            layers += [nn.GroupNorm(4, 4)] if norm and place == 0 else []
            layers += [nn.GELU()]
        self.layers = nn.Sequential(*layers)

    def forward(self, x: Tensor) -> Tensor:
        return self.layers(x)


class HiFiGan(nn.Module):
    """HiFi-GAN V1: rates 8, 8, 2, 2 by widths 16, 16, 4, 4; blocks of widths 3, 7, 11 with dilations 1, 3, 5."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.last = nn.Conv1d(1, 1, 7, padding=3), nn.Conv1d(1, 1, 7, padding=3)
        shapes = [(8, 16), (8, 16), (2, 4), (2, 4)]
        self.up = nn.ModuleList(nn.ConvTranspose1d(1, 1, k, r, (k - r) // 2) for r, k in shapes)
        self.blocks = nn.ModuleList(nn.ModuleList(Block(k) for k in (3, 7, 11)) for _ in shapes)

    def forward(self, x: Tensor) -> Tensor:
        x = self.first(x)
        for up, blocks in zip(self.up, self.blocks, strict=True):
            x = up(F.leaky_relu(x, 0.1))
            x = sum(block(x) for block in blocks) / len(blocks)  # type: ignore[assignment]
        return torch.tanh(self.last(F.leaky_relu(x)))


class Block(nn.Module):
    def __init__(self, kernel: int) -> None:
        super().__init__()
        side = kernel // 2
        self.wide = nn.ModuleList(nn.Conv1d(1, 1, kernel, dilation=d, padding=d * side) for d in (1, 3, 5))
        self.near = nn.ModuleList(nn.Conv1d(1, 1, kernel, padding=side) for _ in range(3))

    def forward(self, x: Tensor) -> Tensor:
        for wide, near in zip(self.wide, self.near, strict=True):
            x = x + near(F.leaky_relu(wide(F.leaky_relu(x, 0.1)), 0.1))
        return x


class Subsampling(nn.Module):
    """wenet's front ends over (batch, 1, time, features): unpadded, of these widths and strides."""

    def __init__(self, *layers: tuple[int, int]) -> None:
        super().__init__()
        self.layers = nn.Sequential(*(nn.Sequential(nn.Conv2d(1, 1, k, s), nn.ReLU()) for k, s in layers))

    def forward(self, x: Tensor) -> Tensor:
        return self.layers(x)


class Zipformer(nn.Module):
    """Zipformer's front end: 3 x 3, 3 x 3 by 2, 3 x 3 by (1, 2), and a 7 x 7 depthwise block with its residual."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(1, 1, 3, padding=(0, 1)), nn.Conv2d(1, 1, 3, 2), nn.Conv2d(1, 1, 3, (1, 2))
        )
        self.near = nn.Conv2d(1, 1, 7, padding=3)

    def forward(self, x: Tensor) -> Tensor:
        x = self.layers(x)
        return x + self.near(x)


class Windows(nn.Module):
    """As Silero's detector of speech: windows of 8 with 4 before, mirrored by themselves, a spectrum by convolution, an
    LSTM over the windows.
    """

    def __init__(self, running: bool) -> None:
        super().__init__()
        self.spectrum, self.near = nn.Conv1d(1, 3, 6, 4), nn.Conv1d(3, 3, 3, 2, padding=1)
        self.last = nn.Conv1d(3, 2, 2)
        self.cell = nn.LSTM(2, 2, batch_first=True) if running else None

    def forward(self, x: Tensor) -> Tensor:
        x = F.pad(x, (4, 0)).unfold(-1, 12, 8)
        batch, count = x.shape[:2]
        x = F.pad(x.reshape(batch * count, 1, 12), (0, 3), mode="reflect")
        x = self.last(F.relu(self.near(F.relu(self.spectrum(x))))).reshape(batch, count, 2)
        return x if self.cell is None else self.cell(x)[0]


class DeepFilter(nn.Module):
    """As DeepFilterNet, over (batch, 1, frames, bands): a mask from features two frames ahead and a GRU, then a filter
    over five masked frames, two of them ahead.
    """

    def __init__(self, bands: int = 3) -> None:
        super().__init__()
        self.conv, self.cell = nn.Conv2d(1, 2, 3, padding=(0, 1)), nn.GRU(2 * bands, 4, batch_first=True)
        self.mask, self.taps = nn.Linear(4, bands), nn.Linear(4, 5)

    def forward(self, x: Tensor) -> Tensor:
        y = F.relu(self.conv(F.pad(F.pad(x, (0, 0, -2, 2)), (0, 0, 2, 0))))
        state = self.cell(y.transpose(1, 2).flatten(2))[0]
        x = x * torch.sigmoid(self.mask(state))[:, None]
        return (F.pad(x, (0, 0, 2, 2)).unfold(2, 5, 1) * self.taps(state)[:, None, :, None]).sum(-1)


class Vocos(nn.Module):
    """As Vocos: a convolution of 7 frames, then spectra of 16 samples every 4, put together by ``istft`` or by hand."""

    def __init__(self, own: bool) -> None:
        super().__init__()
        self.conv, self.own = nn.Conv1d(2, 18, 7, padding=3), own
        self.register_buffer("window", torch.hann_window(16))

    def forward(self, x: Tensor) -> Tensor:
        size, phase = self.conv(x).chunk(2, 1)
        spectra = torch.exp(size).clip(max=100.0) * (torch.cos(phase) + 1j * torch.sin(phase))
        if not self.own:
            return torch.istft(spectra, 16, 4, 16, self.window.to(size.dtype))
        window, count = self.window.to(size.dtype), x.shape[-1]
        parts = torch.fft.irfft(spectra, 16, dim=1) * window[None, :, None]
        squares = window.square().expand(1, count, -1).transpose(1, 2)
        made, weight = (F.fold(p, (1, 4 * count + 12), (1, 16), stride=(1, 4))[:, 0, 0, 6:-6] for p in (parts, squares))
        return made / weight


class PhaseNet(nn.Module):
    """A U-Net as PhaseNet: four stages down by 4, 7 wide, cropped to the skips on the way up."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.last = nn.Conv1d(3, 2, 7, padding=3), nn.Conv1d(2, 3, 1)
        self.same = nn.ModuleList(nn.Conv1d(2, 2, 7, padding=3) for _ in range(5))
        self.down = nn.ModuleList(nn.Conv1d(2, 2, 7, 4, padding=3) for _ in range(4))
        self.up = nn.ModuleList(nn.ConvTranspose1d(2, 2, 7, 4) for _ in range(4))
        self.join = nn.ModuleList(nn.Conv1d(4, 2, 7, padding=3) for _ in range(4))

    def forward(self, x: Tensor) -> Tensor:
        x, skips = F.relu(self.first(x)), []
        for same, down in zip(self.same, self.down, strict=False):
            skips.append(F.relu(same(x)))
            x = F.relu(down(skips[-1]))
        x = F.relu(self.same[4](x))
        for up, join in zip(self.up, self.join, strict=True):
            skip = skips.pop()
            x = F.relu(up(x))[..., 1 : 1 + skip.shape[-1]]
            x = F.relu(join(torch.cat((skip, x), 1)))
        return self.last(x)


def tdnn() -> nn.Module:
    """Kaldi's nnet3 TDNN (Peddinti 2015): offsets -2..2; -1, 2; -3, 3; -7, 2; 0."""

    class Offsets(nn.Module):
        def __init__(self, *offsets: int) -> None:
            super().__init__()
            self.offsets, self.mix = offsets, nn.Conv1d(len(offsets), 1, 1)

        def forward(self, x: Tensor) -> Tensor:
            before, after = -min(0, *self.offsets), max(0, *self.offsets)
            wide = F.pad(x, (before, after))
            parts = [wide[..., before + o : before + o + x.shape[-1]] for o in self.offsets]
            return F.relu(self.mix(torch.cat(parts, 1)))

    return nn.Sequential(Offsets(-2, -1, 0, 1, 2), Offsets(-1, 2), Offsets(-3, 3), Offsets(-7, 2), Offsets(0, 0))


class Band(nn.Module):
    """Attention under a constant mask, made by ``allowed(query, key)``."""

    def __init__(self, allowed) -> None:  # type: ignore[no-untyped-def]
        super().__init__()
        self.allowed, self.read = allowed, nn.Linear(2, 6)

    def forward(self, x: Tensor) -> Tensor:
        rows = x.transpose(1, 2)
        query, key, value = self.read(rows).chunk(3, -1)
        place = torch.arange(rows.shape[1])
        mask = self.allowed(place[:, None], place[None])
        return F.scaled_dot_product_attention(query, key, value, attn_mask=mask).transpose(1, 2)


def window(width: int) -> Band:
    """The last ``width`` positions, its own counted."""
    return Band(lambda query, key: (key <= query) & (key > query - width))


def chunked(size: int, back: int) -> Band:
    """Its own chunk and so many before it."""
    return Band(lambda query, key: (key // size <= query // size) & (key // size >= query // size - back))
