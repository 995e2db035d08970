"""The training clock."""

from __future__ import annotations

import time


class Clock:
    """`total` seconds over all restarts, `here` since this start, and of these the seconds `waited` for data."""

    def __init__(self, seconds_before: float = 0.0):
        self._before = seconds_before
        self._start = time.monotonic()
        self.waited = 0.0

    @property
    def total(self) -> float:
        return self._before + time.monotonic() - self._start

    @property
    def here(self) -> float:
        return time.monotonic() - self._start
