"""How a rendered word looks: letters, placing, colours, surroundings, camera. Every draw comes from one generator."""

from __future__ import annotations

import functools
import math

import cv2
import numpy as np

from jstr.data.synth_fonts import Fonts
from jstr.data.synth_style import Range, Style

_LUMA = (0.299, 0.587, 0.114)
_PAD = 5  # empty pixels around the ink: room for bolder letters and outlines
_PLANE = (160, 1024)  # textures and noise are crops of planes of this size, made once per process
_CROSS = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (3, 3))


def _hit(rng: np.random.Generator, share: float) -> bool:
    return rng.random() < share


def _span(rng: np.random.Generator, limits: Range) -> float:
    return limits[0] + (limits[1] - limits[0]) * rng.random()


def render(rng: np.random.Generator, text: str, able: int, fonts: Fonts, style: Style, height: int) -> np.ndarray:
    """A picture of `text`, uint8 [height, W, 3] RGB. able: the fonts to choose from, as bits.

    Colours are laid on in [3, H, W] float32, where NumPy broadcasts fast.
    """
    choices = [f for f in range(len(fonts.paths)) if able >> f & 1]
    font, size = choices[rng.integers(len(choices))], style.sizes[rng.integers(len(style.sizes))]
    ink = _letters(rng, fonts.mask(font, size, text, _spacing(rng, style)), style)
    matrix, width = _place(rng, ink.shape, style, height)
    if width > 40 * height:  # a pathological font or text: keep memory bounded
        matrix, width = np.diag([40 * height / width, 1, 1]) @ matrix, 40 * height

    def see(plane: np.ndarray, shift: tuple[float, float] = (0, 0)) -> np.ndarray:
        moved = matrix @ np.array([[1, 0, shift[0]], [0, 1, shift[1]], [0, 0, 1]]) if shift != (0, 0) else matrix
        return cv2.warpPerspective(plane, moved, (width, height), flags=cv2.INTER_LINEAR)

    dark, light, contrast = _tones(rng, style)
    ground, letter = (light, dark) if _hit(rng, 0.5) else (dark, light)
    image = _ground(rng, (height, width), ground, contrast, style)
    if _hit(rng, style.panelled):
        _panel(rng, image, see, ink.shape, style)
    seen = see(ink)
    if _hit(rng, style.neighbours + style.underlined):
        seen = np.maximum(seen, _neighbour(rng, ink, see, fonts.mask(font, size, text[::-1]), style))
    _paint(rng, image, seen, (ground, letter, contrast), style)
    return _camera(rng, image, contrast, style)


def _paint(rng: np.random.Generator, image: np.ndarray, seen: np.ndarray, tones: tuple, style: Style) -> None:
    """Shadow, outline, letters and light, onto the ground in place."""
    ground, letter, contrast = tones
    if _hit(rng, style.shadowed):
        _shadow(rng, image, seen, ground, letter)
    if _hit(rng, style.outlined):
        _blend(image, cv2.dilate(seen, _CROSS), _colour(rng, style, (_luma(ground) + 255 * rng.random()) / 2))
    if _hit(rng, style.filled):
        letter = letter + _texture(rng, seen.shape) * np.float32(contrast * 0.2)
    _blend(image, seen, letter)
    if _hit(rng, style.lit):
        image *= 1 + _slope(rng, seen.shape) * np.float32(_span(rng, style.light))


def _spacing(rng: np.random.Generator, style: Style) -> float:
    return _span(rng, style.spacing) if _hit(rng, style.spaced) else 0.0


def _letters(rng: np.random.Generator, ink: np.ndarray, style: Style) -> np.ndarray:
    """The ink with room around it, sometimes bolder, thinner or on a curved baseline."""
    kind, bend = rng.random(), 0.0
    if _hit(rng, style.bent) and ink.shape[1] > 2 * ink.shape[0]:
        bend = _span(rng, style.bend) * ink.shape[0] * (1 if _hit(rng, 0.7) else -1)
    pad = _PAD + math.ceil(abs(bend))
    ink = cv2.copyMakeBorder(ink, pad, pad, _PAD, _PAD, cv2.BORDER_CONSTANT, value=0)
    if kind < style.bolder:
        ink = cv2.dilate(ink, _CROSS)
    elif kind < style.bolder + style.thinner:
        thin = cv2.erode(ink, _CROSS)
        ink = cv2.addWeighted(ink, 0.45, thin, 0.55, 0)  # hairlines grow faint but never vanish
    if bend:
        h, w = ink.shape
        x, y = np.meshgrid(np.arange(w, dtype=np.float32), np.arange(h, dtype=np.float32))
        y += np.float32(bend) * (0.5 - (x * np.float32(2 / w) - 1) ** 2)
        ink = cv2.remap(ink, x, y, cv2.INTER_LINEAR)
        spare = pad - _PAD - math.ceil(abs(bend) / 2)  # the arc moves the letters by half the bend to either side
        ink = ink[spare : h - spare] if spare > 0 else ink
    return ink


def _place(rng: np.random.Generator, shape: tuple, style: Style, height: int) -> tuple[np.ndarray, int]:
    """(homography from the ink's plane to the picture, width of the picture)."""
    h, w = shape[0] - 2 * _PAD, shape[1] - 2 * _PAD
    stretch = math.exp(_span(rng, (math.log(style.stretch[0]), math.log(style.stretch[1]))))
    slant = _span(rng, style.slant) if _hit(rng, style.slanted) else 0.0
    angle = math.radians((style.strong_tilt if _hit(rng, style.tilted) else style.tilt) * rng.standard_normal())
    limit = min(0.35, 0.7 * h / (w * stretch))  # a long word tilted more would shrink beyond reading
    angle = min(max(angle, -limit), limit)
    cos, sin = math.cos(angle), math.sin(angle)
    shifts = ((rng.random(8) * 2 - 1) * (style.perspective * h)).tolist()
    corners, xs, ys = ((0, 0), (w, 0), (w, h), (0, h)), [], []
    for (x, y), dx, dy in zip(corners, shifts[:4], shifts[4:], strict=True):
        x = x * stretch - slant * y
        xs.append(x * cos - y * sin + dx)
        ys.append(x * sin + y * cos + dy)
    left, right = min(xs) - h * _span(rng, style.margin_x), max(xs) + h * _span(rng, style.margin_x)
    top, bottom = min(ys) - h * _span(rng, style.margin_y), max(ys) + h * _span(rng, style.margin_y)
    scale = height / (bottom - top)
    width = max(math.ceil((right - left) * scale), height // 4)
    middle = (width - (right - left) * scale) / 2
    seen = [((x - left) * scale + middle, (y - top) * scale) for x, y in zip(xs, ys, strict=True)]
    source = np.array(corners, np.float32) + _PAD
    return cv2.getPerspectiveTransform(source, np.array(seen, np.float32)), width


def _luma(colour: np.ndarray) -> float:
    r, g, b = colour.ravel().tolist()
    return _LUMA[0] * r + _LUMA[1] * g + _LUMA[2] * b


def _colour(rng: np.random.Generator, style: Style, tone: float) -> np.ndarray:
    """A colour [3, 1, 1] of exactly this luminance: a random hue, as strong as fits into 0..255."""
    r, g, b, grey, strength = rng.random(5).tolist()
    strength = 0.0 if grey < style.grey else 255 * math.sqrt(strength)
    mean = _LUMA[0] * r + _LUMA[1] * g + _LUMA[2] * b
    hue = (r - mean, g - mean, b - mean)
    for c in hue:
        room = 255 - tone if c > 0 else tone
        strength = min(strength, room / max(abs(c), 1e-3))
    return np.array([tone + strength * c for c in hue], np.float32).reshape(3, 1, 1)


def _tones(rng: np.random.Generator, style: Style) -> tuple[np.ndarray, np.ndarray, float]:
    """(dark colour, light colour, difference of their luminances)."""
    contrast = _span(rng, style.contrast)
    dark = rng.random() * (255 - contrast)
    return _colour(rng, style, dark), _colour(rng, style, dark + contrast), contrast


def _blend(image: np.ndarray, mask: np.ndarray, colour: np.ndarray) -> None:
    image += (mask * np.float32(1 / 255)) * (colour - image)


def _ground(rng: np.random.Generator, shape: tuple, colour: np.ndarray, contrast: float, style: Style) -> np.ndarray:
    image = np.empty((3, *shape), np.float32)
    image[:] = colour
    if _hit(rng, style.gradient):
        image += _slope(rng, shape) * np.float32(contrast * 0.35 * rng.random())
    if _hit(rng, style.textured):
        image += _texture(rng, shape) * np.float32(contrast * _span(rng, style.texture))
    return image


def _slope(rng: np.random.Generator, shape: tuple) -> np.ndarray:
    """A linear ramp in a random direction, -1..1, [H, W]."""
    across = rng.random() * 2 - 1
    down = (1 - abs(across)) * (1 if _hit(rng, 0.5) else -1)
    x = np.arange(shape[1], dtype=np.float32) * (2 * across / shape[1]) - np.float32(across)
    y = np.arange(shape[0], dtype=np.float32) * (2 * down / shape[0]) - np.float32(down)
    return y[:, None] + x


def _panel(rng: np.random.Generator, image: np.ndarray, see, shape: tuple, style: Style) -> None:
    """The sign ends close to the word; what lies behind it has another colour."""
    h, w = shape[0] - 2 * _PAD, shape[1] - 2 * _PAD
    left, right, above, below = ((0.08 + 0.25 * rng.random(4)) * h).tolist()
    sign = np.zeros((int(h + above + below), int(w + left + right)), np.uint8)
    sign[1:-1, 1:-1] = 255
    _blend(image, 255 - see(sign, (_PAD - left, _PAD - above)), _colour(rng, style, 255 * rng.random()))


def _neighbour(rng: np.random.Generator, ink: np.ndarray, see, other: np.ndarray, style: Style) -> np.ndarray:
    """The line above or below, of which the margins show a part, or a rule under the word."""
    h, w = ink.shape
    if _hit(rng, style.underlined / (style.underlined + style.neighbours)):
        rule = np.full((max(h // 14, 2), w), 255, np.uint8)
        return see(cv2.copyMakeBorder(rule, 1, 1, 1, 1, 0), (0, h - _PAD + h * 0.05))
    gap = h * (0.02 + 0.25 * rng.random())
    down = h - _PAD + gap if _hit(rng, 0.5) else _PAD - gap - other.shape[0]
    return see(cv2.copyMakeBorder(other, 1, 1, 1, 1, 0), ((rng.random() - 0.5) * w, down))


def _shadow(rng: np.random.Generator, image: np.ndarray, seen: np.ndarray, ground, letter) -> None:
    """A soft shadow, or letters that stand out from the wall."""
    dx, dy = (rng.random(2) * 5 - 2.5).tolist()
    solid = _hit(rng, 0.5)
    mask = np.zeros_like(seen)
    for part in (0.33, 0.67, 1.0) if solid else (1.0,):
        move = np.array([[1, 0, dx * part], [0, 1, dy * part]], np.float32)
        mask = np.maximum(mask, cv2.warpAffine(seen, move, seen.shape[::-1]))
    if not solid:
        mask = cv2.GaussianBlur(mask, (0, 0), 0.6 + rng.random())
    tone = np.float32(0.15 + 0.4 * rng.random())
    # A shadow is darker than the wall; the side of a letter has a darker shade of the letter's colour.
    _blend(image, mask, letter * (tone + 0.2) + ground * (0.5 - tone / 2) if solid else ground * tone)


def _texture(rng: np.random.Generator, shape: tuple) -> np.ndarray:
    """[H, W], of mean 0 and standard deviation about 1."""
    planes = _textures()
    return _crop(rng, planes[rng.integers(len(planes))], shape)


def _crop(rng: np.random.Generator, plane: np.ndarray, shape: tuple) -> np.ndarray:
    (h, w), (rows, columns) = shape, plane.shape[-2:]
    if h > rows or w > columns:
        plane = np.tile(plane, (-(-h // rows), -(-w // columns)))
        rows, columns = plane.shape[-2:]
    y, x = int(rng.random() * (rows - h + 1)), int(rng.random() * (columns - w + 1))
    return plane[..., y : y + h, x : x + w]


@functools.cache
def _textures() -> list[np.ndarray]:
    """Planes of float32: clouds, grain, brushed surfaces, stripes, bricks, cluttered scenes."""
    rng = np.random.Generator(np.random.Philox(key=0))
    h, w = _PLANE

    def cloud(x: float, y: float) -> np.ndarray:
        return cv2.GaussianBlur(rng.standard_normal(_PLANE, np.float32), (0, 0), sigmaX=x, sigmaY=y)

    def unit(plane: np.ndarray) -> np.ndarray:
        return (plane - plane.mean()) / plane.std()

    planes = [cloud(s, s) for s in (0.7, 1.5, 4, 10)]
    planes += [sum(s * unit(cloud(s, s)) for s in (1, 2, 4, 8, 16)) for _ in range(3)]  # about 1/f, as in nature
    planes += [cloud(30, 1), cloud(12, 0.8), cloud(1, 20), np.abs(unit(cloud(5, 5))), unit(cloud(3, 3)) > 0.6]
    y, x = np.mgrid[0:h, 0:w].astype(np.float32)
    planes += [np.sin(y / 2), np.sin(x / 3), np.sin((x + y) / 4), ((x + 2 * y) % 24 < 8), (y % 12 < 2)]
    planes += [((y % 14 < 2) | ((x + 20 * (y // 14 % 2)) % 40 < 2)) + 0.3 * unit(cloud(2, 2)) for _ in range(2)]
    for count in (150, 400, 900):  # boxes of all tones over each other: what lies around text in a photograph
        scene = np.zeros(_PLANE, np.float32)
        for _ in range(count):
            left, top = int(rng.integers(-40, w)), int(rng.integers(-20, h))
            right, bottom = left + int(rng.integers(4, 20000 // count + 8)), top + int(rng.integers(4, 60))
            cv2.rectangle(scene, (left, top), (right, bottom), float(rng.standard_normal()), -1)
        planes.append(cv2.GaussianBlur(scene, (0, 0), 0.7))
    return [unit(np.asarray(p, np.float32)) for p in planes]


@functools.cache
def _grain() -> np.ndarray:
    rng = np.random.Generator(np.random.Philox(key=1))
    colour, grey = rng.standard_normal((3, *_PLANE), np.float32), rng.standard_normal(_PLANE, np.float32)
    return np.ascontiguousarray(np.moveaxis(0.6 * colour + 0.8 * grey, 0, 2))


def _noise(rng: np.random.Generator, shape: tuple) -> np.ndarray:
    """Sensor noise [H, W, 3] of standard deviation 1, partly the same in the three colours."""
    y, x = int(rng.random() * (_PLANE[0] // 2)), int(rng.random() * (_PLANE[1] // 2))
    part = _grain()[y : y + shape[0], x : x + shape[1]]
    return part if part.shape[:2] == shape else cv2.resize(part, shape[::-1], interpolation=cv2.INTER_NEAREST)


def _camera(rng: np.random.Generator, image: np.ndarray, contrast: float, style: Style) -> np.ndarray:
    """Blur, low resolution, noise and JPEG of a float32 picture [3, H, W], in that order; uint8 [H, W, 3]."""
    image = cv2.merge(list(image))
    height, width = image.shape[:2]
    if _hit(rng, style.blurred):
        image = cv2.GaussianBlur(image, (0, 0), _span(rng, style.blur) * height / 32)
    if _hit(rng, style.shaken):
        image = _shake(rng, image)
    factor = _span(rng, style.resolution) if _hit(rng, style.small) and contrast > style.faint else 1.0
    if factor < 1:
        shape = (max(round(width * factor), 4), max(round(height * factor), 8))
        image = cv2.resize(image, shape, interpolation=cv2.INTER_AREA)
    if _hit(rng, style.noisy):
        image = image + _noise(rng, image.shape[:2]) * np.float32(min(_span(rng, style.noise), contrast / 5))
    image = cv2.convertScaleAbs(np.maximum(image, 0))  # saturates at 255
    if _hit(rng, style.compressed):
        # OpenCV takes the picture for BGR; the way back undoes it.
        quality = int(rng.integers(style.quality[0], style.quality[1] + 1))
        image = cv2.imdecode(cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, quality])[1], cv2.IMREAD_COLOR)
    if factor < 1:
        method = cv2.INTER_LINEAR if _hit(rng, 0.7) else cv2.INTER_CUBIC
        image = cv2.resize(image, (width, height), interpolation=method)
    return image


def _shake(rng: np.random.Generator, image: np.ndarray) -> np.ndarray:
    """Motion blur along a random direction."""
    kernel = np.zeros((7, 7), np.float32)
    angle, reach = rng.random() * math.pi, 1.2 + rng.random() * 1.8
    dx, dy = math.cos(angle) * reach, math.sin(angle) * reach
    ends = [(round(3 - dx), round(3 - dy)), (round(3 + dx), round(3 + dy))]
    cv2.line(kernel, *ends, 1.0, 1)
    return cv2.filter2D(image, -1, kernel / kernel.sum())
