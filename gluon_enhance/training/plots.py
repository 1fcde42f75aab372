"""Curves of a run."""

from __future__ import annotations

import re
from pathlib import Path

from gluon_enhance.atomic import whole_file

LOSSES, SIGNED_LOSSES = "losses", "losses that may be negative"
PANELS = {
    "PSNR in dB": r"psnr",
    "SSIM": r"(ms_)?ssim",
    "LPIPS and DISTS": r"lpips|dists",
    "color difference, CIEDE2000": r"delta_e",
    "NIQE": r"niqe",
    "blockiness": r"blockiness",
    "checkerboard": r"checkerboard",
    "ringing": r"ringing",
    "accuracy of discriminators": r".*_accuracy",
    "loss of discriminators": r".*_loss",
    "share of steps in which discriminators learn": r"critics_learn",
    "distance of features": r".*_distance",
    "spread of the output": r"spread",
    "learning rate": r"learning_rate",
    "share of time waited for data": r"waiting_for_data",
}
"""Title -> the names that are drawn together; all others are losses."""
FROM_0_TO_1 = ("accuracy of discriminators", "share of steps in which discriminators learn")
"""Panels from 0 to 1."""
HELD_OUT = "held_out_"
"""Beginning of what is dashed, in the color of what was learned from."""
NOT_DRAWN = ("step", "seconds")
WIDTH, HEIGHT = 6, 2.6
"""Of a panel, in inches."""


def plot_curves(history: list, path: str | Path) -> None:
    """Draw the log against the step, a panel for each kind of value.

    Parameters
    ----------
    history : list of dict
        Log rows with ``step``; a value missing from a row is not drawn there.
    path : path
        PNG to write.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    drawn = panels(history)
    rows = -(-len(drawn) // 2)
    figure = Figure(figsize=(2 * WIDTH, rows * HEIGHT), layout="constrained")
    FigureCanvasAgg(figure)
    places = figure.subplots(rows, 2, squeeze=False).flat
    for (title, names), axes in zip(drawn.items(), places):
        _draw(axes, title, {n: [(r["step"], r[n]) for r in history if n in r] for n in names})
        axes.set_xlim(0, history[-1]["step"])
    for axes in places:  # one is left where the panels are odd
        axes.set_axis_off()
    with whole_file(path) as part:
        figure.savefig(part, format="png", dpi=100)


def panels(history: list) -> dict:
    """Sort the logged names into panels: title -> names.

    Losses that are never negative share an axis, which can be logarithmic then.
    """
    result: dict[str, list] = {title: [] for title in (LOSSES, SIGNED_LOSSES, *PANELS)}
    for name in dict.fromkeys(name for row in history for name in row):
        if name not in NOT_DRAWN:
            signed = any(row.get(name, 0) < 0 for row in history)
            titles = (title for title, names in PANELS.items() if re.match(names, name))
            result[next(titles, SIGNED_LOSSES if signed else LOSSES)].append(name)
    return {title: names for title, names in result.items() if names}


def _draw(axes, title, curves):
    colors: dict = {}
    for name in sorted(curves, key=lambda name: name.startswith(HELD_OUT)):
        points, held_out = curves[name], name.startswith(HELD_OUT)
        (line,) = axes.plot(
            *zip(*points),
            linewidth=1,
            linestyle="--" if held_out else "-",
            marker="." if len(points) < 30 else "",
            color=colors.get(name[len(HELD_OUT) :]) if held_out else None,
            label=name.replace("_", " "),
        )
        colors[name] = line.get_color()
    if title == LOSSES and all(value > 0 for points in curves.values() for _, value in points):
        axes.set_yscale("log")
    if title in FROM_0_TO_1:
        axes.set_ylim(0, 1)
    if title.startswith("accuracy"):
        axes.axhline(0.5, color="gray", linestyle="--", linewidth=1)  # at chance
    axes.set_title(title, fontsize="medium")
    axes.set_xlabel("step")
    axes.grid(alpha=0.3)
    if len(curves) > 1 or title in (LOSSES, SIGNED_LOSSES):
        axes.legend(fontsize="small", loc="upper left", bbox_to_anchor=(1, 1))
