"""Small pieces of messages to the user."""

from __future__ import annotations


def duration(seconds: float) -> str:
    """12 s, 3 min 20 s, 2 h 5 min; `?` when unknown."""
    if seconds != seconds or seconds == float("inf"):
        return "?"
    seconds = int(seconds)
    if seconds < 60:
        return f"{seconds} s"
    if seconds < 3600:
        return f"{seconds // 60} min {seconds % 60} s"
    return f"{seconds // 3600} h {seconds % 3600 // 60} min"
