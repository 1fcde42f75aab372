"""How much a VRT has GDAL compute for each of its pixels.

Mosaics and stacks of bands take a pixel of a source for each of theirs. What warps, filters and
averages may take any number of them: a few kilobytes can ask for hours.

References
----------
.. [1] GDAL, "VRT -- GDAL Virtual Format"; its parser takes a value for an attribute or an element,
   in any case.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Optional
from xml.etree.ElementTree import Comment, Element

from gluon_enhance.rasters.claims import too_many_points

KINDS = frozenset((
    "vrtdataset", "vrtwarpeddataset", "vrtrasterband", "vrtsourcedrasterband",
    "vrtwarpedrasterband", "vrtderivedrasterband",
))  # fmt: skip
"""Subclasses, in lower case, whose work is bounded here; others run chains of steps."""
MAX_KERNEL = 31
"""Pixels of a filter's side; a pixel takes the square of it."""
MAX_SPLINE = 500
"""Control points of a thin plate spline, which take the cube of their number, and which each pixel
takes all of."""
MAX_PREVIEWS = 64
"""Of a VRT, each half as large as another in what GDAL makes, which come to 31."""
MANY_PIXELS, RATIO = 1 << 27, 4096
"""Pixels of a source that are read at once, and how many for each pixel of the result if there are
more: 64 each way."""


def tag_of(element: Element) -> str:
    """Return the name of an element in lower case; an empty text for a comment."""
    return "" if element.tag is Comment else element.tag.lower()


def values_of(element: Element, key: str) -> Iterator[str]:
    """Yield what an element says of a key, given in lower case."""
    yield from (value for name, value in element.attrib.items() if name.lower() == key)
    yield from (child.text or "" for child in element if tag_of(child) == key)


def fault_of(element: Element) -> str:
    """Say what in an element takes too long; an empty text if nothing does."""
    for kind in values_of(element, "subclass"):
        if kind.strip().lower() not in KINDS:
            return f"has a {kind:.50}, which is not known to take bounded time"
    tag, functions = tag_of(element), values_of(element, "pixelfunctiontype")
    if any(name.strip().lower() == "expression" for name in functions):
        return "holds code"
    if tag == "kernel" and any(_number(size) > MAX_KERNEL for size in values_of(element, "size")):
        return f"has a filter of over {MAX_KERNEL} pixels a side"
    if tag == "overviewlist" and len((element.text or "").split()) > MAX_PREVIEWS:
        return f"has over {MAX_PREVIEWS} previews"
    if tag == "gcplist":
        return too_many_points(len(element))
    if tag == "tpstransformer" and sum(tag_of(one) == "gcp" for one in element.iter()) > MAX_SPLINE:
        return f"has a thin plate spline of over {MAX_SPLINE} control points"
    if tag.endswith("source") and not _is_nearest(element):
        return fault_of_ratio(_area(element, "srcrect"), _area(element, "dstrect"))
    return ""


def _is_nearest(source):
    """Tell whether a source gives one of its pixels for each that is made."""
    said = {text.strip().lower() for text in values_of(source, "resampling")}
    return tag_of(source) != "averagedsource" and said <= {"", "near", "nearest"}


def fault_of_ratio(read: float, made: float) -> str:
    """Say that too many pixels are read for those that are made; an empty text if not."""
    if read <= max(MANY_PIXELS, RATIO * made):
        return ""
    return f"reads {read:,.0f} pixels to make {made:,.0f}, over {RATIO:,} for each"


def pixels_of(root: Element) -> float:
    """Return how many pixels a VRT has."""
    return _sides(root, "rasterxsize", "rasterysize") or 0.0


def _area(source, name):
    """Return the pixels of a source's rectangle: any number if it is not said."""
    areas = [_sides(child, "xsize", "ysize") for child in source if tag_of(child) == name]
    unknown = float("inf") if name == "srcrect" else 0.0
    return areas[0] if areas and areas[0] is not None else unknown


def _sides(element, across, down) -> Optional[float]:
    sides = [next(values_of(element, key), "") for key in (across, down)]
    area = _number(sides[0]) * _number(sides[1])
    return area if 0 <= area < float("inf") else None


def _number(text):
    """Return a number as GDAL has it; infinity if it is none."""
    try:
        return abs(float(text))
    except ValueError:
        return float("inf")
