"""Measures finding and reading words in photographs, beside RapidOCR's own pipeline on the same ones.

    python tools/bench_photos.py NAME=PHOTOS.tar ... [--workdir=DIR] [--limit=N] [--mosaic=N] [--peer] [--json=FILE]

A tar holds photographs and gt.tsv: image, x1 y1 ... x4 y4, text; `###` are regions to be ignored. A found box is right
when its IoU with a word that no other box has is 0.5 or more; boxes of which more than half lies in a region to be
ignored do not count. A word is read right when such a box has its text, by the protocol alnum36. Seconds are of the
processor (all cores together), because other programs may run, and of the clock. --mosaic=3 puts 3 x 3 photographs of
one size together: large photographs with small words.
"""

from __future__ import annotations

import json
import tarfile
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path

import cv2
import measuring
import numpy as np

from jstr.cli import Parser, cli, named_paths
from jstr.data.photos.boxes import area, iou, overlap
from jstr.data.photos.finder import Finder, FindOptions
from jstr.inference.photographs import read_photo
from jstr.inference.reader import load
from jstr.text.messages import InputError
from jstr.text.metrics import PROTOCOLS

IGNORED = "###"
Found = list[tuple[np.ndarray, str]]  # box [4, 2] and text


def photographs(path: str, limit: int | None) -> list[tuple[np.ndarray, Found]]:
    """(RGB uint8 [H, W, 3], its words) of a tar."""
    words, images = defaultdict(list), {}
    with tarfile.open(path) as tar:
        for member in filter(tarfile.TarInfo.isfile, tar):
            data, member_name = tar.extractfile(member).read(), member.name.removeprefix("./")
            if member_name == "gt.tsv":
                for line in data.decode().splitlines():
                    name, *corners, text = line.split("\t")
                    words[name].append((np.float32(corners).reshape(4, 2), text))
            else:
                images[member_name] = data
    names = sorted(words)[:limit]
    return [(cv2.imdecode(np.frombuffer(images[n], np.uint8), cv2.IMREAD_COLOR_RGB), words[n]) for n in names]


def mosaics(pairs: list, side: int) -> list:
    """The same, `side` x `side` photographs as one, of those that have the size of most."""
    shapes = [pixels.shape for pixels, _ in pairs]
    height, width, _ = shape = max(set(shapes), key=shapes.count)
    same = [pair for pair in pairs if pair[0].shape == shape]
    made = []
    for start in range(0, len(same) - side * side + 1, side * side):
        large, words = np.zeros((side * height, side * width, 3), np.uint8), []
        for i, (pixels, some) in enumerate(same[start : start + side * side]):
            top, left = i // side * height, i % side * width
            large[top : top + height, left : left + width] = pixels
            words += [(box + np.float32([left, top]), text) for box, text in some]
        made.append((large, words))
    return made


def compare(found: Found, words: Found) -> tuple[int, int, int, int, int]:
    """(boxes right, boxes, words, words read right, words that the protocol scores)."""
    ignored = [box for box, text in words if text == IGNORED]
    real = [(box, PROTOCOLS["alnum36"](text)) for box, text in words if text != IGNORED]
    taken, right, wrong, read = set(), 0, 0, 0
    for box, text in found:
        fit = [(iou(box, other), i) for i, (other, _) in enumerate(real) if i not in taken]
        value, i = max(fit, default=(0.0, -1))
        if value >= 0.5:
            taken.add(i)
            right += 1
            read += bool(real[i][1]) and PROTOCOLS["alnum36"](text) == real[i][1]
        elif not any(overlap(box, other) > 0.5 * area(box) for other in ignored):
            wrong += 1
    return right, right + wrong, len(real), read, sum(bool(text) for _, text in real)


def measure(read: Callable[[np.ndarray], Found], pairs: list) -> dict[str, float]:
    """Percentages and seconds a photograph of a way to read photographs."""
    read(pairs[0][0])  # what is compiled or loaded is not counted
    wall, cpu = time.monotonic(), time.process_time()
    rows = [compare(read(pixels), words) for pixels, words in pairs]
    wall, cpu = time.monotonic() - wall, time.process_time() - cpu
    right, boxes, words, correct, scored = (sum(column) for column in zip(*rows, strict=True))
    return {
        "photographs": len(pairs),
        "words": words,
        "recall": round(100 * right / words, 1),
        "precision": round(100 * right / max(boxes, 1), 1),
        "end_to_end": round(100 * correct / scored, 1),
        "cpu_seconds": round(cpu / len(pairs), 2),
        "seconds": round(wall / len(pairs), 2),
    }


def peer() -> Callable[[np.ndarray], Found]:
    """RapidOCR's pipeline as it comes, with the boxes of its words."""
    from rapidocr import RapidOCR

    engine = RapidOCR(params={"Global.log_level": "error", "Global.return_word_box": True})

    def read(pixels: np.ndarray) -> Found:
        answer = engine(cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR))
        words = [word for line in answer.word_results or () for word in line]
        return [(np.float32(box), text) for text, _, box in words if box is not None]

    return read


def run(argv: list[str] | None = None) -> None:
    """Prints a row for each set and way to read."""
    parser = Parser("python tools/bench_photos.py", __doc__)
    parser.add_argument("sets", nargs="+", metavar="NAME=TAR")
    parser.add_argument("--workdir", action="append", help="a reader; may be given many times; default: bundled")
    parser.add_argument("--limit", type=int, help="only the first N photographs of each set")
    parser.add_argument("--mosaic", type=int, metavar="N", help="N x N photographs as one")
    parser.add_argument("--peer", action="store_true", help="RapidOCR too, which must be installed with what it needs")
    parser.add_argument("--json", metavar="FILE")
    args = parser.parse_args(argv)
    finder = Finder(FindOptions(), threads=2)
    ways: dict[str, Callable[[np.ndarray], Found]] = {}
    for name in args.workdir or ["bundled"]:
        reader = load(name)
        ways[f"jstr, {name}"] = lambda pixels, reader=reader: [
            (word.box, word.text) for word in read_photo(reader, pixels, finder)
        ]
    if args.peer:
        ways["RapidOCR"] = peer()
    results = measuring.record() | {"sets": {}}
    for name, place in named_paths("sets", args.sets).items():
        pairs = photographs(place, args.limit)
        pairs = mosaics(pairs, args.mosaic) if args.mosaic else pairs
        if not pairs:
            raise InputError(f"{place}: too few photographs of one size for --mosaic={args.mosaic}")
        results["sets"][name] = {}
        for way, read in ways.items():
            results["sets"][name][way] = row = measure(read, pairs)
            print(name, way, row, flush=True)
            if args.json:
                Path(args.json).write_text(json.dumps(results, indent=2) + "\n")


if __name__ == "__main__":
    cli(run)
