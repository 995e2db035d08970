"""Upright letters that stand one below the other: cut apart and laid side by side."""

from __future__ import annotations

import numpy as np

INK = 0.35  # of the greatest difference from the background
GAP_ROWS = 0.02  # share of a row that may be ink between letters
LEAST, MOST = 3, 24  # letters; two are as well one that is broken
SPACE = 0.15  # of a letter's height, between letters that are laid side by side


def unstacked(crop: np.ndarray) -> np.ndarray | None:
    """The letters of a tall crop uint8 [h, w, C] in a row; None where no gaps from edge to edge part it into letters.

    The background is what most pixels of its left and right edge are like. Letters must have about the same height and
    be no higher than twice the crop's width.
    """
    h, w = crop.shape[:2]
    side = max(1, w // 16)
    background = np.median(np.concatenate([crop[:, :side], crop[:, -side:]], axis=1), axis=(0, 1))
    difference = np.abs(crop - background).mean(axis=2)
    ink = difference > INK * np.percentile(difference, 99)
    is_letter = np.concatenate([[False], ink.mean(axis=1) > GAP_ROWS, [False]])
    edges = np.flatnonzero(np.diff(is_letter.astype(int)))
    runs = [(top, end) for top, end in zip(edges[::2], edges[1::2], strict=True) if end - top >= 0.1 * w]
    heights = [end - top for top, end in runs]
    if not LEAST <= len(runs) <= MOST or max(heights) > min(2 * w, 2 * np.median(heights)):
        return None
    height = int(max(heights))
    gap = np.full((height, max(1, int(SPACE * height)), crop.shape[2]), background, np.float32)
    row = [gap]
    for top, end in runs:
        columns = np.flatnonzero(ink[top:end].any(axis=0))
        letter = np.full((height, columns[-1] + 1 - columns[0], crop.shape[2]), background, np.float32)
        first = (height - (end - top)) // 2
        letter[first : first + end - top] = crop[top:end, columns[0] : columns[-1] + 1]
        row += [letter, gap]
    return np.concatenate(row, axis=1).astype(np.uint8)
