"""What an import used and left out: the report in OUT/report.json, and its lines for people."""

from __future__ import annotations

from typing import Any

from jstr.data.importers import shards
from jstr.data.importers.base import Reader


def make_report(reader: Reader, source: dict[str, Any], counts: dict[str, list[dict]]) -> dict[str, Any]:
    """The report of an import. counts: split -> shards, as `shards.finished` gives them."""
    report = {"source": source, "notes": sorted(set(reader.notes)), "splits": {}}
    for split, parts in counts.items():
        row = {name: sum(part[name] for part in parts) for name in ("entries", "words", "bytes")}
        row |= {"left_out": {}, "notes": {}}
        for part in parts:
            shards.add_counts(row["left_out"], part["left_out"])
            shards.add_counts(row["notes"], part["notes"])
        report["splits"][split] = row
    return report


def nothing_usable(reader: Reader, report: dict[str, Any]) -> str:
    """The message for an import of which no word can be used."""
    reasons: dict[str, dict] = {}
    for row in report["splits"].values():
        shards.add_counts(reasons, row["left_out"])
    said = "; ".join(_reason(*item) for item in reasons.items()) or "it has no entries"
    return f"--src={reader.src}: no word can be used: {said}; check that the set is complete"


def _reason(reason: str, row: dict[str, Any]) -> str:
    shown = ", ".join(row["examples"]) + (", ..." if row["count"] > len(row["examples"]) else "")
    return f"{reason}: {row['count']:,} ({shown})"


def describe(report: dict[str, Any]) -> list[str]:
    """A report as lines for people."""
    lines = []
    for split, row in report["splits"].items():
        left_out = sum(reason["count"] for reason in row["left_out"].values())
        lines.append(f"{split}: {row['words']:,} words, {left_out:,} left out, {row['bytes'] / 1e6:,.1f} MB")
        lines += [f"  left out: {_reason(*item)}" for item in row["left_out"].items()]
        lines += [f"  kept: {_reason(*item)}" for item in row["notes"].items()]
    return lines + [f"note: {note}" for note in report["notes"]]
