"""Why the recommended design is the one to take, in sentences; views say them in the reader's language."""

from __future__ import annotations

from foveal.designs.choice.merit import BAND, FULL
from foveal.designs.closed.evaluate import PER_SIDE, Evaluation
from foveal.designs.search import Found
from foveal.designs.targets import Target, wanted


def reasons(target: Target, found: Evaluation, alike: int, searched: Found) -> tuple[str, ...]:
    """What it does for the task, of how many it was taken and by what, how sure that is, what was not looked at."""
    sizes = sorted(wanted(target))
    middle = sizes[len(sizes) // 2]
    level = min(found.levels, key=lambda level: abs(level.effective / middle - PER_SIDE))
    what = "image" if target.image_alone else "context" if target.context or target.past else "middle object"
    said = [
        f"recommended: design 1: effective side {level.effective:.0f} px, {level.effective / middle:.1f} times "
        f"the {what} ({middle:.3g} px); units {float(level.stride):g} px apart; {len(found.unproductive)} idle layers"
    ]
    number = f"{alike:,}" if searched.alike is None else f"at most {searched.alike:,}"
    if target.budget is None:
        said.append(f"it is the cheapest of {number} candidates that fit within {BAND:g} octaves of the best")
    else:
        said.append(
            f"it has the most parameters of {number} candidates that spend {100 * FULL:.0f} % of the budget, "
            f"where any does, and fit within {BAND:g} octaves of the best"
        )
    if searched.complete:
        said.append("no candidate of this space is better by that rule: all were looked at")
    else:
        said.append("the search is a sample: this space may hold a better one by that rule")
    said.append("how sure: a rule from small trainings, not a prediction of accuracy; train an alternative beside it")
    if target.image_alone:
        said.append("nothing is known of the objects: the answer rests on the image alone (--sizes, --objects)")
    said.append(
        "not searched: attention, channel gates, other widths and blocks than the space has, resolutions, recipes"
    )
    return tuple(said)
