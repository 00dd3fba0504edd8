"""A task as data: the function that audits, and the options it takes, from which the command line is made."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Protocol

from foveal.core.errors import FovealError

if TYPE_CHECKING:
    from foveal.ir.graph import Graph
    from foveal.tasks.record import Audit


class Auditor(Protocol):
    """The function behind a task. Its keyword arguments are those of the task's options, by their names."""

    def __call__(self, graph: Graph, /, **options: Any) -> Audit:
        """The audit of ``graph``."""


@dataclass(frozen=True)
class Option:
    """One option of a task: a keyword of its function, and ``--name`` on the command line.

    name: with underscores (``--image-size`` is ``image_size``); kind: str, int, float or bool (a flag, false unless
    given); repeated: may be given several times, the function gets a tuple; choices: the words allowed, of a str.
    """

    name: str
    kind: type
    help: str
    default: str | int | float | bool | None = None
    metavar: str = ""
    choices: tuple[str, ...] = ()
    repeated: bool = False

    @property
    def flag(self) -> str:
        """The option on the command line."""
        return f"--{self.name.replace('_', '-')}"


@dataclass(frozen=True)
class Task:
    """A task by its name, with one line on what it answers, its options and its function."""

    name: str
    summary: str
    run: Auditor
    options: tuple[Option, ...] = ()

    def audit(self, graph: Graph, given: Mapping[str, Any], check: bool = True) -> Audit:
        """The audit of a graph, with what the reader must know about its trace.

        check: whether the model is asked too (:mod:`foveal.check.automatic`). Raises FovealError where options are
        wrong and where the task cannot be asked of this network.
        """
        from foveal.check.automatic import look
        from foveal.ir.graph import constant_text
        from foveal.tasks.record import gravest_first
        from foveal.tasks.shared.findings import FINDINGS
        from foveal.tasks.shared.units import in_units

        options = self.checked(given)
        if check:
            look(graph)
        try:
            found = self.run(graph, **options)
        except FovealError as error:
            fixed = [constant_text(name) for name, is_output in graph.constants.items() if is_output]
            why = "; ".join([graph.stopped] * bool(graph.stopped) + fixed)
            if not why:
                raise
            raise type(error)(f"{error} ({why})") from error
        told = FINDINGS.found(graph)
        found = replace(found, findings=gravest_first([*told, *found.findings])) if told else found
        return in_units(found, graph)

    def checked(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """The options given, with the defaults of the others.

        Raises FovealError for an unknown name, a word that is no choice, and a value of another kind.
        """
        known = {option.name: option for option in self.options}
        for name in given:
            if name not in known:
                names = ", ".join(known) or "none"
                raise FovealError(f"audit {self.name}: unknown option '{name}'; its options are: {names}")
        return {name: _value(self.name, option, given.get(name)) for name, option in known.items()}


def _value(task: str, option: Option, given: Any) -> Any:
    if option.repeated:
        items = (given,) if isinstance(given, str) else tuple(given or ())
        return tuple(_single(task, option, item) for item in items)
    return option.default if given is None else _single(task, option, given)


def _single(task: str, option: Option, given: Any) -> Any:
    if option.choices and given not in option.choices:
        raise FovealError(f"audit {task}: {option.flag} '{given}': expected one of {', '.join(option.choices)}")
    if option.kind is float and type(given) is int:
        return float(given)
    if type(given) is not option.kind:
        raise FovealError(f"audit {task}: {option.flag} takes a value of type {option.kind.__name__}, got {given!r}")
    return given


def for_images(graph: Graph, task: str) -> None:
    """Raises FovealError where the graph's first source has not the two axes of an image."""
    source = graph.sources[0]
    if len(source.axes) != 2:
        shape = "x".join(map(str, graph.values[source.value].shape))
        raise FovealError(
            f"{graph.name}: {task} is audited for images, with two axes of positions; the input {shape} has "
            f"{len(source.axes)}; tile, registration and classification take any number"
        )
