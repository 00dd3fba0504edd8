"""Forty torchvision and timm models exported to ONNX against their eager form, at every corresponding layer; and
three transformers, at every module that the exporter's names lead to (linear and attention layers among them).

It runs at low priority; what is done is kept, so that a second start goes on. Results are one line of JSON per model in
``onnx_agreement.jsonl`` beside this file (or where the first argument says).

    python benchmarks/onnx_agreement.py
"""

from __future__ import annotations

import io
import json
import os
import signal
import sys
import time
import warnings
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from foveal.ir.graph import Graph

LIMIT = 180
"""Seconds per model."""

TORCHVISION = [
    "alexnet",
    "vgg11",
    "vgg13_bn",
    "vgg16",
    "resnet18",
    "resnet50",
    "resnext50_32x4d",
    "wide_resnet50_2",
    "densenet121",
    "squeezenet1_0",
    "squeezenet1_1",
    "mobilenet_v2",
    "mobilenet_v3_small",
    "mobilenet_v3_large",
    "shufflenet_v2_x1_0",
    "mnasnet1_0",
    "googlenet",
    "efficientnet_b0",
    "regnet_y_400mf",
    "regnet_x_800mf",
    "convnext_tiny",
    "fcn_resnet50",
    "deeplabv3_mobilenet_v3_large",
    "lraspp_mobilenet_v3_large",
]
TIMM = [
    "resnet26",
    "resnetv2_50",
    "seresnet18",
    "res2net50_26w_4s",
    "dla34",
    "hrnet_w18_small",
    "ghostnet_100",
    "mobileone_s0",
    "repvgg_a0",
    "cspresnet50",
    "darknet53",
    "inception_v4",
    "xception41",
    "efficientnet_lite0",
    "tf_efficientnet_b0",
    "nfnet_l0",
    "convmixer_768_32",
    "vovnet39a",
]
TRANSFORMERS = ["torchvision:vit_b_16", "timm:deit_tiny_patch16_224", "timm:swin_tiny_patch4_window7_224"]
MODELS = [f"torchvision:{name}" for name in TORCHVISION] + [f"timm:{name}" for name in TIMM] + TRANSFORMERS


def compared(source: str) -> dict[str, Any]:
    """One model: eager against exported."""
    import onnx
    import torch

    import foveal
    from foveal.testing import check_frontends_agree

    warnings.simplefilter("ignore")
    torch.manual_seed(0)
    package, _, name = source.partition(":")
    if package == "timm":
        import timm

        model = timm.create_model(name, pretrained=False)
    else:
        import torchvision

        heavy = "fcn" in name or "deeplab" in name or "lraspp" in name
        options: dict[str, Any] = {"weights_backbone": None} if heavy else {}
        options |= {"init_weights": False} if name == "googlenet" else {}
        model = torchvision.models.get_model(name, weights=None, **options)
    fixed = name.startswith(("alexnet", "vgg")) or source in TRANSFORMERS
    side = 299 if "ception" in name else 224 if fixed else 128
    shape = (1, 3, side, side)
    model.eval()
    eager = foveal.trace(model, shape)
    buffer = io.BytesIO()
    torch.onnx.export(model, (torch.zeros(shape),), buffer, dynamo=False)
    exported = foveal.trace(onnx.load_from_string(buffer.getvalue()))
    rows = by_module(eager, exported) if source in TRANSFORMERS else None
    found = check_frontends_agree({"torch": eager, "onnx": exported}, rows, kinds=())
    opaque = sorted({note.text for note in exported.notes if note.code == "opaque"})
    return {
        "layers": found.layers,
        "agrees": found.agrees,
        "differences": list(found.differences[:5]),
        "opaque": opaque,
        **({} if rows is None else {"types": dict(Counter(eager.layer(row[0]).type for row in rows))}),
    }


def by_module(eager: Graph, exported: Graph) -> list[tuple[str, str]]:
    """Each layer of the eager form with the last exported layer of the same shape that its module's scope holds.

    An attention that is one operation in the eager form is the last product in its module's own scope.
    """
    scopes = {name: module_path(name) for name in exported.layers}
    rows = []
    for name, layer in eager.layer_table.items():
        attention = layer.type == "scaled_dot_product_attention"
        if layer.kind != "module" and not attention:
            continue
        path = name.rpartition(".")[0] if attention else name
        held = [other for other, scope in scopes.items() if scope == path or (scope + ".").startswith(path + ".")]
        if attention:
            held = [other for other in held if scopes[other] == path and exported.layer(other).type == "MatMul"]
        if held and shape(exported, held[-1]) == shape(eager, name):
            rows.append((name, held[-1]))
    return rows


def shape(graph: Graph, layer: str) -> tuple[int, ...]:
    return graph.values[graph.layer(layer).value].shape


def module_path(name: str) -> str:
    """The module that an exported node's name tells: "/blocks/blocks.0/attn/MatMul" lies in "blocks.0.attn"."""
    parts: list[str] = []
    for part in name.split("/")[1:-1]:
        if parts and part.startswith(parts[-1] + "."):
            parts.pop()
        parts.append(part)
    return ".".join(parts)


def main() -> None:
    results = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).with_suffix(".jsonl")
    done = {json.loads(line)["model"] for line in results.read_text().splitlines()} if results.exists() else set()
    os.nice(10)
    signal.signal(signal.SIGALRM, _too_long)
    for source in MODELS:
        if source in done:
            continue
        start = time.perf_counter()
        signal.alarm(LIMIT)
        try:
            record = compared(source)
        except Exception as error:
            record = {"error": f"{type(error).__name__}: {(str(error).strip().splitlines() or [''])[0]}"}
        signal.alarm(0)
        record = {"model": source, **record, "seconds": round(time.perf_counter() - start, 1)}
        with results.open("a") as file:
            file.write(json.dumps(record) + "\n")
        print(record, flush=True)


def _too_long(*_: Any) -> None:
    raise TimeoutError(f"more than {LIMIT} s")


if __name__ == "__main__":
    main()
