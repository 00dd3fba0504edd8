"""Trace, bound and report small models of the libraries that people build with, and ask each model itself.

    python benchmarks/libraries.py                               all models of the libraries that are installed
    python benchmarks/libraries.py --only 'transformers:*'       those that match a shell pattern
    python benchmarks/libraries.py --every 20                    a sample of each library
    python benchmarks/libraries.py --summary docs/libraries.md   write the summary of what is there

Each model is a line of libraries-output/models.jsonl, written as soon as it is known; models that have a line are
skipped, so an interrupted run goes on where it stopped. ``--again STATUS`` runs those of that status anew.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
import time
from collections import Counter
from dataclasses import asdict, dataclass, field
from fnmatch import fnmatchcase
from functools import partial
from importlib.util import find_spec
from pathlib import Path

import kept_lines
import zoo_model
import zoo_pool
from library_models import LIBRARIES, Unbuilt, build, names
from zoo_model import ERROR_LENGTH

MODULES = {"smp": "segmentation_models_pytorch"}


@dataclass
class Record(zoo_model.Record):
    """As :class:`zoo_model.Record`; status "unbuilt": no small configuration ran in the library itself. units and
    what follows: see :mod:`library_check`.
    """

    units: int = 0
    features: int = 0
    unfilled_features: int = 0
    small: list[str] = field(default_factory=list)
    unfilled: list[str] = field(default_factory=list)
    left: list[str] = field(default_factory=list)


class Overdue(BaseException):
    """No library takes it for an error of its own."""


def examine(name: str, limit: float = 0.0) -> Record:
    """The record of one model; never raises. ``limit``: seconds of processor after it was built."""
    record = Record(name)
    try:
        _fill(record, limit)
    except Overdue:
        record.error = "timeout"
    except Unbuilt as error:
        record.status, record.error = "unbuilt", str(error)[:ERROR_LENGTH]
    except Exception as error:
        record.error = f"{type(error).__name__}: {error}".replace("\n", " | ")[:ERROR_LENGTH]
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
    return record


def _overdue(*_: object) -> None:
    raise Overdue


def _fill(record: Record, limit: float) -> None:
    import warnings

    import torch

    import foveal
    from library_check import compare

    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    with zoo_model.timed(record, "build"):
        try:
            model, inputs, axes = build(record.name)
        except Unbuilt:
            raise
        except Exception as error:
            raise Unbuilt(f"{type(error).__name__}: {error}".replace("\n", " ")) from error
    if limit:  # other work on the machine, and a library's own import, take nothing from it
        signal.signal(signal.SIGPROF, _overdue)
        signal.setitimer(signal.ITIMER_PROF, limit)
    with zoo_model.timed(record, "trace"):
        graph = foveal.trace(model, inputs, axes=axes, name=record.name)
    record.input = [list(graph.values[source.value].shape) for source in graph.sources]
    record.operations = len(graph.nodes)
    with zoo_model.timed(record, "report"):
        report = foveal.analyze(graph)
    zoo_model.count(record, graph, report)
    with zoo_model.timed(record, "oracle"):
        found = compare(graph)
    vars(record).update(vars(found))


def main() -> int:
    """Run what is asked; the exit code is 0 when no model failed and no field was too small."""
    options = _options()
    output = Path(options.output)
    wanted = []
    for library in LIBRARIES:
        if find_spec(MODULES.get(library, library)) and fnmatchcase(library, options.only.partition(":")[0]):
            wanted += [name for name in names(library) if fnmatchcase(name, options.only)][:: options.every]
    known = kept_lines.read(output, Record)
    missing = [name for name in wanted if name not in known or known[name].status in options.again]
    began = time.monotonic()
    with kept_lines.writing(output) as write:
        work, wall = partial(examine, limit=options.timeout), 10 * options.timeout
        for name, result in zoo_pool.run(work, missing, options.workers, wall, options.memory << 30):
            record = Record(name, error=result.reason) if isinstance(result, zoo_pool.Failed) else result
            write(asdict(record))
            print(f"{time.monotonic() - began:6.0f} s  {name}: {record.status}", record.error[:120], flush=True)
            if time.monotonic() - began > options.seconds:
                break
    known = kept_lines.read(output, Record)
    records = [known[name] for name in wanted if name in known]
    print(Counter(record.status for record in records), sum(bool(record.small) for record in records), "too small")
    if options.summary:
        from library_summary import markdown

        Path(options.summary).write_text(markdown(records), encoding="utf-8")
    return int(any(record.status == "failed" or record.small for record in records))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default="*", help="shell pattern of names, for example 'smp:*'")
    parser.add_argument("--every", type=int, default=1, help="take every n-th model of each library")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--timeout", type=float, default=60.0, help="processor seconds of a model")
    parser.add_argument("--seconds", type=float, default=float("inf"), help="stop after that many seconds")
    parser.add_argument("--memory", type=int, default=8, help="GiB a worker may allocate")
    parser.add_argument("--again", nargs="*", default=[], metavar="STATUS", help="run models of these statuses anew")
    parser.add_argument("--output", default="libraries-output/models.jsonl")
    parser.add_argument("--summary", metavar="FILE", help="write the summary as Markdown")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
