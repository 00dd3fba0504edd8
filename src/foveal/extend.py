"""Teach foveal an operation of your own. Eight names; docs/extending.md is the tutorial.

``lower`` says what one operation of a framework means in neutral operations (:mod:`foveal.ir.ops`); ``one_operation``
does the same for a whole PyTorch module, whose inside is then not looked at; both get a ``Call``. ``Operation`` and
``rule`` add a neutral operation where the vocabulary has none. ``check`` holds the result against brute force in one
line. ``forget`` takes a registration back, and ``load`` reads what installed packages ship under the entry point group
``foveal.rules`` (done by itself at the first trace).
"""

from __future__ import annotations

from foveal.check.units import check
from foveal.ir.extension import Call, forget, load, lower, one_operation
from foveal.ir.ops import Operation
from foveal.ir.rules.registry import rule

__all__ = ["Call", "Operation", "check", "forget", "load", "lower", "one_operation", "rule"]
