"""Curves of one or more runs: python tools/plot.py NAME=WORKDIR ... --metric=train/loss --out=FILE.png

One panel for each metric of metrics.jsonl. The horizontal axis counts training steps, or minutes with --minutes.
"""

from __future__ import annotations

import json
from pathlib import Path

from jstr.cli import Parser, cli, path
from jstr.text.messages import InputError


def read_rows(workdir: str) -> list[dict]:
    """The rows of a workdir's metrics.jsonl. A last line that is still being written is left out.

    Raises:
      InputError: no such file, or a line that is not a row.
    """
    file = Path(workdir).expanduser() / "metrics.jsonl"
    if not file.is_file():
        raise InputError(f"{workdir} holds no metrics.jsonl; give the workdir of a training run")
    lines = file.read_text(errors="replace").split("\n")
    rows = []
    for number, line in enumerate(lines[:-1], 1):  # behind the last line break there is nothing, or half a line
        try:
            rows.append(json.loads(line))
            rows[-1]["step"], rows[-1]["seconds"]
        except (ValueError, LookupError, TypeError) as error:
            raise InputError(f"{file}:{number}: not a row of metrics; remove the line") from error
    return rows


def curve(rows: list[dict], metric: str, minutes: bool) -> tuple[list[float], list[float]]:
    """(positions on the horizontal axis, values) of all rows that have the metric."""
    found = [(row["seconds"] / 60 if minutes else row["step"], row[metric]) for row in rows if metric in row]
    return [x for x, _ in found], [y for _, y in found]


def run(argv: list[str] | None = None) -> None:
    parser = Parser("python tools/plot.py", __doc__)
    parser.add_argument("runs", nargs="+", metavar="NAME=WORKDIR")
    parser.add_argument("--metric", action="append", required=True)
    parser.add_argument("--minutes", action="store_true")
    parser.add_argument("--log", action="store_true", help="logarithmic vertical axis, for losses")
    parser.add_argument("--out", type=path, required=True, metavar="FILE.png")
    args = parser.parse_args(argv)
    try:
        from matplotlib.figure import Figure
    except ImportError:
        raise InputError("curves need matplotlib: pip install -e '.[plot]'") from None

    runs = {}
    for text in args.runs:
        name, equals, workdir = text.partition("=")
        runs[name] = read_rows(workdir if equals else name)
    figure = Figure(figsize=(5.5 * len(args.metric), 3.6), dpi=110, layout="constrained")
    for axes, metric in zip(figure.subplots(1, len(args.metric), squeeze=False)[0], args.metric, strict=True):
        curves = {name: curve(rows, metric, args.minutes) for name, rows in runs.items()}
        if not any(x for x, _ in curves.values()):
            known = sorted({key for rows in runs.values() for row in rows for key in row} - {"step", "seconds"})
            raise InputError(f"--metric={metric}: no run has it; there are {', '.join(known)}")
        for name, (x, y) in curves.items():
            axes.plot(x, y, label=name, marker="o" if len(x) < 20 else None, markersize=3, linewidth=1.4)
        if args.log and metric.endswith("loss"):
            axes.set_yscale("log")
        axes.set(title=metric, xlabel="minutes" if args.minutes else "step")
        axes.grid(alpha=0.3)
    if len(runs) > 1:  # below the panels, where it covers no curve
        lines = figure.axes[0].get_lines()
        figure.legend(lines, runs, loc="outside lower center", ncols=min(len(runs), 6), frameon=False)
    try:
        figure.savefig(args.out)
    except ValueError as error:  # a suffix that matplotlib does not know
        raise InputError(f"--out={args.out}: {error}") from error
    print(args.out)


if __name__ == "__main__":
    cli(run)
