"""Trace, bound and report every model of torchvision and timm; say which operations keep numbers from being exact.

    python benchmarks/zoo.py                            all models, one worker per core
    python benchmarks/zoo.py --only 'torchvision:*'     those that match a shell pattern
    python benchmarks/zoo.py --every 20                 a sample
    python benchmarks/zoo.py --summary docs/zoo.md      write the summary of what is there

Each model is a line of zoo-output/models.jsonl, written as soon as it is known; models that have a line are skipped, so
an interrupted run goes on where it stopped. ``--again STATUS`` runs those of that status anew (the last line counts).
"""

from __future__ import annotations

import argparse
import os
import sys
from dataclasses import asdict
from fnmatch import fnmatchcase
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

import kept_lines
import zoo_pool
from zoo_model import Record, examine, names
from zoo_summary import markdown, tables

LIBRARIES = ("torchvision", "timm")


def main() -> int:
    """Run what is asked; the exit code is 0 when every model has a record that is not "failed"."""
    options = _options()
    output = Path(options.output)
    wanted = _wanted(options.only, options.every)
    known = kept_lines.read(output, Record)
    missing = [name for name in wanted if name not in known or known[name].status in options.again]
    if not options.summary_only:
        _run(missing, output, options)
    known = kept_lines.read(output, Record)
    records = [known[name] for name in wanted if name in known]
    Console().print(*tables(records))
    if options.summary:
        Path(options.summary).write_text(markdown(records), encoding="utf-8")
    return int(any(record.status == "failed" for record in records))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default="*", help="shell pattern of names, for example 'timm:conv*'")
    parser.add_argument("--every", type=int, default=1, help="take every n-th model of each library")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--timeout", type=float, default=300.0, help="seconds a model may take")
    parser.add_argument(
        "--memory", type=float, help="GiB a worker may allocate (default: 80 %% of the machine's, shared)"
    )
    parser.add_argument("--again", nargs="*", default=[], metavar="STATUS", help="run models of these statuses anew")
    parser.add_argument("--output", default="zoo-output/models.jsonl")
    parser.add_argument("--summary", metavar="FILE", help="write the summary as Markdown")
    parser.add_argument("--summary-only", action="store_true", help="run nothing, summarise what is there")
    return parser.parse_args()


def _wanted(pattern: str, every: int) -> list[str]:
    libraries = [library for library in LIBRARIES if pattern.startswith((library, "*"))] or list(LIBRARIES)
    chosen: list[str] = []
    for library in libraries:
        matching = [name for name in names(library) if fnmatchcase(name, pattern)]
        chosen += matching[::every]
    return chosen


def _run(missing: list[str], output: Path, options: argparse.Namespace) -> None:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    console = Console(stderr=True)
    with Progress(*columns, console=console) as bar, kept_lines.writing(output) as write:
        task = bar.add_task("models", total=len(missing))
        limit = int(options.memory * 2**30) if options.memory else _share(options.workers)
        for name, result in zoo_pool.run(examine, missing, options.workers, options.timeout, limit):
            record = Record(name, error=result.reason) if isinstance(result, zoo_pool.Failed) else result
            write(asdict(record))
            bar.update(task, advance=1, description=f"{name} {record.status}")


def _share(workers: int) -> int:
    """Bytes: 80 % of the machine's memory, shared among the workers."""
    total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return int(0.8 * total / workers)


if __name__ == "__main__":
    sys.exit(main())
