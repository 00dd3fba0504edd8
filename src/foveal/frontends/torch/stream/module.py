"""A network with state, as a module: a chunk and the state in, what is finished and the new state out."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterable, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from torch import Tensor, nn

from foveal.core.errors import FovealError, first_line
from foveal.frontends.torch.stream import products
from foveal.frontends.torch.stream.program import Program, names_in
from foveal.frontends.torch.stream.steps import Step, join
from foveal.frontends.torch.stream.table import step_of

State = list[Any]
SETTLED = 64
"""Chunks after which the state of a stream has its lasting shape, at most."""


class StreamingModule(nn.Module):
    """The operations of a network, each with its state.

    ``out, state = module(chunk, state)``: ``chunk`` has any number of positions along ``time``, ``out`` the units that
    are finished with it, along ``out_time``; ``last`` tells that the stream ends. Begin with ``module.begin()``.
    """

    def __init__(self, program: Program) -> None:
        """Raises Refused, with the operation and its place, where one has no form with state."""
        super().__init__()
        if program.output not in program.shapes:
            raise FovealError("the output does not depend on the source")
        products.fuse(program)
        self.program = program
        self.steps: list[Step] = [step_of(program, call) for call in program.calls]
        self.notes = program.notes
        source, out = program.shapes[program.source], program.shapes[program.output]
        self.time, self.out_time = source.time, out.time
        self.names: dict[str, str] = {}
        used = {name for call in program.calls for name in names_in(call.given)}
        for name in sorted(used & program.fixed.keys()):
            found = program.fixed[name][1]
            if isinstance(found, Tensor):
                self.names[name] = "p" + name.replace(".", "_")
                self.register_buffer(self.names[name], found.detach())
        last = {name: place for place, call in enumerate(program.calls) for name in names_in(call.given)}
        last |= {call.name: place for place, call in enumerate(program.calls) if call.name not in last}
        streams = {program.source, *(call.name for call in program.calls)} - {program.output}
        self.done = [[n for n, at in last.items() if at == place and n in streams] for place in range(len(self.steps))]
        self.plain = {name: pair[1] for name, pair in program.fixed.items() if not isinstance(pair[1], Tensor)}

    def _fixed(self) -> dict[str, Any]:
        kept = self._buffers
        return self.plain | {name: kept[key] for name, key in self.names.items()}

    def begin(self) -> State:
        """The state before the first position."""
        fixed = self._fixed()
        return [step.begin(fixed) for step in self.steps]

    @torch.no_grad()
    def forward(self, chunk: Tensor, state: State, last: bool = False) -> tuple[Tensor, State]:
        """What is finished with ``chunk``, and the new state."""
        values = self._fixed()
        values[self.program.source] = chunk
        kept = []
        for step, own, done in zip(self.steps, state, self.done):
            values[step.call.name], new = step.push(own, values, last)
            kept.append(new)
            for name in done:  # its memory serves the next
                del values[name]
        return values[self.program.output], kept

    def run(self, x: Tensor, sizes: Iterable[int]) -> Tensor:
        """The whole of ``x`` in chunks of these sizes (the last one is as long as what is left)."""
        state, made, place, total = self.begin(), [], 0, x.shape[self.time]
        for size in sizes:
            end = min(total, place + size)
            out, state = self(x.narrow(self.time, place, end - place), state, end == total)
            made.append(out)
            place = end
            if place == total:
                break
        return join(made, self.out_time)

    def elements(self, step: int) -> list[tuple[str, int]]:
        """Operation and its place -> numbers kept once the stream runs, of those that keep any."""
        state, _ = self._settled(step, counting=True)
        sizes = [sum(t.numel() for t in _tensors(own)) for own in state]
        return [(each.call.place, size) for each, size in zip(self.steps, sizes) if size]

    def _settled(self, chunk: int, counting: bool = False) -> tuple[State, int]:
        """The state once chunks of this size change its shape no more, and how many positions that took; counting:
        numbers that count positions may go on.
        """
        source = self.program.shapes[self.program.source]
        shape = list(source.short)
        shape[self.time] = chunk
        given, state = torch.zeros(shape, dtype=source.dtype), self.begin()
        for number in range(SETTLED):
            _, new = self(given, state)
            if _like(state, new, counting):
                return state, number * chunk
            state = new
        raise FovealError("the state grows with the stream (attention over the whole past): it has no lasting shape")

    def export_onnx(self, path: str | Path, chunk: int) -> list[Path]:
        """Write one step of ``chunk`` positions as ONNX: inputs chunk, state0 ..., outputs out, new0 ...

        Where the first chunks are unlike the later ones (padding at the start, units that wait for others), a second
        file, ``NAME.first.onnx``, takes them, without a state. Returns the files. Raises FovealError where PyTorch
        cannot
        export it, and where the state grows without end.
        """
        state, start = self._settled(chunk)
        path, made = Path(path), []
        source = self.program.shapes[self.program.source]
        for file, length, tensors in (
            (path.with_suffix(".first.onnx"), start, None),
            (path, chunk, [t for own in state for t in _tensors(own)]),
        ):
            if length or tensors is not None:
                shape = list(source.short)
                shape[self.time] = length
                _write(_Steady(self, state if tensors is not None else self.begin(), tensors is not None), file,
                       torch.zeros(shape, dtype=source.dtype), tensors or [])  # fmt: skip
                made.append(file)
        return made


class _Steady(nn.Module):
    """One step with its state as plain tensors."""

    def __init__(self, module: StreamingModule, state: State, given: bool) -> None:
        super().__init__()
        self.module, self.state, self.given = module, state, given

    def forward(self, chunk: Tensor, *tensors: Tensor) -> tuple[Tensor, ...]:
        rest = iter(tensors)
        state = [_filled(own, rest) for own in self.state] if self.given else self.module.begin()
        out, new = self.module(chunk, state)
        return (out, *(t.clone() for own in new for t in _tensors(own)))


def _write(step: nn.Module, path: Path, chunk: Tensor, tensors: Sequence[Tensor]) -> None:
    count = len([t for own in step.state for t in _tensors(own)])  # type: ignore[union-attr]
    try:
        with warnings.catch_warnings(), TemporaryDirectory(prefix=".", dir=path.parent) as folder:
            warnings.simplefilter("ignore")
            whole = Path(folder) / path.name
            torch.onnx.export(
                step, (chunk, *tensors), str(whole), dynamo=True, verbose=False,
                input_names=["chunk", *(f"state{k}" for k in range(len(tensors)))],
                output_names=["out", *(f"new{k}" for k in range(count))],
            )  # fmt: skip
            for file in sorted(Path(folder).iterdir(), key=lambda file: file == whole):
                os.replace(file, path.with_name(file.name))
    except (OSError, ImportError, torch.onnx.errors.OnnxExporterError) as error:
        raise FovealError(f"{path}: not exported: {first_line(error)[:200]}") from None


def _tensors(own: Any) -> list[Tensor]:
    if isinstance(own, tuple):
        return [t for part in own for t in _tensors(part)]
    return [own] if isinstance(own, Tensor) and own.numel() else []


def _filled(own: Any, rest: Any) -> Any:
    if isinstance(own, tuple):
        return tuple(_filled(part, rest) for part in own)
    return next(rest) if isinstance(own, Tensor) and own.numel() else own


def _like(a: Any, b: Any, counting: bool = False) -> bool:
    if isinstance(a, (tuple, list)):
        return len(a) == len(b) and all(_like(x, y, counting) for x, y in zip(a, b))
    return a.shape == b.shape if isinstance(a, Tensor) else counting or bool(a == b)


__all__ = ["StreamingModule"]
