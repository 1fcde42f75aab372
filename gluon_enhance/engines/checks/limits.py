"""Which memory and which work a net may ask for, by its image, its result and its weights."""

from __future__ import annotations

from collections.abc import Mapping

MAPS = 256
"""Numbers of the maps that are needed at one time, for each number of the image and the result;
EDSR's take 161."""
CONSTANTS = 1 << 24
"""Numbers that these may have besides; for weights, as many more as there are."""
FIXED = 4
"""As `MAPS`, of maps that depend on the image's size at most, as grids of coordinates do."""
LARGEST = 1 << 40
"""Numbers of one map until the others are known: far from what 64 bits hold."""
ENLARGED = 64
"""Numbers of a result for each one of the image, as the nets that enlarge 8 times have."""
WORK = 64
"""Products for each weight and each pixel of the image or the result, whichever has more; nets that
use weights once take 1, and recursive ones as many as they have turns."""
FEWEST = 1 << 12
"""Weights that any net may be taken to have, for its work."""

MOST_STEPS = 10_000
"""Nodes that an engine is given; the deepest nets of the zoo have 2,600."""
MOST_IN_A_ROW = 200
"""Nodes from one layer to the next."""
MOST_USES = 500
"""Nodes that take one map."""


def refuse_tangle(in_a_row: Mapping[str, int], uses: Mapping[str, int]) -> None:
    """Refuse a net over which OpenVINO takes up to cubic time before it runs it.

    Parameters
    ----------
    in_a_row : mapping of str to int
        For each map, after how many nodes without a layer it comes.
    uses : mapping of str to int
        How many nodes take each map.
    """
    longest, most = max(in_a_row.values(), default=0), max(uses.values(), default=0)
    for number, limit, what in (
        (len(in_a_row), MOST_STEPS, "nodes"),
        (longest, MOST_IN_A_ROW, "nodes without a layer in a row"),
        (most, MOST_USES, "nodes that take one map"),
    ):
        if number > limit:
            raise ValueError(f"it has {number:,} {what}, and {limit:,} at most are run here")


def refuse_fixed(image: int, weights: int, fixed: int) -> None:
    """Refuse a net with too many numbers in maps that are the same for all images.

    Engines may make them when they load it. The parameters are those of `refuse_disproportion`.
    """
    if fixed > FIXED * image + weights + CONSTANTS:
        raise ValueError(f"it makes {fixed:,} numbers of no image at all; no image needs that")


def refuse_disproportion(image: int, result: int, weights: int, most: int, work: int) -> None:
    """Refuse a net that takes memory or time out of proportion.

    Parameters
    ----------
    image, result, weights : int
        Numbers in what it takes, gives and holds.
    most : int
        Numbers in the maps that are needed at one time.
    work : int
        Products of two numbers.

    Raises
    ------
    ValueError
        If it does.
    """
    if most > MAPS * (image + result) + weights + CONSTANTS:
        raise ValueError(
            f"it holds {most:,} numbers at once for an image of {image:,}; no image needs that"
        )
    if work > WORK * (max(weights, FEWEST) * max(image, result) // 3 + CONSTANTS):
        raise ValueError(
            f"it takes {work:,} products for an image of {image:,}; no image needs that"
        )


def refuse_enlargement(image: int, result: int, outputs: int = 1) -> None:
    """Refuse a net that makes more of an image than those that enlarge do; see above."""
    if result > ENLARGED * image * outputs:
        raise ValueError(f"it makes {result:,} numbers of {image:,}; no image needs that")


def most_at_once(sizes: list[int], takes: list[set[int]], kept: set[int]) -> int:
    """Return how many numbers are needed at one time, if steps run in order.

    Parameters
    ----------
    sizes : list of int
        Numbers that each step makes.
    takes : list of set of int
        Steps whose numbers each takes.
    kept : set of int
        Steps whose numbers are needed to the end.
    """
    last = {k: at for at, steps in enumerate(takes) for k in steps}
    last.update(dict.fromkeys(kept, len(sizes)))
    live = most = 0
    for at, size in enumerate(sizes):
        live += size
        most = max(most, live)
        live -= sum(sizes[k] for k in takes[at] if last[k] == at)
        live -= 0 if at in last else size  # nothing takes it
    return most
