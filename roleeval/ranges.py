"""The ranges of options that are numbers."""

import math

from roleeval.errors import OptionError

_LARGEST = 2.0**53  # whole numbers up to here are exact everywhere; no option needs a larger one


def check_range(
    thing: object, *names: str, low: float, high: float = math.inf, above: bool = False, owner: str = ""
) -> None:
    """Refuses options of an object that are no number in a range; one that is None is not set.

    Args:
        thing: whose options.
        names: of the options.
        low, high: the range, both ends included; `high` need not be given.
        above: `low` itself is not included.
        owner: see OptionError.

    Raises:
        OptionError: names the first that is outside.
    """
    for name in names:
        value = getattr(thing, name)
        if value is None:
            continue
        number = isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= _LARGEST
        if not number or not low <= value <= high or (above and value == low):
            start = f"above {low:g}" if above else f"from {low:g}" if high < math.inf else f"of {low:g} or more"
            end = f" to {high:g}" if high < math.inf else ""
            raise OptionError(name, f"{value!s:.40} is invalid; give a number {start}{end}", owner=owner)
