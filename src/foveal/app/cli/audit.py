"""``foveal audit TASK SOURCE``: what receptive fields mean for a task. One command per task, made from its options."""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable, Iterable
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperGroup

from foveal.app.cli.options import InputOption, PretrainedOption, SourceArgument, trace_source
from foveal.core.errors import FovealError
from foveal.core.progress import progress
from foveal.tasks.audit import TASKS, find_task
from foveal.tasks.task import Option, Task

if TYPE_CHECKING:
    from foveal.tasks.record import Audit

FORMATS = (".png", ".svg", ".pdf")


class Grave(StrEnum):
    """Severity at which findings make the exit code 1."""

    info = "info"
    warning = "warning"
    error = "error"


class TaskGroup(TyperGroup):
    """The tasks as commands; a task's module is loaded when it is asked for."""

    def list_commands(self, ctx: Any) -> list[str]:
        """The names of all tasks."""
        return list(TASKS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """The command of a task, made from its options; raises FovealError for a task that is not there."""
        return _command(find_task(cmd_name))


def register(app: typer.Typer) -> None:
    """Add the command of this file to the application."""
    tasks = typer.Typer(cls=TaskGroup, rich_markup_mode=None, no_args_is_help=True)
    tasks.callback()(_audit)
    app.add_typer(tasks, name="audit")


def _audit() -> None:
    """What receptive fields mean for a task: tables, findings with what to change, pictures."""


def _command(task: Task) -> Any:
    """A command whose options are those common to all tasks and those of this one."""

    def run(**given: Any) -> None:
        common = {name: given.pop(name) for name in _COMMON}
        _run(task, common, given)

    parameters = [
        *inspect.signature(_common).parameters.values(),
        *(
            inspect.Parameter(o.name, inspect.Parameter.KEYWORD_ONLY, default=_default(o), annotation=_annotation(o))
            for o in task.options
        ),
    ]
    keyword = [p.replace(kind=inspect.Parameter.KEYWORD_ONLY) for p in parameters]
    made: Any = run
    made.__signature__ = inspect.Signature(keyword)
    made.__annotations__ = {p.name: p.annotation for p in keyword}
    made.__doc__ = task.summary
    alone = typer.Typer(add_completion=False, rich_markup_mode=None)
    alone.command(task.name)(made)
    return typer.main.get_command(alone)


def _common(
    source: SourceArgument,
    shapes: InputOption = None,
    as_json: Annotated[bool, typer.Option("--json", help="print the audit as JSON")] = False,
    picture: Annotated[
        str | None, typer.Option("--picture", metavar="OUT.png", help="write a figure (.png, .svg, .pdf)")
    ] = None,
    figure: Annotated[
        str | None, typer.Option("--figure", metavar="NAME", help="which figure --picture writes; default: the first")
    ] = None,
    fail_on: Annotated[Grave | None, typer.Option("--fail-on", help="exit code 1 for findings this grave")] = None,
    pretrained: PretrainedOption = False,
) -> None:
    """The arguments of every task, by their annotations."""


_HINTS = inspect.get_annotations(_common, eval_str=True)
_COMMON = tuple(name for name in _HINTS if name != "return")
_common.__signature__ = inspect.Signature(  # type: ignore[attr-defined]
    [p.replace(annotation=_HINTS[p.name]) for p in inspect.signature(_common).parameters.values()]
)


def _annotation(option: Option) -> Any:
    kind: Any = option.kind
    if option.choices:
        made: Any = StrEnum
        kind = made(option.name, list(option.choices))
    words: dict[str, Any] = {"help": option.help, **({"metavar": option.metavar} if option.metavar else {})}
    if option.repeated:
        return Annotated[list[kind] | None, typer.Option(option.flag, **words)]
    return Annotated[kind if option.kind is bool else kind | None, typer.Option(option.flag, **words)]


def _default(option: Option) -> Any:
    return bool(option.default) if option.kind is bool else None if option.repeated else option.default


def _run(task: Task, common: dict[str, Any], given: dict[str, Any]) -> None:
    out = common["picture"]
    if out is not None and Path(out).suffix.lower() not in FORMATS:
        raise FovealError(f"--picture {out}: the name must end in one of {', '.join(FORMATS)}")
    if common["figure"] is not None and out is None:
        raise FovealError("--figure names what --picture writes: give --picture OUT.png too")
    graph = trace_source(common["source"], common["shapes"], common["pretrained"])
    with progress(f"{task.name}: {graph.name}"):
        found = task.run(graph, **task.checked({name: _plain(value) for name, value in given.items()}))
        if out is not None:
            _save(found, out, common["figure"])
    _show(found, common["as_json"])
    raise typer.Exit(1 if common["fail_on"] is not None and found.reaches(common["fail_on"].value) else 0)


def _plain(value: Any) -> Any:
    """Words chosen from a list as plain strings."""
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value.value if isinstance(value, StrEnum) else value


def _save(found: Audit, out: str, name: str | None) -> None:
    made: Any = found.figure(name)
    save: Callable[[str], None] = getattr(made, "save", made.savefig)
    try:
        save(out)
    except OSError as error:
        raise FovealError(f"{out}: cannot be written: {error.strerror or error}") from None


def _show(found: Audit, as_json: bool) -> None:
    from rich.console import Console

    from foveal.views.text.audit import audit_renderable

    console = Console()
    if as_json:
        print(found.to_json())
    elif console.is_terminal or os.environ.get("COLUMNS", "").isdecimal():
        console.print(audit_renderable(found))
    else:
        print(found)


def option_flags(options: Iterable[Option]) -> list[str]:
    """The flags of a task's options, for documentation and tests."""
    return [option.flag for option in options]
