"""Image operations of the training views: (image uint8 [h, w, c], rng, **parameters) -> image uint8.

They run at native resolution, before the resize. A config names them in order, with their parameters:
`views.image = {"affine": {"rotate": 5.0}, "blur": {"sigma": 1.0}}`.
"""

from __future__ import annotations

import inspect

import cv2
import numpy as np

from jstr.augment.host import abinet, cr, photometric, seqclr
from jstr.core import InputError


def affine(image, rng, *, rotate=3.0, shear=0.1, scale=0.1, shift=0.05):
    """Small rotation (degrees), horizontal shear, scaling and shift (fractions), each uniform in +- its range.

    Keeps the order of the characters. What comes in at the border repeats the edge.
    """
    h, w = image.shape[:2]
    angle = np.deg2rad(rng.uniform(-rotate, rotate))
    sx, sy = 1 + rng.uniform(-scale, scale, 2)
    matrix = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    matrix = matrix @ np.array([[sx, rng.uniform(-shear, shear)], [0, sy]])
    centre = np.array([w / 2, h / 2])
    move = centre - matrix @ centre + rng.uniform(-shift, shift, 2) * (h, h)
    matrix = np.column_stack([matrix, move])
    return cv2.warpAffine(image, matrix, (w, h), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)


def perspective(image, rng, *, strength=0.1):
    """Moves each corner by up to `strength` of the height."""
    h, w = image.shape[:2]
    corners = np.array([[0, 0], [w, 0], [w, h], [0, h]], np.float32)
    moved = corners + (rng.uniform(-strength, strength, (4, 2)) * h).astype(np.float32)
    matrix = cv2.getPerspectiveTransform(corners, moved)
    return cv2.warpPerspective(image, matrix, (w, h), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)


def crop(image, rng, *, amount=0.08):
    """Cuts up to `amount` of the height off each side, as a loose or tight detector would."""
    h, w = image.shape[:2]
    top, bottom, left, right = (rng.uniform(0, amount, 4) * h).astype(int)
    return image[top : h - bottom, left : w - right] if h - top - bottom > 4 and w - left - right > 4 else image


def contrast(image, rng, *, contrast=0.4, brightness=0.2, invert=0.0):
    """Scales around the mean by 1 +- contrast, adds +- brightness (of 255), inverts with probability `invert`."""
    gain, offset = 1 + rng.uniform(-contrast, contrast), 255 * rng.uniform(-brightness, brightness)
    if rng.random() < invert:
        image = 255 - image
    mean = float(image.mean())
    table = np.clip((np.arange(256) - mean) * gain + mean + offset, 0, 255).astype(np.uint8)
    return cv2.LUT(image, table)


def blur(image, rng, *, sigma=1.0, probability=0.5):
    """Gaussian blur, standard deviation up to `sigma` pixels for every 32 pixels of height."""
    if rng.random() >= probability:
        return image
    return cv2.GaussianBlur(image, (0, 0), max(0.1, rng.uniform(0, sigma) * image.shape[0] / 32))


def noise(image, rng, *, sigma=10.0, probability=0.5):
    """Gaussian noise of a standard deviation up to `sigma` (of 255)."""
    if rng.random() >= probability:
        return image
    noisy = image + np.float32(rng.uniform(0, sigma)) * rng.standard_normal(image.shape, np.float32)
    return np.clip(noisy, 0, 255).astype(np.uint8)


_OWN = (affine, perspective, crop, contrast, blur, noise)
_SEQCLR = (*seqclr.PAPER, seqclr.elastic, seqclr.seqclr, seqclr.seqclr_severity2)
_TEXTURE = (
    photometric.invert,
    *photometric.COLOURS,
    *photometric.BLURS,
    *photometric.TEXTURES,
    photometric.seqclr_severity1,
)
OPS = {op.__name__: op for op in (*_OWN, *_SEQCLR, *_TEXTURE, cr.cr_weak, cr.cr_strong, abinet.abinet)}
# Those that, with their default parameters, keep glyphs in order and at their place to within 15 % of the width. Two
# views whose instances are compared may use no others. tests/test_ops.py measures it.
SEQUENCE_PRESERVING = frozenset(op.__name__ for op in (*_OWN, *_SEQCLR, *_TEXTURE, cr.cr_weak))


def check_view(name: str, view: dict) -> None:
    """Raises InputError when a view names an operation or a parameter that does not exist."""
    for op, parameters in view.items():
        if op not in OPS:
            raise InputError(f"view {name!r}: unknown operation {op!r}; choose from {', '.join(OPS)}")
        known = list(inspect.signature(OPS[op]).parameters)[2:]
        for parameter in parameters:
            if parameter not in known:
                raise InputError(f"view {name!r}: {op} has no {parameter!r}; it takes {', '.join(known)}")


def apply_view(image: np.ndarray, rng: np.random.Generator, view: dict) -> np.ndarray:
    """Runs the operations of a view in order. image and result: uint8 [h, w, c]."""
    for op, parameters in view.items():
        image = OPS[op](image, rng, **parameters)
        image = image if image.ndim == 3 else image[..., None]  # cv2 drops a single channel
    return image
