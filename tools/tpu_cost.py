"""Cost model of a training step on TPUs: the collectives of its compiled form, and published peaks.

Used by tools/compile_tpu.py. Nothing here is measured.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from flops import PEAK_TFLOPS

SHARE = 0.4  # of the peak that `scaling_lines` assumes to be reached


class Chip(NamedTuple):
    """Published peaks of one chip: bfloat16 FLOP/s, bytes of memory, bytes/s of it, bytes/s out to other chips."""

    flops: float
    memory: float
    bandwidth: float
    link: float


def _chip(kind: str, memory: float, bandwidth: float, link: float) -> Chip:
    return Chip(1e12 * PEAK_TFLOPS[kind], memory, bandwidth, link)


# Cloud TPU documentation, pages "TPU v4", "v5e", "v5p", "v6e" and "TPU7x"; link: half of the bidirectional figure.
CHIPS = {
    "TPU v4": _chip("TPU v4", 32 * 2**30, 1228e9, 300e9),
    "TPU v5 lite": _chip("TPU v5e", 16 * 2**30, 819e9, 200e9),
    "TPU v5": _chip("TPU v5p", 95 * 2**30, 2765e9, 600e9),
    "TPU v6 lite": _chip("TPU v6e", 32 * 2**30, 1640e9, 400e9),
    # Compute and capacity are from that page; bandwidth and link are not and should be checked.
    "TPU7x": Chip(2 * 1e12 * PEAK_TFLOPS["TPU7x"], 192 * 2**30, 7380e9, 600e9),
}
# NVIDIA's data sheet. Within a host the GPUs have NVLink, between hosts one 400 Gb/s adapter each.
H100 = {
    "H100, NVLink": _chip("NVIDIA H100", 80e9, 3350e9, 450e9),
    "H100, 400 Gb/s": _chip("NVIDIA H100", 80e9, 3350e9, 50e9),
}


def devices_a_chip(devices: list) -> int:
    """Devices on each chip: two where its cores are separate devices (TPU7x, and v4 as libtpu counts it), else one."""
    return len(devices) // len({tuple(device.coords) for device in devices})


def share_of_chip(devices: list) -> Chip | None:
    """The peaks of one device, its share of a chip; None: a chip that is not in CHIPS."""
    chip = CHIPS.get(devices[0].device_kind)
    return chip and Chip(*(figure / devices_a_chip(devices) for figure in chip))


class Collective(NamedTuple):
    """Collectives of one kind and purpose: how often a chip runs one in a step, bytes of their results, bytes sent."""

    count: int
    bytes: int
    sent: float


KINDS = ("all-reduce", "all-gather", "reduce-scatter", "all-to-all", "collective-permute", "collective-broadcast")
_CALL = re.compile(rf"^\s*(?:ROOT )?%?\S+ = (.*?) ({'|'.join(KINDS)})(-start)?\(")
_SHAPE = re.compile(r"\b(pred|[suf]\d+|bf16|f8\w*|c64|c128)\[([\d,]*)\]")
_CALLED = re.compile(r"(?:calls|to_apply|body|branch_computations|called_computations)=\{?([^,}]*(?:, ?%[^,}]*)*)\}?")


def collectives(hlo: str, devices: int) -> dict[tuple[str, str], Collective]:
    """(kind, purpose) -> Collective, of the text of a compiled program. Those in loops count as often as they run.

    purpose: batch norm, backward (gradients, mostly) or forward (loss, metrics and the rest), by their place in the
    program. devices: size of a group, where the text does not give it.
    """
    found: dict[tuple[str, str], Collective] = {}
    for line, times in _lines_with_counts(hlo):
        match = _CALL.match(line)
        if not match:
            continue
        kind, size = match[2], _bytes(match[1])
        if match[3]:  # the result of a -start holds its operands too
            size = size // 2 if kind in ("all-reduce", "collective-permute") else size * devices // (devices + 1)
        group = _group_size(line, devices)
        share = (group - 1) / group
        sent = {"all-reduce": 2 * share, "reduce-scatter": group - 1, "collective-permute": 1.0}.get(kind, share) * size
        key = kind, _purpose(line)
        old = found.get(key, Collective(0, 0, 0.0))
        found[key] = Collective(old.count + times, old.bytes + times * size, old.sent + times * sent)
    return found


def _bytes(shapes: str) -> int:
    total = 0
    for kind, sizes in _SHAPE.findall(shapes):
        bits = 8 if kind == "pred" or kind.startswith("f8") else int(re.sub(r"\D", "", kind))
        total += int(np.prod([int(n) for n in sizes.split(",") if n])) * bits // 8
    return total


def _group_size(line: str, devices: int) -> int:
    if match := re.search(r"replica_groups=mesh\[(.*?)\] ?\{(.*?)\}", line):
        sizes = dict(re.findall(r"'(\w+)'=(\d+)", match[1]))
        return int(np.prod([int(sizes[axis]) for axis in re.findall(r"'(\w+)'", match[2])]))
    if match := re.search(r"replica_groups=\[\d+,(\d+)\]", line):
        return int(match[1])
    if match := re.search(r"replica_groups=\{\{([\d,]+)\}", line):
        return match[1].count(",") + 1
    return devices


def _purpose(line: str) -> str:
    match = re.search(r'op_name="([^"]*)"', line)
    place = match[1] if match else ""
    if "norm" in place.split("/"):
        return "batch norm"
    return "backward" if "transpose(" in place else "forward"


def _lines_with_counts(hlo: str) -> Iterator[tuple[str, int]]:
    """Every instruction of a program with the number of times it runs."""
    bodies, entry = _computations(hlo)
    counts: dict[str, int] = {}

    def visit(name: str, times: int) -> None:
        counts[name] = counts.get(name, 0) + times
        for line in bodies.get(name, ()):
            loop = re.search(r" while\(.*condition=%?([\w.-]+), body=%?([\w.-]+)", line)
            if loop:
                visit(loop[2], times * _trips(line, bodies.get(loop[1], ())))
                continue
            for called in _CALLED.findall(line) if " fusion(" not in line else ():
                for inner in re.findall(r"[\w.-]+", called):
                    if inner in bodies:
                        visit(inner, times)

    visit(entry, 1)
    for name, times in counts.items():
        for line in bodies[name]:
            yield line, times


def _computations(hlo: str) -> tuple[dict[str, list[str]], str]:
    bodies: dict[str, list[str]] = {}
    name = entry = ""
    for line in hlo.splitlines():
        if head := re.match(r"(ENTRY )?%?([\w.-]+) \(.*\{\s*$", line):
            name = head[2]
            entry = name if head[1] else entry
            bodies[name] = []
        elif line.startswith("}"):
            name = ""
        elif name:
            bodies[name].append(line)
    return bodies, entry


def _trips(line: str, condition) -> int:
    """Iterations of a loop: XLA's annotation, else the constant that its counter is compared with, else one."""
    if match := re.search(r'"known_trip_count":\{"n":"(\d+)"', line):
        return int(match[1])
    numbers = [m[1] for text in condition if (m := re.search(r"s32\[\]\S* constant\((\d+)\)", text))]
    return int(numbers[0]) if len(numbers) == 1 else 1


def host_calls(hlo: str) -> list[str]:
    """Calls from a compiled program to the host: callbacks, infeeds, outfeeds, host transfers."""
    found = re.findall(r'custom_call_target="([^"]*(?:callback|host)[^"]*)"', hlo, re.IGNORECASE)
    found += re.findall(r" (infeed|outfeed)\(", hlo)
    found += ["transfer"] * hlo.count("is_host_transfer=true")
    return sorted(set(found))


def bounds(flop: float, moved: float, sent: float, chip: Chip) -> dict[str, float]:
    """Lower bounds in seconds for arithmetic, memory and links, at the chip's published peaks."""
    return {"compute": flop / chip.flops, "memory": moved / chip.bandwidth, "links": sent / chip.link}


def balance(flop_per_image: float, parameters: int, batch: int, chip: Chip, share: float) -> dict[str, float]:
    """The chip count at which the all-reduce of float32 gradients takes as long as the arithmetic of a step.

    batch: images of a step, over all chips.

    Arithmetic on n chips takes F B / (n s P) with s the share of the peak P that is reached; a ring sends
    8 (n - 1) / n bytes for each parameter over a link of L bytes/s. Equal at n = 1 + F B L / (8 s P parameters).
    """
    chips = 1 + flop_per_image * batch * chip.link / (8 * parameters * share * chip.flops)
    return {"chips": chips, "images_per_chip": batch / chips, "images_per_second": share * chip.flops / flop_per_image}


def scaling_lines(name: str, batch: int, parameters: int, flop: float, rate: float) -> list[str]:
    """A row for each kind of chip. flop: of one image. rate: images/s that a host core prepares."""
    lines = []
    for kind, chip in ({"v5e": CHIPS["TPU v5 lite"]} | H100).items():
        found = balance(flop, parameters, batch, chip, SHARE)
        per_second = found["images_per_second"]
        lines.append(
            f"| {name}, {batch} | {parameters:,} | {4 * parameters / 1e6:.0f} | {flop / 1e9:.2f} | {kind} | "
            f"{found['chips']:.0f} | {found['images_per_chip']:.1f} | {per_second:,.0f} | {per_second / rate:.1f} |"
        )
    return lines
