"""Names with arguments: ``UNet(3, channels=(16, 32))``, ``vit?num_hidden_layers=4&image_size=64``. Read, never run."""

from __future__ import annotations

import ast
from typing import Any, NamedTuple

from foveal.core.errors import SourceError

LONGEST = 2000
"""Characters of a name with its arguments."""


class Asked(NamedTuple):
    """A name and the arguments that it is to be built with."""

    name: str
    args: tuple[Any, ...] = ()
    options: dict[str, Any] = {}  # noqa: RUF012


def read(text: str) -> Asked:
    """A name with arguments in parentheses or behind a question mark; raises SourceError where they are no literals."""
    if len(text) > LONGEST:
        raise SourceError(f"a network's name has at most {LONGEST} characters, this one has {len(text)}")
    if "(" not in text.partition("?")[0]:
        name, _, rest = text.partition("?")
        pairs = [part.partition("=") for part in rest.split("&") if part]
        if wrong := [key for key, equals, _ in pairs if not equals or not key.strip()]:
            raise SourceError(f"{text}: expected NAME=VALUE behind the question mark, got '{wrong[0]}'")
        return Asked(name.strip(), (), {key.strip(): _word(value.strip()) for key, _, value in pairs})
    try:
        call = ast.parse(text.strip(), mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise SourceError(f"{text}: cannot be read; write Name(argument, name=argument)") from error
    if not isinstance(call, ast.Call) or any(key.arg is None for key in call.keywords):
        raise SourceError(f"{text}: cannot be read; write Name(argument, name=argument)")
    name = ast.unparse(call.func)
    args = tuple(_literal(item, text) for item in call.args)
    return Asked(name, args, {str(key.arg): _literal(key.value, text) for key in call.keywords})


def _word(text: str) -> Any:
    try:
        return ast.literal_eval(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError, TypeError):
        return {"true": True, "false": False, "none": None}.get(text.lower(), text)


def _literal(node: ast.expr, text: str) -> Any:
    """A number, a word (with or without quotes), True, None, or tuples, lists and dictionaries of such."""
    if isinstance(node, ast.Constant):
        return node.value
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub) and isinstance(node.operand, ast.Constant):
        if isinstance(node.operand.value, int | float):
            return -node.operand.value
    elif isinstance(node, ast.Tuple | ast.List):
        items = [_literal(item, text) for item in node.elts]
        return tuple(items) if isinstance(node, ast.Tuple) else items
    elif isinstance(node, ast.Dict) and None not in node.keys:
        return {_literal(key, text): _literal(item, text) for key, item in zip(node.keys, node.values) if key}
    raise SourceError(f"{text}: '{ast.unparse(node)}' is no literal: arguments are numbers, words, lists and tuples")
