"""Audits of segmentation networks: spectra against listed routes, published fields, planted faults."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn
from typer.testing import CliRunner

import foveal
from foveal.app.main import app
from foveal.core.errors import FovealError
from foveal.ir.graph import Graph
from foveal.tasks.audit import audit
from foveal.tasks.record import Audit
from foveal.tasks.segmentation.audit import couplings, output_layer
from foveal.tasks.segmentation.border import border
from foveal.tasks.segmentation.coupling import spectrum
from foveal.tasks.segmentation.gridding import dilated_convolutions
from foveal.tasks.segmentation.holes import dilation_plan
from foveal.tasks.segmentation.two_ways import two_ways
from support.networks.published_networks import ValidUNet
from support.networks.segmentation_networks import Branches, DenseASPP, MiniUNet, PaddedUNet, PlainChain


def plane(model: nn.Module, side: int = 64, channels: int = 1) -> Graph:
    return foveal.trace(model.eval(), (1, channels, side, side))


def codes(found: Audit) -> list[str]:
    return [finding.code for finding in found.findings]


def dense_routes(rates: Sequence[int], channels: int, growth: int) -> dict[int, float]:
    """Every route of a dense chain, listed: at each concatenation a part gets its share of the channels."""
    found: dict[int, float] = defaultdict(float)

    def follow(layers: int, size: int, share: float) -> None:
        width = channels + layers * growth
        found[size] += share * channels / width
        for i in range(layers):
            follow(i, size + 2 * rates[i], share * growth / width)

    follow(len(rates), 1, 1.0)
    return dict(found)


def test_spectrum_of_parallel_branches() -> None:
    """A stem of 3, then 1x1, rate 2 and rate 4: 3, 7, 11 pixels, weighted by their channels."""
    found = spectrum(plane(Branches((0, 2, 4), (1, 2, 5))), "head")
    assert [size for size, _ in found.sizes] == [3, 7, 11]
    assert [share for _, share in found.sizes] == pytest.approx([1 / 8, 2 / 8, 5 / 8])
    assert found.whole == 0
    assert [found.quantile(q) for q in (0.1, 0.3, 0.5)] == [3, 7, 11]
    shares = np.array([1, 2, 5]) / 8
    assert found.effective_count == pytest.approx(np.exp(-(shares * np.log(shares)).sum()))


def test_spectrum_of_densely_chained_rates() -> None:
    rates = (3, 6, 12, 18, 24)
    found = spectrum(foveal.trace(DenseASPP(rates).eval(), (1, 2, 512)), "head")
    expected = dense_routes(rates, 2, 3)
    assert sum(expected.values()) == pytest.approx(1)
    assert dict(found.sizes) == pytest.approx(expected)
    # All five in a row: 1 + 2 x 63 cells.
    assert found.sizes[-1][0] == 127 == dilation_plan(rates).extent


def test_spectrum_does_not_see_the_image_end() -> None:
    rates = (3, 6, 12, 18, 24)
    small, large = (dict(spectrum(foveal.trace(DenseASPP(rates).eval(), (1, 2, n)), "head").sizes) for n in (80, 512))
    assert small.keys() == large.keys()


def test_spectrum_of_residual_blocks_is_binomial() -> None:
    """Three blocks of two 3-taps with a shortcut: energies add, so 4 pixels more per block with shares 1, 3, 3, 1."""

    class Block(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.b = nn.Conv1d(2, 2, 3, padding=1), nn.Conv1d(2, 2, 3, padding=1)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x + self.b(self.a(x))

    graph = foveal.trace(nn.Sequential(Block(), Block(), Block()).eval(), (1, 2, 64))
    found = spectrum(graph, "2")
    assert [size for size, _ in found.sizes] == [1, 5, 9, 13]
    assert [share for _, share in found.sizes] == pytest.approx([1 / 8, 3 / 8, 3 / 8, 1 / 8])


def test_spectrum_through_a_decoder() -> None:
    """Skip: 3x3 on 3x3, 5 px. Deep: 3 fine positions lie in 2 coarse ones, 4 behind the 3x3, 8 fine, 10 behind the
    3x3.
    """
    found = spectrum(plane(MiniUNet(), 32), "last", (8, 9))
    assert found.sizes == ((5, pytest.approx(0.5)), (10, pytest.approx(0.5)))


def test_global_context_is_a_share_of_its_own() -> None:
    """An average of n positions passes 1 / n^2 of a squared gradient to each: 1 / n of it in all."""
    side, branches = 16, plane(Branches((0, 2), (2, 2), pooled=True), 16)
    found = spectrum(branches, "head")
    shares = np.array([2.0, 2.0, 2.0 / side**2])
    assert found.whole == pytest.approx(shares[2] / shares.sum(), rel=1e-6)
    assert [size for size, _ in found.sizes] == [3, 7]


def test_spectra_of_asymmetric_kernels_by_axis() -> None:
    graph = plane(nn.Sequential(nn.Conv2d(1, 1, (1, 7), padding=(0, 3)), nn.Conv2d(1, 1, (3, 1), padding=(1, 0))))
    assert spectrum(graph, "1", axis=0).sizes == ((3, pytest.approx(1.0)),)
    assert spectrum(graph, "1", axis=1).sizes == ((7, pytest.approx(1.0)),)


def test_spectrum_is_refused_without_a_grid() -> None:
    graph = foveal.trace("conv3x4 gap fc10", (1, 3, 32, 32))
    with pytest.raises(FovealError, match="does not follow the axes"):
        spectrum(graph, "fc1")


def test_the_audit_goes_on_where_positions_are_rearranged() -> None:
    graph = foveal.trace("torchvision:swin_t", (1, 3, 64, 64))
    assert "rearranges positions (tokens or windows)" in spectrum(graph, "features.1").unknown
    audit = foveal.audit(graph, "segmentation", layer="features.1")
    assert "sizes that it couples are not known" in str(audit)
    assert "Spectrum" not in [table.title for table in audit.tables]
    assert set(audit.figures) == {"field"}


LOOS = [
    (54, 46, 3, 2), (100, 92, 3, 3), (146, 138, 3, 4), (204, 188, 4, 3), (230, 222, 3, 6),
    (298, 282, 4, 4), (360, 360, 3, 9), (412, 380, 5, 3), (486, 470, 4, 6), (580, 564, 4, 7),
]  # fmt: skip


@pytest.mark.parametrize(("largest", "smallest", "depth", "kernel"), LOOS)
def test_the_ten_u_nets_of_loos(largest: int, smallest: int, depth: int, kernel: int) -> None:
    graph = plane(PaddedUNet(depth, kernel), 576)
    rf = foveal.receptive_field(graph, output_layer(graph))
    assert rf.sizes == ((smallest, largest),) * 2
    # The published 570 of the last one is what the 576 pixel image leaves of 580.
    assert rf.clipped_size == (570 if largest == 580 else largest,) * 2


def test_the_first_u_net() -> None:
    graph = plane(ValidUNet(4), 572)
    found = audit(graph, "segmentation")
    assert found.table("Output").column("grid") == ("388x388",)
    assert found.table("Output").column("TRF (px)") == ("188-204",)
    assert found.table("Output").column("phases") == ("16",)
    # No padding: every output has its whole field inside.
    assert found.table("Border").rows[0] == (1.0, 0.0, pytest.approx(1.0, rel=0.2))


def test_aspp_widths_and_rates_that_degenerate() -> None:
    """Rates 12, 24, 36 at stride 8 add 192, 384, 576 px; on 65 cells the last spans 73."""
    model = nn.Sequential(nn.Conv2d(1, 2, 8, 8), Branches((0, 12, 24, 36), (2, 2, 2, 2)))
    model[1].stem = nn.Conv2d(2, 2, 3, padding=1)
    graph = plane(model, 520)
    found = dilated_convolutions(graph, "1.head")
    assert [item.adds for item in found] == [(192, 192), (384, 384), (576, 576)]
    assert [item.jump for item in found] == [(8, 8)] * 3
    assert [item.degenerate for item in found] == [False, False, True]
    report = audit(graph, "segmentation")
    assert [(f.code, f.layer) for f in report.findings if f.code == "SEG03"] == [("SEG03", "1.branches.3")]
    assert "rates up to 32" in next(f.change for f in report.findings if f.code == "SEG03")
    # Stem 3 x 3 of cells: 24 px, and each branch on top of it.
    assert couplings(graph, "1.head") == [("1", "concatenation", ("24", "216", "408", "600"))]


def test_pooled_branches_are_the_whole_image() -> None:
    model = nn.Sequential(nn.Conv2d(1, 2, 3, padding=1), Pyramid())
    assert couplings(plane(model, 16), "1")[0][2] == ("3", "whole")


class Pyramid(nn.Module):
    """The map beside its mean, repeated."""

    def __init__(self) -> None:
        super().__init__()
        self.pool, self.up = nn.AdaptiveAvgPool2d(1), nn.Upsample(size=(16, 16))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.cat([x, self.up(self.pool(x))], dim=1)


def test_a_sound_network_gets_no_finding() -> None:
    found = audit(plane(Branches((0, 2, 4), (2, 2, 2))), "segmentation")
    assert codes(found) == []
    assert found.table("Lattice").column("largest gap")[0] == "1"


def test_holes_on_the_source_are_found() -> None:
    found = audit(plane(PlainChain(2, 2, 2)), "segmentation")
    assert "SEG01" in codes(found)
    text = next(f.text for f in found.findings if f.code == "SEG01")
    assert "7 of 13 x 7 of 13 positions of its field, with gaps of 2" in text


def test_gridding_behind_a_stem_is_found() -> None:
    """A 4x4 of stride 2 in front fills the holes of the source, not those of the map on which dilation starts."""
    found = audit(plane(nn.Sequential(nn.Conv2d(1, 1, 4, 2, 1), PlainChain(2, 2, 2))), "segmentation")
    assert "SEG01" not in codes(found)
    (finding,) = (f for f in found.findings if f.code == "SEG02")
    assert (finding.layer, finding.severity) == ("1.0", "warning")
    assert "7 of 13 x 7 of 13 positions" in finding.text


def test_a_plan_that_covers_is_not_gridding() -> None:
    assert {"SEG01", "SEG02"} & set(codes(audit(plane(PlainChain(1, 2, 5)), "segmentation"))) == set()
    assert {"SEG01", "SEG02"} & set(codes(audit(plane(PlainChain(1, 2, 2, 2)), "segmentation"))) == set()
    # Rate 1 behind the others: the order plays no part.
    assert {"SEG01", "SEG02"} & set(codes(audit(plane(PlainChain(2, 5, 1)), "segmentation"))) == set()


def test_a_stride_larger_than_its_kernel_leaves_holes() -> None:
    graph = plane(nn.Sequential(nn.Conv2d(1, 1, 3, 4, 1), nn.Conv2d(1, 1, 3, padding=1)), 64)
    (finding,) = (f for f in audit(graph, "segmentation").findings if f.code == "SEG01")
    # 3 of every 4 pixels: 0..2, 4..6, 8..10.
    assert "9 of 11" in finding.text
    assert "a stride larger than its kernel" in finding.text


def test_one_size_only_and_no_whole_field() -> None:
    assert codes(audit(plane(PlainChain(1, 1)), "segmentation")) == ["SEG04"]
    assert codes(audit(plane(Branches((0, 2, 4), (2, 2, 2)), 9), "segmentation")) == ["SEG05"]


def test_border_by_hand() -> None:
    graph = foveal.trace(nn.Sequential(nn.Conv1d(1, 1, 3, padding=1)).eval(), (1, 1, 10))
    found = border(graph, foveal.receptive_field(graph, "0"))
    assert found.complete == pytest.approx(8 / 10)
    assert found.margin == 1
    assert found.corner_energy == pytest.approx(2 / 3)


def test_two_ways_by_hand() -> None:
    """One 3x3, 1 to 2 channels, on 16 x 16: 16 x 16 x 9 x 2 products; 256 blocks of 9 of the 256 pixels."""
    graph = plane(nn.Sequential(nn.Conv2d(1, 2, 3, padding=1)), 16)
    block, network = two_ways(graph, foveal.receptive_field(graph, "0"), spectrum(graph, "0"))
    assert (network.multiply_adds, network.times, network.covers) == (4608, 1, 1)
    assert (block.block, block.runs, block.multiply_adds, block.times) == ((3, 3), 256, 4608 * 9, 9)
    assert block.covers == pytest.approx(1)


def test_two_ways_of_several_sizes() -> None:
    graph = plane(Branches((0, 2, 4), (2, 2, 2)))
    ways = two_ways(graph, foveal.receptive_field(graph, "head"), spectrum(graph, "head"))
    assert [way.block for way in ways[:3]] == [(3, 3), (7, 7), (11, 11)]
    assert ways[3].times == pytest.approx(9 + 49 + 121)
    assert [way.covers for way in ways] == pytest.approx([1 / 3, 2 / 3, 1, 1, 1])


def test_audit_travels_and_draws(tmp_path: Path) -> None:
    found = audit(plane(MiniUNet(), 32), "segmentation")
    assert found.table("Output").column("phases") == ("2",)
    assert found.table("Couplings").column("fields of the branches (px)") == ("3, 8",)
    assert Audit.from_json(found.to_json()) == found
    for name in ("spectrum", "field"):
        found.figure(name).savefig(tmp_path / f"{name}.png")
        assert (tmp_path / f"{name}.png").stat().st_size > 5000


def test_command_line() -> None:
    line = ["audit", "segmentation", "conv3x4,d2 conv3x4,d2", "--input", "1,3,64,64", "--fail-on", "warning"]
    text = CliRunner().invoke(app, line, env={"COLUMNS": None}, catch_exceptions=False)
    assert text.exit_code == 1
    assert "5 of 9 x 5 of 9 positions of its field, with gaps of 2" in " ".join(text.stdout.split())


def test_layers_that_are_no_map_are_refused() -> None:
    graph = foveal.trace("conv3x4 gap fc10", (1, 3, 32, 32))
    with pytest.raises(FovealError, match="needs a grid of units over an image"):
        audit(graph, "segmentation", layer="fc1")
    assert output_layer(graph) == "conv1"
