"""The help of commands in the reader's language."""

from __future__ import annotations

from typing import Any

from foveal.core.language import language


def in_language(command: Any) -> Any:
    """A command, or all of a group, with its help translated; as it is in English."""
    if command is None or language() == "en":
        return command
    from foveal.views.language.translate import translated

    def said(text: str | None) -> str | None:
        return text if not text else translated(" ".join(text.split()))

    command.help, command.short_help = said(command.help), said(command.short_help)
    for option in command.params:
        if getattr(option, "help", None):
            option.help = said(option.help)
    if hasattr(command, "get_help_option"):  # click makes it anew for each command
        made = command.get_help_option

        def told(ctx: Any) -> Any:
            option = made(ctx)
            if option is not None:
                option.help = said(option.help)
            return option

        command.get_help_option = told
    for inner in getattr(command, "commands", {}).values():
        in_language(inner)
    return command
