"""Words rendered on the fly, as a random-access source: labelled data without a file.

`python -m jstr.data.synth --out=sheet.png` shows 100 of them.
"""

from __future__ import annotations

import argparse
import operator
import os
import sys
from collections.abc import Iterable, Iterator, Sequence

import cv2
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from jstr.core import InputError
from jstr.data.synth_draw import render
from jstr.data.synth_fonts import BUNDLED, Fonts, font_files
from jstr.data.synth_style import Style
from jstr.data.synth_words import Writer
from jstr.text import read_characters


class RenderedWords:
    """`size` rendered words. Element i is a pure function of (seed, i) and the options; use another seed to evaluate.

    seed: 0 or more.
    characters: what labels may hold, as a plain string. With one case only, pictures show both cases.
    fonts: None (the bundled ones), a folder, or a list of folders, files and "bundled".
    words: None (20,000 English ones), a file of word[<TAB>log10 frequency] lines, or a list of words.
    height: of the pictures; their width is the natural one.
    style: the random ranges. case_insensitive: None derives it from `characters`.

    Threads may share an instance, and it can be pickled.

    Raises:
      InputError: no fonts, a font that cannot be read, characters that no font has, words outside the charset.
    """

    def __init__(
        self,
        seed: int,
        size: int,
        characters: str,
        *,
        max_length: int = 25,
        fonts: str | os.PathLike | Sequence[str | os.PathLike] | None = None,
        words: str | os.PathLike | Sequence[str] | None = None,
        height: int = 32,
        style: Style | None = None,
        case_insensitive: bool | None = None,
    ):
        if not 0 <= seed < 2**64 or size < 1 or max_length < 1 or height < 8:
            numbers = f"seed={seed}, size={size}, max_length={max_length}, height={height}"
            raise InputError(f"rendered words: {numbers}; need seed >= 0, size and max_length >= 1, height >= 8")
        self.seed, self.size, self.height = seed, size, height
        self.style = style or Style()
        self.path = f"rendered(seed={seed})"
        self._characters = characters
        self._writer = Writer(characters, max_length, self.style, words, case_insensitive)
        self._fonts = Fonts(font_files(fonts), self._writer.shown, not self._writer.case_insensitive)
        absent = [c for c in characters if not c.isspace() and not self._fonts.covering[c]]
        if absent or not characters.strip():
            fonts = f"none of the {len(self._fonts.paths)} fonts"
            raise InputError(
                f"rendered words: {fonts} has {''.join(absent[:40])!r} of the charset; give fonts that do, "
                "or a charset without them"
            )

    def __len__(self) -> int:
        return self.size

    def __getitem__(self, i: int) -> dict:
        """dict(image uint8 [height, W, 3] RGB, label, key)."""
        i = operator.index(i)
        if not 0 <= i < self.size:
            raise IndexError(f"sample {i} of {self.size}")
        rng = self._rng(i)
        label, shown, able = self._word(rng)
        image = render(rng, shown, able, self._fonts, self.style, self.height)
        return {"image": image, "label": label, "key": f"rendered-{i}"}

    def labels(self) -> Iterator[str]:
        """All labels in order; draws no picture."""
        return (self._word(self._rng(i))[0] for i in range(self.size))

    def _rng(self, i: int) -> np.random.Generator:
        return np.random.default_rng((self.seed, i))

    def _word(self, rng: np.random.Generator) -> tuple[str, str, int]:
        """(label, shown text, fonts that have all its characters as bits): the first draws of an element."""
        for _ in range(100):
            drawn = self._writer.draw(rng)
            if drawn is not None and (able := self._fonts.able(drawn[1])):
                return *drawn, able
        # Fonts that share few characters, or words that never fit: one character always does.
        c = self._characters.strip()[rng.integers(len(self._characters.strip()))]
        return c, c, self._fonts.able(c)

    def __repr__(self) -> str:
        return (
            f"RenderedWords(seed={self.seed}, size={self.size}, {len(self._characters)} characters, "
            f"{len(self._fonts.paths)} fonts, {len(self._writer.words)} words)"
        )


def contact_sheet(samples: Iterable[dict], columns: int = 5, font: str | os.PathLike | None = None) -> np.ndarray:
    """Pictures with their labels below, uint8 [H, W, 3]. font: draws the labels; the bundled one has Latin only."""
    height, width, text = 48, 240, 20
    face = ImageFont.truetype(str(font or BUNDLED / "Arimo-Regular.ttf"), 14)
    tiles = []
    for sample in samples:
        tile = np.full((height + text + 4, width, 3), 255, np.uint8)
        h, w = sample["image"].shape[:2]
        shape = (min(max(round(w * height / h), 1), width - 4), height)
        picture = cv2.resize(sample["image"], shape, interpolation=cv2.INTER_LINEAR)
        tile[:height, 2 : 2 + shape[0]] = picture if picture.ndim == 3 else picture[:, :, None]
        drawn = Image.fromarray(tile)
        ImageDraw.Draw(drawn).text((2, height + 1), sample["label"] or "", fill=(0, 0, 0), font=face)
        tiles.append(np.asarray(drawn))
    if not tiles:
        raise InputError("contact sheet: no samples to show")
    tiles += [np.full_like(tiles[0], 255)] * (-len(tiles) % columns)
    rows = [np.concatenate(tiles[r : r + columns], 1) for r in range(0, len(tiles), columns)]
    return np.concatenate(rows, 0)


def main(arguments: Sequence[str] | None = None) -> int:
    """Writes a contact sheet of rendered words."""
    parser = argparse.ArgumentParser(prog="python -m jstr.data.synth", description=main.__doc__)
    parser.add_argument("--out", required=True, help="the picture to write, e.g. sheet.png")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--characters", default="36", help="36, 62, 94, file:PATH, or the characters themselves")
    parser.add_argument("--count", type=int, default=100)
    parser.add_argument("--fonts", action="append", help='a folder, a file or "bundled"; may be given again')
    parser.add_argument("--words", help="a file of words, one per line")
    options = parser.parse_args(arguments)
    try:
        characters = read_characters(options.characters)
        source = RenderedWords(options.seed, options.count, characters, fonts=options.fonts, words=options.words)
        Image.fromarray(contact_sheet(source[i] for i in range(len(source)))).save(options.out)
    except (InputError, OSError, ValueError) as error:
        print(error, file=sys.stderr)
        return 2
    print(f"{options.out}: {source}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
