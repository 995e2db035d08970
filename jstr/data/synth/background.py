"""Behind and around a rendered word: colours, textures, photographs, the edge of the sign."""

from __future__ import annotations

import colorsys
import functools
import math
import os
import sys
import warnings
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from jstr.data.synth.glyphs import PAD
from jstr.data.synth.style import Style, chance, uniform
from jstr.text.messages import InputError, first_few

_LUMA = (0.299, 0.587, 0.114)
PLANE = (160, 1024)  # textures and noise are crops of planes of this size, made once per process
LARGE, MOST_PIXELS = 40_000_000, 200_000_000  # photographs: decoded at a quarter of the size, left out
CHECKED = 2000  # photographs whose headers are read when the folder is opened
PHOTOGRAPH_SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".webp")


def luma(colour: np.ndarray) -> float:
    """The luminance of a colour [3, 1, 1], in grey levels."""
    r, g, b = colour.ravel().tolist()
    return _LUMA[0] * r + _LUMA[1] * g + _LUMA[2] * b


def colour(rng: np.random.Generator, style: Style, tone: float) -> np.ndarray:
    """A colour [3, 1, 1] of exactly this luminance, mostly red, yellow or blue, as strong as 0..255 allows."""
    grey, strength, which = rng.random(3).tolist()
    strength = 0.0 if grey < style.grey else 255 * style.vivid * strength**1.6
    if not strength:
        return np.full((3, 1, 1), tone, np.float32)
    hues = iter(style.hues)
    share, mean, spread = next(hues)
    while which > share:
        which -= share
        share, mean, spread = next(hues, (1.0, mean, spread))
    r, g, b = colorsys.hsv_to_rgb((mean + spread * rng.standard_normal()) / 360 % 1, 1, 1)
    middle = _LUMA[0] * r + _LUMA[1] * g + _LUMA[2] * b
    above, below = max(r, g, b) - middle, middle - min(r, g, b)
    strength = min(strength, (255 - tone) / max(above, 1e-3), tone / max(below, 1e-3))
    return np.array([[[tone + strength * (c - middle)]] for c in (r, g, b)], np.float32)


def tones(rng: np.random.Generator, style: Style) -> tuple[np.ndarray, np.ndarray, float]:
    """(dark colour, light colour, difference of their luminances)."""
    contrast, where = uniform(rng, style.contrast), rng.random()
    if chance(rng, style.extreme):
        where = 0.03 if where < 0.4 else 0.99
    dark = where * (255 - contrast)
    return colour(rng, style, dark), colour(rng, style, dark + contrast), contrast


def blend(image: np.ndarray, mask: np.ndarray, colour: np.ndarray) -> None:
    """Lays a colour over [3, H, W] in place. mask: uint8 or float [H, W], 255 where it covers."""
    change = colour - image
    change *= mask * np.float32(1 / 255)
    image += change


def feathered(image: np.ndarray, sigma: float) -> np.ndarray:
    """A blurred mask [H, W] or image [H, W, 3], float32, which OpenCV blurs faster than uint8."""
    reach = math.ceil(3 * sigma)
    return cv2.GaussianBlur(image.astype(np.float32, copy=False), (2 * reach + 1,) * 2, sigma)


class Photographs:
    """A folder of photographs whose random crops are backgrounds of words.

    notes: photographs that are left out. A photograph that turns out to be damaged is replaced by the next one.

    Raises:
      InputError: the folder has no photograph that can be read.
    """

    WINDOW, PER_WINDOW = 64, 2048  # consecutive elements share a few photographs, which stay decoded

    def __init__(self, folder: str | os.PathLike):
        self.folder = Path(os.path.expanduser(folder))
        found = sorted(p for p in self.folder.rglob("*") if _is_photograph(p))
        left_out = [p for p in found[:CHECKED] if _pixels(p) is None]
        self.paths = sorted(set(found) - set(left_out))
        self.notes: list[str] = []
        if left_out:
            names = first_few([str(p.relative_to(self.folder)) for p in left_out], 3)
            self.notes.append(f"backgrounds: {len(left_out):,} of {len(found):,} photographs cannot be used: {names}")
        if not self.paths:
            what = self.notes[0] if left_out else f"backgrounds: no photograph ({', '.join(PHOTOGRAPH_SUFFIXES)})"
            raise InputError(f"{what} in {folder}; give a folder of photographs")

    def crop(self, rng: np.random.Generator, number: int, shape: tuple[int, int]) -> np.ndarray:
        """float32 [3, H, W] for element `number`."""
        first = number // self.PER_WINDOW * self.WINDOW
        plane = self._photograph(first + int(rng.integers(self.WINDOW)))
        h, w = shape
        scale = min(0.4 + 2 * rng.random(), plane.shape[0] / h, plane.shape[1] / w)
        part = crop(rng, np.moveaxis(plane, 2, 0), (max(int(h * scale), 1), max(int(w * scale), 1)))
        part = cv2.resize(np.moveaxis(part, 0, 2), (w, h), interpolation=cv2.INTER_LINEAR)
        return np.moveaxis(part, 2, 0).astype(np.float32)

    def _photograph(self, position: int) -> np.ndarray:
        """The first photograph from `position` on that can be decoded."""
        for i in range(min(self.WINDOW, len(self.paths))):
            plane = _decode(self.paths[(position + i) % len(self.paths)])
            if plane is not None:
                return plane
        raise InputError(f"backgrounds: {self.WINDOW} photographs of {self.folder} in a row are damaged; replace them")


def _is_photograph(path: Path) -> bool:
    """By name; hidden files are none."""
    return path.suffix.lower() in PHOTOGRAPH_SUFFIXES and not path.name.startswith(".") and path.is_file()


def _pixels(path: Path) -> int | None:
    """Width times height as the file states them; None if it is no image, or too large."""
    try:
        with warnings.catch_warnings(), Image.open(path) as image:
            warnings.simplefilter("ignore")
            pixels = image.width * image.height
    except Exception:  # Pillow raises many kinds for damaged files, and for those that are too large
        return None
    return pixels if 0 < pixels <= MOST_PIXELS else None


@functools.lru_cache(2 * Photographs.WINDOW)
def _decode(path: Path) -> np.ndarray | None:
    """uint8 [H, W, 3], at most about 512 pixels wide or high: the background of a word has no fine detail.

    None for a damaged file, which is named once.
    """
    pixels = _pixels(path)
    flag = cv2.IMREAD_COLOR_RGB if (pixels or 0) <= LARGE else cv2.IMREAD_REDUCED_COLOR_4
    try:
        plane = cv2.imdecode(np.frombuffer(path.read_bytes(), np.uint8), flag) if pixels else None
    except (OSError, cv2.error):
        plane = None
    if plane is None:
        print(f"backgrounds: {path} is damaged; another photograph is used", file=sys.stderr)
        return None
    plane = plane if flag == cv2.IMREAD_COLOR_RGB else plane[..., ::-1].copy()
    scale = 512 / max(plane.shape[:2])
    if scale >= 1:
        return plane
    if min(plane.shape[:2]) * scale < 1:
        h, w = (max(1, round(n * scale)) for n in plane.shape[:2])
        return cv2.resize(plane, (w, h), interpolation=cv2.INTER_AREA)
    return cv2.resize(plane, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)


def surface(rng: np.random.Generator, shape: tuple, tone: np.ndarray, contrast: float, style: Style) -> np.ndarray:
    """A plain, shaded or textured surface, float32 [3, H, W]."""
    image = np.empty((3, *shape), np.float32)
    image[:] = tone
    if chance(rng, style.gradient):
        image += slope(rng, shape) * np.float32(contrast * 0.35 * rng.random())
    if chance(rng, style.textured):
        image += texture(rng, shape) * np.float32(contrast * uniform(rng, style.texture))
    return image


def calmed(image: np.ndarray, tone: np.ndarray, contrast: float) -> np.ndarray:
    """A crop of a photograph [3, H, W], made as light as `tone` and smooth enough to write on with this contrast."""
    grey = image.mean(0)
    return (image - grey.mean()) * np.float32(min(1.0, 0.3 * contrast / (grey.std() + 1e-3))) + np.float32(luma(tone))


def slope(rng: np.random.Generator, shape: tuple) -> np.ndarray:
    """A linear ramp in a random direction, -1..1, [H, W]."""
    across = rng.random() * 2 - 1
    down = (1 - abs(across)) * (1 if chance(rng, 0.5) else -1)
    x = np.arange(shape[1], dtype=np.float32) * (2 * across / shape[1]) - np.float32(across)
    y = np.arange(shape[0], dtype=np.float32) * (2 * down / shape[0]) - np.float32(down)
    return y[:, None] + x


def panel(rng: np.random.Generator, image: np.ndarray, project: Callable, shape: tuple, style: Style) -> None:
    """Ends the sign close to the word, in place, with another colour behind it.

    project: from the plane of the ink, which has this shape, to the image.
    """
    h, w = shape[0] - 2 * PAD, shape[1] - 2 * PAD
    left, right, above, below = ((0.08 + 0.25 * rng.random(4)) * h).tolist()
    sign = np.zeros((int(h + above + below), int(w + left + right)), np.uint8)
    sign[1:-1, 1:-1] = 255
    blend(image, 255 - project(sign, (PAD - left, PAD - above)), colour(rng, style, 255 * rng.random()))


def texture(rng: np.random.Generator, shape: tuple) -> np.ndarray:
    """A random texture [H, W] of mean 0 and standard deviation about 1."""
    planes = _textures()
    return crop(rng, planes[rng.integers(len(planes))], shape)


def crop(rng: np.random.Generator, plane: np.ndarray, shape: tuple) -> np.ndarray:
    """A random part [..., H, W] of a plane [..., h, w], which is repeated where it is smaller."""
    (h, w), (rows, columns) = shape, plane.shape[-2:]
    if h > rows or w > columns:
        plane = np.tile(plane, (-(-h // rows), -(-w // columns)))
        rows, columns = plane.shape[-2:]
    y, x = int(rng.random() * (rows - h + 1)), int(rng.random() * (columns - w + 1))
    return plane[..., y : y + h, x : x + w]


@functools.cache
def _textures() -> list[np.ndarray]:
    """Planes of float32: clouds, grain, brushed surfaces, stripes, bricks, cluttered scenes. Most are soft."""
    rng = np.random.Generator(np.random.Philox(key=0))
    h, w = PLANE

    def cloud(x: float, y: float) -> np.ndarray:
        return cv2.GaussianBlur(rng.standard_normal(PLANE, np.float32), (0, 0), sigmaX=x, sigmaY=y)

    def unit(plane: np.ndarray) -> np.ndarray:
        return (plane - plane.mean()) / plane.std()

    planes = [cloud(s, s) for s in (1.0, 2.0, 5, 8, 12, 20)]
    planes += [sum(s * unit(cloud(s, s)) for s in (1, 2, 4, 8, 16)) for _ in range(5)]  # about 1/f, as in nature
    planes += [cloud(30, 1), cloud(12, 0.8), cloud(40, 6), cloud(1, 20), cloud(5, 30), np.abs(unit(cloud(5, 5)))]
    planes += [unit(cloud(4, 4)) > 0.6]
    y, x = np.mgrid[0:h, 0:w].astype(np.float32)
    planes += [np.sin(y / 2), ((x + 2 * y) % 24 < 8), (y % 12 < 2), (x % 40 < 3)]
    planes += [((y % 14 < 2) | ((x + 20 * (y // 14 % 2)) % 40 < 2)) + 0.3 * unit(cloud(2, 2))]
    for count in (40, 80, 150, 300, 600):  # overlapping boxes of all tones: what surrounds text in a photograph
        scene = np.zeros(PLANE, np.float32)
        for _ in range(count):
            left, top = int(rng.integers(-40, w)), int(rng.integers(-20, h))
            right, bottom = left + int(rng.integers(4, 20000 // count + 8)), top + int(rng.integers(4, 60))
            cv2.rectangle(scene, (left, top), (right, bottom), float(rng.standard_normal()), -1)
        planes.append(cv2.GaussianBlur(scene, (0, 0), 0.9))
    return [unit(np.asarray(p, np.float32)) for p in planes]
