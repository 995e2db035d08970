"""How a rendered word is composed: letters, background, surroundings, light, camera. One generator draws everything."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import cv2
import numpy as np

from jstr.data.synth.background import (
    Photographs,
    blend,
    calmed,
    colour,
    feathered,
    luma,
    panel,
    slope,
    surface,
    texture,
    tones,
)
from jstr.data.synth.camera import camera, light, occlude
from jstr.data.synth.fonts import Fonts
from jstr.data.synth.glyphs import CROSS, PAD, letters, place
from jstr.data.synth.style import Style, chance, uniform

WIDEST = 40  # times the height: bounds memory for a pathological font or text


class Word(NamedTuple):
    """A word before it is painted. ink: uint8 [h, w]; font, size (em in pixels): of its letters.

    matrix: homography [3, 3] from the ink to the image of `shape` (height, width).
    """

    text: str
    font: int
    size: int
    ink: np.ndarray
    matrix: np.ndarray
    shape: tuple[int, int]

    def project(self, plane: np.ndarray, shift: tuple[float, float] = (0, 0)) -> np.ndarray:
        """A plane around the ink, whose upper left corner is at (x, y) `shift`, as the image shows it: [H, W]."""
        matrix = self.matrix
        if shift != (0, 0):
            matrix = matrix @ np.array([[1, 0, shift[0]], [0, 1, shift[1]], [0, 0, 1]])
        return cv2.warpPerspective(plane, matrix, self.shape[::-1], flags=cv2.INTER_LINEAR)

    @property
    def em(self) -> float:
        """Of the letters in the image, in pixels of an image that is 32 high."""
        (a, b), (c, d) = self.matrix[:2, :2].tolist()
        return self.size * 32 / self.shape[0] * abs(a * d - b * c) ** 0.5


class Scene:
    """What all images of a source share. another: draws the text of a neighbouring word, and the fonts that have it.

    photographs: for backgrounds, or None.
    """

    def __init__(self, fonts: Fonts, style: Style, height: int, another: Callable, photographs: Photographs | None):
        self.fonts, self.style, self.height, self.another = fonts, style, height, another
        self.photographs = photographs

    def render(self, rng: np.random.Generator, number: int, text: str, covering: int) -> np.ndarray:
        """An image of `text`, uint8 [height, W, 3] RGB. covering: the fonts to choose from, as bits.

        number: of the element, which decides the photographs to choose from.
        Colours are laid on [3, H, W] float32, where NumPy broadcasts fast.
        """
        style = self.style
        word = self._set(rng, text, covering)
        dark, bright, contrast = tones(rng, style)
        behind, letter = (bright, dark) if chance(rng, 0.5) else (dark, bright)
        image = self._background(rng, number, word, behind, contrast)
        seen = self._letters(rng, word)
        _paint(rng, image, seen, (behind, letter, contrast), style)
        if chance(rng, style.occluded):
            occlude(rng, image, style)
        contrast = light(rng, image, contrast, style)
        return camera(rng, image, contrast, word.em, style)

    def _set(self, rng: np.random.Generator, text: str, covering: int) -> Word:
        """The word in a font, with the shape and place of its letters."""
        fonts, style = self.fonts, self.style
        capitals = len(text) > 2 and text.isupper()
        font = fonts.choose(rng, covering, style.decorative, capitals)
        size = style.sizes[rng.integers(len(style.sizes))]
        initial = round(1.3 * size) if chance(rng, style.small_capitals) and capitals else 0
        ink = letters(rng, fonts.mask(font, size, text, _spacing(rng, style), initial), style)
        matrix, width = place(rng, ink.shape, style, self.height)
        widest = WIDEST * self.height
        if width > widest:
            matrix, width = np.diag([widest / width, 1, 1]) @ matrix, widest
        return Word(text, font, size, ink, matrix, (self.height, width))

    def _background(
        self, rng: np.random.Generator, number: int, word: Word, behind: np.ndarray, contrast: float
    ) -> np.ndarray:
        """A surface of colour `behind` or a part of a photograph, float32 [3, H, W]."""
        style = self.style
        image = surface(rng, word.shape, behind, contrast, style)
        if self.photographs and chance(rng, style.photographed):
            image = calmed(self.photographs.crop(rng, number, word.shape), behind, contrast)
        if chance(rng, style.panelled):
            panel(rng, image, word.project, word.ink.shape, style)
        return image

    def _letters(self, rng: np.random.Generator, word: Word) -> np.ndarray:
        """The ink of the word, of parts of its neighbours and of a line below, uint8 [H, W]."""
        seen = word.project(word.ink)
        if chance(rng, self.style.neighbours):
            seen = np.maximum(seen, self._neighbour(rng, word))
        if chance(rng, self.style.underlined):
            seen = np.maximum(seen, _rule(word))
        return seen

    def _neighbour(self, rng: np.random.Generator, word: Word) -> np.ndarray:
        """The word above, below, before or behind, of which the margins show a part."""
        h, w = word.ink.shape
        drawn, covering = self.another(rng)
        text = drawn if covering >> word.font & 1 else word.text
        other = self.fonts.mask(word.font, word.size, text, kerned=False)
        rows, columns = other.shape
        gap, side = h * (0.02 + 0.25 * rng.random()), rng.random()
        space = 0.2 * h + gap  # as wide as a blank: closer letters would belong to the word
        if side < 0.35:
            shift = ((rng.random() - 0.5) * w, h - PAD + gap)
        elif side < 0.6:
            shift = ((rng.random() - 0.5) * w, PAD - gap - rows)
        elif side < 0.8:
            shift = (w - PAD + space, h - PAD - rows)
        else:
            shift = (PAD - space - columns, h - PAD - rows)
        return word.project(cv2.copyMakeBorder(other, 1, 1, 1, 1, 0), shift)


def _spacing(rng: np.random.Generator, style: Style) -> float:
    return uniform(rng, style.spacing) if chance(rng, style.spaced) else 0.0


def _rule(word: Word) -> np.ndarray:
    h, w = word.ink.shape
    rule = np.full((max(h // 14, 2), w), 255, np.uint8)
    return word.project(cv2.copyMakeBorder(rule, 1, 1, 1, 1, 0), (0, h - PAD + h * 0.05))


def _paint(rng: np.random.Generator, image: np.ndarray, seen: np.ndarray, colours: tuple, style: Style) -> None:
    """Paints shadow, outlines, letters and their relief onto the background, in place."""
    behind, letter, contrast = colours
    if chance(rng, style.glowing) and luma(letter) > luma(behind):
        blend(image, feathered(seen, 2 + 2 * rng.random()), 0.8 * letter)
    if chance(rng, style.shadowed):
        _shadow(rng, image, seen, behind, letter)
    if chance(rng, style.outlined):
        _outline(rng, image, seen, behind, letter, style)
    if chance(rng, style.hollow):
        blend(image, cv2.dilate(seen, CROSS), letter)
        letter = behind
    if chance(rng, style.graded):
        other = colour(rng, style, min(max(luma(letter) + contrast * 0.35 * (2 * rng.random() - 1), 0), 255))
        mix = np.clip(slope(rng, seen.shape) * np.float32(0.5) + np.float32(0.5), 0, 1)
        letter = letter + (other - letter) * mix
    if chance(rng, style.filled):
        letter = letter + texture(rng, seen.shape) * np.float32(contrast * 0.2)
    if chance(rng, style.embossed):
        if chance(rng, style.engraved):
            letter = behind + (letter - behind) * np.float32(0.15 + 0.35 * rng.random())
        blend(image, seen, letter)
        image += _relief(rng, seen, contrast)
    else:
        blend(image, seen, letter)


def _relief(rng: np.random.Generator, seen: np.ndarray, contrast: float) -> np.ndarray:
    """Light on one side of the edges of raised or engraved letters and shade on the other, float32 [H, W]."""
    angle = rng.random() * 2 * np.pi
    x = np.array([[-1, 0, 1], [-2, 0, 2], [-1, 0, 1]], np.float32)
    kernel = np.cos(angle) * x + np.sin(angle) * x.T
    strength = (40 + min(contrast, 120) * 0.6 * rng.random()) / (255 * 4)
    return cv2.filter2D(seen, cv2.CV_32F, (kernel * strength).astype(np.float32))


def _outline(rng: np.random.Generator, image: np.ndarray, seen: np.ndarray, behind, letter, style: Style) -> None:
    """A line around the letters, in a colour near the background's or in any; sometimes a second line."""
    line = cv2.dilate(seen, CROSS)
    if chance(rng, style.doubly):
        blend(image, cv2.dilate(line, CROSS), letter if chance(rng, 0.5) else colour(rng, style, 255 * rng.random()))
        blend(image, line, behind)
    else:
        blend(image, line, colour(rng, style, (luma(behind) + 255 * rng.random()) / 2))


def _shadow(rng: np.random.Generator, image: np.ndarray, seen: np.ndarray, behind, letter) -> None:
    """A soft shadow, or the sides of solid letters."""
    dx, dy = (rng.random(2) * 5 - 2.5).tolist()
    solid = chance(rng, 0.5)
    mask = np.zeros_like(seen)
    for part in (0.33, 0.67, 1.0) if solid else (1.0,):
        move = np.array([[1, 0, dx * part], [0, 1, dy * part]], np.float32)
        mask = np.maximum(mask, cv2.warpAffine(seen, move, seen.shape[::-1]))
    if not solid:
        mask = feathered(mask, 0.6 + rng.random())
    tone = np.float32(0.15 + 0.4 * rng.random())
    # A shadow is darker than the wall; the side of a letter has a darker shade of the letter's colour.
    blend(image, mask, letter * (tone + 0.2) + behind * (0.5 - tone / 2) if solid else behind * tone)
