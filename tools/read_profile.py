"""Where the time of a trace goes: python tools/read_profile.py DIR [--json=FILE]

DIR is what --profile of tools/bench_train.py wrote. Prints, for the busiest device, the kernels by their share
of the span of the trace, and the time in which none ran. On a CPU all threads count, and kernels of a kind together: on
two cores their shares add up to as much as 200 %.
"""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from jstr.cli import Parser, cli, path
from jstr.text.messages import InputError

SHOWN = 15
THREADS = "tf_XLA"  # the lines of a CPU that run kernels
NO_KERNELS = ("ThunkExecutor", "ThreadpoolListener", "end: ")  # how other events of these lines begin


class Line(NamedTuple):
    """What lines of a trace did: seconds by kernel, and from first to last, with the part in which something ran."""

    kernels: dict[str, float]
    span: float
    busy: float


def read(folder: Path) -> Line:
    """The line of the trace that was busy longest, of an accelerator where there is one; else all threads of the CPU.

    Raises:
      InputError: no trace, or none that holds an event.
    """
    from jax.profiler import ProfileData

    files = sorted(folder.rglob("*.xplane.pb"))
    if not files:
        raise InputError(f"{folder} holds no trace (*.xplane.pb); make one with bench_train.py --profile={folder}")
    planes = list(ProfileData.from_file(str(files[-1])).planes)
    lines = [summary([line]) for p in planes if p.name.startswith("/device:") for line in p.lines]
    if not lines:
        lines = [summary(line for p in planes for line in p.lines if line.name.startswith(THREADS))]
        lines = [line._replace(kernels=by_kind(line.kernels)) for line in lines]
    lines = [line for line in lines if line.busy > 0]
    if not lines:
        raise InputError(f"{files[-1]} holds no event of a device")
    return max(lines, key=lambda line: line.busy)


def summary(lines: Iterable[Any]) -> Line:
    """Kernels of lines of a trace; the time of a nested kernel does not count for the outer one."""
    kernels: dict[str, float] = defaultdict(float)
    spans = []
    for line in lines:
        events = [(e.start_ns, e.start_ns + e.duration_ns, e.name) for e in line.events]
        events = [event for event in events if not event[2].startswith(NO_KERNELS)]
        spans += [event[:2] for event in events]
        for name, nanoseconds in own_times(events):
            kernels[name] += nanoseconds / 1e9
    busy, end = 0.0, float("-inf")
    for first, last in sorted(spans):
        busy += max(0.0, last - max(first, end))
        end = max(end, last)
    whole = max((b for _, b in spans), default=0) - min((a for a, _ in spans), default=0)
    return Line(dict(kernels), whole / 1e9, busy / 1e9)


def own_times(events: list[tuple[float, float, str]]) -> Iterator[tuple[str, float]]:
    """(name, time) of events (start, end, name) of one thread, without the parts that nested events cover."""
    around: list[tuple[float, str]] = []  # (end, name) of those that have not ended
    for start, end, name in sorted(events, key=lambda event: (event[0], -event[1])):
        while around and around[-1][0] <= start:
            around.pop()
        if around:
            yield around[-1][1], start - min(end, around[-1][0])
        yield name, end - start
        around.append((end, name))


def by_kind(kernels: dict[str, float]) -> dict[str, float]:
    """`dot.3` and `dot.7` together."""
    kinds: dict[str, float] = defaultdict(float)
    for name, seconds in kernels.items():
        kinds[re.sub(r"[.][0-9]+$", "", name)] += seconds
    return dict(kinds)


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
