"""Image files that a user names, as a source."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from jstr.core import InputError
from jstr.data.sources.files import images_in, walk
from jstr.inference.reader import Reader


class ImageFiles:
    """Files as a source without labels, whose keys are their paths. An image is None where the file cannot be read."""

    def __init__(self, files: Sequence[str], path: str):
        self.files, self.path, self.notes = list(files), path, []

    @classmethod
    def find(cls, paths: Iterable[str]) -> ImageFiles:
        """The files themselves, and the image files of all folders below the folders, in order of name."""
        files = []
        for path in paths:
            if os.path.isdir(path):
                files += [os.path.join(path, name) for name in images_in(walk(path))]
            else:
                files.append(path)
        return cls(files, ", ".join(paths))

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, i: int) -> dict[str, Any]:
        try:
            image = Path(self.files[i]).read_bytes()
        except OSError:
            image = None
        return {"image": image, "label": None, "key": self.files[i]}

    def problem(self, i: int, reader: Reader) -> str:
        """Why file `i` cannot be read."""
        try:
            next(reader.pixels(self.files[i]))
        except InputError as error:
            return str(error)
        return f"{self.files[i]}: could not be read, but can be now"
