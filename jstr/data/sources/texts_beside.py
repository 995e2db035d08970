"""Labels in text files beside the images: a.png and a.gt.txt (tesstrain, kraken) or a.txt (WebDataset), of one line."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence

from jstr.data.sources.label_files import NoLabels, lines_of
from jstr.data.sources.label_notes import few_names, readable
from jstr.text.messages import InputError

ENDS = (".gt.txt", ".txt")
FORMS = (".bin", ".nrm")  # a.bin.png is the black and white form of a line, a.nrm.png a grey one (kraken, Calamari)
# Four numbers and a word (ICDAR: with commas, or the word in quotes), or a class and four shares of the image (YOLO).
_NUMBER = r"-?\d+(\.\d+)?"
_BOX = re.compile(rf'\s*(({_NUMBER}\s*[,;]\s*){{4}}|({_NUMBER}\s+){{4}}"|\d+(?=.*\.)(\s+([01]?\.\d+|[01])){{4}}\s*$)')


def texts_beside(images: Sequence[str], files: Sequence[str]) -> dict[str, str]:
    """Image -> the text file of the same name, for those of `images` that have one among `files`."""
    known = set(files)
    found = {}
    for image in images:
        stem = image[: image.rindex(".")]
        stems = [stem] + [stem.removesuffix(form) for form in FORMS if stem.endswith(form)]
        text = next((name for name in (s + end for s in stems for end in ENDS) if name in known), None)
        if text is not None:
            found[image] = text
    return found


def read_beside(beside: Mapping[str, str], where: str, read: Callable[[str], bytes]) -> list[tuple[str, str | None]]:
    """(image, label) of each image, in order; None where the word is marked unreadable, "" where a file is empty.

    where: what stands before the name of a text file in messages. read: its content.

    A line that looks like a box is a label, such as numbers, unless most files hold such a line or several.

    Raises:
      InputError: a file that is not text or holds several lines; NoLabels where most do, or hold a box.
    """
    pairs, several, boxes = [], [], []
    for image, text in beside.items():
        lines = [line for _, line in lines_of(read(text), where + text)]
        if len(lines) > 1:
            several.append(text)
        elif any(map(_BOX.match, lines)):
            boxes.append(text)
        pairs.append((image, readable("".join(lines[:1]))))
    others = several + boxes if 2 * len(several + boxes) > len(beside) else several
    if others:
        what = f"{len(others):,} of the {len(beside):,} text files beside images hold several lines or a box"
        error = NoLabels if 2 * len(others) > len(beside) else InputError
        raise error(f"{where}{others[0]}: {what}: {few_names(others)}; a label is one line. Or open it unlabelled")
    return pairs
