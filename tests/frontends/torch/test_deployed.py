"""Networks on the way to deployment: fake-quantised ones."""

from __future__ import annotations

import warnings

import torch
from torch import nn

import foveal


def fake_quantised() -> nn.Module:
    from torch.ao import quantization as q

    model = nn.Sequential(q.QuantStub(), nn.Conv2d(3, 4, 3, padding=1), nn.ReLU(), nn.Conv2d(4, 4, 3, 2, 1)).train()
    model.qconfig = q.get_default_qat_qconfig("fbgemm")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return q.prepare_qat(model).eval()


def test_a_fake_quantiser_keeps_its_range_in_evaluation() -> None:
    model = fake_quantised()
    before = {name: item.clone() for name, item in model.state_dict().items()}
    graph = foveal.trace(model, (1, 3, 16, 16))
    found = foveal.receptive_field(graph, "3")
    assert (found.status, found.size, found.stride) == ("exact", (5, 5), (2, 2))
    assert all(torch.equal(item, before[name]) for name, item in model.state_dict().items())
    assert not [note for note in graph.notes if note.code in ("opaque", "real-tensors", "partial")]


def test_a_fake_quantiser_that_observes_reads_the_whole_tensor() -> None:
    found = foveal.receptive_field(foveal.trace(fake_quantised(), (1, 3, 16, 16), training=True), "3")
    assert (found.status, found.box((4, 4), clip=True)) == ("exact", ((0, 16), (0, 16)))
