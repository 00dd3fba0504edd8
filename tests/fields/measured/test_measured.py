"""Means, errors, intervals, images that are left out, when a measurement may stop; images and how they are prepared."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn
from torchvision import transforms

import foveal
from foveal.core.errors import FovealError, SourceError
from foveal.fields.measured.images import SQUASH, Layout, collect, prepared
from foveal.fields.measured.measure import Measured, Settings, measure
from foveal.fields.measured.uncertainty import BLOCKS, Frame, Interval, Running, intervals
from foveal.fields.metrics import measure as metrics_of
from foveal.ir.backend import Preparation
from support.networks.small_nets import Residual, seeded

PLANE = Layout((1, 3, 32, 32), (2, 3))


@pytest.fixture(scope="module")
def graph() -> foveal.Graph:
    return foveal.trace(seeded(Residual), (1, 3, 32, 32))


def photo(path: Path, seed: int = 0, size: tuple[int, int] = (50, 41)) -> Path:
    pixels = np.random.default_rng(seed).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path)
    return path


def noise_maps(count: int, shape: tuple[int, ...] = (20, 30)) -> np.ndarray:
    return np.random.default_rng(3).gamma(0.3, 1.0, (count, *shape))


@pytest.mark.parametrize("count", [1, 2, BLOCKS, BLOCKS + 1, 5 * BLOCKS + 3])
def test_running_mean_and_standard_error(count: int) -> None:
    maps = noise_maps(count)
    running = Running(maps.shape[1:])
    for item in maps:
        running.add(item)
    np.testing.assert_allclose(running.mean, maps.mean(0), rtol=1e-12)
    if count > 1:
        np.testing.assert_allclose(running.error, maps.std(0, ddof=1) / count**0.5, rtol=1e-10)
    assert sum(running.counts) == count
    assert len(running.sums) <= BLOCKS
    np.testing.assert_allclose(sum(running.sums), maps.sum(0), rtol=1e-12)


@pytest.mark.parametrize(("shape", "squared"), [((40,), True), ((20, 30), False), ((7, 8, 9), True)])
def test_values_are_those_of_the_metrics(shape: tuple[int, ...], squared: bool) -> None:
    """Two ways to the same numbers: marginals and rings here, one map there."""
    running = Running(shape)
    for item in noise_maps(6, shape):
        running.add(item)
    source = tuple(n + 9 for n in shape)
    center = tuple(n / 2 + 3.5 for n in shape)
    origin = (4,) * len(shape)
    known = intervals(running, Frame(origin, source, center, True, squared), seed=0, draws=20)
    full = metrics_of(running.mean, origin, source, center, squared=squared)
    assert known["sigma"].value == pytest.approx(np.sqrt(np.mean(np.square(full.sigmas))))
    assert full.effective is not None
    assert known["effective_side"].value == pytest.approx(full.effective.side)
    assert known["side_90"].value == full.effective.side_90
    for square in full.squares:
        if square.share != 0.9:
            assert known[f"side_{square.share * 100:.0f}"].value == square.side
    assert full.replknet is not None
    for square in full.replknet:
        if square.share != 0.9 and square.side is not None:
            ratio = square.side ** len(shape) / np.prod(source)
            assert known[f"log_ratio_{square.share * 100:.0f}"].value == pytest.approx(ratio)


def test_the_interval_covers_the_truth() -> None:
    """Sigma of a box of known width under multiplicative noise: about 95 of 100 intervals hold it."""
    rng = np.random.default_rng(0)
    place = np.arange(21) - 10
    truth, held = float(np.sqrt(np.mean(place**2))), 0
    for trial in range(100):
        running = Running((21,))
        for _ in range(25):
            running.add(rng.gamma(2.0, 0.5, 21))
        found = intervals(running, Frame((0,), (21,), (10.0,)), seed=trial)["sigma"]
        assert found.low is not None
        assert found.high is not None
        held += found.low <= truth <= found.high
    assert 85 <= held <= 100


def test_intervals_of_one_image_are_unknown() -> None:
    running = Running((5,))
    running.add(np.ones(5))
    found = intervals(running, Frame((0,), (5,), (2.0,)), seed=0)["sigma"]
    assert found == Interval(pytest.approx(2**0.5), None, None)
    assert found.tolerance == float("inf")


def spoiled(tensor: torch.Tensor) -> torch.Tensor:
    tensor[1] = float("nan")  # survives a ReLU, and spoils the derivative of what follows
    tensor[3] = -50.0
    return tensor


def test_images_without_a_gradient_are_named() -> None:
    net = nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU(), nn.Softplus()).eval()
    with torch.no_grad():
        net[0].weight.abs_()
    graph = foveal.trace(net, (1, 1, 9, 9))
    pictures = spoiled(torch.rand(5, 1, 9, 9))
    found = measure(graph, "2", images=pictures)[0]
    assert [name for name, _ in found.used] == ["image 0", "image 2", "image 4"]
    assert found.skipped == (
        ("image 1", "the gradient is not a number"),
        ("image 3", "the gradient is zero everywhere"),
    )
    assert "3 images; left out: image 1 (the gradient is not a number)" in found.field.method
    with pytest.raises(FovealError, match="all 1 images were left out, image 0"):
        measure(graph, "2", images=pictures[3:4])


def test_an_unreadable_image_is_named(graph: foveal.Graph, tmp_path: Path) -> None:
    photo(tmp_path / "a.png")
    (tmp_path / "b.png").write_bytes(b"no picture")
    (tmp_path / "c.png").write_bytes((tmp_path / "a.png").read_bytes()[:2000])
    photo(tmp_path / "d.png", 1)
    found = measure(graph, "tail", images=str(tmp_path))[0]
    assert [name for name, _ in found.used] == ["a.png", "d.png"]
    assert [name for name, _ in found.skipped] == ["b.png", "c.png"]
    assert "not an image that can be read" in found.skipped[0][1]
    digest = hashlib.sha256((tmp_path / "a.png").read_bytes()).hexdigest()
    assert found.record["images"][0] == {"name": "a.png", "sha256": digest}


def test_a_tolerance_stops(graph: foveal.Graph) -> None:
    loose, tight = (measure(graph, "tail", count=40, settings=Settings(tolerance=share))[0] for share in (0.5, 0.0))
    assert len(loose.used) == 5
    assert len(tight.used) == 40
    assert loose.intervals["sigma"].tolerance <= 0.5


def test_the_same_seed_gives_the_same_bits(graph: foveal.Graph) -> None:
    """On one machine, in one process: elsewhere the order of additions, and with it the last bits, may be another."""

    def once(seed: int) -> Measured:
        return measure(graph, "tail", count=3, settings=Settings(seed=seed))[0]

    assert once(1).field.values.tobytes() == once(1).field.values.tobytes()
    assert once(1).intervals == once(1).intervals
    assert once(1).field.values.tobytes() != once(2).field.values.tobytes()


def test_the_public_field(graph: foveal.Graph) -> None:
    pictures = np.random.default_rng(0).standard_normal((4, 3, 32, 32)).astype(np.float32)
    found = foveal.field(graph, "tail", kind="gradient", images=pictures, protocol="replknet")
    assert (found.kind, found.status, found.unit) == ("gradient", "data-dependent", (4, 4))
    assert foveal.field(graph, "tail", kind="gradient").method.endswith("20 images")
    channel = foveal.field(graph, "tail", kind="gradient", images=pictures, channel=3)
    assert channel.channel == 3
    with pytest.raises(FovealError, match="has no weights='model'"):
        foveal.field(graph, "tail", kind="gradient", weights="model")


class Pairs(torch.utils.data.Dataset):
    """Images with labels."""

    def __len__(self) -> int:
        return 3

    def __getitem__(self, index: int) -> tuple[torch.Tensor, int]:
        return torch.full((3, 32, 32), float(index)), index


def test_image_sources(tmp_path: Path) -> None:
    (tmp_path / "n1").mkdir()
    files = [photo(tmp_path / "n1" / f"{name}.png", i) for i, name in enumerate("ba")]
    assert collect(str(tmp_path), PLANE, Preparation()).names == ("n1/a.png", "n1/b.png")
    assert collect(files, PLANE, Preparation(), count=1).names == (str(files[0]),)
    assert len(collect(np.zeros((4, 3, 32, 32)), PLANE, Preparation(), count=9)) == 4
    pairs = collect(Pairs(), PLANE, Preparation())
    assert pairs.load(2).array[0, 0, 0] == 2
    noise = collect(None, PLANE, Preparation(), count=2, seed=5)
    assert noise.load(1).digest == collect(None, PLANE, Preparation(), seed=5).load(1).digest
    assert noise.load(0).digest != noise.load(1).digest
    with pytest.raises(SourceError, match="no such folder"):
        collect(str(tmp_path / "none"), PLANE, Preparation())
    with pytest.raises(FovealError, match=r"image 0 has shape \(3, 8, 8\), the source takes \(3, 32, 32\)"):
        collect(np.zeros((1, 3, 8, 8)), PLANE, Preparation()).load(0)
    with pytest.raises(FovealError, match="cannot read int"):
        collect(3, PLANE, Preparation())
    with pytest.raises(FovealError, match="source with two axes"):
        collect(str(tmp_path), Layout((1, 3, 32), (2,)), Preparation())


def test_preparation_is_torchvisions(tmp_path: Path) -> None:
    """RepLKNet's transform, and a classifier's resize and middle cut."""
    layout = Layout((1, 3, 64, 48), (2, 3))
    path = photo(tmp_path / "a.png", 2, (90, 70))
    with Image.open(path) as picture:
        normalize = transforms.Normalize(SQUASH.mean, SQUASH.deviation)
        bicubic = transforms.InterpolationMode.BICUBIC
        squash = transforms.Compose([transforms.Resize((64, 48), bicubic), transforms.ToTensor(), normalize])
        np.testing.assert_allclose(prepared(picture, layout, SQUASH), squash(picture).numpy(), atol=1e-6)
        square = Layout((1, 3, 56, 56), (2, 3))
        cover = transforms.Compose([transforms.Resize(64), transforms.CenterCrop(56), transforms.ToTensor(), normalize])
        mine = prepared(picture, square, Preparation(interpolation="bilinear", crop=0.875))
        np.testing.assert_allclose(mine, cover(picture).numpy(), atol=1e-6)


def test_preparation_of_the_models_own() -> None:
    import timm
    import torchvision

    from foveal.frontends.torch.backend import TorchBackend
    from foveal.frontends.torch.inputs import Inputs

    def own_preparation(model: nn.Module, name: str) -> Preparation:
        return TorchBackend(model, Inputs((), {})).preparation(name)

    with torch.device("meta"):
        found = own_preparation(torchvision.models.resnet18(), "resnet18")
        assert (found.crop, found.interpolation, found.origin) == (224 / 256, "bilinear", "torchvision")
        found = own_preparation(timm.create_model("convnext_atto"), "convnext_atto")
        assert (found.interpolation, found.origin) == ("bicubic", "timm")
    assert own_preparation(nn.Conv2d(3, 3, 1), "mine") == Preparation()


def test_bad_settings() -> None:
    with pytest.raises(FovealError, match="unknown metric 'size'"):
        Settings(metric="size")
    with pytest.raises(FovealError, match="unknown precision 'int8'"):
        Settings(dtype="int8")
