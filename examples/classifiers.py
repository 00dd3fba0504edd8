"""Field and accuracy of all torchvision classifiers: ``python examples/classifiers.py``.

Every classifier with ImageNet weights of the first recipe (IMAGENET1K_V1) is traced at its own image size; nothing is
downloaded: accuracies stand in the weights' metadata. Writes docs/tasks-classification.md and its pictures; the numbers
go to docs/data/classifiers.json. With ``--text`` the numbers of the last run are used.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from string import Template
from typing import Any

import numpy as np
import torchvision
from partial_ranks import Statistic, family, partial, resampled, residual, told
from residual_gradients import gradient_page, measure_gradients

import foveal
from foveal.report.costs import total_cost
from foveal.tasks.classification.image_coverage import image_coverage, last_map
from foveal.tasks.classification.shortcuts import path_lengths
from foveal.views.plots.style import BLUE, GREEN, INK, ORANGE, PALE, PINK, Picture, picture, styled

HERE = Path(__file__).parent
PAGE = HERE.parent / "docs" / "tasks-classification.md"
IMAGES = HERE.parent / "docs" / "images" / "classification"
NUMBERS = HERE.parent / "docs" / "data" / "classifiers.json"
GLOBAL = ("vit", "swin", "maxvit")
"""Attention sees the whole image whatever the depth: these networks have no field size to compare."""
FAMILIES = {
    "vgg": (ORANGE, "s"), "resnet": (BLUE, "o"), "densenet": (GREEN, "D"), "efficientnet": (PINK, "^"),
    "regnet": ("#56b4e9", "v"), "convnext": (INK, "P"),
}  # fmt: skip
CHAINS = (
    ("vgg11", "vgg13", "vgg16", "vgg19"),
    ("resnet18", "resnet34"),
    ("resnet50", "resnet101", "resnet152"),
)
"""Networks of one kind of block, by depth."""
GIVEN: dict[str, tuple[str, ...]] = {"rho": (), "cost": ("macs", "params"), "deep": ("macs", "params", "depth")}
"""What is held fixed in each column of the table."""


def classifiers() -> list[str]:
    """Names of torchvision classifiers with weights of the first recipe."""
    models = torchvision.models.list_models(module=torchvision.models)
    return [name for name in models if first_weights(name) is not None and not name.startswith(GLOBAL)]


def first_weights(name: str) -> Any:
    """The IMAGENET1K_V1 entry of a model, or None."""
    return getattr(torchvision.models.get_model_weights(name), "IMAGENET1K_V1", None)


def measure(name: str) -> dict[str, Any]:
    """Field, cost and accuracy of one classifier at its own image size."""
    weights = first_weights(name)
    side = weights.transforms.keywords["crop_size"]
    graph = foveal.trace(f"torchvision:{name}", (1, 3, side, side))
    source = graph.sources[0]
    at_map = image_coverage(graph, last_map(graph, source).name, source)
    at_output = image_coverage(graph, "output", source)
    return {
        "name": name,
        "image": side,
        "accuracy": weights.meta["_metrics"]["ImageNet-1K"]["acc@1"],
        "depth": path_lengths(graph, graph.layer("output").value).lengths[-1],
        "trf": at_map.size[-1],
        "erf_side": at_map.side,
        "erf_share": at_map.region,
        "output_erf_share": at_output.region,
        "multiply_adds": total_cost(graph).value,
        "parameters": graph.parameters,
    }


def correlations(rows: list[dict[str, Any]]) -> dict[str, str]:
    """Spearman's rank correlation of each quantity with top-1 accuracy, as it is and given those of ``GIVEN``, with
    95 % intervals over families; accuracies.
    """
    accuracy, columns = np.array([row["accuracy"] for row in rows]), quantities(rows)
    groups, ratio = [family(row["name"]) for row in rows], columns["trf"]
    found = {row["name"]: f"{row['accuracy']:.1f}" for row in rows} | {"families": str(len(set(groups)))}
    found |= {"below": f"{accuracy[ratio < 1].mean():.1f}", "above": f"{accuracy[ratio >= 1].mean():.1f}"}
    for given, names in GIVEN.items():
        for name in columns.keys() - set(names):
            chosen = _statistic(columns[name], accuracy, [columns[n] for n in names])
            found[f"{given}_{name}"] = told(resampled(chosen, groups))
        both = [_statistic(columns[n], accuracy, [columns[g] for g in names]) for n in ("erf", "trf")]
        found[f"{given}_more"] = told(resampled(lambda drawn, both=both: both[0](drawn) - both[1](drawn), groups))
    for name, part in (("small", ratio <= 4), ("large", ratio > 4)):
        own = _statistic(ratio[part], accuracy[part], [])
        inside = [group for group, chosen in zip(groups, part) if chosen]
        found |= {f"rho_{name}": told(resampled(own, inside)), f"n_{name}": str(part.sum())}
    return found


def quantities(rows: list[dict[str, Any]]) -> dict[str, np.ndarray]:
    """What is held against accuracy, by name."""
    return {
        "trf": np.array([row["trf"] / row["image"] for row in rows]),
        "erf": np.array([row["erf_share"] for row in rows]),
        "depth": np.array([row["depth"] for row in rows]),
        "macs": np.array([row["multiply_adds"] for row in rows]),
        "params": np.array([row["parameters"] for row in rows]),
    }


def _statistic(values: np.ndarray, accuracy: np.ndarray, given: list[np.ndarray]) -> Statistic:
    return lambda drawn: partial(values[drawn], accuracy[drawn], [known[drawn] for known in given])


def partial_figure(rows: list[dict[str, Any]]) -> Picture:
    """Ranks without what cost explains: accuracy against TRF and against ERF."""
    accuracy, columns = np.array([row["accuracy"] for row in rows]), quantities(rows)
    cost = [columns[name] for name in GIVEN["cost"]]
    groups = [_family(row["name"]) for row in rows]
    with styled():
        made = picture(10.5, 4.6, {"networks": len(rows), "given": "multiply-adds, parameters"})
        panels = made.subplots(1, 2, sharey=True)
        for axes, (name, title) in zip(panels, (("trf", "TRF / image"), ("erf", "ERF, share of the image"))):
            xs, ys = residual(columns[name], cost), residual(accuracy, cost)
            for group, (color, marker) in [*FAMILIES.items(), ("others", (PALE, "."))]:
                own = [index for index, other in enumerate(groups) if other == group]
                axes.plot(xs[own], ys[own], color=color, marker=marker, markersize=5, linestyle="none", label=group)
            axes.axhline(0, color=PALE, linewidth=0.6)
            axes.axvline(0, color=PALE, linewidth=0.6)
            axes.set_xlabel(f"{title}: rank beyond what cost explains")
        panels[0].set_ylabel("top-1: rank beyond what cost explains")
        made.legend(*panels[0].get_legend_handles_labels(), loc="outside lower center", ncols=7, frameon=False)
    return made


def figure(rows: list[dict[str, Any]]) -> Picture:
    """Error against TRF and ERF of the last map's unit; lines join the members of a family by depth."""
    with styled():
        made = picture(10.5, 4.9, {"networks": len(rows), "weights": "IMAGENET1K_V1"})
        left, right = made.subplots(1, 2, sharey=True)
        for axes, value in ((left, lambda row: row["trf"] / row["image"]), (right, lambda row: 100 * row["erf_share"])):
            families = [(name, *look) for name, look in FAMILIES.items()] + [("others", PALE, ".")]
            for family, color, marker in families:
                own = [row for row in rows if _family(row["name"]) == family]
                xs, ys = [value(row) for row in own], [100 - row["accuracy"] for row in own]
                axes.plot(xs, ys, color=color, marker=marker, markersize=5, linestyle="none", label=family)
            for chain in CHAINS:
                own = [row for name in chain for row in rows if row["name"] == name]
                axes.plot([value(row) for row in own], [100 - row["accuracy"] for row in own],
                          color=FAMILIES[_family(chain[0])][0], linewidth=1, alpha=0.6)  # fmt: skip
                for row in own:
                    axes.annotate(row["name"], (value(row), 100 - row["accuracy"]), fontsize=6.5, xytext=(4, 4),
                                  textcoords="offset points")  # fmt: skip
            axes.grid(color=PALE, alpha=0.25, linewidth=0.6)
        left.set_xscale("log", base=2)
        left.set_xticks([0.5, 1, 2, 4, 8, 16, 32], ["0.5", "1", "2", "4", "8", "16", "32"])
        left.axvline(1, color=INK, linestyle=":", linewidth=1)
        left.annotate("field = image", (1, 13.5), fontsize=7, rotation=90, xytext=(-9, 0), textcoords="offset points")
        left.set_xlabel("TRF of a unit of the last map / image")
        right.set_xlabel("effective region of that unit: % of the image")
        left.set_ylabel("ImageNet top-1 error (%)")
        made.legend(*left.get_legend_handles_labels(), loc="outside lower center", ncols=7, frameon=False)
        made.suptitle(f"{len(rows)} torchvision classifiers, first training recipe", fontsize=11)
    return made


def _family(name: str) -> str:
    stem = name.removeprefix("wide_").replace("resnext", "resnet")
    return next((family for family in FAMILIES if stem.startswith(family)), "others")


def _table(rows: list[dict[str, Any]]) -> str:
    lines = []
    for row in sorted(rows, key=lambda row: row["trf"] / row["image"]):
        cells = (
            row["name"], row["image"], row["depth"], row["trf"], f"{row['trf'] / row['image']:.2f}",
            f"{row['erf_share']:.0%}", f"{row['output_erf_share']:.0%}", f"{row['multiply_adds'] / 1e9:.2f}",
            f"{row['parameters'] / 1e6:.1f}", f"{row['accuracy']:.1f}",
        )  # fmt: skip
        lines.append("| " + " | ".join(map(str, cells)) + " |")
    return "\n".join(lines)


def main(text_only: bool) -> None:
    """Measure (unless only the text is wanted), draw, and write the page."""
    IMAGES.mkdir(parents=True, exist_ok=True)
    if not text_only:
        rows = []
        for name in classifiers():
            rows.append(measure(name))
            print(rows[-1], file=sys.stderr)
        NUMBERS.write_text(json.dumps({"rows": rows, "gradients": measure_gradients()}, indent=1) + "\n", "utf-8")
    known = json.loads(NUMBERS.read_text(encoding="utf-8"))
    figure(known["rows"]).save(IMAGES / "classifiers.png")
    partial_figure(known["rows"]).save(IMAGES / "given-cost.png")
    gradients, words = gradient_page(known["gradients"])
    gradients.save(IMAGES / "gradients.png")
    for name in ("vgg16", "resnet50"):
        _audit(f"torchvision:{name}").figure("depth").save(IMAGES / f"{name}-depth.png")
    _audit("torchvision:resnet18", 32).figure("layers").save(IMAGES / "resnet18-32-layers.png")
    _audit("torchvision:resnet50").figure("paths").save(IMAGES / "resnet50-paths.png")
    template = Template((HERE / "classifiers.md.template").read_text(encoding="utf-8"))
    fill = correlations(known["rows"]) | words | {"table": _table(known["rows"]), "count": str(len(known["rows"]))}
    fill["report"] = _excerpt(str(_audit("torchvision:resnet18", 32)))
    PAGE.write_text(template.substitute(fill), encoding="utf-8")


def _excerpt(report: str) -> str:
    """The summary and the findings of a report, without its tables."""
    parts = report.split("\n\n")
    return "\n\n".join([parts[0], *(part for part in parts if part.startswith(("warning", "info", "error")))])


def _audit(source: str, side: int = 224) -> Any:
    from foveal.tasks.audit import audit

    return audit(foveal.trace(source, (1, 3, side, side)), "classification")


if __name__ == "__main__":
    main("--text" in sys.argv)
