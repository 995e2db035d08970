"""Contact sheets and figures for people, from arrays: uint8 [H, W, 3], drawn with NumPy, OpenCV and Pillow."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

import cv2
import numpy as np
from PIL import Image, ImageDraw, ImageFont

WHITE = 255
GREEN, RED = (0, 120, 0), (190, 0, 0)
IMAGE_HEIGHT, TEXT_HEIGHT = 48, 24  # pixels of a tile of a sheet
LONGEST = 100  # characters of a text that are drawn


def word_sheet(
    images: Iterable[np.ndarray],
    texts: Sequence[str],
    columns: int = 4,
    width: int = 240,
    faces: Sequence | None = None,
) -> np.ndarray:
    """Images uint8 [h, w, c], each with its text below, in rows of `columns`.

    faces: a font (ImageFont) for each text; None: Pillow's own, which has Latin letters only.
    """
    tiles = []
    for image, text, face in zip(images, texts, faces or [None] * len(texts), strict=True):
        tiles.append(np.concatenate([_tile(image, IMAGE_HEIGHT, width), text_tile(text, width, face=face)]))
    return _grid(tiles, columns)


def view_sheet(rows: Iterable[Sequence[np.ndarray]], columns: int = 2, scale: int = 2) -> np.ndarray:
    """Rows of images uint8 [h, w, c] of one size, side by side, in `columns` of rows, enlarged by `scale`."""
    tiles = []
    for images in rows:
        images = [cv2.resize(_rgb(i), None, fx=scale, fy=scale, interpolation=cv2.INTER_NEAREST) for i in images]
        tiles.append(_framed(np.concatenate([_framed(image, 2, 2) for image in images], axis=1), 0, 4))
    return _grid(tiles, columns)


def pair_sheet(rows: Iterable[tuple]) -> np.ndarray:
    """A line for each (weak view, strong view, teacher's text, student's text, whether it is kept)."""
    lines = []
    for weak, strong, teacher, student, kept in rows:
        parts = [_tile(weak, IMAGE_HEIGHT, 170), _tile(strong, IMAGE_HEIGHT, 170)]
        parts += [text_tile(t, 200, IMAGE_HEIGHT, GREEN if kept else RED) for t in (teacher, student)]
        lines.append(np.concatenate(parts, axis=1))
    return np.concatenate(lines)


def change_sheet(parts: Mapping[str, Sequence[tuple]], faces_of: Callable) -> np.ndarray:
    """A column for each heading, of lines (image uint8 [h, w, c], text before, text now).

    faces_of: texts -> (what is drawn of them, a font for each).
    """
    columns = []
    for heading, lines in parts.items():
        texts, faces = faces_of([text for _, *both in lines for text in both])
        rows = [text_tile(heading, 520, IMAGE_HEIGHT)]
        for i, (image, _, _) in enumerate(lines):
            before = text_tile(texts[2 * i], 170, IMAGE_HEIGHT, RED, faces[2 * i])
            now = text_tile(f"-> {texts[2 * i + 1]}", 170, IMAGE_HEIGHT, GREEN, faces[2 * i + 1])
            rows.append(np.concatenate([_tile(image, IMAGE_HEIGHT, 180), before, now], axis=1))
        columns.append(np.concatenate(rows))
    tallest = max(map(len, columns))
    padded = [np.pad(c, ((0, tallest - len(c)), (0, 0), (0, 0)), constant_values=WHITE) for c in columns]
    return np.concatenate(padded, axis=1)


def attention_sheet(
    images: np.ndarray, maps: np.ndarray, texts: Sequence[str], width: int = 96, faces: Sequence | None = None
) -> np.ndarray:
    """A line for each image: itself and its text, then for every character where the model attends, in red.

    images [N, H, W, C] uint8, maps [N, T, h, w], of which the first len(text) are shown. faces: as in `word_sheet`.
    """
    height, count = max(1, round(images.shape[1] / images.shape[2] * width)), max(map(len, texts), default=0)
    lines = []
    for image, per_character, text, face in zip(images, maps, texts, faces or [None] * len(texts), strict=True):
        tiles = [_labelled(image, text, height, width, face)]
        for weights, character in zip(per_character, text, strict=False):
            tiles.append(_labelled(_heated(image, weights), character, height, width, face))
        lines.append(_grid(tiles, 1 + count))
    return np.concatenate(lines)


def similarity_sheet(cosine: np.ndarray, down: np.ndarray, across: np.ndarray, block: int = 160) -> np.ndarray:
    """A matrix of cosines [K, N, J, M] in -1..1, with the words of its rows and columns beside it.

    down [K, H, W, C], across [J, H, W, C]: uint8 images. The N instances of a word make up a block of about `block`
    pixels; red is 1, white 0, blue -1. Instances run from left to right, so rows follow the word downwards. Cells on
    the diagonal are framed: there, both sides see the same part of the same word.
    """
    k, n, j, m = cosine.shape
    cell = max(2, block // max(n, m))
    values = _colours(cosine.reshape(k * n, j * m))
    matrix = np.repeat(np.repeat(values, cell, axis=0), cell, axis=1)
    matrix[:: n * cell] = matrix[:, :: m * cell] = 0
    for i in range(min(k * n, j * m) if n == m else 0):
        cv2.rectangle(matrix, (i * cell, i * cell), (i * cell + cell, i * cell + cell), (0, 0, 0), 1)
    side = np.concatenate([_tile(image, n * cell, block) for image in down])
    top = np.concatenate([_tile(image, block // 2, m * cell) for image in across], axis=1)
    corner = np.full((len(top), side.shape[1], 3), WHITE, np.uint8)
    return np.concatenate([np.concatenate([corner, top], 1), np.concatenate([side, matrix], 1)])


def text_tile(text: str, width: int, height: int = TEXT_HEIGHT, colour=(0, 0, 0), face=None) -> np.ndarray:
    """A line of text, uint8 [height, width, 3], cut off at the end of the tile. Missing glyphs show as boxes."""
    tile = Image.new("RGB", (width, height), (WHITE,) * 3)
    face = face or ImageFont.load_default(15)
    ImageDraw.Draw(tile).text((4, height // 2), one_line(text), fill=colour, font=face, anchor="lm")
    return np.asarray(tile)


def one_line(text: str) -> str:
    """The start of `text`, with escapes for characters that cannot be drawn in a line."""
    start = text[:LONGEST] + ("..." if len(text) > LONGEST else "")
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in start)


def _grid(tiles: list[np.ndarray], columns: int) -> np.ndarray:
    """Tiles of one size in rows of `columns`, the last row filled up with white."""
    tiles = tiles + [np.full_like(tiles[0], WHITE)] * (-len(tiles) % columns)
    return np.concatenate([np.concatenate(tiles[i : i + columns], 1) for i in range(0, len(tiles), columns)])


def _tile(image: np.ndarray, height: int, width: int) -> np.ndarray:
    """The image as large as fits, in the middle of a white tile [height, width, 3]."""
    h, w = image.shape[:2]
    scale = min((height - 4) / h, (width - 4) / w)
    size = max(1, round(w * scale)), max(1, round(h * scale))
    method = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    tile = np.full((height, width, 3), WHITE, np.uint8)
    y, x = (height - size[1]) // 2, (width - size[0]) // 2
    tile[y : y + size[1], x : x + size[0]] = cv2.resize(_rgb(image), size, interpolation=method)
    return tile


def _rgb(image: np.ndarray) -> np.ndarray:
    """uint8 [h, w], [h, w, 1] or [h, w, 3] to [h, w, 3]."""
    return cv2.cvtColor(image, cv2.COLOR_GRAY2RGB) if image.ndim == 2 or image.shape[-1] == 1 else image


def _framed(image: np.ndarray, vertical: int, horizontal: int) -> np.ndarray:
    """The image with white borders, `vertical` and `horizontal` pixels wide."""
    return np.pad(image, ((vertical,) * 2, (horizontal,) * 2, (0, 0)), constant_values=WHITE)


def _labelled(image: np.ndarray, text: str, height: int, width: int, face=None) -> np.ndarray:
    """The image in a tile of `height` x `width` and a margin, with the text below."""
    return np.concatenate([_tile(image, height + 4, width + 4), text_tile(text, width + 4, face=face)])


def _heated(image: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """The image [H, W, C] in grey, redder where the weights [h, w] are higher."""
    h, w = image.shape[:2]
    weights = np.asarray(weights, np.float32)
    heat = cv2.resize(weights / max(weights.max(), 1e-9), (w, h), interpolation=cv2.INTER_LINEAR)[..., None]
    grey = image.mean(axis=-1, keepdims=True)
    return np.rint(grey * (1 - 0.7 * heat) + np.array([230.0, 0, 0]) * 0.7 * heat).astype(np.uint8)


def _colours(values: np.ndarray) -> np.ndarray:
    """-1 blue, 0 white, 1 red: [...] to uint8 [..., 3]."""
    values = np.clip(values, -1, 1)[..., None]
    towards = np.where(values > 0, np.array([200.0, 0, 0]), np.array([0, 0, 200.0]))
    return np.rint(255 + np.abs(values) * (towards - 255)).astype(np.uint8)
