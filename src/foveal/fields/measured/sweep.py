"""Many networks on many images, piece by piece: what is finished is on disk and is never computed twice.

A piece is one network on one image: the map of every layer over its unit's hull. It is written under another name and
renamed, so that a file is either whole or not there. The result is put together from the pieces in the order of the
images, so that it does not depend on who computed what, nor on how often the work was interrupted.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Sequence
from io import BytesIO
from pathlib import Path
from typing import NamedTuple

import numpy as np

from foveal.core.errors import FovealError
from foveal.core.progress import step
from foveal.core.serial import to_plain
from foveal.core.workers import in_processes, on_ray
from foveal.fields.measured.images import ImageSet, Sample
from foveal.fields.measured.measure import Account, Contribution, Plan, contributions, image_set, plan_of
from foveal.fields.measured.protocols import protocol_of
from foveal.fields.measured.request import Request, Result, arguments, graph_of, image_count, layers_of
from foveal.frontends.backends import backend_of
from foveal.ir.graph import Graph

CHUNK = 5
"""Images that a call takes at least, where a network's images are shared out."""
CALLS = 4
"""Calls per worker, so that the last one waits for little."""
NODES = 16
"""Workers that a cluster is taken to have."""
Done = Callable[[str], None]


class Bench(NamedTuple):
    """One network ready to be measured."""

    graph: Graph
    plan: Plan
    images: ImageSet


class Job(NamedTuple):
    """Images of one network; whole: all that are missing of it."""

    number: int
    images: list[int]
    whole: bool


class Failed(NamedTuple):
    """A network that could not be measured, and why."""

    source: str
    weights: str
    reason: str


def run_sweep(
    request: Request, folder: str | Path, workers: int = 1, ray_address: str | None = None, done: Done | None = None
) -> tuple[list[Result], list[Failed]]:
    """All results of a request, by pieces in ``folder``; pieces that are there already are not computed again.

    Networks that fail are returned beside the results. Raises FovealError where the folder holds another request's
    pieces or a piece cannot be written; finished pieces stay.
    """
    place = Path(folder)
    _claim(place, request)
    jobs = _shared_out(request, place, NODES if ray_address is not None else workers)
    failed: dict[int, Failed] = {}
    whole: dict[int, list[Result]] = {}
    for number, reason, results in _compute(request, place, jobs, workers, ray_address, done):
        if reason:
            failed[number] = Failed(*request.models[number], reason)
        elif results is not None:
            whole[number] = results
    found: list[Result] = []
    for number in range(len(request.models)):
        if number not in failed:
            try:
                found += whole[number] if number in whole else gather(request, place, number)
            except FovealError as error:
                failed[number] = Failed(*request.models[number], str(error))
    return found, [failed[number] for number in sorted(failed)]


def _shared_out(request: Request, folder: Path, workers: int) -> list[Job]:
    """What is missing, as calls: whole networks, or parts of one where there are fewer networks than workers."""
    images = image_count(request)
    missing = [
        [image for image in range(images) if _unpacked(_piece(folder, number, image)) is None]
        for number in range(len(request.models))
    ]
    enough = workers == 1 or sum(map(bool, missing)) >= 2 * workers
    share = images if enough else max(CHUNK, -(-sum(map(len, missing)) // (CALLS * workers)))
    jobs = []
    for number, left in enumerate(missing):
        parts = [left[i : i + share] for i in range(0, len(left), share)] or [[]]
        jobs += [Job(number, part, len(parts) == 1) for part in parts]
    return jobs


def prepare(request: Request, number: int) -> Bench:
    """The network of that number, planned."""
    graph = graph_of(request, *request.models[number])
    given = arguments(request)
    names = layers_of(graph, request.layers)
    plan = plan_of(graph, names, given["at"], None, None, protocol_of(request.protocol), request.settings)
    return Bench(graph, plan, image_set(graph, plan, given["images"], given["count"]))


def work(
    request: Request, folder: str, number: int, images: list[int], whole: bool
) -> tuple[int, str, list[Result] | None]:
    """Compute and write these pieces of one network; returns its number and what went wrong, or "".

    whole: no other call works on this network, so that its results are put together here, where it stands ready.
    """
    try:
        # One thread: the last bits depend on the number of threads.
        with backend_of(request.models[number][0]).threads(1):
            if images:
                bench = _bench(request, number)
                found = contributions(bench.graph, bench.plan, bench.images, images)
                for image, (sample, parts) in zip(images, found):
                    _write(_piece(Path(folder), number, image), _packed(sample, parts))
            return number, "", gather(request, Path(folder), number) if whole else None
    except FullDiskError:
        raise
    except FovealError as error:
        return number, str(error), None


class FullDiskError(FovealError):
    """A piece that could not be written; what was finished stays."""


_LAST: dict[str, Bench] = {}
"""The network that this process measured last: a worker's next chunk is mostly of the same one."""


def _bench(request: Request, number: int) -> Bench:
    key = f"{number} {json.dumps(to_plain(request), sort_keys=True)}"
    if key not in _LAST:
        _LAST.clear()
        _LAST[key] = prepare(request, number)
    return _LAST[key]


def gather(request: Request, folder: Path, number: int) -> list[Result]:
    """The results of one network from its pieces."""
    bench = _bench(request, number)
    accounts = [Account(bench.plan, i) for i in range(len(bench.plan.fields))]
    for image in range(len(bench.images)):
        loaded = _unpacked(_piece(folder, number, image))
        if loaded is None:
            raise FovealError(f"{_piece(folder, number, image)}: the piece is missing; run the sweep again")
        for account, part in zip(accounts, loaded[1]):
            account.add(loaded[0], part)
    shared = {"model": bench.graph.name, "source_of_images": bench.images.origin}
    return [Result(*request.models[number], account.result(bench.graph, shared), None) for account in accounts]


def _claim(folder: Path, request: Request) -> None:
    """Make the folder this request's, or see that it is."""
    text = json.dumps(to_plain(request), sort_keys=True, indent=1)
    manifest = folder / "sweep.json"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        before = manifest.read_text(encoding="utf-8") if manifest.exists() else None
    except (OSError, UnicodeDecodeError) as error:
        raise FovealError(f"{folder}: cannot be used for a sweep: {getattr(error, 'strerror', error)}") from None
    if before is not None and before != text:
        raise FovealError(f"{folder}: holds the pieces of another request; give an empty folder")
    if before is None:
        _write(manifest, text.encode())


def _compute(
    request: Request, folder: Path, jobs: Sequence[Job], workers: int, ray_address: str | None, done: Done | None
) -> list[tuple[int, str, list[Result] | None]]:
    calls = [(request, str(folder), *job) for job in jobs]

    def finished(place: int) -> None:
        step(place + 1, len(jobs))
        if done is not None:
            done(f"{request.models[jobs[place].number][0]}: {place + 1} of {len(jobs)}")

    if ray_address is not None:
        return on_ray(work, calls, ray_address, done=finished, lost=lambda call, reason: (call[2], reason, None))
    if workers > 1 and len(calls) > 1:
        return in_processes(work, calls, workers, done=finished)
    found = []
    for place, call in enumerate(calls):
        found.append(work(*call))
        finished(place)
    return found


def _piece(folder: Path, number: int, image: int) -> Path:
    return folder / f"{number:04d}-{image:06d}.npz"


def _packed(sample: Sample, parts: Sequence[Contribution]) -> bytes:
    said = {
        "name": sample.name,
        "digest": sample.digest,
        "reasons": [part.reason for part in parts],
        "outside": [part.outside for part in parts],
    }
    arrays = {f"layer{i}": np.zeros(0) if part.values is None else part.values for i, part in enumerate(parts)}
    buffer = BytesIO()
    np.savez(buffer, said=np.frombuffer(json.dumps(said).encode(), np.uint8), **arrays)  # type: ignore[arg-type]
    return buffer.getvalue()


def _unpacked(path: Path) -> tuple[Sample, list[Contribution]] | None:
    """What a piece holds; None where it is not there or not whole."""
    try:
        with np.load(BytesIO(path.read_bytes()), allow_pickle=False) as data:
            said = json.loads(bytes(data["said"]))
            parts = [
                Contribution(None if reason else data[f"layer{i}"], reason, outside)
                for i, (reason, outside) in enumerate(zip(said["reasons"], said["outside"]))
            ]
    except Exception:  # not there, cut off, or not ours: it is computed anew
        return None
    return Sample(said["name"], said["digest"], np.zeros(0)), parts


def _write(path: Path, data: bytes) -> None:
    """Write all of it or nothing; raises FullDiskError."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with open(temporary, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise FullDiskError(
            f"{path}: cannot be written: {error.strerror or error}; finished pieces stay, run it again to go on"
        ) from None
