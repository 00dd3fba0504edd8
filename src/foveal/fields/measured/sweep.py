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
from foveal.core.serial import to_plain
from foveal.core.workers import in_processes, on_ray
from foveal.fields.measured.images import ImageSet, Sample
from foveal.fields.measured.measure import Account, Contribution, Plan, contributions, image_set, plan_of
from foveal.fields.measured.protocols import protocol_of
from foveal.fields.measured.request import Request, Result, arguments, graph_of, layers_of
from foveal.frontends.backends import backend_of
from foveal.ir.graph import Graph

CHUNK = 5
"""Images that a worker takes at a time."""
Done = Callable[[str], None]


class Bench(NamedTuple):
    """One network ready to be measured."""

    graph: Graph
    plan: Plan
    images: ImageSet


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
    jobs: list[tuple[int, list[int]]] = []
    failed: dict[int, Failed] = {}
    for number in range(len(request.models)):
        try:
            missing = _missing(place, number, request)
        except FovealError as error:
            failed[number] = Failed(*request.models[number], str(error))
            continue
        jobs += [(number, missing[i : i + CHUNK]) for i in range(0, len(missing), CHUNK)]
    for number, reason in _compute(request, place, jobs, workers, ray_address, done):
        if reason:
            failed[number] = Failed(*request.models[number], reason)
    results: list[Result] = []
    for number in range(len(request.models)):
        if number not in failed:
            try:
                results += gather(request, place, number)
            except FovealError as error:
                failed[number] = Failed(*request.models[number], str(error))
    return results, list(failed.values())


def prepare(request: Request, number: int) -> Bench:
    """The network of that number, planned."""
    graph = graph_of(request, *request.models[number])
    given = arguments(request)
    names = layers_of(graph, request.layers)
    plan = plan_of(graph, names, given["at"], None, None, protocol_of(request.protocol), request.settings)
    return Bench(graph, plan, image_set(graph, plan, given["images"], given["count"]))


def work(request: Request, folder: str, number: int, images: list[int]) -> tuple[int, str]:
    """Compute and write these pieces of one network; returns its number and what went wrong, or ""."""
    try:
        # One thread: the last bits depend on the number of threads.
        with backend_of(request.models[number][0]).threads(1):
            bench = _bench(request, number)
            found = contributions(bench.graph, bench.plan, bench.images, images)
            for image, (sample, parts) in zip(images, found):
                _write(_piece(Path(folder), number, image), _packed(sample, parts))
    except FullDiskError:
        raise
    except FovealError as error:
        return number, str(error)
    return number, ""


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


def _missing(folder: Path, number: int, request: Request) -> list[int]:
    """Images whose piece is not there, or cannot be read. The count alone needs no network where all are there."""
    counted = folder / f"{number:04d}.count"
    known = counted.read_bytes() if counted.is_file() else b""
    if known.isdigit():
        total = int(known)
    else:
        total = len(_bench(request, number).images)
        _write(counted, str(total).encode())
    return [image for image in range(total) if _unpacked(_piece(folder, number, image)) is None]


def _compute(
    request: Request,
    folder: Path,
    jobs: Sequence[tuple[int, list[int]]],
    workers: int,
    ray_address: str | None,
    done: Done | None,
) -> list[tuple[int, str]]:
    calls = [(request, str(folder), number, images) for number, images in jobs]
    if ray_address is not None:
        return on_ray(work, calls, ray_address)
    if workers > 1 and len(calls) > 1:
        return in_processes(work, calls, workers)
    finished = []
    for call in calls:
        if done is not None:
            done(f"{request.models[call[2]][0]}: images {call[3][0] + 1} to {call[3][-1] + 1}")
        finished.append(work(*call))
    return finished


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
