"""Boxes of text: four corners [4, 2] (x, y in pixels), clockwise from where the text begins, at its top.

They come out of the probability map of a DB detector (Liao et al., Real-time Scene Text Detection with Differentiable
Binarization, AAAI 2020, section 3.5).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import cv2
import numpy as np

_LEAST = 3  # pixels of the map: smaller regions are noise
_STANDING = 1.5  # height / width from which a box is of a word that runs up or down
_MOST = 3000  # regions of a map
_APART = 2.0  # the widest gap between columns of one text, in widths of the wider column


class Box(NamedTuple):
    """corners: float32 [4, 2], see above. score: how sure the detector is, 0..1. column: whether it is a column of
    Chinese or Japanese text, of which the first stands on the right."""

    corners: np.ndarray
    score: float
    column: bool = False


def boxes_of_map(
    probability: np.ndarray, threshold: float = 0.3, min_score: float = 0.5, unclip: float = 1.6
) -> list[Box]:
    """Boxes in pixels of a map float32 [h, w] of the probability of text.

    threshold: what belongs to a region. min_score: the mean probability inside its box. unclip: the map shows shrunken
    regions; a box of area A and perimeter L is grown by A * unclip / L on each side (equation 10).
    """
    mask = cv2.dilate((probability > threshold).astype(np.uint8), np.ones((2, 2), np.uint8))
    contours, _ = cv2.findContours(mask, cv2.RETR_LIST, cv2.CHAIN_APPROX_SIMPLE)
    boxes = []
    for contour in contours[:_MOST]:
        centre, (width, height), angle = cv2.minAreaRect(contour)
        if min(width, height) < _LEAST:
            continue
        score = _mean_inside(probability, cv2.boxPoints((centre, (width, height), angle)))
        if score < min_score:
            continue
        grow = width * height * unclip / (width + height)  # twice the distance: on both sides
        corners = cv2.boxPoints((centre, (width + grow, height + grow), angle))
        boxes.append(Box(upright(corners), score))
    return boxes


def _mean_inside(probability: np.ndarray, corners: np.ndarray) -> float:
    height, width = probability.shape
    low = np.clip(np.floor(corners.min(0)).astype(int), 0, (width - 1, height - 1))
    high = np.clip(np.ceil(corners.max(0)).astype(int), 0, (width - 1, height - 1)) + 1
    part = probability[low[1] : high[1], low[0] : high[0]]
    inside = np.zeros(part.shape, np.uint8)
    cv2.fillPoly(inside, [np.int32(corners - low)], 1)
    return float(cv2.mean(np.ascontiguousarray(part), inside)[0])


def upright(corners: np.ndarray) -> np.ndarray:
    """The corners of a rectangle in any order, in that of a text that runs to the right, or 45 degrees off."""
    corners = np.float32(corners)
    x, y = corners.T - corners.mean(0)[:, None]
    corners = corners[np.argsort(np.arctan2(y, x), kind="stable")]  # clockwise, as y runs downwards
    right = [(corners[(i + 1) % 4] - corners[i])[0] / max(_length(corners, i), 1e-6) for i in range(4)]
    return np.roll(corners, -int(np.argmax(right)), axis=0)


def turned(corners: np.ndarray, quarters: int) -> np.ndarray:
    """The same box for a text that is turned clockwise by `quarters` times 90 degrees."""
    return np.roll(corners, -quarters, axis=0)


def size(corners: np.ndarray) -> tuple[float, float]:
    """(width, height): along the text, and across it."""
    width = (_length(corners, 0) + _length(corners, 2)) / 2
    return width, (_length(corners, 1) + _length(corners, 3)) / 2


def is_standing(corners: np.ndarray) -> bool:
    """Whether a box is so much higher than wide that its text runs up or down, or is stacked."""
    width, height = size(corners)
    return height > _STANDING * width


def _length(corners: np.ndarray, side: int) -> float:
    return float(np.linalg.norm(corners[(side + 1) % 4] - corners[side]))


def cut(photograph: np.ndarray, corners: np.ndarray, margin: float = 0.0) -> np.ndarray:
    """The word uint8 [h, w, 3] in a box of a photograph uint8 [H, W, 3], made level.

    margin: how much more on each side, as a share of the height of the word.
    """
    corners = grown(corners, margin)
    width, height = (max(round(side), 1) for side in size(corners))
    aim = np.float32([(0, 0), (width, 0), (width, height), (0, height)])
    low = np.maximum(np.floor(corners.min(0)).astype(int) - 2, 0)  # warp what is needed, not the whole photograph
    high = np.minimum(np.ceil(corners.max(0)).astype(int) + 3, photograph.shape[1::-1])
    if (high <= low).any():
        return np.zeros((height, width, 3), np.uint8)
    part = photograph[low[1] : high[1], low[0] : high[0]]
    warp = cv2.getPerspectiveTransform(np.float32(corners - low), aim)
    return cv2.warpPerspective(part, warp, (width, height), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)


def grown(corners: np.ndarray, margin: float) -> np.ndarray:
    """The box with `margin` times its height more on each side."""
    if not margin:
        return np.float32(corners)
    width, height = size(corners)
    right = (corners[1] - corners[0] + corners[2] - corners[3]) / 2 / max(width, 1e-6) * margin * height
    down = (corners[3] - corners[0] + corners[2] - corners[1]) / 2 / max(height, 1e-6) * margin * height
    return np.float32(corners + np.stack([-right - down, right - down, right + down, down - right]))


def part_of(corners: np.ndarray, start: float, stop: float) -> np.ndarray:
    """The part of a box between two shares (0..1) of its width."""
    (a, b, c, d) = corners
    return np.float32([a + start * (b - a), a + stop * (b - a), d + stop * (c - d), d + start * (c - d)])


def overlap(one: np.ndarray, other: np.ndarray) -> float:
    """The area [pixels] that two boxes share."""
    if (one.max(0) <= other.min(0)).any() or (other.max(0) <= one.min(0)).any():
        return 0.0
    return float(cv2.intersectConvexConvex(np.float32(one), np.float32(other))[0])


def meeting(some: Sequence[np.ndarray], others: Sequence[np.ndarray]) -> np.ndarray:
    """Which boxes may overlap, as their upright bounds do: bool [len(some), len(others)]."""
    if not (some and others):
        return np.zeros((len(some), len(others)), bool)
    (low, high), (low2, high2) = ((np.min(boxes, 1), np.max(boxes, 1)) for boxes in (some, others))
    return ((low[:, None] < high2) & (low2 < high[:, None])).all(-1)


def area(corners: np.ndarray) -> float:
    """In pixels."""
    return float(abs(cv2.contourArea(np.float32(corners))))


def iou(one: np.ndarray, other: np.ndarray) -> float:
    """Intersection over union, 0..1."""
    shared = overlap(one, other)
    return shared / max(area(one) + area(other) - shared, 1e-9)


def reading_order(boxes: Sequence[Box]) -> list[int]:
    """The places of boxes, line by line from the top, each line from the left. Columns beside each other count as one
    box, and are read from the right.

    A box belongs to a line when its middle lies within the height of the line's last box, carried on at its angle; so
    lines may slope. Lines are sorted by where they begin.
    """
    texts = [[i] for i, box in enumerate(boxes) if not box.column] + _texts_of_columns(boxes)
    corners = [
        boxes[text[0]].corners if len(text) == 1 else _around([boxes[i].corners for i in text]) for text in texts
    ]
    return [i for place in _line_by_line(corners) for i in texts[place]]


def _texts_of_columns(boxes: Sequence[Box]) -> list[list[int]]:
    """The places of columns, those of one text together, the right one first.

    A column belongs to the text on its right if the gap is narrow (_APART), and if it shares more than half of the
    height of the shorter one with the last column there.
    """
    texts: list[list[int]] = []
    bounds = {i: (*box.corners.min(0), *box.corners.max(0)) for i, box in enumerate(boxes) if box.column}
    for i in sorted(bounds, key=lambda i: -bounds[i][2]):
        left, top, right, bottom = bounds[i]
        for text in texts:
            left2, top2, right2, bottom2 = bounds[text[-1]]
            shared = min(bottom, bottom2) - max(top, top2)
            near = left2 - right < _APART * max(right - left, right2 - left2)
            if near and shared > 0.5 * min(bottom - top, bottom2 - top2):
                text.append(i)
                break
        else:
            texts.append([i])
    return texts


def _around(corners: Sequence[np.ndarray]) -> np.ndarray:
    """The level box [4, 2] around boxes."""
    (left, top), (right, bottom) = np.min(corners, (0, 1)), np.max(corners, (0, 1))
    return np.float32([(left, top), (right, top), (right, bottom), (left, bottom)])


def _line_by_line(boxes: list[np.ndarray]) -> list[int]:
    """`reading_order` of boxes [4, 2] of which none is a column."""
    if not boxes:
        return []
    centres = np.stack([box.mean(0) for box in boxes])
    tall, slopes = np.array([_tall(box) for box in boxes]), np.array([_slope(box) for box in boxes])
    lines: list[list[int]] = []
    for i in sorted(range(len(boxes)), key=lambda i: (float(boxes[i][:, 0].min()), float(centres[i][1]))):
        last = [line[-1] for line in lines]
        height = np.minimum(tall[last], tall[i])
        off = abs(centres[last, 1] + slopes[last] * (centres[i, 0] - centres[last, 0]) - centres[i, 1])
        fits = (np.maximum(tall[last], tall[i]) < 3 * height) & (off < 0.5 * height)
        if fits.any():
            lines[int(np.argmin(np.where(fits, off, np.inf)))].append(i)
        else:
            lines.append([i])
    lines.sort(key=lambda line: (float(centres[line[0]][1]), float(centres[line[0]][0])))
    return [i for line in lines for i in line]


def _tall(box: np.ndarray) -> float:
    return min(size(box)) if not is_standing(box) else float(np.ptp(box[:, 1]))


def _slope(box: np.ndarray) -> float:
    """Of the line through a box; level for boxes that stand or slope much."""
    dx, dy = box[1] - box[0]
    return float(dy / dx) if dx > 3 * abs(dy) else 0.0
