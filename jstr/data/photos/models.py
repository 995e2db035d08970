"""Where the detector comes from: the ONNX files inside the package `rapidocr`, run by onnxruntime. Both are optional.

rapidocr itself is never imported: that would bring a second OpenCV, and it is only its files that are wanted.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import numpy as np

from jstr.data.onnx_session import open_session
from jstr.text.messages import InputError

DETECTOR = ("PP-OCRv6_det_small.onnx", "PP-OCRv5_det_mobile.onnx", "ch_PP-OCRv4_det_mobile.onnx")
LINE_READER = ("PP-OCRv6_rec_small.onnx", "PP-OCRv5_rec_mobile.onnx", "ch_PP-OCRv4_rec_mobile.onnx")
INSTALL = "pip install onnxruntime && pip install --no-deps 'rapidocr>=3.10'"


def model_file(names: tuple[str, ...]) -> Path:
    """The first of `names` that the package rapidocr holds. Raises InputError: it is not installed, or holds none."""
    spec = importlib.util.find_spec("rapidocr")
    if spec is None or not spec.submodule_search_locations:
        raise InputError(f"words are found in photographs by a detector of the package rapidocr; {INSTALL}")
    folder = Path(next(iter(spec.submodule_search_locations))) / "models"
    for name in names:
        if (folder / name).is_file():
            return folder / name
    raise InputError(f"{folder} holds none of {', '.join(names)}; another version of rapidocr is needed: {INSTALL}")


class OnnxModel:
    """An ONNX file with one input and one output. Threads may share it."""

    def __init__(self, names: tuple[str, ...], threads: int = 1):
        """threads: of one call. Raises InputError: rapidocr or onnxruntime is missing, or the file is damaged."""
        file = model_file(names)
        needs = f"words are found in photographs by onnxruntime, which is missing; {INSTALL}"
        options = dict(keeps_memory=False, spins=False)  # sizes differ, and other threads have work
        self._session = open_session(file, threads, needs=needs, **options)
        self._input = self._session.get_inputs()[0].name
        self.name = file.name

    def __call__(self, images: np.ndarray) -> np.ndarray:
        """The output for RGB images uint8 [B, H, W, 3], scaled to -1..1 and BGR as these models expect."""
        x = np.ascontiguousarray(images[..., ::-1].transpose(0, 3, 1, 2), np.float32)
        x *= 2 / 255
        x -= 1
        return self._session.run(None, {self._input: x})[0]

    def metadata(self, key: str) -> Any:
        """A text that the file carries; None without it."""
        return self._session.get_modelmeta().custom_metadata_map.get(key)
