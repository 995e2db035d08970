"""The training clock: seconds over all restarts, and the share of them spent waiting for data."""

from __future__ import annotations

import time


class Clock:
    """Seconds spent training, over all restarts, and the share of them spent waiting for data."""

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
