"""A model comes back as it was, and trains on as if foveal had never met it."""

from __future__ import annotations

import functools
import random
import sys
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import foveal
from foveal import testing
from foveal.check.units import check
from foveal.core.errors import FovealError
from support.paths import ROOT

sys.path.append(str(ROOT / "benchmarks"))
import untouched

SMALL = 64
TORCHVISION = [
    "densenet121", "efficientnet_b0", "googlenet", "mnasnet0_5", "mobilenet_v2", "mobilenet_v3_small",
    "regnet_y_400mf", "resnet18", "shufflenet_v2_x0_5", "squeezenet1_1", "lraspp_mobilenet_v3_large",
]  # fmt: skip
TIMM = [
    "botnet26t_256", "cait_xxs24_224", "coat_lite_tiny", "coatnet_pico_rw_224", "convit_tiny", "convnext_atto",
    "convnextv2_atto", "crossvit_tiny_240", "cs3darknet_s", "davit_tiny", "deit_tiny_patch16_224", "dla34",
    "edgenext_xx_small", "efficientformer_l1", "efficientformerv2_s0", "efficientvit_b0", "efficientvit_m0",
    "fastvit_t8", "fbnetc_100", "focalnet_tiny_srf", "gcvit_xxtiny", "gernet_s", "ghostnet_050", "halonet26t",
    "hardcorenas_a", "hgnetv2_b0", "hrnet_w18_small", "inception_next_tiny", "lambda_resnet26t", "lcnet_035",
    "levit_128s", "mobileone_s0", "mobilevit_xxs", "mobilevitv2_050", "mvitv2_tiny", "pit_ti_224", "poolformer_s12",
    "pvt_v2_b0", "regnetx_002", "repvgg_a0", "resmlp_12_224", "rexnetr_200", "swin_tiny_patch4_window7_224",
    "tiny_vit_5m_224", "tinynet_e", "vit_tiny_patch16_224", "visformer_tiny", "xception41", "xcit_nano_12_p16_224",
]  # fmt: skip
FIXED = ("efficientformer_l1", "halonet26t")
"""Models of one size only. The others train on small images, which is sooner done; some have to be built for them."""
TOLD = [
    "botnet", "cait", "coat", "convit", "deit", "efficientformer", "gcvit", "levit", "mobilevitv2", "pit", "resmlp",
    "swin", "vit", "visformer",
]  # fmt: skip
NAMES = [f"torchvision:{name}" for name in TORCHVISION] + [f"timm:{name}" for name in TIMM]


@pytest.mark.parametrize("name", NAMES)
def test_models_of_the_zoo_train_on(name: str) -> None:
    timm = pytest.importorskip("timm")
    library, _, short = name.partition(":")
    if library == "timm" and short not in timm.list_models():
        pytest.skip("not in this version of timm")
    told = f"?img_size={SMALL}" if library == "timm" and short.startswith(tuple(TOLD)) else ""
    small = None if short in FIXED else SMALL
    assert untouched.differences(name if small is None else name + told, small) == []


CACHE: dict[Any, Any] = {}
SEEN: list[Any] = []


@functools.cache
def ramp(length: int) -> Tensor:
    return torch.arange(length, dtype=torch.float32)


class Config:
    def __init__(self) -> None:
        self.steps = 0
        self.nested: dict[str, Any] = {"list": [1]}


class Hoarder(nn.Module):
    """Keeps what it can wherever it can, and draws numbers."""

    total = 0
    shared: dict[str, Any] = {}  # noqa: RUF012

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv1d(1, 2, 3, padding=1)
        self.cache: dict[str, Any] = {}
        self.history: list[Any] = []
        self.sizes: set[int] = set()
        self.config = Config()
        self.kept = [torch.zeros(3)]
        self.array = np.zeros(3)
        self.generator = torch.Generator().manual_seed(1)

    def forward(self, x: Tensor) -> Tensor:
        if "weight" not in self.cache:
            self.cache["weight"] = self.conv.weight * 2
        self.history.append(x)
        self.sizes.add(x.shape[-1])
        self.config.steps += 1
        self.config.nested["list"].append(x)
        self.kept[0] += 1
        self.array += 1
        Hoarder.total += 1
        Hoarder.shared["x"] = x
        CACHE[tuple(x.shape)] = x
        SEEN.append(x)
        noise = float(torch.rand(())) + random.random() + float(np.random.rand())
        noise += float(torch.rand((), generator=self.generator))
        self.conv.register_forward_hook(lambda *_: None)
        torch.set_default_dtype(torch.get_default_dtype())
        torch.set_grad_enabled(True)
        torch.set_autocast_enabled("cpu", False)
        return nn.functional.conv1d(x, self.cache["weight"], padding=1) + ramp(x.shape[-1]) + noise


def state(model: Hoarder) -> list[Any]:
    return [
        dict(model.cache), list(model.history), set(model.sizes), model.config.steps, list(model.config.nested["list"]),
        model.kept[0].tolist(), model.array.tolist(), Hoarder.total, dict(Hoarder.shared), dict(CACHE), list(SEEN),
        ramp.cache_info().currsize, len(model.conv._forward_hooks), torch.is_grad_enabled(), torch.get_default_dtype(),
        model.generator.get_state().tolist(), untouched.streams(),
    ]  # fmt: skip


@pytest.mark.parametrize("real", [False, True])
def test_containers_globals_and_streams_are_given_back(real: bool) -> None:
    model: Any = Hoarder()
    user = model.conv.register_forward_hook(lambda *_: None)
    if real:
        plain = Hoarder.forward

        class Reads(Hoarder):
            def forward(self, x: Tensor) -> Tensor:
                return plain(self, x) + x.mean().item()

        model = Reads()
    before = state(model)
    graph = foveal.trace(model, (1, 1, 12))
    assert state(model) == before
    assert graph.backend is not None
    graph.backend.run(graph.backend.example(0), ["output"])
    graph.backend.probe(graph.backend.example(0), ["output"])
    check(model, (1, 1, 12), rounds=1, graph=graph)
    foveal.field(graph, "output", kind="gradient", images=torch.zeros(1, 1, 12))
    assert state(model)[7:] == before[7:]
    user.remove()
    model(torch.rand(1, 1, 12)).sum().backward()
    assert not model.cache["weight"].is_inference()


def test_a_trace_within_a_step_leaves_the_step_alone() -> None:
    model = Hoarder()
    loss = model(torch.rand(1, 1, 12)).square().sum()
    foveal.trace(model, (1, 1, 12))
    loss.backward()
    assert model.conv.weight.grad is not None


class Off(nn.Module):
    def __init__(self, how: str) -> None:
        super().__init__()
        self.how = how
        self.first, self.second = nn.Conv2d(1, 2, 3), nn.Conv2d(2, 2, 3)

    def forward(self, x: Tensor) -> Tensor:
        if self.how == "set":
            torch.set_grad_enabled(False)
        elif self.how == "on":
            torch.set_grad_enabled(True)
            self.last = self.first(x)
        elif self.how == "inference":
            with torch.inference_mode():
                return self.second(self.first(x))  # type: ignore[no-any-return]
        elif self.how == "no_grad":
            with torch.no_grad():
                return self.second(self.first(x))  # type: ignore[no-any-return]
        return self.second(self.first(x))  # type: ignore[no-any-return]


@pytest.mark.parametrize("how", ["set", "inference", "no_grad"])
def test_gradients_that_the_model_switches_off_are_refused_in_words(how: str) -> None:
    graph = foveal.trace(Off(how), (1, 1, 12, 12))
    with pytest.raises(FovealError, match="no gradient reaches layer 'second'"):
        foveal.field(graph, "second", kind="gradient")
    assert torch.is_grad_enabled()


@pytest.mark.parametrize("how", ["set", "inference", "no_grad", "on"])
def test_check_works_on_models_that_touch_the_grad_mode(how: str) -> None:
    model = Off(how)
    assert testing.check(model, (1, 1, 12, 12), rounds=2).agrees
    assert torch.is_grad_enabled()


def test_a_model_that_cannot_be_copied_is_refused_in_words() -> None:
    model = Off("on")
    model(torch.rand(1, 1, 12, 12))  # keeps a tensor of a running step
    with pytest.raises(FovealError, match="cannot be copied"):
        testing.check(model, (1, 1, 12, 12))


def test_gradients_within_no_grad_and_inference_mode() -> None:
    graph = foveal.trace(Off("none"), (1, 1, 12, 12))
    expected = foveal.field(graph, "second", kind="gradient").box
    with torch.no_grad():
        assert foveal.field(graph, "second", kind="gradient").box == expected
    with torch.inference_mode():
        assert foveal.field(graph, "second", kind="gradient").box == expected
