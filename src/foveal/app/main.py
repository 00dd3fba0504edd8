"""The command line. Results on standard output, progress and errors on standard error.

Exit code 0; 1 where ``--verify`` disagrees or a finding reaches ``--fail-on``; 2 for bad input, with one line ``error:
...``. A framework is imported only once a command needs one.
"""

from __future__ import annotations

import errno
import os
import sys
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from foveal.app.cli import analyze, audit, compare, design, erf, explain, field, list, plans, report, serve, verify
from foveal.app.helping import in_language
from foveal.app.hints import hinted
from foveal.core.errors import FovealError
from foveal.core.language import language, set_language
from foveal.core.version import __version__
from foveal.core.visible import visible

FULL = (errno.ENOSPC, errno.EFBIG, errno.EIO)
"""What the system says where a disk takes no more."""


class CommandGroup(TyperGroup):
    """The commands, with every error of the user's making as one line and exit code 2."""

    def main(self, *args: Any, **kwargs: Any) -> Any:
        """Run and exit; the arguments are those of the command class."""
        if hasattr(sys.stdout, "reconfigure"):
            sys.stdout.reconfigure(errors="replace")
        kwargs["standalone_mode"] = False
        try:
            code = super().main(*args, **kwargs)
        except FovealError as error:
            code = _fail(str(error))
        except MemoryError as error:
            code = _fail(f"too little memory: {str(error) or 'ask for a smaller network or input'}")
        except OSError as error:
            if error.errno not in FULL:
                raise
            _drop_output()
            code = _fail(f"the output cannot be written: {error.strerror}")
        except Exception as error:
            # Wrong options: the exceptions of the option parser format themselves; anything else is a fault of foveal.
            if not hasattr(error, "format_message"):
                raise
            code = _fail(hinted(error.format_message()))
        sys.exit(code if isinstance(code, int) else 0)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """The command, its help in the reader's language."""
        return in_language(super().get_command(ctx, cmd_name))

    def get_help(self, ctx: Any) -> str:
        """The help of all commands."""
        in_language(self)
        return super().get_help(ctx)

    def invoke(self, ctx: Any) -> Any:
        """Run a command; a reader that goes away (``| head``) is no error."""
        try:
            try:
                return super().invoke(ctx)
            finally:
                sys.stdout.flush()
        except BrokenPipeError:
            _drop_output()
            return None


def _drop_output() -> None:
    """Let the interpreter's last flush go nowhere."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _fail(text: str) -> int:
    """Print the one line of an error."""
    line = f"error: {visible(' '.join(text.split()))}"
    if language() != "en":
        from foveal.views.language.translate import translated

        line = translated(line)
    print(line, file=sys.stderr)
    return 2


app = typer.Typer(
    cls=CommandGroup,
    help="Exact receptive fields of any network, layer by layer.",
    context_settings={"help_option_names": ["-h", "--help"]},
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)


def _choose(name: str | None) -> str | None:
    if name is not None:
        set_language(name)
    return name


@app.callback(invoke_without_command=True)
def _top(
    context: typer.Context,
    lang: Annotated[
        str | None,
        typer.Option("--lang", help="language: en, zh-CN; default: FOVEAL_LANG", is_eager=True, callback=_choose),
    ] = None,
    version: Annotated[bool, typer.Option("--version", help="print the version and stop")] = False,
) -> None:
    if version or context.invoked_subcommand is None:
        print(f"foveal {__version__}" if version else context.get_help())
        raise typer.Exit


COMMANDS = (
    analyze.analyze, compare.compare, verify.verify, field.field, explain.explain, erf.erf, design.design, design.code,
    plans.tile, plans.stream, report.report, serve.serve,
)  # fmt: skip
EXAMPLES = {
    "analyze": (
        "foveal analyze gallery:vgg16",
        "foveal analyze torchvision:resnet50 --all",
        "foveal analyze net.onnx --layer 'features.*' --csv",
    ),
    "compare": ("foveal compare gallery:vgg16 gallery:vgg13",),
    "verify": ("foveal verify torchvision:resnet18 --layer layer1",),
    "field": ("foveal field gallery:vgg16 --layer pool5", "foveal field gallery:unet --layer up1 --out field.png"),
    "explain": ("foveal explain gallery:resnet18 --layer layer2 --out page.png",),
    "erf": ("foveal erf torchvision:resnet18 --layer layer3 --count 8",),
    "design": (
        "foveal design --task classification --input 32 --budget 100M",
        "foveal design --inverse tcn --past 4096",
    ),
    "code": ("foveal code gallery:vgg11 -o net.py",),
    "tile": ("foveal tile gallery:unet --size 4000x3008 --tile 512",),
    "stream": ("foveal stream 'conv3x8,s2 conv3x8' --input 1,1,1600 --rate 16000",),
    "report": ("foveal report gallery:vgg16 -o report.html",),
    "serve": ("foveal serve gallery:unet",),
    "list": ("foveal list", "foveal list timm 'convnext*'"),
}
"""What each command's help ends with."""


def _examples(name: str) -> str:
    return "\n".join(["\b", "Examples:", *(f"  {line}" for line in EXAMPLES[name])])


for command in COMMANDS:
    app.command(epilog=_examples(command.__name__))(command)
app.command("list", epilog=_examples("list"))(list.list_)
app.add_typer(audit.tasks, name="audit")


def main() -> None:
    """Entry point of the ``foveal`` command."""
    app()


if __name__ == "__main__":
    main()
