"""Stand-ins for the networks that find words in photographs: words are red bars, lines of them have gaps."""

import cv2
import numpy as np
import pytest

RED, PAPER = (255, 0, 0), (230, 230, 230)


def photograph(*bars, size=(736, 736)):
    """RGB uint8 [H, W, 3] with red bars (left, top, right, bottom), whose last quarter is darker: where they end."""
    pixels = np.full((*size, 3), PAPER, np.uint8)
    for left, top, right, bottom in bars:
        pixels[top:bottom, left:right] = RED
    return pixels


def encoded(pixels, suffix=".png"):
    return cv2.imencode(suffix, cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR))[1].tobytes()


class RedIsText:
    """The detector: what is red is text. The line reader: a letter for each red column, a space for each gap."""

    calls = 0
    characters = "a\nb"

    def __init__(self, names, threads=1):
        self.name = names[0]

    def metadata(self, key):
        return self.characters

    def __call__(self, images):
        red = ((images[..., 0] > 150) & (images[..., 1] < 100)).astype(np.float32)
        if "det" in self.name:
            type(self).calls += 1
            return red[:, None]
        text = red[:, images.shape[1] // 2, ::8] > 0
        frames = np.zeros((*text.shape, 3), np.float32)
        frames[..., 0] = 0.1
        frames[text, 1] = 0.95
        first = np.flatnonzero(text[0])
        for frame in np.flatnonzero(~text[0]):
            if first.size and first[0] < frame < first[-1]:
                frames[0, frame, 2] = 0.9
        return frames


@pytest.fixture
def red_is_text(monkeypatch):
    for module in ("detector", "lines"):
        monkeypatch.setattr(f"jstr.data.photos.{module}.OnnxModel", RedIsText)
    RedIsText.calls = 0
    return RedIsText
