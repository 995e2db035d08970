"""jstr: reading words in photographs with few or no human labels, in JAX."""

from __future__ import annotations

__version__ = "0.1.0"


def load(workdir=None, language_model=None):
    """The reader of a workdir, or the bundled one: `jstr.load().read(images)` gives texts and confidences.

    See jstr.reader.load.
    """
    from jstr.inference.reader import load as load_reader  # importing jstr alone stays fast

    return load_reader(workdir, language_model)
