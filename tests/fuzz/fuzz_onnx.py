"""Analyse thousands of damaged ONNX files in child processes with limits: no crash, no hang, one clear line each.

``python tests/fuzz/fuzz_onnx.py --count 5000 --seed 0``. A child takes files one after another and is replaced when it
dies or stands still; each file has 10 seconds and the child 2 GiB. Exit code 1 where a file broke a promise; the file
is kept in the folder given by ``--keep``.
"""

from __future__ import annotations

import argparse
import collections
import multiprocessing
import resource
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

SECONDS = 10.0
MEMORY = 2 << 30


def attempt(path: Path) -> str:
    """Trace and analyse one file: "answered", "refused", or what went wrong."""
    import foveal
    from foveal.core.errors import FovealError

    try:
        str(foveal.analyze(foveal.trace(path)))
    except FovealError as error:
        lines = str(error).strip().splitlines()
        return "refused" if len(lines) == 1 and len(lines[0]) < 4000 else f"{len(lines)} lines: {str(error)[:300]!r}"
    except MemoryError:
        return "out of memory"
    except Exception as error:  # the promise is that there is none
        return f"{type(error).__name__}: {str(error)[:300]}"
    return "answered"


def child(connection: Any) -> None:
    """Take paths, give outcomes."""
    import foveal.frontends.onnx.trace  # noqa: F401  (the limit counts what files take, so load first)

    resource.setrlimit(resource.RLIMIT_DATA, (MEMORY, MEMORY))
    while True:
        connection.send(attempt(Path(connection.recv())))


class Child:
    """A process that is replaced when it dies or stands still."""

    def __init__(self) -> None:
        self.context = multiprocessing.get_context("spawn")
        self.start()

    def start(self) -> None:
        """Begin anew."""
        self.connection, other = self.context.Pipe()
        self.process = self.context.Process(target=child, args=(other,), daemon=True)
        self.process.start()
        other.close()

    def run(self, path: Path) -> str:
        """The outcome of one file."""
        self.connection.send(str(path))
        try:
            if self.connection.poll(SECONDS + 20 * (not self.warm)):
                self.warm = True
                return str(self.connection.recv())
            outcome = f"more than {SECONDS} s"
        except EOFError:
            self.process.join()
            outcome = f"died with exit code {self.process.exitcode}"
        self.stop()
        self.warm = False
        self.start()
        return outcome

    warm = False

    def stop(self) -> None:
        """End the process."""
        self.process.kill()
        self.process.join()


def main() -> int:
    """Run, print the counts and what went wrong."""
    from support.onnx_cases.onnx_mutations import mutants

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=5000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--keep", type=Path, default=None)
    options = parser.parse_args()
    counts: collections.Counter[str] = collections.Counter()
    broken, slowest = [], 0.0
    runner = Child()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "damaged.onnx"
        for number, (what, data) in enumerate(mutants(options.count, options.seed)):
            path.write_bytes(data)
            start = time.perf_counter()
            outcome = runner.run(path)
            slowest = max(slowest, time.perf_counter() - start)
            kind = outcome if outcome in ("answered", "refused") else "broken"
            counts[kind] += 1
            if kind == "broken":
                broken.append(f"file {number} ({what}): {outcome}")
                if options.keep is not None:
                    options.keep.mkdir(parents=True, exist_ok=True)
                    (options.keep / f"{number}-{what}.onnx").write_bytes(data)
    runner.stop()
    print(f"{options.count} damaged files, seed {options.seed}: {dict(counts)}; slowest {slowest:.1f} s")
    print("\n".join(broken[:40]))
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
