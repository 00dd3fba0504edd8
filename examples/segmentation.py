"""Segmentation on real networks: ``python examples/segmentation.py`` makes what docs/tasks-segmentation.md shows.

Needs torchvision and segmentation-models-pytorch; weights are random and nothing is downloaded. About a minute.
"""

from __future__ import annotations

from pathlib import Path

import segmentation_models_pytorch as smp
import torchvision

import foveal
from foveal.ir.graph import Graph
from foveal.tasks.audit import audit
from foveal.tasks.record import Audit
from foveal.tasks.segmentation.audit import output_layer
from foveal.tasks.segmentation.coupling import spectrum
from foveal.tasks.segmentation.holes import dilation_plan
from foveal.tasks.segmentation.record import Spectra
from foveal.views.plots.segmentation import spectrum_picture

IMAGES = Path(__file__).parent.parent / "docs" / "images" / "tasks"
SIDE = 513
"""Pixels: the usual crop for DeepLab; the others need multiples of 32 and get 512."""
PLANS = ((2, 2, 2), (2, 4, 8), (1, 2, 5), (1, 2, 9), (1, 3, 9))


def networks() -> dict[str, Graph]:
    """One network of each way to couple fields."""
    fcn = torchvision.models.segmentation.fcn_resnet50(weights=None, weights_backbone=None)
    deeplab = torchvision.models.segmentation.deeplabv3_resnet50(weights=None, weights_backbone=None)
    return {
        "FCN (dense dilation)": foveal.trace(fcn.eval(), (1, 3, SIDE, SIDE)),
        "DeepLabV3 (ASPP)": foveal.trace(deeplab.eval(), (1, 3, SIDE, SIDE)),
        "PSPNet (pyramid pooling)": foveal.trace(smp.PSPNet("resnet50", encoder_weights=None).eval(), (1, 3, 512, 512)),
        "U-Net (encoder-decoder)": foveal.trace(smp.Unet("resnet50", encoder_weights=None).eval(), (1, 3, 512, 512)),
    }


def row(name: str, found: Audit, graph: Graph) -> str:
    """One line of the table in the documentation."""
    sizes = spectrum(graph, output_layer(graph))
    ways = found.table("Two ways")
    times = ways.rows[-2][ways.columns.index("times the network")]
    codes = ", ".join(dict.fromkeys(finding.code for finding in found.findings)) or "none"
    trf = found.table("Output").column("TRF (px)")[0]
    middle = " / ".join(str(sizes.quantile(q)) for q in (0.1, 0.5, 0.9))
    return (
        f"| {name} | {trf} | {len(sizes.sizes)} | {middle} | {sizes.effective_count:.1f} | {sizes.whole:.2g} | "
        f"{times:.2g} | {codes} |"
    )


if __name__ == "__main__":
    IMAGES.mkdir(parents=True, exist_ok=True)
    spectra = []
    for name, graph in networks().items():
        found = audit(graph, "segmentation")
        print(row(name, found, graph))
        if name.startswith("DeepLab"):
            print(f"\n{found}\n")
        sizes = spectrum(graph, output_layer(graph))
        spectra.append((name, sizes.sizes, sizes.whole))
    shown = Spectra(tuple(spectra), "field sizes that one output couples, ResNet-50 encoders")
    spectrum_picture(shown).save(IMAGES / "spectra.png")
    for plan in PLANS:
        found_plan = dilation_plan(plan)
        print(f"{plan}: {found_plan}; HDC passes: {found_plan.hdc_passes}")
