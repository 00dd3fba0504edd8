"""Occlusion fields against forward passes written out by hand; signs, groups of channels, what the gradient misses."""

from __future__ import annotations

from dataclasses import replace
from itertools import product
from typing import Any

import jax
import numpy as np
import onnx
import pytest
import torch
from torch import nn

import foveal
from foveal.core.errors import FovealError
from foveal.fields.measured.measure import Measured, Settings, measure
from foveal.fields.measured.occluded.patches import division, replacement
from foveal.fields.measured.occluded.reading import reading
from foveal.fields.measured.request import Request, run
from support.networks.case_networks import Branches
from support.networks.small_nets import Residual, Rounded, positive_stack, seeded
from support.paths import NETWORKS


class Forgets(nn.Module):
    """A convolution of nothing that the input holds."""

    def __init__(self) -> None:
        super().__init__()
        self.c = nn.Conv2d(3, 2, 3, padding=1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.c(x * 0 + 1)


def picture(*shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(4))


@pytest.mark.parametrize("crop", [True, False])
def test_a_map_is_its_forward_passes(crop: bool) -> None:
    """Mean replaces 5 x 5 patches in the box of the middle unit of ``block`` (7 x 7 at stride 2), one at a time."""
    net, image = seeded(Residual).double(), picture(1, 3, 40, 40).double()
    graph = foveal.trace(net, (1, 3, 40, 40))
    found = measure(graph, "down", images=image, protocol="occlusion-mean", settings=Settings(crop=crop, patch=5))[0]

    def unit(x: torch.Tensor) -> torch.Tensor:
        kept = {}
        hook = net.down.register_forward_hook(lambda _m, _a, out: kept.update(out=out.clone()))
        net(x)
        hook.remove()
        return kept["out"][(0, slice(None), *found.field.unit)]

    expected = np.zeros((40, 40))
    ((top, bottom), (left, right)) = found.field.hull
    thirds = [(0, 3), (3, 7), (7, 11)]
    with torch.no_grad():
        image32 = image.float().double()  # what a measurement reads
        for (y, below), (x, right_of) in product(thirds, thirds):
            changed = image32.clone()
            part = (0, slice(None), slice(top + y, top + below), slice(left + x, left + right_of))
            changed[part] = image32.float().mean((2, 3), keepdim=True)[0].double()
            answer = float((unit(image32) - unit(changed)).square().sum())
            expected[part[2], part[3]] = answer / ((below - y) * (right_of - x))
    assert (bottom - top, right - left) == (11, 11)
    assert [len(part) for part in division(found.field.hull, 5)] == [3, 3]
    np.testing.assert_allclose(found.field.full(), expected, rtol=1e-4, atol=1e-6 * expected.max())
    assert found.field.squared
    assert found.field.kind == "occlusion"
    assert "3x3 patches of 4x4 positions at most" in found.field.method


def test_of_a_linear_unit_it_is_the_squared_gradient() -> None:
    """Patches of one position: the squared weights times the squared distance from the image's mean."""
    net = nn.Conv1d(1, 2, 5, bias=False)
    weights = torch.tensor([[1.0, 2.0, 0.0, 3.0, 1.0], [0.0, 1.0, 1.0, -2.0, 0.5]])
    net.weight.data[:, 0] = weights
    graph = foveal.trace(net, (1, 1, 5))
    images = picture(40, 1, 5)
    found = measure(graph, "output", images=images, protocol="occlusion-mean", settings=Settings(patch=1))[0]
    centered = (images - images.mean(2, keepdim=True)).square().mean(0)[0].numpy()
    np.testing.assert_allclose(found.field.values, (weights**2).sum(0).numpy() * centered, rtol=1e-4, atol=1e-6)


def test_patches_cover_the_box_and_are_alike() -> None:
    assert division(((3, 10),), 3) == (((3, 5), (5, 7), (7, 10)),)
    assert division(((0, 2), (0, 100)), None)[0] == ((0, 1), (1, 2))
    assert len(division(((0, 2), (0, 100)), None)[1]) == 12
    assert len(division(((0, 1000),), None)[0]) == 144


def test_what_replaces_an_image() -> None:
    image = picture(3, 8, 9).numpy()
    drawn = replacement(image, (1, 2), "noise", (2, 2), np.random.default_rng(0))
    pixels = {tuple(p) for p in image.reshape(3, -1).T}
    assert {tuple(p) for p in drawn.reshape(3, -1).T} <= pixels
    assert drawn.shape == image.shape
    assert (drawn != image).mean() > 0.8
    np.testing.assert_allclose(replacement(image, (1, 2), "mean", (2, 2), np.random.default_rng(0))[:, 0, 0],
                               image.mean((1, 2)), rtol=1e-6)  # fmt: skip
    flat = replacement(np.ones((1, 8, 9), np.float32), (1, 2), "blur", (2, 2), np.random.default_rng(0))
    np.testing.assert_allclose(flat, 1, rtol=1e-6)
    assert replacement(image, (1, 2), "blur", (2, 2), np.random.default_rng(0)).std() < 0.5 * image.std()


def signed_fields() -> list[Measured]:
    """y = 2 a - 3 b + c of the line (a, b, c) = (4, 1, 1), whose mean is 2."""
    net = nn.Conv1d(1, 1, 3, bias=False)
    net.weight.data[0, 0] = torch.tensor([2.0, -3.0, 1.0])
    graph = foveal.trace(net, (1, 1, 3))
    line = torch.tensor([[[4.0, 1.0, 1.0]]])
    return measure(graph, "output", images=line, protocol="occlusion-mean", settings=Settings(patch=1, signed=True))


def test_signs_by_hand() -> None:
    """Without a: 2 (4 - 2) = 4 less. Without b: 3 less, too. Without c: 1 more."""
    every, supports, opposes = signed_fields()
    np.testing.assert_allclose(every.field.values, [16, 9, 1], rtol=1e-5)
    np.testing.assert_allclose(supports.field.values, [16, 9, 0], rtol=1e-5)
    np.testing.assert_allclose(opposes.field.values, [0, 0, 1], rtol=1e-5)
    assert [item.record["answers"] for item in (every, supports, opposes)] == ["", "supports", "opposes"]


def test_groups_of_channels_have_fields_of_their_own() -> None:
    """A 3-wide and a 5-wide branch, concatenated: two channels each."""
    net = Branches([nn.Conv2d(2, 2, 3, padding=1), nn.Conv2d(2, 2, 5, padding=2)], "concatenate")
    graph = foveal.trace(net, (1, 2, 9, 9))
    for protocol in ("occlusion", "foveal"):
        every, narrow, wide = measure(graph, "output", count=3, protocol=protocol, settings=Settings(channels=True))
        assert [item.record["channels"] for item in (every, narrow, wide)] == [None, [0, 1], [2, 3]]
        assert narrow.field.values.astype(bool).sum() == 9
        assert wide.field.values.astype(bool).sum() == 25
    # Without signs a sum of squares is a sum over groups.
    every, narrow, wide = measure(graph, "output", count=3, protocol="occlusion", settings=Settings(channels=True))
    np.testing.assert_allclose(every.field.values, narrow.field.values + wide.field.values, rtol=1e-4)


def test_what_no_gradient_passes_is_seen() -> None:
    graph = foveal.trace(seeded(Rounded), (1, 1, 16, 16))
    layer = graph.layers[-1]
    with pytest.raises(FovealError):
        measure(graph, layer, count=3)
    found = measure(graph, layer, count=8, protocol="occlusion", settings=Settings(patch=1))[0]
    assert found.field.values.all()
    assert found.field.values.shape == (5, 5)
    assert "may miss" not in found.field.method


def test_an_image_that_no_patch_changes_is_named() -> None:
    graph = foveal.trace(positive_stack(), (1, 3, 24, 24))
    images = torch.cat([torch.ones(1, 3, 24, 24), picture(1, 3, 24, 24)])
    found = measure(graph, "2", images=images, protocol="occlusion")[0]
    assert found.skipped == (("image 0", "no occlusion changes the unit"),)
    nothing = foveal.trace(Forgets(), (1, 3, 24, 24))
    with pytest.raises(FovealError, match="no occlusion changes the unit"):
        measure(nothing, "c", images=images, protocol="occlusion")


def test_how_to_read_two_fields() -> None:
    graph = foveal.trace(positive_stack(), (1, 3, 24, 24))
    first = measure(graph, "2", count=20, protocol="occlusion")[0]
    second = measure(graph, "2", count=20)[0]
    assert reading(first, second, None).verdict == "agree"

    def concentrated(item: Measured, place: tuple[int, ...] | None) -> Measured:
        values = np.ones_like(item.field.values)
        if place is not None:
            values[:] = 0
            values[place] = 1
        return replace(item, field=replace(item.field, values=values), error=np.zeros_like(values))

    flat, corner = concentrated(first, None), concentrated(second, (0, 0))
    assert reading(flat, corner, None).verdict == "wider"
    assert reading(corner, flat, None).verdict == "narrower"
    upper = np.zeros_like(flat.field.values)
    upper[: len(upper) // 2] = 1
    halves = [replace(flat, field=replace(flat.field, values=values)) for values in (upper, 1 - upper)]
    compared = reading(*halves, None)
    assert compared.verdict == "elsewhere"
    assert compared.apart == pytest.approx(1)


def test_words_that_fit_nothing_are_refused() -> None:
    graph = foveal.trace(positive_stack(), (1, 3, 24, 24))
    with pytest.raises(FovealError, match="of the protocols of occlusion"):
        measure(graph, "2", count=1, settings=Settings(signed=True))
    with pytest.raises(FovealError, match="at least 1 position"):
        Settings(patch=0)
    ids = foveal.trace(nn.Sequential(nn.Embedding(7, 3), nn.Flatten(0, 1)), torch.zeros(1, 5, dtype=torch.long))
    with pytest.raises(FovealError, match="whole numbers"):
        measure(ids, "1", images=np.zeros((1, 5), np.int64), protocol="occlusion")


def test_a_request_has_the_gradient_beside_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(NETWORKS)
    found = run(Request(("small_factories:first",), ("tail",), input=(1, 3, 32, 32), count=2, protocol="occlusion"))
    assert found[0].beside is not None
    assert found[0].beside.field.kind == "gradient"
    assert found[0].beside.field.unit == found[0].measured.field.unit


def test_other_front_ends_give_the_same_map() -> None:
    """One linear convolution in PyTorch, JAX and ONNX, on the same images with the same replacements."""
    kernel = picture(2, 1, 3, 3)
    net = nn.Conv2d(1, 2, 3, bias=False)
    net.weight.data[:] = kernel

    def in_jax(x: Any) -> Any:
        return jax.lax.conv_general_dilated(x, kernel.numpy(), (1, 1), "VALID")

    taps = onnx.numpy_helper.from_array(kernel.numpy(), "w")
    body = "model (float[N, 1, 9, 9] x) => (float[N, 2, 7, 7] y) { y = Conv(x, w) }"
    model = onnx.parser.parse_model(f'<ir_version: 8, opset_import: ["" : 17]> {body}')
    model.graph.initializer.append(taps)
    images = picture(2, 1, 9, 9).numpy()
    expected = None
    for given in (net, in_jax, model):
        graph = foveal.trace(given, (1, 1, 9, 9))
        found = measure(graph, graph.layers[-1], images=images, protocol="occlusion-mean", settings=Settings(patch=1))[
            0
        ]
        expected = found.field.values if expected is None else expected
        np.testing.assert_allclose(found.field.values, expected, rtol=1e-4)
