"""Fonts of the word renderer: which characters each can draw, and words as masks."""

from __future__ import annotations

import functools
import io
import operator
import os
import threading
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import ImageFont, features

from jstr.data.word_lists import stamp
from jstr.text.messages import InputError

BUNDLED = Path(__file__).parents[1] / "fonts"
NAMED = {"bundled": BUNDLED} | {p.name.removeprefix("fonts_"): p for p in sorted(BUNDLED.parent.glob("fonts_*"))}
SUFFIXES = (".ttf", ".otf", ".ttc")
LATIN = str(BUNDLED / "Arimo-Regular.ttf")  # draws texts that no font covers, as code points
# Scripts, handwriting, blackletter, stencils and the like among the bundled fonts: rarer on signs than the others.
DECORATIVE = frozenset(
    """ArchitectsDaughter-Regular Bangers-Regular BlackOpsOne-Regular Bungee-Regular Caprasimo-Regular Caveat-Bold
    ComicNeue-Bold GreatVibes-Regular IndieFlower-Regular Kalam-Bold Lobster LuckiestGuy-Regular MedievalSharp-Regular
    Pacifico-Regular PatrickHand-Regular PermanentMarker-Regular PoiretOne-Regular RockSalt-Regular
    SairaStencilOne-Regular Satisfy-Regular ShadowsIntoLight-Regular Shrikhand-Regular SpecialElite-Regular TomsonTalks
    VT323-Regular Yellowtail-Regular""".split()
)
# No word is written in capitals of these.
SCRIPTS = frozenset("GreatVibes-Regular Lobster MedievalSharp-Regular Pacifico-Regular Satisfy-Regular".split())
# Entries of the caches of a process, which are emptied when full. A letter takes 1.5 KB, an advance 0.2 KB.
LETTERS, ADVANCES = 100_000, 500_000
FONTS = 1000
_DRAWN: dict[tuple, list[str]] = {}  # (font file, characters, case_sensitive) -> the characters that it draws
_NOT_A_CHARACTER = "\uffff"  # Unicode promises that no font maps it, so it draws the missing-glyph box


def font_files(fonts: str | os.PathLike | Sequence[str | os.PathLike] | None) -> list[str]:
    """Font files of a folder, of several folders or files, or the bundled ones.

    "bundled" names the folder jstr/data/fonts, any other NAME the folder jstr/data/fonts_NAME, if it exists.

    Raises:
      InputError: a folder without fonts, or a path that is not there.
    """
    paths = []
    entries = [fonts] if isinstance(fonts, (str, os.PathLike)) else fonts or ["bundled"]
    if not isinstance(entries, Sequence) or not all(isinstance(e, (str, os.PathLike)) for e in entries):
        raise InputError(f"fonts: {fonts!r} is not a folder, a file or a list of them")
    for entry in entries:
        folder = NAMED.get(str(entry)) or Path(os.path.expanduser(entry))
        if folder.is_file():
            paths.append(str(folder))
            continue
        found = sorted(str(p) for p in folder.rglob("*") if _is_font(p))
        if not found:
            missing = "holds no font file" if folder.is_dir() else "does not exist"
            wanted = f"give a folder of fonts, or one of {', '.join(NAMED)}"
            raise InputError(f"fonts: {folder} {missing} ({', '.join(SUFFIXES)}); {wanted}")
        paths += found
    return paths


def _is_font(path: Path) -> bool:
    """By name; macOS leaves hidden files `._NAME.ttf` that are no fonts."""
    return path.suffix.lower() in SUFFIXES and not path.name.startswith(".") and path.is_file()


class Fonts:
    """A set of fonts. FreeType faces are not safe to share, so every thread (and process) opens its own.

    case_sensitive: a font that draws a small letter as its capital does not count as having the small letter.

    Raises:
      InputError: a font that cannot be read, or a script that joins or reorders its letters without the library for it.
    """

    def __init__(self, paths: list[str], characters: str, case_sensitive: bool):
        self.paths = paths
        self._scripts = sum(1 << f for f, path in enumerate(paths) if Path(path).stem in SCRIPTS)
        self._clear()
        shaped = [c for c in characters if not _simple(c)]
        if shaped and not features.check("raqm"):
            some = "".join(shaped[:10])
            raise InputError(f"fonts: {some!r} need shaping by Pillow's raqm layout, which is absent; install libraqm")
        # Bit f of covering[c] is set when font f draws c: a word's fonts are the "and" over its characters.
        self.covering = dict.fromkeys(characters, 0)
        for f in range(len(paths)):
            for c in self._drawn(f, characters, case_sensitive):
                self.covering[c] |= 1 << f

    def _clear(self) -> None:
        self._local = threading.local()
        # Shared by threads: values never change, and two threads make the same ones.
        self._glyphs: dict[tuple[int, int, str], tuple[np.ndarray, int, int]] = {}
        self._advances: dict[tuple[int, str], float] = {}
        self._odds: dict[tuple[int, float], tuple[list[int], np.ndarray]] = {}
        self._files: dict[int, bytes] = {}

    def _drawn(self, index: int, characters: str, case_sensitive: bool) -> list[str]:
        """Those of `characters` that a font draws. Sources of one run ask the same, so the answers are kept."""
        key = stamp(self.paths[index]), characters, case_sensitive
        if key not in _DRAWN:
            font = self._font(index, 24)
            try:
                drawn = _drawn_by(font, characters, case_sensitive)
            except (OSError, ValueError) as error:
                raise self._cannot_draw(index, error) from error
            _keep(_DRAWN, FONTS, key, drawn)
        return _DRAWN[key]

    def _cannot_draw(self, index: int, error: Exception) -> InputError:
        return InputError(f"font {self.paths[index]} cannot draw: {error}; remove the file")

    def covering_fonts(self, text: str) -> int:
        """The fonts that draw every character of `text` but white space, as bits."""
        bits = (1 << len(self.paths)) - 1
        for c in text:
            if not c.isspace():
                bits &= self.covering[c]
        return bits

    def idle(self) -> list[str]:
        """Fonts that draw none of the characters."""
        used = functools.reduce(operator.or_, self.covering.values(), 0)
        return [path for f, path in enumerate(self.paths) if not used >> f & 1]

    def choose(self, rng: np.random.Generator, covering: int, decorative: float = 1.0, capitals: bool = False) -> int:
        """The index of one of the fonts `covering`.

        decorative: the weight of bundled fonts of that kind; others have 1. capitals: the text is all in capitals, so
        scripts are left out if there are others.
        """
        covering = covering & ~self._scripts or covering if capitals else covering
        odds = self._odds.get((covering, decorative))
        if odds is None:
            indices = [f for f in range(len(self.paths)) if covering >> f & 1]
            rare = [Path(self.paths[f]).stem in DECORATIVE for f in indices]
            odds = indices, np.cumsum(np.where(rare, max(decorative, 1e-6), 1.0))
            self._odds[covering, decorative] = odds
        indices, cumulative = odds
        return indices[int(cumulative.searchsorted(rng.random() * cumulative[-1], side="right"))]

    def _font(self, index: int, size: int) -> ImageFont.FreeTypeFont:
        cache = self._local.__dict__
        font = cache.get((index, size))
        if font is None:
            try:
                if index not in self._files:  # read once: many sizes of many fonts would keep as many files open
                    self._files[index] = Path(self.paths[index]).read_bytes()
                font = ImageFont.truetype(io.BytesIO(self._files[index]), size)
            except OSError as error:
                message = f"font {self.paths[index]} cannot be read ({error}); replace or remove the file"
                raise InputError(message) from error
            cache[index, size] = font
        return font

    def mask(
        self, index: int, size: int, text: str, spacing: float = 0.0, initial: int = 0, kerned: bool = True
    ) -> np.ndarray:
        """`text` as ink, uint8 [h, w], cut to its box.

        size: em in pixels. spacing: extra room between letters, in em. initial: size of the first letter, if another.
        kerned: False is faster, for words of which only an edge is visible.
        """
        try:
            return self._mask(index, size, text, spacing, initial or size, kerned)
        except (OSError, ValueError) as error:
            raise self._cannot_draw(index, error) from error

    def _mask(self, index: int, size: int, text: str, spacing: float, initial: int, kerned: bool) -> np.ndarray:
        if not _simple(text):
            return _ink(self._font(index, size), text)[0]
        placed, pen, em = [], 0.0, initial
        for c, following in zip(text, (*text[1:], ""), strict=True):
            if not c.isspace():
                ink, x, y = self._glyph(index, em, c)
                x += round(pen)
                placed.append((ink, x, y, x + ink.shape[1], y + ink.shape[0]))
            pen += max(self._advance(index, c + following if kerned else c) + spacing, 0.1) * em
            em = size
        _, lefts, tops, rights, bottoms = zip(*placed, strict=True)
        left, top = min(lefts), min(tops)
        out = np.zeros((max(bottoms) - top, max(rights) - left), np.uint8)
        for ink, x, y, right, bottom in placed:
            part = out[y - top : bottom - top, x - left : right - left]
            np.maximum(part, ink, out=part)
        return out

    def _glyph(self, index: int, size: int, c: str) -> tuple[np.ndarray, int, int]:
        """A letter's ink, and its left and upper edges relative to the pen on the baseline."""
        glyph = self._glyphs.get((index, size, c))
        if glyph is None:
            glyph = _keep(self._glyphs, LETTERS, (index, size, c), _ink(self._font(index, size), c))
        return glyph

    def _advance(self, index: int, pair: str) -> float:
        """From one pen position to the next in em, kerning included. pair: the letter and the next one, if any."""
        advance = self._advances.get((index, pair))
        if advance is None:
            length = self._font(index, 64).getlength(pair) / 64
            length -= self._advance(index, pair[1:]) if len(pair) > 1 else 0
            advance = _keep(self._advances, ADVANCES, (index, pair), length)
        return advance

    def __getstate__(self) -> dict:
        return {"paths": self.paths, "covering": self.covering, "_scripts": self._scripts}

    def __setstate__(self, state: dict) -> None:
        self.__dict__.update(state)
        self._clear()


def label_faces(texts: Sequence[str], fonts: Sequence[str] = (), size: int = 14) -> tuple[list[str], list]:
    """(texts, a face for each), for labels in any script.

    fonts: files, tried first; the bundled ones follow. A text that no single font covers becomes its code points.
    """
    named = [path for name in NAMED if name != "bundled" for path in font_files(name)]
    paths = list(dict.fromkeys([*fonts, LATIN, *named]))
    wanted = sorted({c for text in texts for c in text if not c.isspace() and (_simple(c) or features.check("raqm"))})
    known = Fonts(paths, "".join(wanted), case_sensitive=False)
    shown, faces = [], []
    for text in texts:
        covering = known.covering_fonts(text) if set(text) <= {*wanted, " "} else 0
        shown.append(text if covering else text.encode("ascii", "backslashreplace").decode())
        best = (covering & -covering).bit_length() - 1 if covering else paths.index(LATIN)
        faces.append(ImageFont.truetype(paths[best], size))
    return shown, faces


def _keep(cache: dict, limit: int, key, value):
    if len(cache) >= limit:
        cache.clear()
    cache[key] = value
    return value


def _simple(text: str) -> bool:
    """Whether letters may be drawn one by one. Other scripts join, reorder or stack letters, which needs shaping."""
    return all(c < "\u0300" or "\u0370" <= c < "\u0483" or "\u3041" <= c < "\ud7a4" for c in text)


def _shape(font: ImageFont.FreeTypeFont, text: str) -> tuple[bytes, tuple]:
    """What distinguishes glyphs: pixels and their box."""
    mask, offset = font.getmask2(text, "L", anchor="ls")
    return bytes(mask), (mask.size, offset)


def _drawn_by(font: ImageFont.FreeTypeFont, characters: str, case_sensitive: bool) -> list[str]:
    absent = _shape(font, _NOT_A_CHARACTER)
    seen = {c: _shape(font, c) for c in characters}
    capitals = {c for c in characters if case_sensitive and c.upper() != c and seen.get(c.upper()) == seen[c]}
    return [c for c, ink in seen.items() if ink != absent and any(ink[0]) and c not in capitals]


def _ink(font: ImageFont.FreeTypeFont, text: str) -> tuple[np.ndarray, int, int]:
    """`text` cut to the box of its ink, and the box's left and upper edges relative to the pen on the baseline."""
    pixels, ((w, h), (x, y)) = _shape(font, text)
    ink = np.frombuffer(pixels, np.uint8).reshape(h, w)
    rows, columns = np.flatnonzero(ink.any(1)), np.flatnonzero(ink.any(0))
    if not rows.size:
        return np.zeros((1, 1), np.uint8), 0, 0
    ink = ink[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1].copy()
    return ink, int(columns[0]) + x, int(rows[0]) + y
