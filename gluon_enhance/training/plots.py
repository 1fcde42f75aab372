"""Curves of a run."""

from __future__ import annotations

from pathlib import Path


def plot_curves(history: list, path: str | Path) -> None:
    """Draw every logged value but the counters against the step.

    Parameters
    ----------
    history : list of dict
        Log rows with ``step``; a value missing from a row is not drawn there.
    path : path
        PNG to write.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    names = list(dict.fromkeys(name for row in history for name in row))
    names = [name for name in names if name not in ("step", "seconds")]
    figure = Figure(figsize=(7, 2.4 * len(names)), layout="constrained")
    FigureCanvasAgg(figure)
    panels = figure.subplots(len(names), 1, sharex=True, squeeze=False)[:, 0]
    panels[-1].set_xlabel("step")
    for axes, name in zip(panels, names):
        rows = [row for row in history if name in row]
        axes.plot([row["step"] for row in rows], [row[name] for row in rows], linewidth=1)
        axes.set(ylabel=name.replace("_", " "))
        axes.grid(alpha=0.3)
    path = Path(path)
    part = path.with_name(f".{path.name}.part")
    figure.savefig(part, format="png", dpi=100)
    part.replace(path)
