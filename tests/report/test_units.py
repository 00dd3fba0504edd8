"""What a position is: a sample, a frame, a token, a pixel, a voxel; and how long it is, where the reader says so."""

from __future__ import annotations

import re

import pytest
import torch
from torch import nn

import foveal
from foveal.report.growth import growth
from foveal.report.results import Report
from foveal.views.language.translate import audit_in

SOUND = "input=1x64 conv3x4,s2 conv5x4"


def test_a_sound_has_samples_and_nowhere_pixels() -> None:
    graph = foveal.trace(SOUND)
    report = foveal.analyze(graph)
    said = [report.to_text(every=True), repr(report), repr(graph), repr(foveal.field(graph, -1))]
    for task in ("classification", "registration", "streaming"):
        found = foveal.audit(graph, task)
        said += [str(found), str(audit_in(found, "zh-CN"))]
    said.append(growth(graph, ["conv1", "conv2"]).plot().get_ylabel())
    assert [text for text in said if re.search(r"\bpx\b|pixel|\bimage|像素|图像", text)] == []
    assert "a unit of conv2 sees 11 of the 64 samples of the signal" in said[0]  # by hand: 3 + 2 * 4
    assert said[-1] == "side (samples)"


def test_samples_at_a_rate_are_milliseconds_and_of_a_hop_frames() -> None:
    graph = foveal.trace(SOUND)
    report = foveal.analyze(graph, rate=1000)  # one millisecond each
    assert "sees 11 of the 64 samples of the signal = 11 ms" in str(report)
    assert Report.from_json(report.to_json()) == report
    frames = foveal.analyze(graph, rate=16000, hop=160)  # ten milliseconds each
    assert "sees 11 of the 64 frames of the signal = 110 ms" in str(frames)
    assert frames.sources[0].step == (10.0,)


def test_a_volume_has_voxels_and_millimetres_along_each_axis() -> None:
    report = foveal.analyze(foveal.trace("input=1x16x16x16 conv3x2 conv3x2"), spacing=(3, 1, 0.5))
    assert "a unit of conv2 sees 5 of the 16 voxels of the volume = 15x5x2.5 mm" in str(report)
    assert "= 2.5 mm" in str(foveal.analyze(foveal.trace("input=1x16x16 conv3x2 conv3x2"), spacing=0.5))


def test_what_is_looked_up_in_a_table_are_tokens() -> None:
    class Text(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.table, self.mix = nn.Embedding(30, 4), nn.Conv1d(4, 4, 3)

        def forward(self, ids: torch.Tensor) -> torch.Tensor:
            return self.mix(self.table(ids.view(-1, 20)).transpose(1, 2))

    report = foveal.analyze(Text(), torch.zeros(1, 20, dtype=torch.int64))
    assert report.sources[0].unit == "tokens"
    assert "sees 3 of the 20 tokens of the text" in str(report)


def test_measures_that_fit_no_input_are_refused() -> None:
    graph = foveal.trace(SOUND)
    for given, said in (
        ({"spacing": (1, 1, 3)}, "spacing: no input of specification has 3 axes of positions"),
        ({"rate": -1}, "rate and hop: expected numbers above 0"),
        ({"rate": 8000, "spacing": 1}, "rate and spacing exclude each other"),
    ):
        with pytest.raises(foveal.FovealError, match=said):
            foveal.analyze(graph, **given)  # type: ignore[arg-type]
