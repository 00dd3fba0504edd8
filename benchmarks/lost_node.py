"""A sweep on a Ray cluster of two nodes, one of which is killed on the way, against the same sweep in one process.

    python benchmarks/lost_node.py [--networks 6] [--images 10]

Prints what was finished when the node died, and whether the results are the same bit for bit. Exit code 1 where not.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

import numpy as np
import ray
from ray.cluster_utils import Cluster

from foveal.fields.measured.measure import Settings
from foveal.fields.measured.request import Request
from foveal.fields.measured.sweep import run_sweep

NETWORKS = ("resnet18", "squeezenet1_1", "mobilenet_v2", "shufflenet_v2_x0_5", "mnasnet0_5", "resnet34", "alexnet",
            "vgg11")  # fmt: skip


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--networks", type=int, default=6, help="how many, eight at most")
    parser.add_argument("--images", type=int, default=10, help="of noise, for each")
    options = parser.parse_args()
    sources = tuple(f"torchvision:{name}" for name in NETWORKS[: options.networks])
    asked = Request(sources, input=(1, 3, 64, 64), count=options.images, settings=Settings(), threads=1)
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1})
    second = cluster.add_node(num_cpus=1)
    ray.init(address=cluster.address, log_to_driver=False)
    heard: list[str] = []

    def done(text: str) -> None:
        heard.append(text)
        print(text, flush=True)
        if len(heard) == 1:
            cluster.remove_node(second, allow_graceful=False)
            print("one of two nodes killed", flush=True)

    with tempfile.TemporaryDirectory() as folder:
        found, failed = run_sweep(asked, Path(folder) / "cluster", ray_address=cluster.address, done=done)
        alone, _ = run_sweep(asked, Path(folder) / "alone")
    ray.shutdown()
    cluster.shutdown()
    same = len(found) == len(alone) and all(
        np.array_equal(a.measured.field.values, b.measured.field.values) for a, b in zip(found, alone)
    )
    print(f"{len(found)} networks measured, {len(failed)} failed; {'the same' if same else 'OTHER'} bits as alone")
    return int(not same or bool(failed))


if __name__ == "__main__":
    sys.exit(main())
