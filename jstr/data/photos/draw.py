"""Draws what was found on a photograph: each box with its text, or with its number and a legend beside it."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from jstr.data.photos.boxes import size
from jstr.data.synth.fonts import LATIN, label_faces
from jstr.visualize import one_line

SURE, DOUBTFUL, UNREAD = (0, 150, 60), (220, 60, 0), (20, 90, 220)  # RGB: by confidence
CONFIDENT = 0.9
LONGEST_SIDE = 2000  # pixels of a drawing
_LEGEND, _LINE = 360, 22


def draw_words(
    photograph: np.ndarray,
    boxes: Sequence[np.ndarray],
    texts: Sequence[str] | None = None,
    confidences: Sequence[float] = (),
) -> np.ndarray:
    """RGB uint8 [h, w, 3]: a photograph [H, W, 3] with boxes [4, 2] and, where they have been read, a legend of texts.

    Boxes are numbered in their order. Green: read with a confidence of 0.9 or more; orange: with less; blue: not read.
    The corner where a text begins has a dot. A text that no bundled font can draw is written as code points.
    """
    scale = min(1.0, LONGEST_SIDE / max(photograph.shape[:2]))
    if scale < 1:
        photograph = cv2.resize(photograph, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    out = Image.fromarray(photograph)
    pen = ImageDraw.Draw(out)
    colours = [_colour(confidences[i] if texts is not None else None) for i in range(len(boxes))]
    face = ImageFont.truetype(LATIN, 15)
    wide = max(2, round(max(out.size) / 700))
    for i, box in enumerate(boxes):
        corners = [(float(x), float(y)) for x, y in box * scale]
        pen.line([*corners, corners[0]], fill=colours[i], width=wide)
        x, y = corners[0]
        pen.ellipse([x - wide - 1, y - wide - 1, x + wide + 1, y + wide + 1], fill=colours[i])
        if min(size(box)) * scale >= 6:
            _tag(pen, (x, y), str(i + 1), face, colours[i])
    return np.asarray(out) if texts is None else _with_legend(out, texts, confidences, colours, face)


def _colour(confidence: float | None) -> tuple[int, int, int]:
    if confidence is None:
        return UNREAD
    return SURE if confidence >= CONFIDENT else DOUBTFUL


def _tag(pen: ImageDraw.ImageDraw, at: tuple[float, float], text: str, face, colour) -> None:
    """A number above the corner of a box, white on its colour."""
    width = pen.textlength(text, font=face) + 6
    x, y = max(at[0], 0), max(at[1] - 18, 0)
    pen.rectangle([x, y, x + width, y + 17], fill=colour)
    pen.text((x + 3, y + 8), text, fill="white", font=face, anchor="lm")


def _with_legend(
    out: Image.Image, texts: Sequence[str], confidences: Sequence[float], colours: Sequence, face
) -> np.ndarray:
    """The drawing with its texts on the right, in as many columns as it takes."""
    rows = max((out.height - 12) // _LINE, 1)
    columns = max(-(-len(texts) // rows), 1)
    page = Image.new("RGB", (out.width + columns * _LEGEND, max(out.height, _LINE + 12)), "white")
    page.paste(out)
    pen = ImageDraw.Draw(page)
    shown, faces = label_faces([one_line(text) for text in texts], size=16)
    for i, text in enumerate(shown):
        x, y = out.width + (i // rows) * _LEGEND + 10, 6 + (i % rows) * _LINE
        _tag(pen, (x, y + 19), str(i + 1), face, colours[i])
        line = f"{text}  {confidences[i]:.2f}"
        while len(line) > 4 and pen.textlength(line, font=faces[i]) > _LEGEND - 60:
            line = line[: len(line) - 8] + "…"
        pen.text((x + 42, y + 10), line, fill="black", font=faces[i], anchor="lm")
    return np.asarray(page)
