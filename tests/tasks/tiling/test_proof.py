"""Plans that look exact are shown to be, or say what the error is and why; halos that are no larger than needed."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

import foveal
from foveal.core.errors import FovealError
from foveal.tasks.tiling.plan import smallest_tile, tile
from foveal.tasks.tiling.record import TilePlan
from support.drawn.tile_verdicts import judge

WIDTH = 2
Function = Callable[["Net", Tensor], Tensor]


class Net(nn.Module):
    """A function of two convolutions and the input."""

    def __init__(self, function: Function) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.a, self.b = (nn.Conv1d(WIDTH, WIDTH, 3, padding=1) for _ in range(2))
        self.function = function
        self.double().eval()

    def forward(self, x: Tensor) -> Tensor:
        return self.function(self, x)


def noise(length: int) -> Tensor:
    return torch.randn(1, WIDTH, length, dtype=torch.float64, generator=torch.Generator().manual_seed(1))


def few(net: Net, y: Tensor) -> Tensor:
    return y + F.interpolate(net.b(F.interpolate(y, size=4)), size=y.shape[-1])


def gate(net: Net, y: Tensor) -> Tensor:
    return y * torch.sigmoid(F.interpolate(net.b(F.avg_pool1d(y, y.shape[-1] // 4)), size=y.shape[-1]))


def share(y: Tensor) -> Tensor:
    return y[..., :: y.shape[-1] // 4]


def folded(x: Tensor) -> Tensor:
    return F.fold(F.unfold(x[:, :, None], (1, 3)), (1, x.shape[-1]), (1, 3))[:, :, 0]


WRONG: dict[str, tuple[Function, int, str]] = {
    "resized to four": (lambda n, x: few(n, n.a(x)), 128, "interpolate at (top): its factor is 4/"),
    "four pooled, as a gate": (lambda n, x: gate(n, n.a(x)), 160, "avg_pool1d at (top)"),
    "a step that is a share": (lambda n, x: share(n.a(x)), 128, "slice at (top): its stride is"),
    "the same, resized": (lambda n, x: n.a(x) + F.interpolate(share(x), size=x.shape[-1]), 128, "slice at (top)"),
    "divided by the length": (lambda n, x: n.a(x) / x.shape[-1], 64, "on the length of the source"),
    "overlaps beside the input": (lambda n, x: torch.cat([folded(x), x], 1), 64, ""),
    "the second half": (lambda n, x: n.a(x[..., x.shape[-1] // 2 :]), 160, ""),
    "a layer more where it is long": (lambda n, x: n.b(n.a(x)) if x.shape[-1] > 200 else n.a(x), 64, ""),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_follows_the_length_is_not_called_exact(name: str) -> None:
    """Traced at 128, the source has 256; each differs from the whole by more than rounding, or does not fit it."""
    function, size, said = WRONG[name]
    model = Net(function)
    plan = tile(foveal.trace(model, noise(128)), source_size=256, tile=size)
    assert not plan.exact
    assert any(said in text for text in plan.obstacles), plan.obstacles
    assert "tiling" in str(plan)
    assert "\ntiling                           exact" not in str(plan)
    assert TilePlan.from_json(plan.to_json()) == plan


def test_the_error_is_measured() -> None:
    """A map resized to 4 positions, at its own length: by random weights, so about the size of the real one."""
    model = Net(WRONG["resized to four"][0])
    plan = tile(foveal.trace(model, noise(128)), source_size=256, tile=128)
    assert plan.status == "approximate"
    assert plan.error is not None
    assert plan.error > 0.1
    assert plan.check(model, noise(256)).rms > 0.1
    assert "measured relative error" in str(plan)


RIGHT: dict[str, Function] = {
    "pooled by four, as a gate": lambda n, x: x * F.interpolate(n.b(F.avg_pool1d(n.a(x), 4)), size=x.shape[-1]),
    "every fourth": lambda n, x: n.a(x)[..., ::4],
    "down and up": lambda n, x: F.interpolate(n.b(F.max_pool1d(n.a(x), 2)), scale_factor=2.0, mode="linear"),
}


@pytest.mark.parametrize("name", RIGHT)
def test_what_does_not_is_exact(name: str) -> None:
    model = Net(RIGHT[name])
    plan = tile(foveal.trace(model, noise(128)), source_size=256, tile=64)
    assert plan.exact, plan
    assert "run in tiles and whole at 256" in plan.method
    assert plan.check(model, noise(256)).identical


def speech(width: int) -> nn.Module:
    """The convolutions of HuBERT and wav2vec 2.0."""
    layers = zip((10, 3, 3, 3, 3, 2, 2), (5, 2, 2, 2, 2, 2, 2))
    return nn.Sequential(*(nn.Conv1d(width, width, k, s) for k, s in layers)).double()


@pytest.mark.parametrize("length", [16000, 16001, 15760, 4000])
def test_units_that_are_cut_off_need_no_halo(length: int) -> None:
    """A field of 400 at a stride of 320: a core's last unit sees 80 positions more; those behind are not read."""
    model = speech(WIDTH)
    plan = tile(foveal.trace(model, noise(length)), tile=2000)
    assert plan.exact
    assert plan.halo == ((0, 80),)
    assert plan.smallest == (400,)
    assert plan.check(model, noise(length)).identical
    assert smallest_tile(foveal.trace(model, noise(length))) == (400,)


def test_the_same_without_a_model() -> None:
    text = "conv10x2,s5,p0 conv3x2,s2,p0 conv3x2,s2,p0 conv3x2,s2,p0 conv3x2,s2,p0 conv2x2,s2,p0 conv2x2,s2,p0"
    plan = tile(foveal.trace(text, (1, 2, 16000)), tile=2000)
    assert (plan.exact, plan.halo) == (True, ((0, 80),))


def test_padding_that_would_move_in_keeps_its_positions() -> None:
    """The last position is read by no unit, but a shorter source would bring the padding of the middle layer nearer."""
    layers = [nn.ConvTranspose1d(2, 2, 2, 2, 1), nn.Conv1d(2, 2, 3, padding=1), nn.AvgPool1d(3, 2, 1), nn.MaxPool1d(2)]
    model = nn.Sequential(*layers, nn.AvgPool1d(3, 2, 1)).double()
    plan = tile(foveal.trace(model, noise(50)), tile=14)
    assert plan.exact
    assert plan.axes[0].unread == 0
    assert plan.check(model, noise(50)).identical


def test_one_tile_says_why() -> None:
    assert "one tile, as halo (32) and one multiple are the whole source" in str(
        tile(foveal.trace(nn.Conv1d(2, 2, 64, 32), (1, 2, 64)))
    )
    assert "one tile" not in str(tile(foveal.trace(nn.Conv1d(2, 2, 64, 32), (1, 2, 640))))


@pytest.mark.parametrize(
    ("function", "said"),
    [
        (lambda n, x: n.a(x) if x.mean() > -9 else x, "data decides"),
        (lambda n, x: n.a(x) + torch.fft.irfft(torch.fft.rfft(x), n=x.shape[-1]), "fft"),
    ],
)
def test_what_has_no_rule_is_an_obstacle(function: Function, said: str) -> None:
    plan = tile(foveal.trace(Net(function), noise(64)))
    assert not plan.exact
    assert any(said in text for text in plan.obstacles), plan.obstacles
    assert "not possible exactly because of" in str(plan)


@pytest.mark.parametrize(
    ("function", "said"),
    [
        (lambda n, x: n.a(x) * x.abs().max().item(), "data decides"),
        (lambda n, x: n.a(torch.fft.irfft(torch.fft.rfft(x), n=x.shape[-1])), "transform back"),
        (lambda n, x: n.a(x) + torch.linalg.cholesky(x @ x.mT).sum(), "cholesky"),
    ],
)
def test_what_has_no_position_says_so_in_one_line(function: Function, said: str) -> None:
    model = Net(function)
    with pytest.raises(FovealError, match=rf"has no position .*{said}.* at \(top\)"):
        tile(foveal.trace(model, noise(64)), tile=32)


def test_an_irregular_resize_and_a_stride() -> None:
    """13 / 10 by nearest neighbour, then every second: the steps repeat after 20 positions only, if the source does."""
    for length in (12, 33, 130):
        model = nn.Sequential(nn.Upsample(scale_factor=1.3), nn.Conv1d(WIDTH, WIDTH, 3, 2)).double()
        plan = tile(foveal.trace(model, noise(length)))
        assert plan.check(model, noise(length)).identical or not plan.exact


@pytest.mark.parametrize(("factor", "told"), [(1.5, "by up to 0.002 of a position"), (2, ""), (4 / 3, "")])
def test_coordinates_that_single_precision_rounds_are_told(factor: float, told: str) -> None:
    """By 16,800 * 2^-23 here; a step of 2/3 of a position is no number of that precision, one of 1/2 or 3/4 is."""
    model = nn.Upsample(scale_factor=factor, mode="linear")
    plan = tile(foveal.trace(model, (1, 1, 168)), source_size=16800, tile=1680)
    x = torch.arange(16800.0).remainder(2)[None, None]
    with torch.no_grad():
        difference = float((torch.as_tensor(plan.run(model, x)) - model(x)).abs().max())
    assert plan.exact
    assert (difference > 1e-4, difference < 0.002) == (bool(told), True)
    assert (told in plan.warnings[0]) if told else plan.warnings == ()


SEEDS = (9, 12, 76, 107, 109, 122, 133, 154, 161, 192, 204)


@pytest.mark.parametrize("seed", SEEDS)
def test_networks_of_the_fuzz_that_failed(seed: int) -> None:
    assert judge(seed)[1] == ""
