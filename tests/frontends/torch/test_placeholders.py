"""Where a large network chooses among what it found, the numbers that it chooses by are made up."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

import foveal
from foveal.core.errors import FovealError
from foveal.frontends.torch.dispatch import placeholders
from foveal.frontends.torch.dispatch.placeholders import CHOSEN, Placeholders

SHAPE = (1, 3, 24, 24)


class Detector(nn.Module):
    """Scores and boxes per place; those above a threshold are kept, looked at once more, and written into a frame."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.ReLU(inplace=True), nn.Conv2d(8, 8, 3, padding=1))
        self.scores, self.boxes = nn.Conv2d(8, 1, 1), nn.Conv2d(8, 4, 3, padding=1)
        nn.init.constant_(self.scores.bias, 0.5)  # some are above the threshold
        self.again = nn.Linear(4, 6)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        y = self.body(x)
        scores, boxes = self.scores(y).flatten(), self.boxes(y).flatten(2)[0].transpose(0, 1)
        keep = torch.where(scores.sigmoid() > 0.5)[0]
        frame = torch.zeros_like(boxes[keep])
        frame[:, :2] = boxes[keep][:, 2:].relu()  # a write by way of a view
        wide = int(frame[0, 0].round())  # of what was chosen: read by Python
        return self.again(boxes[keep])[scores[keep] > 0], frame * (1 + wide)


class Gate(nn.Module):
    """A branch that the network's own numbers decide."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3)

    def forward(self, x: Tensor) -> Tensor:
        y = self.conv(x)
        return y[:, :, :1] if y.mean() > 5 else y.relu()


def told(graph: Any) -> str:
    return str(graph.notes[0].text.partition(":")[0])


def test_layers_before_the_choice_are_what_a_run_on_real_tensors_gives(monkeypatch: pytest.MonkeyPatch) -> None:
    model = Detector().eval()
    before = {name: item.clone() for name, item in model.state_dict().items()}
    real = foveal.trace(model, SHAPE)
    assert told(real) == "run on real tensors"
    monkeypatch.setattr(placeholders, "LARGE", 0)
    sizes: list[int] = []
    make = Placeholders._make
    monkeypatch.setattr(Placeholders, "_make", lambda self, meta: [make(self, meta), sizes.append(meta.numel())][0])
    graph = foveal.trace(model, SHAPE)
    assert told(graph) == "run on made-up numbers where some are needed"
    # The mask, the boxes behind it and the second look's mask with what it chooses from: no map of features.
    assert max(sizes) == 24 * 24 * 4
    assert all(torch.equal(item, before[name]) for name, item in model.state_dict().items())
    assert torch.zeros(1).device.type == "cpu"

    rows = [{row.name: row for row in foveal.analyze(one, check=False).layers} for one in (real, graph)]
    exact = [name for name, row in rows[0].items() if row.status == "exact"]
    assert {"body.0", "body.2", "scores", "boxes", "sigmoid"} <= set(exact)
    assert all(rows[0][name] == rows[1][name] for name in exact)
    assert [name for name, row in rows[1].items() if row.status == "exact"] == exact
    assert rows[1]["again"].shape == (CHOSEN, 6)
    assert rows[1]["again"].status == rows[0]["again"].status == "data-dependent"
    for name in ("again", "output.0", "output.1"):
        assert rows[0][name].clipped == rows[1][name].clipped == SHAPE[2:]


def test_numbers_that_are_given_or_that_decide_a_branch_are_never_made_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(placeholders, "LARGE", 0)
    assert told(foveal.trace(Detector().eval(), torch.rand(SHAPE))) == "run on real tensors"
    graph = foveal.trace(Gate().eval(), SHAPE)
    assert told(graph) == "run on real tensors"
    assert graph.values[graph.layer("output").value].shape == (1, 4, 22, 22)


def test_a_run_that_made_up_numbers_stop_is_made_with_real_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    class Sure(Detector):
        def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
            found = super().forward(x)
            if found[0].shape[0] < 3 * CHOSEN:
                raise ValueError("too few")
            return found

    monkeypatch.setattr(placeholders, "LARGE", 0)
    model = Sure().eval()
    nn.init.constant_(model.scores.bias, 5.0)
    assert told(foveal.trace(model, SHAPE)) == "run on real tensors"
    nn.init.constant_(model.scores.bias, -5.0)
    with pytest.raises(FovealError, match="index 0 is out of bounds"):
        foveal.trace(model, SHAPE)
