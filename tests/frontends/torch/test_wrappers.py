"""What libraries put around a module, and words that a module's class uses for something else."""

from __future__ import annotations

from collections import OrderedDict, UserDict
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

import foveal
import foveal.testing
from foveal.core.errors import SourceError
from foveal.fields.receptive_field import receptive_field
from foveal.report.analyze import analyze, selected_layers
from foveal.report.summary import stages
from support.needs import needs

SHAPE = (1, 3, 32, 32)


def small() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Conv2d(4, 4, 3, 2)).eval()


NAMES = ["0", "1", "2", "3", "output"]


class Trains(nn.Module):
    """Its class means a training run by ``train``."""

    def __init__(self) -> None:
        super().__init__()
        self.net = small()

    def train(self, data: str = "coco", epochs: int = 100) -> Trains:  # type: ignore[override]
        raise AssertionError("a training run")

    def forward(self, x: Tensor) -> Tensor:
        found: Tensor = self.net(x)
        return found


class Runner(nn.Module):
    """Calling it predicts; the network is inside, as in ultralytics' YOLO."""

    train = Trains.train  # type: ignore[assignment]

    def __init__(self) -> None:
        super().__init__()
        self.model = small()

    def __call__(self, source: Any) -> Any:
        raise AssertionError("predictions of files")


class Learner:
    """No module at all."""

    def __init__(self) -> None:
        self.model = small()


def test_a_training_run_is_never_started() -> None:
    model = Trains()
    graph = foveal.trace(model, SHAPE)
    assert receptive_field(graph, "output").size == (5, 5)
    assert foveal.verify(graph, "output").agrees
    foveal.trace(model, SHAPE, training=True)
    assert not model.net.training


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    "wrap",
    [lambda: Runner(), lambda: Learner(), lambda: nn.DataParallel(small()), lambda: AveragedModel(small())],
    ids=["runner", "learner", "parallel", "averaged"],
)
def test_names_are_those_of_the_module_inside(wrap: Any) -> None:
    assert foveal.trace(wrap(), SHAPE).layers == NAMES


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("wrap", [torch.compile, nn.DataParallel], ids=["compiled", "parallel"])
def test_a_wrapped_part_has_the_names_that_it_has_without(wrap: Any) -> None:
    inside = small()
    model = nn.Sequential(OrderedDict(net=wrap(inside), head=nn.Conv2d(4, 2, 1))).eval()
    graph = foveal.trace(model, SHAPE)
    assert graph.layers == ["net.0", "net.1", "net.2", "net.3", "net", "head", "output"]
    assert receptive_field(graph, inside[3]).layer == "net.3"
    assert foveal.verify(graph, "net").agrees


def test_other_words_of_a_class_are_not_called_either() -> None:
    class Words(Trains):
        def refuse(self, *_: object, **__: object) -> None:
            raise AssertionError("not meant")

        double = float = half = cpu = to = apply = eval = refuse  # type: ignore[assignment]

    model = Words()
    assert foveal.testing.check(model, (1, 3, 9, 9)).agrees
    assert foveal.verify(foveal.trace(model, SHAPE), "output").agrees


def test_what_has_no_forward_says_what_it_holds() -> None:
    class Parts:
        def __init__(self) -> None:
            self.encoder, self.decoder = small(), small()

    for held in (Parts(), nn.ModuleDict({"encoder": small(), "decoder": small()})):
        with pytest.raises(SourceError, match=r"no forward of its own; .*: encoder \(Sequential\), decoder"):
            foveal.trace(held, SHAPE)


@pytest.mark.filterwarnings("ignore")
def test_scripts_and_exports_that_were_rewritten() -> None:
    scripted, program = torch.jit.script(small()), torch.export.export(small(), (torch.zeros(SHAPE),))
    frozen = torch.jit.freeze(scripted)
    assert receptive_field(foveal.trace(frozen, SHAPE), "output").size == (5, 5)
    graph = foveal.trace(program.module())  # type: ignore[arg-type]
    assert (graph.layers, graph.values[0].shape) == (NAMES, SHAPE)
    with pytest.raises(SourceError, match="optimize_for_inference"):
        foveal.trace(torch.jit.optimize_for_inference(torch.jit.script(small())), SHAPE)


def test_a_program_of_open_lengths_is_read_from_its_file(tmp_path: Any) -> None:
    batch, side = torch.export.Dim("batch"), torch.export.Dim("side", min=8, max=4096)
    model = nn.Sequential(small(), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    program = torch.export.export(model, (torch.zeros(2, 3, 32, 32),), dynamic_shapes=({0: batch, 2: side, 3: side},))
    torch.export.save(program, tmp_path / "open.pt2")
    graph = foveal.trace(str(tmp_path / "open.pt2"), (1, 3, 48, 48))
    assert receptive_field(graph, "0").size == (5, 5)
    assert graph.values[0].shape == (1, 3, 48, 48)


class Shared(nn.Module):
    """One activation, and one block that hangs at two places."""

    def __init__(self) -> None:
        super().__init__()
        act, core = nn.SiLU(), nn.Conv1d(2, 2, 3, padding=1)
        self.a, self.b = nn.Sequential(core, act), nn.Sequential(nn.Sequential(core, act), act)

    def forward(self, x: Tensor) -> Tensor:
        found: Tensor = self.b(self.a(x))
        return found


def test_a_shared_module_goes_by_the_place_of_its_call() -> None:
    graph = foveal.trace(Shared(), (1, 2, 24))
    assert graph.layers == ["a.0", "a.1", "a", "b.0.0", "b.0.1", "b.0", "b.1", "b", "output"]
    assert [receptive_field(graph, name).size for name in ("a.0", "b.0.0")] == [(3,), (5,)]
    report = analyze(graph)
    assert report.layer("a").parameters == 14
    assert report.layer("b.0.0").parameters == 0
    assert foveal.verify(graph, ["a.0", "b.0.0", "b.1"]).agrees


class Pair(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv1d(2, 2, 3)

    def forward(self, x: Tensor) -> dict[str, Any]:
        x = self.conv(x)
        return {"logits": x, "past_key_values": [x + 1, x + 2]}


class Under(nn.Module):
    """Everything lies under ``model.``."""

    def __init__(self) -> None:
        super().__init__()
        self.model = nn.ModuleList([nn.Sequential(nn.Conv1d(2, 2, 3), nn.ReLU()), Pair()])

    def forward(self, x: Tensor) -> dict[str, Any]:
        found: dict[str, Any] = self.model[1](self.model[0](x))
        return found


def test_depth_counts_below_what_all_have_in_common() -> None:
    graph = foveal.trace(Under(), (1, 2, 24))
    names = [layer.name for layer in selected_layers(graph, depth=1)]
    assert names == ["model.0", "model.1.logits"]


def test_the_short_table_is_never_empty() -> None:
    """Forty maps of as many sizes, all of them below one module, as in a detector's heads."""

    class Heads(nn.ModuleDict):
        def forward(self, x: Tensor) -> list[Tensor]:
            return [part(x) for part in self.values()]

    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            kinds = (lambda n: nn.Conv2d(1, 1, n), lambda n: nn.AvgPool2d(n, 1))
            self.heads = Heads({f"part{k}": kinds[k % 2](1 + 2 * k) for k in range(40)})

        def forward(self, x: Tensor) -> list[Tensor]:
            found: list[Tensor] = self.heads(x)
            return found

    assert 5 < len(stages(analyze(foveal.trace(Net(), (1, 1, 90, 90)))).layers) <= 25


def test_what_a_configuration_says_of_the_image_is_taken() -> None:
    model = small()
    model.config = {"image_size": [96, 64]}  # type: ignore[assignment]
    assert foveal.trace(model).values[0].shape == (1, 3, 96, 64)


def test_a_path_alone_is_its_first_tensor_and_the_main_output_is_no_cache() -> None:
    graph = foveal.trace(Under(), (1, 2, 24))
    assert graph.layer("model.1").name == "model.1.logits"
    assert receptive_field(graph, "model.1").size == (5,)
    assert graph.main == "output.logits"
    assert foveal.verify(graph).layers[-1:] == ("output.logits",)


class Batch(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.net = small()

    def forward(self, batch: Any) -> Tensor:
        found: Tensor = self.net(batch["image"] if hasattr(batch, "keys") else batch.image)
        return found


@dataclass(frozen=True)
class Sample:
    image: Any
    number: int = 1


class Photo(NamedTuple):
    image: Any
    number: int


class Images(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.net = small()

    def forward(self, images: list[Tensor]) -> list[Tensor]:
        return [self.net(image[None]) for image in images]


class Detector(Images):
    """As torchvision's."""

    def forward(self, images: list[Tensor], targets: Any = None) -> list[Tensor]:  # type: ignore[override]
        assert targets is None
        return super().forward(images)


class Words(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.table, self.conv = nn.Embedding(50, 4), nn.Conv2d(3, 4, 3)

    def forward(self, image: Tensor, ids: Tensor, scale: float = 1.0) -> Tensor:
        found: Tensor = self.conv(image) * scale + self.table(ids).mean(1)[:, :, None, None]
        return found


@pytest.mark.parametrize(
    ("model", "inputs", "sources"),
    [
        (Batch(), {"image": SHAPE}, {"image": SHAPE}),
        (Batch(), UserDict({"image": torch.zeros(SHAPE), "label": 3}), {"image": SHAPE}),
        (Batch(), ({"image": SHAPE},), {"input.image": SHAPE}),
        (Batch(), Sample(SHAPE), {"image": SHAPE}),
        (Images(), [(3, 32, 32), (3, 40, 36)], {"input.0": (3, 32, 32), "input.1": (3, 40, 36)}),
        (Words(), {"image": SHAPE, "ids": (1, 7), "scale": 2.0}, {"image": SHAPE, "ids": (1, 7)}),
        (Words(), UserDict({"image": np.zeros(SHAPE, np.float32), "ids": np.ones((1, 7), int)}),
         {"image": SHAPE, "ids": (1, 7)}),
        (nn.Sequential(nn.Embedding(50, 4), nn.Linear(4, 4)), (1, 7), {"input": (1, 7)}),
        (Batch(), Photo(torch.zeros(SHAPE), 1), {"image": SHAPE}),
        (Detector(), [torch.zeros(3, 32, 32)], {"input.0": (3, 32, 32)}),
    ],
)  # fmt: skip
def test_inputs_as_people_call_models(model: nn.Module, inputs: Any, sources: dict[str, Any]) -> None:
    graph = foveal.trace(model, inputs)
    assert {source.name: graph.values[source.value].shape for source in graph.sources} == sources


def test_an_input_without_counted_axes_is_no_source() -> None:
    graph = foveal.trace(Words(), {"image": SHAPE, "ids": torch.ones(1, 7, dtype=torch.int64)}, axes={"ids": ()})
    assert "image" in str(analyze(graph))
    assert foveal.verify(graph).agrees


def test_axes_go_by_the_name_of_an_input_or_of_what_holds_it() -> None:
    sample = {"image": torch.zeros(SHAPE), "weight": torch.ones(SHAPE)}
    graph = foveal.trace(Batch(), (sample,), axes={"input.weight": (), "input": (2,)})
    assert [(source.name, source.axes) for source in graph.sources] == [("input.image", (2,))]
    with pytest.raises(foveal.FovealError, match=r"no input 'img'; there are input.image, input.weight"):
        foveal.trace(Batch(), (sample,), axes={"img": (2, 3)})


def test_a_number_becomes_a_tensor_where_the_model_asks_for_one() -> None:
    class Denoiser(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv, self.time = nn.Conv2d(3, 4, 3), nn.Linear(1, 4)

        def forward(self, x: Tensor, timestep: Tensor) -> Tensor:
            found: Tensor = self.conv(x) + self.time(timestep.float()[:, None])[:, :, None, None]
            return found

    graph = foveal.trace(Denoiser(), {"x": SHAPE, "timestep": 3})
    assert ([source.name for source in graph.sources], graph.notes) == (["x"], [])
    assert receptive_field(graph, "output").size == (3, 3)


def test_a_mask_that_decides_what_runs_is_taken_as_given() -> None:
    class Reader(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.table = nn.Embedding(50, 4)

        def forward(self, ids: Tensor, mask: Tensor) -> Tensor:
            h = self.table(ids)
            scores = h @ h.transpose(1, 2)
            if not mask.all():
                scores = scores.masked_fill(mask[:, None] == 0, -torch.inf)
            return scores.softmax(-1) @ h

    call = {"ids": torch.arange(7)[None], "mask": torch.ones(1, 7, dtype=torch.int64)}
    graph = foveal.trace(Reader(), UserDict(call))
    assert [source.name for source in graph.sources] == ["ids"]
    assert receptive_field(graph, "output").status == "exact"
    assert "input 'mask' decides what runs and is taken as it is given" in str(analyze(graph))
    call["mask"][0, 5:] = 0
    rf = receptive_field(foveal.trace(Reader(), call), "output")
    assert (rf.status, rf.box(0, clip=True)) == ("exact", ((0, 5),))
    assert {source.name for source in foveal.trace(Reader(), call, axes={"mask": (1,)}).sources} == {"ids", "mask"}


def test_a_module_of_fx_keeps_its_own_modules() -> None:
    assert foveal.trace(torch.fx.symbolic_trace(small()), SHAPE).layers == NAMES


def test_an_input_without_counted_axes_and_without_numbers_counts_like_weights() -> None:
    class Masked(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.net = small()

        def forward(self, x: Tensor, mask: Tensor) -> Tensor:
            found: Tensor = self.net(x) * mask
            return found

    graph = foveal.trace(Masked(), {"x": SHAPE, "mask": (1, 1, 14, 14)}, axes={"mask": ()})
    assert [source.name for source in graph.sources] == ["x"]
    assert "5" in str(analyze(graph, "output"))
    assert foveal.verify(graph).agrees


def test_weights_from_a_file_beside_a_factory(tmp_path: Any) -> None:
    safetensors = needs("safetensors.torch", "safetensors")
    trained = {f"model.{name}": tensor.clone() for name, tensor in small().state_dict().items()}
    trained["model.0.weight"] += 1
    safetensors.save_file({**trained, "model.head.weight": torch.ones(2)}, tmp_path / "net.safetensors")
    model = small()
    graph = foveal.trace(model, SHAPE, weights=str(tmp_path / "net.safetensors"))
    assert "no place for 'head.weight'" in str(analyze(graph))
    array = graph.backend.array("0.weight") if graph.backend is not None else None
    assert array is not None
    assert np.array_equal(array, trained["model.0.weight"].numpy())
    assert torch.equal(model[0].weight, small()[0].weight)
    torch.save({"state_dict": {"0.weight": trained["model.0.weight"]}}, tmp_path / "part.pth")
    with pytest.raises(SourceError, match=r"has no weights for '0.bias', '1.weight', '1.bias' and 4 more"):
        foveal.trace(model, SHAPE, weights=str(tmp_path / "part.pth"))
