"""Why the recommended design is the one to take, in sentences; views say them in the reader's language."""

from __future__ import annotations

from collections.abc import Sequence

from foveal.designs.choice.merit import BAND, FULL, learned, rule
from foveal.designs.closed.evaluate import PER_SIDE, Evaluation
from foveal.designs.record import Design
from foveal.designs.search import Found
from foveal.designs.targets import ROOM, Target, wanted


def reasons(
    target: Target, found: Evaluation, alike: int, searched: Found, designs: Sequence[Design]
) -> tuple[str, ...]:
    """What it does for the task, of how many it was taken and by what, how sure that is, what was not looked at."""
    sizes = sorted(wanted(target))
    middle = sizes[len(sizes) // 2]
    level = min(found.levels, key=lambda level: abs(level.effective / middle - PER_SIDE))
    middle /= ROOM if learned(target) else 1
    what = "image" if target.image_alone else "context" if target.context or target.past else "middle object"
    said = [
        f"recommended: design 1: effective side {level.effective:.0f} px, {level.effective / middle:.1f} times "
        f"the {what} ({middle:.3g} px); units {float(level.stride):g} px apart; {len(found.unproductive)} idle layers"
    ]
    said += _by_training(designs) or _by_rule(target, alike, searched)
    if target.image_alone:
        said.append("nothing is known of the objects: the answer rests on the image alone (--sizes, --objects)")
    said.append(
        "not searched: attention, channel gates, other widths and blocks than the space has, resolutions, recipes"
    )
    return tuple(said)


def _by_training(designs: Sequence[Design]) -> list[str]:
    trained = [one.trained for one in designs if one.trained]
    spent = sum(epochs for rounds in trained for epochs, _ in rounds)
    told = f"it came first of {len(trained)} candidates that fit, by successive halving: {spent} epochs in all"
    return [told] if trained else []


def _by_rule(target: Target, alike: int, searched: Found) -> list[str]:
    number = f"{alike:,}" if searched.alike is None else f"at most {searched.alike:,}"
    sure = "how sure: a rule, not a prediction of accuracy; train an alternative beside it"
    spending = f"{number} candidates that spend {100 * FULL:.0f} % of the budget, where any does"
    if target.budget is None:
        first = f"it is the cheapest of {number} candidates that fit within {BAND:g} octaves of the best"
    elif learned(target):
        terms = "field and stride over object, narrowest layer, parameters"
        first = f"by the learned rule ({terms}) it is the first of {spending}"
        right, low, high = (50 * (1 + tau) for tau in rule()["tau"])
        sure = (
            f"how sure: that rule put {right:.0f} % ({low:.0f} to {high:.0f}) of pairs of equal cost in order, on "
            "trainings with objects of other sizes than it was fitted on; that does not make the first the best: "
            "train a standard network beside it"
        )
    else:
        first = f"it has the most parameters of {spending}, and fit within {BAND:g} octaves of the best"
    whole = "no candidate of this space is better by that rule: all were looked at"
    part = "the search is a sample: this space may hold a better one by that rule"
    return [first, whole if searched.complete else part, sure]
