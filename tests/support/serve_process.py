"""A running ``foveal serve`` for tests: started on a free port, stopped at the end."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

import httpx


class Running(NamedTuple):
    """base: address without the path; token: what its address carried."""

    base: str
    token: str

    def client(self, **options: object) -> httpx.Client:
        """A program that knows the token."""
        headers = {"authorization": f"Bearer {self.token}"}
        return httpx.Client(base_url=self.base, headers=headers, timeout=60, trust_env=False, **options)  # type: ignore[arg-type]


@contextmanager
def running(folder: Path, *words: str) -> Iterator[Running]:
    """``foveal serve`` with these words, reading files in ``folder``."""
    command = [sys.executable, "-m", "foveal", "serve", *words, "--port", "0", "--folder", str(folder)]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment, cwd=folder) as process:
        try:
            assert process.stdout is not None
            base, token = process.stdout.readline().strip().split("/?token=")
            yield Running(base, token)
        finally:
            _stop(process)


def _stop(process: subprocess.Popen[str]) -> None:
    """End the server; a signal that comes before the server listens for it is given again."""
    for _ in range(4):
        process.terminate()
        with suppress(subprocess.TimeoutExpired):
            process.wait(timeout=5)
            return
    process.kill()
