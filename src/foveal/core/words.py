"""Numbers as people write them."""

from __future__ import annotations

from fractions import Fraction


def counted(number: Fraction | int, words: str) -> str:
    """``1 frame``, ``3/2 frames``: words is the plural."""
    return f"{Fraction(number)} {words.removesuffix('s') if number == 1 else words}"


def bytes_text(count: int) -> str:
    """Bytes as people write them."""
    number, unit = float(count), "B"
    for unit in ("B", "KiB", "MiB", "GiB", "TiB"):
        if number < 1024 or unit == "TiB":
            break
        number /= 1024
    return f"{number:.0f} {unit}" if number >= 10 or unit == "B" else f"{number:.1f} {unit}"
