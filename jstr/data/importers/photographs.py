"""Readers of sets that were published as whole photographs with a box for each word: the words are cut out."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from jstr.data.importers.base import Reader, Word, cut_words, first_folder, read_file
from jstr.data.importers.matlab import load_mat, mat_text
from jstr.text.messages import InputError


class SynthText(Reader):
    """SynthText in the Wild (Gupta, Vedaldi, Zisserman, CVPR 2016), SynthText.zip unpacked.

    gt.mat holds, for each photograph, imnames, wordBB [2, 4, N] (x and y of four corners; [2, 4] for a single word)
    and txt, strings whose parts between white space are the words in the order of wordBB. A word is cut out by the
    upright box around its four corners.
    """

    name = "synthtext"
    words_per_entry = 8

    def find(self) -> dict[str, Path]:
        self.refuse_labels()
        root = first_folder(self.src, ("", "SynthText"), ["gt.mat"])
        if root is None:
            raise self.not_found("gt.mat")
        self.root = root
        return {"train": root / "gt.mat"}

    def entries(self, split: str) -> Sequence:
        names = ["imnames", "wordBB", "txt"]
        found = load_mat(self.index[split], names)
        columns = [found[name].ravel() for name in names]
        if len({len(column) for column in columns}) != 1:
            sizes = ", ".join(f"{len(column)} {name}" for name, column in zip(names, columns, strict=True))
            raise InputError(f"{self.index[split]} is damaged: {sizes}; get it again")
        return _Photographs(*columns)

    def words(self, entry: tuple[str, np.ndarray, list[str]]) -> Iterator[Word]:
        name, boxes, texts = entry
        labels = [word for text in texts for word in text.split()]
        boxes = boxes[..., None] if boxes.ndim == 2 else boxes
        if boxes.shape != (2, 4, len(labels)):
            problem = "words and boxes of the photograph differ in number"
            yield from (Word(f"{name}:{i}", label, None, problem) for i, label in enumerate(labels or [""]))
            return
        yield from cut_words(self.root, name, labels, boxes.transpose(2, 1, 0), self.crops)


class _Photographs(Sequence):
    """The columns of gt.mat as (name, boxes, texts). 858,750 rows: each is made when it is asked for."""

    def __init__(self, names: np.ndarray, boxes: np.ndarray, texts: np.ndarray):
        self._columns = names, boxes, texts

    def __len__(self) -> int:
        return len(self._columns[0])

    def __getitem__(self, i):
        if isinstance(i, slice):
            return [self[k] for k in range(*i.indices(len(self)))]
        name, box, text = (column[i] for column in self._columns)
        return mat_text(name), np.asarray(box, np.float64), [str(part) for part in np.ravel(text)]


class Svt(Reader):
    """Street View Text (Wang, Babenko, Belongie, ICCV 2011), svt.zip unpacked: train.xml, test.xml and img.

    <image> elements with <imageName> and <taggedRectangle x y width height> holding a <tag>. Rectangles that reach
    over the edge are cut there.
    """

    name = "svt"
    words_per_entry = 2.5

    def find(self) -> dict[str, Path]:
        self.refuse_labels()
        names = ["train.xml", "test.xml"]
        root = first_folder(self.src, ("", "svt1"), names)
        if root is None:
            raise self.not_found(" and ".join(names))
        self.root = root
        return {name[:-4]: root / name for name in names if (root / name).is_file()}

    def entries(self, split: str) -> list[tuple[str, list[str], list]]:
        path = self.index[split]
        try:
            tree = ElementTree.fromstring(read_file(path))
        except (ElementTree.ParseError, LookupError, ValueError) as error:
            raise InputError(f"{path} is not XML ({error}); get it again") from error
        return [_svt_image(path, image) for image in tree.iter("image")]

    def words(self, entry: tuple[str, list[str], list]) -> Iterator[Word]:
        name, labels, corners = entry
        yield from cut_words(self.root, name, labels, np.reshape(corners, (-1, 2, 2)), self.crops)


def _svt_image(path: Path, image: ElementTree.Element) -> tuple[str, list[str], list]:
    name = (image.findtext("imageName") or "").strip()
    labels, corners = [], []
    for box in image.iter("taggedRectangle"):
        try:
            x, y, width, height = (float(box.attrib[side]) for side in ("x", "y", "width", "height"))
        except (KeyError, ValueError) as error:
            raise InputError(f"{path}: a rectangle of {name} lacks a number ({error}); fix the file") from error
        corners.append([[x, y], [x + width, y + height]])
        labels.append((box.findtext("tag") or "").strip())
    return name, labels, corners
