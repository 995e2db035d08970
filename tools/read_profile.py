"""Where the time of a trace goes: python tools/read_profile.py DIR [--json=FILE]

DIR is what --profile of tools/bench_train.py wrote. Prints, for the busiest device, the kernels by their share
of the span of the trace, and the time in which none ran.
"""

from __future__ import annotations

import json
from collections import defaultdict
from pathlib import Path
from typing import NamedTuple

from jstr.cli import Parser, cli, path
from jstr.text.messages import InputError

SHOWN = 15


class Line(NamedTuple):
    """What one line of a trace did: seconds by kernel, and from first to last, with the part in which something ran."""

    kernels: dict[str, float]
    span: float
    busy: float


def read(folder: Path) -> Line:
    """The line of the trace that was busy longest, of an accelerator where there is one.

    Raises:
      InputError: no trace, or none that holds an event.
    """
    from jax.profiler import ProfileData

    files = sorted(folder.rglob("*.xplane.pb"))
    if not files:
        raise InputError(f"{folder} holds no trace (*.xplane.pb); make one with bench_train.py --profile={folder}")
    planes = list(ProfileData.from_file(str(files[-1])).planes)
    devices = [p for p in planes if p.name.startswith("/device:")] or planes
    lines = [summary(line) for plane in devices for line in plane.lines]
    lines = [line for line in lines if line.busy > 0]
    if not lines:
        raise InputError(f"{files[-1]} holds no event of a device")
    return max(lines, key=lambda line: line.busy)


def summary(line) -> Line:
    kernels: dict[str, float] = defaultdict(float)
    spans = []
    for event in line.events:
        kernels[event.name] += event.duration_ns / 1e9
        spans.append((event.start_ns, event.start_ns + event.duration_ns))
    busy, end = 0.0, float("-inf")
    for first, last in sorted(spans):
        busy += max(0.0, last - max(first, end))
        end = max(end, last)
    whole = max((b for _, b in spans), default=0) - min((a for a, _ in spans), default=0)
    return Line(dict(kernels), whole / 1e9, busy / 1e9)


def run(argv: list[str] | None = None) -> None:
    parser = Parser("python tools/read_profile.py", __doc__)
    parser.add_argument("folder", metavar="DIR")
    parser.add_argument("--json", type=path, metavar="FILE")
    args = parser.parse_args(argv)
    line = read(Path(args.folder))
    top = sorted(line.kernels.items(), key=lambda item: -item[1])[:SHOWN]
    print(f"{1000 * line.span:.1f} ms, of which {100 * (1 - line.busy / line.span):.1f} % idle")
    for name, seconds in top:
        print(f"{100 * seconds / line.span:5.1f} %  {1000 * seconds:8.2f} ms  {name[:90]}")
    if args.json:
        rows = [{"name": name, "ms": 1000 * seconds} for name, seconds in top]
        found = {"span_ms": 1000 * line.span, "idle_share": 1 - line.busy / line.span, "kernels": rows}
        Path(args.json).write_text(json.dumps(found, indent=2) + "\n")


if __name__ == "__main__":
    cli(run)
