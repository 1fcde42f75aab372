"""What a run of ``enhance`` says of itself at its end."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Optional

from gluon_enhance.commands.jobs import Plan
from gluon_enhance.errors import plural


def unreadable(plan: Plan) -> list[dict]:
    """Report the folders that could not be read, as failures."""
    return [
        {
            "input": str(folder),
            "output": None,
            "status": "failed",
            "error": f"{folder} cannot be read ({reason}); check its rights",
        }
        for folder, reason in plan.unreadable.items()
    ]


def left_out(plan: Plan) -> dict:
    """Return the paths that were left out, by the reason."""
    groups = {"results": plan.results, "others": plan.others, "subfolders": plan.subfolders}
    return {name: [str(path) for path in paths] for name, paths in groups.items()}


def closing_line(reports: list[dict], output: Optional[Path]) -> str:
    """Say what was written, and of how many files it was not; an error says enough of one."""
    if len(reports) == 1:
        return _of_one(reports[0])
    counts = Counter(report["status"] for report in reports)
    place = f" to {output}" if output else ""
    texts = (
        ("done", f"wrote {plural(counts['done'], 'file')}{place}"),
        ("skipped", f"skipped {counts['skipped']}, whose results are there"),
        ("failed", f"{counts['failed']} failed"),
        ("unfinished", f"{counts['unfinished']} unfinished"),
    )
    return "; ".join(text for status, text in texts if counts[status])


def _of_one(report):
    if report["status"] == "done":
        name = "to standard output" if report["output"] == "-" else report["output"]
        return f"wrote {name}, {report['width']} x {report['height']} pixels"
    if report["status"] == "skipped":
        return f"skipped {report['input']}: its result {report['output']} is there"
    return ""
