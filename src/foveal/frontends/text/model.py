"""What a text specification says: a tree of frozen records, before any shape is known.

A specification is a sequence of items; an item is one layer, a group of branches, a repeat or a named scope. The
one-line form (``spec_grammar``) and the YAML form (``spec_yaml``) both give this tree.
"""

from __future__ import annotations

from dataclasses import dataclass

Spans = tuple[tuple[int, int], ...]
"""(before, after) per axis; a single pair stands for all axes. Symmetric numbers have both halves equal."""


@dataclass(frozen=True)
class LayerSpec:
    """One layer: ``kind`` and its numbers.

    ``size`` is the kernel, factor, width or head count (empty where none was written), ``channels`` the output
    channels, ``numbers`` the options that carry numbers (s, d, p, g, op), ``flags`` those that do not. ``reference``
    is the name after ``=`` in save, from, add, cat and mul. ``where`` is the place in the text, for messages.
    """

    kind: str
    size: Spans = ()
    channels: int | None = None
    numbers: tuple[tuple[str, Spans], ...] = ()
    flags: frozenset[str] = frozenset()
    name: str = ""
    reference: str = ""
    where: str = ""

    def number(self, option: str) -> Spans | None:
        """The numbers given for an option, or None."""
        return dict(self.numbers).get(option)


@dataclass(frozen=True)
class BranchSpec:
    """Paths from one value, joined by ``join``: "add", "cat" (along the channels) or "mul"."""

    join: str
    paths: tuple[tuple[Item, ...], ...]
    where: str = ""


@dataclass(frozen=True)
class RepeatSpec:
    """``items`` ``times`` times in a row, with weights of their own each time."""

    times: int
    items: tuple[Item, ...]


@dataclass(frozen=True)
class ScopeSpec:
    """``items`` under a name: their layer names start with it, and the name itself is the layer they end in."""

    name: str
    items: tuple[Item, ...]


Item = LayerSpec | BranchSpec | RepeatSpec | ScopeSpec


@dataclass(frozen=True)
class Specification:
    """A whole network: ``input`` is (channels, *space), or None where the text does not say."""

    items: tuple[Item, ...]
    input: tuple[int, ...] | None = None
    name: str = "specification"
