"""A page of pictures to compare: one file, which asks no other host for anything."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from html import escape
from importlib.resources import files
from string import Template

import cv2
import numpy as np

from gluon_enhance.commands.scores import score_text
from gluon_enhance.web import SHARED

PAGES = files("gluon_enhance.commands") / "pages"


def comparison_page(
    pictures: Mapping[str, np.ndarray], rows: Sequence[Mapping], protocol: str
) -> str:
    """Write a page of HTML.

    Parameters
    ----------
    pictures : mapping of str to ndarray of shape (H, W, 3), uint8
        By their names.
    rows : sequence of mapping
        Scores, each with the name of its ``image``; none for no table.
    protocol : str
        How the scores are made.
    """
    return Template(_text(PAGES / "compare.html")).substitute(
        title=escape(", ".join(pictures)),
        style=_text(SHARED / "base.css") + _text(SHARED / "viewer.css"),
        script=_text(SHARED / "viewer.js"),
        pictures="\n".join(_figure(name, image) for name, image in pictures.items()),
        scores=_table(rows, protocol) if rows else "",
    )


def _text(path):
    return path.read_text(encoding="utf-8")


def _figure(name, image):
    png = cv2.imencode(".png", image[..., ::-1])[1]
    source = f"data:image/png;base64,{base64.b64encode(png).decode()}"
    return (
        f"<figure><figcaption>{escape(name)}</figcaption>"
        f'<div class="frame"><img src="{source}" alt="{escape(name)}"></div></figure>'
    )


def _table(rows, protocol):
    names = [name for name in rows[0] if name != "image"]
    head = "".join(f'<th scope="col">{escape(name)}</th>' for name in ("picture", *names))
    lines = (
        f'<tr><th scope="row">{escape(row["image"])}</th>'
        + "".join(f"<td>{score_text(name, row[name])}</td>" for name in names)
        + "</tr>"
        for row in rows
    )
    return (
        f'<div class="scores" tabindex="0"><table><caption>{escape(protocol)}</caption>'
        f"<thead><tr>{head}</tr></thead><tbody>{''.join(lines)}</tbody></table></div>"
    )
