"""Two commits in turns: the working copy beside another commit, so that a change that costs a tenth is seen.

    python benchmarks/compare_commits.py REF               five networks of torchvision and one kept as text
    python benchmarks/compare_commits.py REF --only swin_t --rounds 30

Each commit runs in a process of its own; they take turns, stage by stage, so that a slow moment of the machine hits
both. The best and the median of the processor time count. The number of function calls is the same in each run: where
the machine is noisy, its ratio is what to look at. The numbers stand in ``bench-output/compare.json`` as well.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
NETWORKS = ("resnet50", "vgg16", "inception_v3", "densenet121", "swin_t", "gallery:resnet50")
STAGES = ("trace", "bounds", "report")
LENGTHS = {"inception_v3": 299}


def main() -> None:
    """Run both and print the ratios."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("ref", help="the commit to compare with")
    parser.add_argument("--only", nargs="*", default=NETWORKS, metavar="NETWORK")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--output", default="bench-output/compare.json")
    options = parser.parse_args()
    if options.ref == "worker":
        work()
        return
    from rich.console import Console

    from pages import rich_table

    with other_commit(options.ref) as source:
        results = {name: measure(name, source, options.rounds) for name in options.only}
    output = Path(options.output)
    output.parent.mkdir(parents=True, exist_ok=True)
    output.write_text(json.dumps({"ref": options.ref, "results": results}, indent=1), encoding="utf-8")
    heading = ("network", "stage", "best before, ms", "best now, ms", "ratio of best", "of medians", "of calls")
    Console().print(rich_table(f"Now over {options.ref}", heading, list(rows(results))))


@contextmanager
def other_commit(ref: str) -> Iterator[Path]:
    """The sources of a commit, in a folder that is gone afterwards."""
    with tempfile.TemporaryDirectory() as folder:
        archive = subprocess.run(["git", "-C", str(ROOT), "archive", ref, "src"], check=True, capture_output=True)
        subprocess.run(["tar", "-x", "-C", folder], input=archive.stdout, check=True)
        yield Path(folder, "src")


def measure(name: str, before: Path, rounds: int) -> dict[str, Any]:
    """Per commit: seconds of every round and calls, stage by stage."""
    found: dict[str, Any] = {}
    workers = {"before": start(before, name), "now": start(ROOT / "src", name)}
    for _ in range(rounds + 1):
        for commit, worker in workers.items():
            assert worker.stdin is not None
            assert worker.stdout is not None
            worker.stdin.write("\n")
            worker.stdin.flush()
            for stage, (seconds, calls) in json.loads(worker.stdout.readline()).items():
                here = found.setdefault(commit, {}).setdefault(stage, {"seconds": [], "calls": 0})
                here["calls"] = calls or here["calls"]
                if not calls:  # the first round counts calls instead
                    here["seconds"].append(seconds)
    for worker in workers.values():
        worker.communicate()
    return found


def start(source: Path, name: str) -> subprocess.Popen[str]:
    """A process that works on one network, a round for each line that it is sent."""
    environment = {**os.environ, "PYTHONPATH": str(source), "OMP_NUM_THREADS": "1", "PYTHONHASHSEED": "0"}
    command = [sys.executable, str(Path(__file__)), "worker", "--only", name]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment)


def rows(results: dict[str, Any]) -> Iterator[tuple[str, ...]]:
    """A line for each network and stage, and one for trace and bounds together."""
    for name, found in results.items():
        for stage in (*STAGES, "trace + bounds"):
            parts = stage.split(" + ")
            seconds = {c: [sum(r) for r in zip(*(found[c][p]["seconds"] for p in parts))] for c in found}
            calls = {c: sum(found[c][p]["calls"] for p in parts) for c in found}
            (old, new), (old_mid, new_mid) = map(min, seconds.values()), map(median, seconds.values())
            yield (name, stage, f"{1e3 * old:.1f}", f"{1e3 * new:.1f}", f"{new / old:.3f}",
                   f"{new_mid / old_mid:.3f}", f"{calls['now'] / calls['before']:.3f}")  # fmt: skip


def work() -> None:
    """The process of one commit."""
    name = sys.argv[-1]
    model, shape = network(name)
    for _ in range(2):
        once(model, shape, timed)  # imports, caches
    first = True
    for _ in sys.stdin:
        print(json.dumps(once(model, shape, counted if first else timed)), flush=True)
        first = False


def network(name: str) -> tuple[Any, Any]:
    """A model of torchvision without weights, or the name of what is kept as text."""
    if ":" in name:
        return name, None
    import torch
    import torchvision

    torch.set_num_threads(1)
    options = {"init_weights": False} if name == "inception_v3" else {}
    length = LENGTHS.get(name, 224)
    return torchvision.models.get_model(name, weights=None, **options).eval(), (1, 3, length, length)


def once(model: Any, shape: Any, meter: Callable[[Callable[[], Any]], Any]) -> dict[str, Any]:
    """Seconds and calls of each stage."""
    import foveal
    from foveal.engine.forward.bounds import bounds
    from foveal.report.analyze import analyze

    gc.collect()
    graph, first = meter(lambda: foveal.trace(model, shape))
    return {"trace": first, "bounds": meter(lambda: bounds(graph))[1], "report": meter(lambda: analyze(graph))[1]}


def timed(run: Callable[[], Any]) -> tuple[Any, tuple[float, int]]:
    """The result and its processor time."""
    began = time.process_time()
    result = run()
    return result, (time.process_time() - began, 0)


def counted(run: Callable[[], Any]) -> tuple[Any, tuple[float, int]]:
    """The result and how many functions were called for it, of Python and of C."""
    calls = 0

    def count(frame: object, event: str, argument: object) -> None:
        nonlocal calls
        calls += event in ("call", "c_call")

    sys.setprofile(count)
    try:
        result = run()
    finally:
        sys.setprofile(None)
    return result, (0.0, calls)


if __name__ == "__main__":
    main()
