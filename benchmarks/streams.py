"""Networks for sound, sensors and text as streams: the plan, both ways of running it against the whole, and their time.

    python benchmarks/streams.py                         all networks whose library is installed
    python benchmarks/streams.py --only 'encodec*'       those that match a shell pattern
    python benchmarks/streams.py --summary docs/streams.md

Each network is a line of streams-output/streams.jsonl, written as soon as it is known; what has a line is skipped, so
an interrupted run goes on where it stopped. Structure is that of the library with few channels and random weights.
"""

from __future__ import annotations

import argparse
import json
import time
import warnings
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import torch
from torch import nn

import kept_lines
from stream_networks import NETWORKS, against_silero

OUTPUT = Path("streams-output") / "streams.jsonl"
START, END = "<!-- networks -->", "<!-- end of networks -->"
ROUNDS, CHUNKS = 5, 12
TIMED = ("tcn", "wavenet", "wav2vec2 front end", "encodec strides 2, 4", "tcn, 8 channels", "wavenet, 8 channels")
"""Those whose time is measured."""


def examine(name: str) -> dict[str, Any]:
    """One line; never raises."""
    import foveal

    warnings.simplefilter("ignore")
    torch.manual_seed(0)
    torch.set_num_threads(1)
    make, inputs, options = NETWORKS[name]
    line: dict[str, Any] = {"name": name, "status": "ok", "error": ""}
    started = time.perf_counter()
    try:
        graph = foveal.trace(make().eval(), inputs)
        plan = foveal.stream(graph, **options)
        line |= {
            "stride": str(plan.stride),
            "step": plan.step,
            "back": _text(plan.lookback),
            "ahead": _text(plan.lookahead),
            "left": plan.left,
            "right": plan.right,
            "chunk": plan.chunk,
            "overlap": plan.overlap.status,
            "overlap_why": plan.overlap.why[:200],
            "state": plan.state.status,
            "state_why": plan.state.why[:200],
            "twice": plan.twice,
            "kept": plan.elements,
            "first": None if plan.begin is None else str(plan.begin.reach),
        }
        if name in TIMED and plan.state.status == "exact":
            line["times"] = _times(graph, plan)
        if name == "silero":
            running = graph.backend.streaming(plan.source.name, 1, plan.step, plan.layer)
            line["own streaming"] = against_silero(running, graph.backend.model)
    except Exception as error:
        line |= {"status": "failed", "error": f"{type(error).__name__}: {error}".replace("\n", " ")[:300]}
    line["seconds"] = round(time.perf_counter() - started, 1)
    return line


def _times(graph: Any, plan: Any) -> list[float | None]:
    """Processor time of a chunk with context over that of a chunk with state, and over that of the model on the chunk
    alone, which is the most that can be gained (None where it does not run): the least of rounds in turns, float32.
    """
    time_axis = plan.source.axes[plan.axis]
    running = graph.backend.streaming(plan.source.name, time_axis, plan.step, plan.layer)
    example = torch.as_tensor(graph.backend.example(0)[plan.source.name])
    example = example.float() if example.is_floating_point() else example
    shape = list(example.shape)
    shape[time_axis] = plan.left + plan.chunk + plan.right
    long = torch.zeros(shape, dtype=example.dtype)
    short = long.narrow(time_axis, 0, plan.chunk)
    model = graph.backend.model.float()
    state = running.begin()
    best = [float("inf")] * 3
    with torch.no_grad():
        for _ in range(CHUNKS):
            _, state = running(short, state)
        for _ in range(ROUNDS):
            for way in range(3 if _runs(model, short) else 2):
                begun = time.process_time()
                for _ in range(CHUNKS):
                    if way == 1:
                        _, state = running(short, state)
                    else:
                        model(long if way == 0 else short)
                best[way] = min(best[way], time.process_time() - begun)
    return [None if spent == float("inf") else round(best[0] / spent, 2) for spent in best[1:]]


def _runs(model: nn.Module, x: torch.Tensor) -> bool:
    try:
        model(x)
    except RuntimeError:
        return False
    return True


def _text(number: Any) -> str:
    return "all" if number is None else str(number)


def summary(lines: list[dict[str, Any]]) -> str:
    """The table."""
    head = ["| network | before, behind | step | stride | overlap | state | kept |", "|---|---|---|---|---|---|---|"]
    rows = []
    for line in lines:
        if line["status"] != "ok":
            rows.append(f"| {line['name']} | {line['error'][:120]} | | | | | |")
            continue
        ways = [
            {"exact": "equal", "refused": "refused", "approximate": "differs", "unproven": "not run"}[line[way]]
            + (f": {line[way + '_why'].split(';')[0]}" if line[way] != "exact" else "")
            for way in ("overlap", "state")
        ]
        bounded = line["overlap"] == "exact"
        context = (
            f"{line['left']}, {line['right']}" if bounded else f"look-back {line['back']}, look-ahead {line['ahead']}"
        )
        if not bounded and line["back"] != "all" and line["ahead"] != "all":
            context = f"{line['left']}, {line['right']}"
        kept = "" if line["kept"] is None else line["kept"]
        rows.append(
            f"| {line['name']} | {context} | {line['step']} | {line['stride']} | {ways[0]} | {ways[1]} | {kept} |"
        )
    timed = [(line["name"], line["twice"], line["times"]) for line in lines if "times" in line]
    times = ["| chunk with context | positions | time over state's | over the chunk alone |", "|---|---|---|---|"]
    times += [f"| {name} | {1 + twice:.2f} | {a} | {b or 'does not run'} |" for name, twice, (a, b) in timed]
    own = [line["own streaming"] for line in lines if "own streaming" in line]
    told = [
        f"Silero's own results, window by window, differ by {a:.1g} from the whole run and by {b:.1g} from the form "
        "with state in chunks of random sizes (20 s of made-up voiced sound, float32)."
        for a, b in own
    ]
    return "\n".join([*head, *rows, "", *times, "", *told])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default="*")
    parser.add_argument("--summary", metavar="FILE")
    given = parser.parse_args()
    known = kept_lines.read(OUTPUT)
    with kept_lines.writing(OUTPUT) as write:
        for name in NETWORKS if given.summary is None else ():
            if name not in known and fnmatchcase(name, given.only):
                known[name] = examine(name)
                write(known[name])
                print(json.dumps(known[name]), flush=True)
    if given.summary is not None:
        page = Path(given.summary)
        text = page.read_text(encoding="utf-8")
        before, _, rest = text.partition(START)
        table = summary([known[name] for name in NETWORKS if name in known])
        page.write_text(f"{before}{START}\n\n{table}\n\n{END}{rest.partition(END)[2]}", encoding="utf-8")


if __name__ == "__main__":
    main()
