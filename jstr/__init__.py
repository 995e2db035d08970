"""jstr: reading words in photographs with few or no human labels, in JAX."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from jstr.inference.reader import Reader

__version__ = "0.2.0"


def load(
    workdir: str | os.PathLike[str] | None = None, language_model: str | None = None, *, verbose: bool = False
) -> Reader:
    """The reader of a workdir or name; None: the strongest one that is installed, as a line on stderr says.

    `jstr.load().read(images)` gives texts and confidences. verbose: says on stderr how many characters it can hold.

    See jstr.inference.reader.load.
    """
    from jstr.inference.reader import load as load_reader  # importing jstr alone stays fast

    return load_reader(workdir, language_model, verbose=verbose)
