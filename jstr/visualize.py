"""Pictures for people, from arrays: uint8 [H, W, 3], drawn with NumPy and OpenCV."""

from __future__ import annotations

import cv2
import numpy as np
from PIL import Image, ImageDraw, ImageFont

WHITE = 255
GREEN, RED = (0, 120, 0), (190, 0, 0)


def similarity_sheet(cosine: np.ndarray, down: np.ndarray, across: np.ndarray, block: int = 160) -> np.ndarray:
    """A matrix of cosines [K, N, J, M] in -1..1, with the words that belong to its rows and columns beside it.

    down [K, H, W, C], across [J, H, W, C]: uint8 pictures. The N instances of a word make up a block of about `block`
    pixels; red is 1, white 0, blue -1. Instances run from left to right, so downwards they follow the word too. Cells
    on the diagonal are framed: there, both sides see the same part of the same word.
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


def _colours(values: np.ndarray) -> np.ndarray:
    """-1 blue, 0 white, 1 red: [...] to uint8 [..., 3]."""
    values = np.clip(values, -1, 1)[..., None]
    towards = np.where(values > 0, np.array([200.0, 0, 0]), np.array([0, 0, 200.0]))
    return np.rint(255 + np.abs(values) * (towards - 255)).astype(np.uint8)


def _tile(image: np.ndarray, height: int, width: int) -> np.ndarray:
    """The picture as large as fits, in the middle of a white tile [height, width, 3]."""
    h, w = image.shape[:2]
    scale = min((height - 4) / h, (width - 4) / w)
    size = max(1, round(w * scale)), max(1, round(h * scale))
    picture = cv2.resize(image, size, interpolation=cv2.INTER_LINEAR)
    picture = np.broadcast_to(picture.reshape(size[1], size[0], -1), (size[1], size[0], 3))
    tile = np.full((height, width, 3), WHITE, np.uint8)
    y, x = (height - size[1]) // 2, (width - size[0]) // 2
    tile[y : y + size[1], x : x + size[0]] = picture
    return tile


def word_sheet(images, texts, columns: int = 4, height: int = 48, width: int = 220) -> np.ndarray:
    """Pictures uint8 [H, W, C], each with its text below, in rows of `columns`."""
    tiles = [np.concatenate([_tile(i, height, width), text_tile(t, width)]) for i, t in zip(images, texts, strict=True)]
    tiles += [np.full_like(tiles[0], WHITE)] * (-len(tiles) % columns)
    return np.concatenate([np.concatenate(tiles[i : i + columns], 1) for i in range(0, len(tiles), columns)])


def pair_sheet(rows) -> np.ndarray:
    """A line for each (weak view, strong view, teacher's text, student's text, whether it is kept)."""
    lines = []
    for weak, strong, teacher, student, kept in rows:
        parts = [_tile(weak, 48, 170), _tile(strong, 48, 170)]
        parts += [text_tile(t, 200, 48, GREEN if kept else RED) for t in (teacher, student)]
        lines.append(np.concatenate(parts, axis=1))
    return np.concatenate(lines)


def attention_sheet(images: np.ndarray, maps: np.ndarray, texts: list[str], width: int = 96) -> np.ndarray:
    """A line for each picture: itself and its text, then for every character what is looked at, in red.

    images [N, H, W, C] uint8, maps [N, T, h, w], of which the first len(text) are shown.
    """
    height, count = max(1, round(images.shape[1] / images.shape[2] * width)), max(map(len, texts), default=0)
    blank = np.full((height + 26, width + 4, 3), WHITE, np.uint8)
    lines = []
    for image, per_character, text in zip(images, maps, texts, strict=True):
        tiles = [_labelled(image, text, height, width)]
        for weights, character in zip(per_character, text, strict=False):
            tiles.append(_labelled(_heated(image, weights), character, height, width))
        lines.append(np.concatenate(tiles + [blank] * (1 + count - len(tiles)), axis=1))
    return np.concatenate(lines)


def _heated(image: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """The picture [H, W, C] in grey, redder where the weights [h, w] are higher."""
    h, w = image.shape[:2]
    weights = np.asarray(weights, np.float32)
    heat = cv2.resize(weights / max(weights.max(), 1e-9), (w, h), interpolation=cv2.INTER_LINEAR)[..., None]
    grey = image.mean(axis=-1, keepdims=True)
    return np.rint(grey * (1 - 0.7 * heat) + np.array([230.0, 0, 0]) * 0.7 * heat).astype(np.uint8)


def _labelled(image: np.ndarray, text: str, height: int, width: int) -> np.ndarray:
    """The picture in a tile [height + 26, width + 4, 3], with the text below."""
    return np.concatenate([_tile(image, height + 4, width + 4), text_tile(text, width + 4)])


def text_tile(text: str, width: int, height: int = 22, colour=(0, 0, 0)) -> np.ndarray:
    """uint8 [height, width, 3]; what does not fit is cut off. Letters that Pillow's own font lacks show as boxes."""
    tile = Image.new("RGB", (width, height), (WHITE,) * 3)
    ImageDraw.Draw(tile).text((4, height // 2), text, fill=colour, font=ImageFont.load_default(15), anchor="lm")
    return np.asarray(tile)
