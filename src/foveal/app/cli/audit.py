"""``foveal audit TASK SOURCE``: what receptive fields mean for a task. One command per task, made from its options."""

from __future__ import annotations

import inspect
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperGroup

from foveal.app import options
from foveal.app.helping import in_language
from foveal.core.errors import FovealError, writing
from foveal.core.progress import progress
from foveal.tasks.audit import TASKS, find_task
from foveal.tasks.task import Option, Task

if TYPE_CHECKING:
    from foveal.tasks.record import Audit


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
        return in_language(_command(find_task(cmd_name)))


tasks = typer.Typer(cls=TaskGroup, rich_markup_mode=None)


@tasks.callback(
    invoke_without_command=True,
    epilog="\b\nExamples:\n  foveal audit classification gallery:vgg13\n  foveal audit segmentation gallery:unet -h",
)
def audit(context: typer.Context) -> None:
    """What receptive fields mean for a task: tables, findings with what to change, pictures."""
    if context.invoked_subcommand is None:
        print(context.get_help())
        raise typer.Exit


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
    source: options.SourceArgument,
    shapes: options.InputOption = None,
    axes: options.AxesOption = None,
    as_json: options.JsonOption = False,
    picture: Annotated[
        str | None, typer.Option("--picture", metavar="OUT.png", help="write a figure (.png, .svg, .pdf)")
    ] = None,
    figure: Annotated[
        str | None, typer.Option("--figure", metavar="NAME", help="which figure --picture writes; default: the first")
    ] = None,
    fail_on: Annotated[Grave | None, typer.Option("--fail-on", help="exit code 1 for findings this grave")] = None,
    pretrained: options.PretrainedOption = False,
    no_check: options.NoCheckOption = False,
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
    if out is not None:
        options.check_suffix(out, options.PICTURES, "--picture")
    if common["figure"] is not None and out is None:
        raise FovealError("--figure names what --picture writes: give --picture OUT.png too")
    graph = options.trace_source(common["source"], common["shapes"], common["pretrained"], axes=common["axes"])
    with progress(f"{task.name}: {graph.name}"):
        found = task.audit(graph, {name: _plain(value) for name, value in given.items()}, not common["no_check"])
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
    if hasattr(made, "save"):
        made.save(out)
        return
    with writing(out) as place:
        made.savefig(place)


def _show(found: Audit, as_json: bool) -> None:
    from foveal.views.language.translate import audit_in
    from foveal.views.text.audit import audit_renderable

    terminal = options.console()
    if as_json:
        # Data stay English, whatever the reader's language.
        print(found.to_json())
    elif terminal is None:
        print(audit_in(found))
    else:
        terminal.print(audit_renderable(audit_in(found)))
