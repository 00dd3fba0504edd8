"""Small networks of five libraries: traced, wholly exact, and no support smaller than the model's own gradients say."""

from __future__ import annotations

import sys

import pytest

from support.needs import needs
from support.paths import ROOT

sys.path.append(str(ROOT / "benchmarks"))

MODELS = {
    "monai": "UNet AttentionUnet BasicUNet ViT AutoEncoder",
    "smp": "Unet/tu-test_resnet FPN/tu-test_resnet Linknet/tu-test_resnet MAnet/tu-test_resnet PSPNet/tu-test_resnet",
    "timm": "test_vit test_resnet test_efficientnet test_convnext test_mambaout",
    "torchvision": "resnet18 mobilenet_v3_small shufflenet_v2_x0_5 squeezenet1_1 mnasnet0_5",
    "transformers": "arcee mamba beit mixtral dinov2_with_registers",
}


@pytest.mark.parametrize("library", MODELS)
def test_networks_of_a_library_are_exact(library: str, monkeypatch: pytest.MonkeyPatch) -> None:
    import libraries
    import library_check

    needs(libraries.MODULES.get(library, library))
    monkeypatch.setattr(library_check, "LAYERS", 2)
    for name in MODELS[library].split():
        record = libraries.examine(f"{library}:{name}")
        assert (record.status, record.error, record.small) == ("exact", "", []), name
        assert (record.exact + record.withheld, record.units > 0) == (record.layers, True), name
