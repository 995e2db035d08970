"""Makes a page on which a person corrects what was read, and saves labels.

python -m jstr.review RUN|predictions.tsv|words.tsv --out=review.html [--sample=N|--doubtful=N]

The page is one file for any browser, and nothing leaves it but the labels.tsv that you save, which every command takes
(jstr evaluate --data=mine=labels.tsv, jstr adapt --config.labels=labels.tsv). The least confident words come first, and
equal images once. --sample=N draws words at random instead, so that the accuracy is that of all words.
"""

from __future__ import annotations

import sys
from argparse import Namespace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from jstr.cli import Parser, cli, path
from jstr.data.images import RGB
from jstr.data.review.groups import equal_images
from jstr.data.review.page import PER_PAGE, Word, write_pages
from jstr.inference.review_input import Read, find_words
from jstr.text.messages import InputError, escape, first_few

OTHERS = 4  # next best readings


def _parse(argv: list[str] | None) -> Namespace:
    parser = Parser("python -m jstr.review", __doc__)
    parser.add_argument("words", type=path, metavar="RUN|FILE", help="a run, predictions.tsv, or words.tsv of detect")
    parser.add_argument("--out", type=path, default="review.html", metavar="FILE", help="default: review.html")
    parser.add_argument("--images", type=path, metavar="FOLDER", help="where the paths of predictions.tsv start")
    parser.add_argument("--workdir", type=path, help="the reader that gives other readings; default: that of the run")
    parser.add_argument("--language_model", metavar="WORDS", help="as for predict")
    parser.add_argument("--sample", type=int, metavar="N", help="N words drawn at random, to measure the accuracy")
    parser.add_argument("--doubtful", type=int, metavar="N", help="the N least confident words; default: all")
    parser.add_argument("--seed", type=int, default=0, help="of the random choice of --sample")
    args = parser.parse_args(argv)
    if args.sample is not None and args.doubtful is not None:
        raise InputError("--sample and --doubtful: give one of them")
    for name in ("sample", "doubtful"):
        if getattr(args, name) is not None and getattr(args, name) < 1:
            raise InputError(f"--{name}={getattr(args, name)}: give a positive number")
    if not Path(args.out).absolute().parent.is_dir():
        raise InputError(f"--out={args.out}: its folder does not exist")
    return args


class Shown(NamedTuple):
    """A word and its image RGB uint8 [h, w, 3]."""

    word: Read
    image: np.ndarray


def run(argv: list[str] | None = None) -> None:
    """Writes the page."""
    args = _parse(argv)
    found = find_words(args.words, args.images)
    shown, broken = _images(found.words)
    if broken:
        print(f"{len(broken):,} images left out: {escape(first_few(broken))}", file=sys.stderr)
    if not shown:
        raise InputError(f"{args.words}: no word whose image can be shown; give --images=FOLDER")
    workdir = args.workdir or found.workdir
    shown, others = _next_best(shown, workdir, args.language_model)
    chosen = choose([s.word.confidence for s in shown], args.sample, args.doubtful, args.seed)
    shown, others = [shown[i] for i in chosen], [others[i] for i in chosen]
    words = _grouped(shown, others, alone=args.sample is not None)
    pages = write_pages(args.out, words, random=args.sample is not None)
    fewer = f", in {len(words):,} groups of equal images" if len(words) < len(shown) else ""
    print(f"{len(shown):,} words{fewer}, up to {PER_PAGE:,} a page; open {', '.join(map(str, pages))} in a browser")


def choose(confidences: list[float], sample: int | None, doubtful: int | None, seed: int = 0) -> list[int]:
    """Places of the words that are shown: the least confident first; or a random sample, in random order.

    The sample is systematic along the confidence (every k-th word from a random start): each word is drawn with the
    same probability, and each level of confidence in its share.
    """
    order = sorted(range(len(confidences)), key=lambda i: confidences[i])
    if sample is None:
        return order[:doubtful]
    rng = np.random.default_rng(seed)
    count = min(sample, len(order))
    step = len(order) / count
    drawn = [order[int((k + start) * step)] for start in [rng.random()] for k in range(count)]
    return [drawn[i] for i in rng.permutation(count)]


def _images(words: list[Read]) -> tuple[list[Shown], list[str]]:
    """(words whose image can be decoded, the files of the others)."""
    shown, broken = [], []
    for word in words:
        try:
            if any(c in word.file for c in "\t\r\n"):
                raise InputError("a name that no label file can hold")
            word.file.encode()
            shown.append(Shown(word, RGB.open(word.file)))
        except (InputError, UnicodeEncodeError):
            broken.append(word.file)
    return shown, broken


def _next_best(
    shown: list[Shown], workdir: str | None, language_model: str | None
) -> tuple[list[Shown], list[tuple[str, ...]]]:
    """The words, read where they have not been, and other readings of each."""
    from jstr.inference.alternatives import alternatives  # as late as jax
    from jstr.inference.reader import load

    print(f"looking for other readings of {len(shown):,} words ...", file=sys.stderr, flush=True)
    found = alternatives(load(workdir, language_model), [s.image for s in shown], OTHERS + 1)
    read, others = [], []
    for s, texts in zip(shown, found, strict=True):
        word = s.word
        if word.text is None:
            best, value = texts[0] if texts else ("", 0.0)
            word = word._replace(text=best, confidence=value)
        read.append(Shown(word, s.image))
        different = dict.fromkeys(text for text, _ in texts if text and text != word.text)
        others.append(tuple(different)[:OTHERS])
    return read, others


def _grouped(shown: list[Shown], others: list[Any], alone: bool) -> list[Word]:
    texts = [s.word.text or "" for s in shown]
    groups = [[i] for i in range(len(shown))] if alone else equal_images([s.image for s in shown], texts)
    words = []
    for group in groups:
        first = shown[group[0]].word
        files = tuple(shown[i].word.file for i in group)
        images = tuple(shown[i].image for i in group)
        words.append(Word(files, images, first.text or "", first.confidence, others[group[0]], first.source))
    return words


if __name__ == "__main__":
    cli(run)
