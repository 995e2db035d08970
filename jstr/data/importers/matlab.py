"""MATLAB files, in which several sets were published."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from jstr.messages import InputError


def load_mat(path: Path, names: list[str]) -> dict[str, np.ndarray]:
    """The variables `names` of a MATLAB file. Raises InputError: damaged, of version 7.3, or without one of them."""
    import scipy.io

    try:
        found = scipy.io.loadmat(path, variable_names=names)
    except NotImplementedError as error:
        raise InputError(f"{path} is of MATLAB version 7.3; save it as version 7 (save -v7) or older") from error
    except Exception as error:  # scipy raises many kinds for damaged files
        raise InputError(f"{path} is not a readable .mat file ({type(error).__name__}); get it again") from error
    missing = [name for name in names if name not in found]
    if missing:
        raise InputError(f"{path} has no variable {', '.join(missing)}; check that it is the published file")
    return found


def mat_text(value: Any) -> str:
    """A char array of MATLAB, which may be empty, as text."""
    return "".join(str(part) for part in np.ravel(value))
