"""Words rendered on the fly, as a random-access source: labelled data without files.

    python -m jstr.data.synth --out=sheet.png
    python -m jstr.data.synth --config=configs/NAME.py --out=sheet.png [--source=NAME]

show 100 samples of them, or of any other source, with their labels.
"""

from __future__ import annotations

import itertools
import operator
import os
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from jstr.data.patterns.pattern import Pattern
from jstr.data.patterns.spec import PatternSpec
from jstr.data.synth.background import Photographs
from jstr.data.synth.compose import Scene
from jstr.data.synth.fonts import Fonts, font_files
from jstr.data.synth.style import Style
from jstr.data.synth.text_sampler import TextSampler
from jstr.text import frames_needed
from jstr.text.messages import InputError, first_few


class RenderedWords:
    """`size` rendered words. Element i is a pure function of (seed, i) and the options; use another seed to evaluate.

    seed: 0 or more.
    characters: of labels, as a plain string. With one case only, images show both cases.
    fonts: None (the bundled ones), a folder, or a list of folders, files and "bundled".
    words: None ("english"), the name of a bundled list, a file of word[<TAB>log10 frequency] lines, or a list of words.
      Where `characters` have a space, lines of up to max_length characters are phrases that keep theirs.
    height: of the images in pixels; their width depends on the word.
    backgrounds: a folder of photographs, whose crops lie behind a share of the words (Style.photographed).
    style: the random ranges. case_insensitive: None derives it from `characters`.
    pattern: of codes to draw instead of words: a regular expression, several, or a dict with the keys of PatternSpec. A
      code is uniform over the choices of the pattern, in its case, with its checksum. None, or an empty one: words.
    frames: T of a CTC model; words that need more frames are drawn again. None: no limit.

    Threads may share an instance, and it can be pickled.

    Raises:
      InputError: an option of another type or out of range, no fonts, a font that cannot be read, characters that no
        font has, words outside the charset.

    notes: what the user should know, a line each.
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
        backgrounds: str | os.PathLike | None = None,
        frames: int | None = None,
        pattern: Any = None,
    ):
        _check_numbers(seed=(seed, 0, 2**64 - 1), size=(size, 1, 2**62), max_length=(max_length, 1, 10_000))
        _check_numbers(height=(height, 8, 1024))
        self.seed, self.size, self.height = seed, size, height
        self.style = style or Style()
        self.path = f"rendered(seed={seed})"
        self._characters = characters
        self._sampler = TextSampler(characters, max_length, self.style, words, case_insensitive)
        self._pattern = _pattern(pattern, characters, max_length)
        self._fonts = Fonts(font_files(fonts), self._sampler.shown, not self._sampler.case_insensitive)
        photographs = None if backgrounds is None else Photographs(backgrounds)
        self._scene = Scene(self._fonts, self.style, height, self._another, photographs)
        self._visible = [c for c in characters if not c.isspace()]
        self._check_fonts()
        self.notes = [*self._sampler.notes, *(photographs.notes if photographs else [])]
        if idle := self._fonts.idle():
            self.notes.append(f"fonts: {len(idle):,} of {len(self.fonts):,} draw no character: {first_few(idle, 3)}")
        self._frames = None
        if frames is not None:
            self._limit(frames)

    def _check_fonts(self) -> None:
        """Raises InputError unless the fonts have every character."""
        absent = [c for c in self._visible if not self._fonts.covering[c]]
        if absent or not self._visible:
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
        label, shown, covering = self._word(rng)
        image = self._scene.render(rng, i, shown, covering)
        return {"image": image, "label": label, "key": f"rendered-{i}"}

    @property
    def fonts(self) -> list[str]:
        """Paths of the font files."""
        return self._fonts.paths

    def labels(self) -> Iterator[str]:
        """All labels in order, without rendering."""
        return (self._word(self._rng(i))[0] for i in range(self.size))

    def _limit(self, frames: int) -> None:
        """Draws no more words that need more than `frames` frames, and says how many there were."""
        some = min(self.size, 1000)
        long = [label for label in itertools.islice(self.labels(), some) if frames_needed(label) > frames]
        self._frames = frames
        if long:
            self.notes.append(
                f"{len(long):,} of the first {some:,} words need more than the {frames} frames of the model, such as "
                f"{long[0]!r}; shorter ones are drawn instead"
            )

    def _rng(self, i: int) -> np.random.Generator:
        return np.random.default_rng((self.seed, i))

    def _another(self, rng: np.random.Generator) -> tuple[str, int]:
        """Text and covering fonts of a word beside the labelled one."""
        return self._word(rng)[1:]

    def _word(self, rng: np.random.Generator) -> tuple[str, str, int]:
        """(label, shown text, covering fonts as bits): the first draws of an element."""
        for _ in range(100):
            drawn = self._sampler.pair(self._pattern.draw(rng)) if self._pattern else self._sampler.draw(rng)
            if drawn is None or (self._frames is not None and frames_needed(drawn[0]) > self._frames):
                continue
            if covering := self._fonts.covering_fonts(drawn[1]):
                return *drawn, covering
        # Fonts that share few characters, or words that never fit: a single character always does.
        c = self._visible[rng.integers(len(self._visible))]
        return c, c, self._fonts.covering_fonts(c)

    def __repr__(self) -> str:
        return (
            f"RenderedWords(seed={self.seed}, size={self.size}, {len(self._characters)} characters, "
            f"{len(self._fonts.paths)} fonts, {len(self._sampler.words)} words)"
        )


def _pattern(pattern: Any, characters: str, max_length: int) -> Pattern | None:
    """The pattern of codes to draw, or None. Raises InputError: it cannot be used, or its checksum is too rare."""
    by_name = hasattr(pattern, "items")  # a dict, or a part of a config
    spec = PatternSpec.make(**pattern) if by_name else PatternSpec.make(pattern or ())
    if not spec:
        return None
    found = Pattern(spec, "".join(c for c in characters if c == " " or not c.isspace()), max_length)
    found.draw(np.random.default_rng(0))
    return found


def _check_numbers(**numbers: tuple[Any, int, int]) -> None:
    """Raises InputError when an option, given as (value, smallest, largest), is no whole number between the two."""
    for name, (value, smallest, largest) in numbers.items():
        if isinstance(value, bool) or not hasattr(value, "__index__") or not smallest <= value <= largest:
            raise InputError(f"rendered words: {name}={value!r}; give a whole number from {smallest} to {largest}")
