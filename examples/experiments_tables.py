"""Puts the numbers of the experiments into docs/experiments.md, between the marks of each table.

python examples/experiments_tables.py
"""

from __future__ import annotations

import json

from experiments_common import DOCS, put
from experiments_fit import rows
from fit_page import accuracies, relations, state

COLUMNS = ("network", "accuracy (%)", "RF", "effective side", "multiply-adds", "parameters", "unproductive layers")
NAMES = ("context", "resnet32", "article")


def table(rows: list[dict]) -> str:
    """One line per network: mean and 95 % interval over the seeds, and what was known before training; ≤ where the RF
    limits the effective side.
    """
    lines = [f"| {' | '.join(COLUMNS)} |", "|---" * len(COLUMNS) + "|"]
    for row in rows:
        cells = (
            row["name"], f"{100 * row['accuracy']:.1f} ± {100 * row['half']:.1f}", row["rf"],
            f"{'≤ ' if row['effective'] == row['rf'] else ''}{row['effective']:.1f}",
            f"{row['multiply_adds']:,}", f"{row['parameters']:,}", row["unproductive"],
        )  # fmt: skip
        lines.append("| " + " | ".join(map(str, cells)) + " |")
    first = rows[0]
    minutes = sum(row["seconds"] for row in rows) / 60
    seeds = ", ".join(map(str, first["seeds"]))
    lines.append(
        f"\nSeeds {seeds}; {first['epochs']} epochs; {minutes:.0f} minutes on a machine shared with other work."
    )
    return "\n".join(lines)


def main() -> None:
    """Rewrite the page."""
    kept = DOCS / "data" / "experiments"
    told = {name: json.loads((kept / f"{name}.json").read_text(encoding="utf-8")) for name in NAMES}
    tables = {
        "bars": table(told["context"]["bars"]), "digits": table(told["context"]["digits"]),
        "resnet32": table(told["resnet32"]["rows"]), "article": table(told["article"]["rows"]),
    }  # fmt: skip
    own = rows()
    tables |= {"fit": accuracies(own) + "\n\n" + state(own), "fit-answers": relations(own)}
    put(DOCS / "experiments.md", tables)


if __name__ == "__main__":
    main()
