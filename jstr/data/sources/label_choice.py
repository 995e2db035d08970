"""Which label file of a folder or tar is used, and where the names in it start."""

from __future__ import annotations

import posixpath
from collections.abc import Sequence

from jstr.data.sources.label_files import LABEL_FILES, LOOKED_FOR, NoLabels
from jstr.text.messages import InputError, first_few


def choose_label_file(
    names: Sequence[str], labels: str | None, where: str, labelled: bool, beside: int, notes: list[str]
) -> str | None:
    """The label file to use among `names` (all text files there). None: use every image, or those with a text beside.

    beside: the number of images with a text file beside them, see texts_beside.

    Raises:
      InputError: no (such) label file, or one in each of several folders.
    """
    if labels is not None:
        same = [labels] if labels in names else [name for name in names if posixpath.basename(name) == labels]
        if same:
            return _highest(same, where, InputError)[0]
        raise InputError(f"{where} has no label file {labels!r}; it holds {', '.join(names[:20]) or 'no text file'}")
    known = [name for known in LABEL_FILES for name in names if posixpath.basename(name) == known]
    texts = [f"{beside:,} text files beside images"] * (beside > 0)
    if not labelled:
        if known or texts:
            notes.append(f"{where}: opened unlabelled, {', '.join(known + texts)} not read, all images used")
        return None
    if not known:
        if texts:
            return None
        raise NoLabels(f"{where} has no labels (looked for {LOOKED_FOR}); open it unlabelled or give labels=")
    known = _highest(known, where, NoLabels)
    if len(known) > 1:
        notes.append(f"{where}: labels from {known[0]}; choose another with labels= ({first_few(known[1:])})")
    if texts:
        notes.append(f"{where}: labels from {known[0]}; {texts[0]} are not read")
    return known[0]


def _highest(names: Sequence[str], where: str, error: type[InputError]) -> list[str]:
    """The label files, those first that lie in the fewest folders. Raises `error`: these are in different folders."""
    names = sorted(names, key=lambda name: name.count("/"))
    level = names[0].count("/")
    folders = {posixpath.dirname(name) for name in names if name.count("/") == level}
    if len(folders) > 1:
        which = first_few([name for name in names if name.count("/") == level])
        raise error(f"{where} has its labels in folders below; choose with labels= ({which}), or open it unlabelled")
    return names


def image_folders(label_file: str) -> tuple[str, ...]:
    """Where the names in a label file may start: in its own folder (docTR: in `images` there), or at the top."""
    own = posixpath.dirname(label_file)
    below = (posixpath.join(own, "images"),) if label_file.lower().endswith(".json") else ()
    return tuple(dict.fromkeys((own, *below, "")))
