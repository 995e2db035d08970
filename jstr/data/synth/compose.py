"""How a rendered word is put together: letters, ground, surroundings, light, camera. One generator draws everything."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np

from jstr.data.synth.background import (
    Photographs,
    blend,
    colour,
    feathered,
    ground,
    luma,
    out_of_photograph,
    panel,
    slope,
    texture,
    tones,
)
from jstr.data.synth.camera import camera, light, occlude
from jstr.data.synth.fonts import Fonts
from jstr.data.synth.glyphs import CROSS, PAD, hit, letters, place, span
from jstr.data.synth.style import Style


class Scene:
    """What all pictures of a source share. another: draws the text of a neighbouring word, and the fonts that have it.

    photographs: for backgrounds, or None.
    """

    def __init__(self, fonts: Fonts, style: Style, height: int, another: Callable, photographs: Photographs | None):
        self.fonts, self.style, self.height, self.another = fonts, style, height, another
        self.photographs = photographs

    def render(self, rng: np.random.Generator, number: int, text: str, able: int) -> np.ndarray:
        """A picture of `text`, uint8 [height, W, 3] RGB. able: the fonts to choose from, as bits.

        number: of the element, which decides the photographs to choose from.
        Colours are laid on in [3, H, W] float32, where NumPy broadcasts fast.
        """
        fonts, style, height = self.fonts, self.style, self.height
        capitals = len(text) > 2 and text.isupper()
        font = fonts.choose(rng, able, style.decorative, capitals)
        size = style.sizes[rng.integers(len(style.sizes))]
        initial = round(1.3 * size) if hit(rng, style.small_capitals) and capitals else 0
        ink = letters(rng, fonts.mask(font, size, text, _spacing(rng, style), initial), style)
        matrix, width = place(rng, ink.shape, style, height)
        if width > 40 * height:  # a pathological font or text: keep memory bounded
            matrix, width = np.diag([40 * height / width, 1, 1]) @ matrix, 40 * height

        def see(plane: np.ndarray, shift: tuple[float, float] = (0, 0)) -> np.ndarray:
            moved = matrix @ np.array([[1, 0, shift[0]], [0, 1, shift[1]], [0, 0, 1]]) if shift != (0, 0) else matrix
            return cv2.warpPerspective(plane, moved, (width, height), flags=cv2.INTER_LINEAR)

        dark, bright, contrast = tones(rng, style)
        behind, letter = (bright, dark) if hit(rng, 0.5) else (dark, bright)
        image = ground(rng, (height, width), behind, contrast, style)
        if self.photographs and hit(rng, style.photographed):
            image = out_of_photograph(self.photographs.crop(rng, number, (height, width)), behind, contrast)
        if hit(rng, style.panelled):
            panel(rng, image, see, ink.shape, style)
        seen = see(ink)
        if hit(rng, style.neighbours):
            seen = np.maximum(seen, self._neighbour(rng, ink.shape, see, font, size, text))
        if hit(rng, style.underlined):
            seen = np.maximum(seen, _rule(ink.shape, see))
        _paint(rng, image, seen, (behind, letter, contrast), style)
        if hit(rng, style.occluded):
            occlude(rng, image, style)
        contrast = light(rng, image, contrast, style)
        (a, b), (c, d) = matrix[:2, :2].tolist()
        em = size * 32 / height * abs(a * d - b * c) ** 0.5
        return camera(rng, image, contrast, em, style)

    def _neighbour(self, rng: np.random.Generator, shape: tuple, see, font: int, size: int, text: str) -> np.ndarray:
        """The word above, below, before or behind, of which the margins show a part."""
        h, w = shape
        drawn, able = self.another(rng)
        other = self.fonts.mask(font, size, drawn if able >> font & 1 else text, kerned=False)
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
        return see(cv2.copyMakeBorder(other, 1, 1, 1, 1, 0), shift)


def _spacing(rng: np.random.Generator, style: Style) -> float:
    return span(rng, style.spacing) if hit(rng, style.spaced) else 0.0


def _rule(shape: tuple, see) -> np.ndarray:
    h, w = shape
    rule = np.full((max(h // 14, 2), w), 255, np.uint8)
    return see(cv2.copyMakeBorder(rule, 1, 1, 1, 1, 0), (0, h - PAD + h * 0.05))


def _paint(rng: np.random.Generator, image: np.ndarray, seen: np.ndarray, colours: tuple, style: Style) -> None:
    """Shadow, outlines, letters and their relief, onto the ground in place."""
    behind, letter, contrast = colours
    if hit(rng, style.glowing) and luma(letter) > luma(behind):
        blend(image, feathered(seen, 2 + 2 * rng.random()), 0.8 * letter)
    if hit(rng, style.shadowed):
        _shadow(rng, image, seen, behind, letter)
    if hit(rng, style.outlined):
        _outline(rng, image, seen, behind, letter, style)
    if hit(rng, style.hollow):
        blend(image, cv2.dilate(seen, CROSS), letter)
        letter = behind
    if hit(rng, style.graded):
        other = colour(rng, style, min(max(luma(letter) + contrast * 0.35 * (2 * rng.random() - 1), 0), 255))
        mix = np.clip(slope(rng, seen.shape) * np.float32(0.5) + np.float32(0.5), 0, 1)
        letter = letter + (other - letter) * mix
    if hit(rng, style.filled):
        letter = letter + texture(rng, seen.shape) * np.float32(contrast * 0.2)
    if hit(rng, style.embossed):
        if hit(rng, style.engraved):
            letter = behind + (letter - behind) * np.float32(0.15 + 0.35 * rng.random())
        blend(image, seen, letter)
        image += _relief(rng, seen, contrast)
    else:
        blend(image, seen, letter)


def _relief(rng: np.random.Generator, seen: np.ndarray, contrast: float) -> np.ndarray:
    """Light on the edges of raised letters, shade on the other side; or the other way round."""
    angle = rng.random() * 2 * np.pi
    x = np.array([[-1, 0, 1], [-2, 0, 2], [-1, 0, 1]], np.float32)
    kernel = np.cos(angle) * x + np.sin(angle) * x.T
    strength = (40 + min(contrast, 120) * 0.6 * rng.random()) / (255 * 4)
    return cv2.filter2D(seen, cv2.CV_32F, (kernel * strength).astype(np.float32))


def _outline(rng: np.random.Generator, image: np.ndarray, seen: np.ndarray, behind, letter, style: Style) -> None:
    """A line around the letters, in a colour between theirs and the ground's or in any; sometimes a second one."""
    line = cv2.dilate(seen, CROSS)
    if hit(rng, style.doubly):
        blend(image, cv2.dilate(line, CROSS), letter if hit(rng, 0.5) else colour(rng, style, 255 * rng.random()))
        blend(image, line, behind)
    else:
        blend(image, line, colour(rng, style, (luma(behind) + 255 * rng.random()) / 2))


def _shadow(rng: np.random.Generator, image: np.ndarray, seen: np.ndarray, behind, letter) -> None:
    """A soft shadow, or letters that stand out from the wall."""
    dx, dy = (rng.random(2) * 5 - 2.5).tolist()
    solid = hit(rng, 0.5)
    mask = np.zeros_like(seen)
    for part in (0.33, 0.67, 1.0) if solid else (1.0,):
        move = np.array([[1, 0, dx * part], [0, 1, dy * part]], np.float32)
        mask = np.maximum(mask, cv2.warpAffine(seen, move, seen.shape[::-1]))
    if not solid:
        mask = feathered(mask, 0.6 + rng.random())
    tone = np.float32(0.15 + 0.4 * rng.random())
    # A shadow is darker than the wall; the side of a letter has a darker shade of the letter's colour.
    blend(image, mask, letter * (tone + 0.2) + behind * (0.5 - tone / 2) if solid else behind * tone)
