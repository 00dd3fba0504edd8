"""The page of trained networks is what its lines say, and a network that is installed still gives them."""

from __future__ import annotations

import sys

import pytest

from support.needs import installed, needs
from support.paths import ROOT

needs("torch")
needs("onnx")
sys.path.append(str(ROOT / "benchmarks"))

import trained_networks  # noqa: E402
import trained_pages  # noqa: E402

ROWS = trained_pages.read(trained_pages.LINES)


def test_the_page_is_made_from_the_lines() -> None:
    page = (ROOT / "docs" / "trained.md").read_text(encoding="utf-8")
    assert page == trained_pages.page(trained_pages.in_order(ROWS)), "run benchmarks/trained_pages.py --draw"
    assert len(ROWS) >= 10
    for row in ROWS.values():
        assert "{" not in trained_pages.insight(row)
        for layer in row["layers"]:
            assert f"{layer['measured'][0]:g} [" in page


def test_a_ratio_by_hand() -> None:
    """A 90 % side of 29 predicted and of 165 measured."""
    assert trained_pages.ratio({"predicted": [36.2, 29], "measured_90": 165.0}) == pytest.approx(0.1758, abs=1e-4)


@pytest.mark.slow
def test_a_network_that_is_installed_gives_its_line() -> None:
    """MTCNN's first, on its own photographs."""
    needs("skimage", "scikit-image")
    installed("facenet_pytorch", "facenet-pytorch")
    network = next(n for n in trained_networks._mtcnn() if n.name.endswith("PNet"))
    made = trained_pages.looked_at(network)
    for one, two in zip(made["layers"], ROWS["MTCNN's PNet"]["layers"]):
        assert one["rf"] == two["rf"]
        assert one["predicted"] == two["predicted"]
        assert one["measured_90"] == two["measured_90"]
