"""Ctrl-C and SIGTERM during training."""

from __future__ import annotations

import contextlib
import signal
import sys


class Stop:
    """A context in which the first Ctrl-C or SIGTERM only sets `requested`, so that the loop can save.

    The second one interrupts.
    """

    SIGNALS = (signal.SIGINT, signal.SIGTERM)

    def __init__(self):
        self.requested = False
        self._before = {}

    def __enter__(self) -> Stop:
        with contextlib.suppress(ValueError):  # not in the main thread, which then handles signals itself
            self._before = {s: signal.signal(s, self._handle) for s in self.SIGNALS}
        return self

    def _handle(self, number, frame) -> None:
        if self.requested:
            raise KeyboardInterrupt
        self.requested = True
        print("stopping after this step; once more to stop without saving", file=sys.stderr, flush=True)

    def __exit__(self, *error) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
