"""What a reader answers for a batch of crops, those included that are too wide for it or turned."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np

from jstr.data.images import ImageSpec
from jstr.inference.details import Details, details_of, one_detail
from jstr.inference.long_crops import read_long
from jstr.inference.stacks import unstacked
from jstr.inference.widths import chunks, in_batches, window
from jstr.text import Charset
from jstr.text.messages import check_choice

NO_HEADS: Mapping[str, tuple[str, float]] = MappingProxyType({})
PIXELS_PER_CHARACTER, FRAMES_PER_CHARACTER = 5.5, 2  # the least that a character needs
CHARACTER_ASPECT = 0.35  # width / height of an image with one narrow character, such as a digit
DOUBTFUL = 0.5  # an image that is read with more confidence has wide letters rather than many
TALL = 1.5  # height / width from which text may run from top to bottom
UPSIDE_DOWN = 0.2  # crops that are read with less confidence may be upside down; more of them cost too much
TURNED_ODDS = 3.0  # how much more confident a reading of a turned crop must be than that of the crop as it is
FEW = 2  # characters: where no more are read in a crop as it is, a longer text needs only more confidence, see _least
TURNS = ("never", "auto")


class Answer(NamedTuple):
    """What a reader makes of one image. heads: (text, confidence) of each head by name, where asked for.

    details: where asked for. in_parts: whether the crop was too wide for the recogniser and read in parts. turned: by
    how many quarter turns, counterclockwise, it was turned to be read. stacked: whether it was read as upright letters
    below each other.
    """

    text: str
    confidence: float
    heads: Mapping[str, tuple[str, float]] = NO_HEADS
    details: Details | None = None
    in_parts: bool = False
    turned: int = 0
    stacked: bool = False


def characters_of(aspect: float) -> float:
    """For how many narrow characters a crop of this width / height has room."""
    return aspect / CHARACTER_ASPECT


def is_unusual(image: np.ndarray, spec: ImageSpec) -> bool:
    """Whether a crop uint8 [h, w, C] may have to be read in another way than others, and has to be kept for that."""
    h, w = image.shape[:2]
    return h >= TALL * w or _is_wide(image, spec)


def _is_wide(image: np.ndarray, spec: ImageSpec) -> bool:
    """Whether a crop uint8 [h, w, C] has to be squeezed into the widest image of the model."""
    h, w = image.shape[:2]
    return w * spec.size[0] > h * max(spec.size[1], *spec.widths, 0)


def capacity(spec: ImageSpec, charset: Charset, frames: int | None) -> int:
    """About how many characters an image can show to a recogniser: in less room each, they cannot be told apart.

    frames: of CTC for an image of the usual width; None for other recognisers.
    """
    width = max((spec.size[1], *spec.widths))
    limits = [int(width / PIXELS_PER_CHARACTER)]
    if not spec.widths:  # of words like those it was trained on; wider images hold whole lines
        limits.append(charset.max_length)
    if frames is not None:
        limits.append(frames * width // spec.size[1] // FRAMES_PER_CHARACTER)
    return min(limits)


def capacity_line(name: str, reader: Any) -> str:
    """What a person should know of a reader: its characters, and how many of them a crop may show."""
    count = len(reader.charset.characters)
    how = "wider crops are read in parts" if reader.charset.layout.is_ctc else "wider crops lose their end"
    return f"{name}: {count:,} characters; a crop may show about {reader.capacity} of them, {how}"


def read_crops(
    reader: Any, images: Any, size: int, *, details: bool, turn: str
) -> tuple[list[str], np.ndarray] | list[Details]:
    """See Reader.read. size: of batches."""
    check_choice("turn", turn, TURNS)
    found: list[Answer] = []
    for some in chunks(_opened(reader, images), window(reader.spec, size)):
        fitted, aspects, crops = zip(*some, strict=True)
        found += answers_of(reader, fitted, crops, size, aspects=aspects, details=details, turn=turn)
    if details:
        return [answer.details for answer in found]
    return [answer.text for answer in found], np.array([answer.confidence for answer in found], np.float32)


def _opened(reader: Any, images: Any) -> Iterator[tuple[np.ndarray, float, np.ndarray | None]]:
    """(as the model sees it, width / height, the crop where it may be read in parts or turned) of each image.

    Copies, because a generator may yield one array again and again, with other pixels.
    """
    for crop in reader.spec.open_all(images):
        aspect = crop.shape[1] / crop.shape[0]
        kept = np.array(crop) if is_unusual(crop, reader.spec) else None
        yield np.array(reader.spec.fit_for_reading(crop)), aspect, kept


def read_batch(
    reader: Any, images: np.ndarray, heads: bool = False, checked: bool = False, details: bool = False
) -> list[Answer]:
    """The answers of a `Reader` for images uint8 [B, H, W, C]. checked: see Reader.read_checked.

    heads: also what each head reads, which no pattern guides, where the recogniser has several.
    """
    found = reader.read_heads(images) if heads and reader.heads else {}
    if found and not reader.rules.expect:
        texts, values = found[reader.heads[-1]]
    else:
        texts, values = reader.read_checked(images) if checked else reader.read_batch(images)
    answers = [Answer(text, float(value)) for text, value in zip(texts, values, strict=True)]
    if found:
        rows = [{name: (x[i], float(p[i])) for name, (x, p) in found.items()} for i in range(len(images))]
        answers = [answer._replace(heads=row) for answer, row in zip(answers, rows, strict=True)]
    if not details:
        return answers
    more = details_of(reader, images, texts, values)
    return [answer._replace(details=one) for answer, one in zip(answers, more, strict=True)]


def answers_of(
    reader: Any,
    images: Sequence[np.ndarray | None],
    crops: Sequence[np.ndarray | None],
    size: int,
    *,
    aspects: Sequence[float] | None = None,
    heads: bool = False,
    checked: bool = True,
    details: bool = False,
    turn: str = "never",
    full: bool = False,
) -> list[Answer | None]:
    """The answers of a `Reader` for images uint8 [H, W, C] as the model sees them; None for None.

    crops: uint8 [h, w, C] before they were resized, at least of those where is_unusual. size, full: see in_batches.
    aspects: width / height of the crops; None: all crops are there. heads, checked: see read_batch. details: also
    their details. turn: "auto" tries tall crops turned by a quarter, and doubtful ones upside down.
    """
    options = dict(heads=heads, checked=checked, details=details)
    if aspects is None:
        aspects = [crop.shape[1] / crop.shape[0] for crop in crops]
    answers = _read_all(reader, images, aspects, crops, size, full, **options)
    if turn == "auto":
        _turn(reader, images, crops, aspects, answers, size, heads=heads, details=details)
    return answers


def _read_all(
    reader: Any,
    images: Sequence[np.ndarray | None],
    aspects: Sequence[float],
    crops: Sequence[np.ndarray | None],
    size: int,
    full: bool,
    **options: bool,
) -> list[Answer | None]:
    """The answers as answers_of gives them where nothing is turned, with places in the crops."""
    answers = in_batches(images, reader.spec, size, functools.partial(read_batch, reader, **options), full)
    for i, (image, aspect, crop, answer) in enumerate(zip(images, aspects, crops, answers, strict=True)):
        if answer is None:
            continue
        if answer.details:
            filled = reader.spec.filled_by(aspect, image.shape[1])
            answers[i] = answer._replace(details=answer.details.within(filled))
        if crop is not None and (long := _in_parts(reader, crop, answer, options["details"])):
            answers[i] = long
    return answers


def _in_parts(reader: Any, crop: np.ndarray, answer: Answer, details: bool) -> Answer | None:
    """The answer for a crop that is too wide; None where it is not, or where it is read better as a whole."""
    characters = characters_of(crop.shape[1] / crop.shape[0])
    if characters <= reader.capacity or not _is_wide(crop, reader.spec) or not reader.charset.layout.is_ctc:
        return None
    must = characters > 2 * reader.capacity
    if not must and answer.confidence >= DOUBTFUL:
        return None
    found = read_long(reader, crop, reader.spec)
    code, value = found.texts[0]
    if not must and value <= answer.confidence:
        return None
    text = reader.rules.written(code)
    more = one_detail(reader, found, code, text, value) if details else None
    return Answer(text, value, details=more, in_parts=True)


def _least(answer: Answer, turned: Answer) -> float:
    """The confidence above which the answer for a turned crop, or a cut stack, counts more than that for it as it is.

    A tall crop of a whole word has room for a letter or two, and such a reading is no evidence against a word.
    """
    return answer.confidence * (1.0 if len(answer.text) <= FEW < len(turned.text) else TURNED_ODDS)


def _turn(
    reader: Any,
    images: Sequence[np.ndarray | None],
    crops: Sequence[np.ndarray | None],
    aspects: Sequence[float],
    answers: list[Answer | None],
    size: int,
    **options: bool,
) -> None:
    """Puts the answers for turned crops where they are much more certain."""
    tries: list[tuple[int, int, np.ndarray, float, np.ndarray | None]] = []
    for i, (image, crop, answer) in enumerate(zip(images, crops, answers, strict=True)):
        if answer is None:
            continue
        if crop is not None and crop.shape[0] >= TALL * crop.shape[1]:
            for k, turned in ((1, np.rot90(crop, 1)), (3, np.rot90(crop, 3)), (0, unstacked(crop))):
                if turned is not None:
                    turned = np.ascontiguousarray(turned)
                    aspect = turned.shape[1] / turned.shape[0]
                    tries.append((i, k, reader.spec.fit_for_reading(turned), aspect, turned))
        elif answer.confidence < UPSIDE_DOWN and not answer.in_parts:
            tries.append((i, 2, reader.spec.upside_down(image, aspects[i]), aspects[i], None))
    if not tries:
        return
    places, quarters, *turned = zip(*tries, strict=True)
    first, others = list(answers), _read_all(reader, *turned, size, True, **options)
    for i, k, other in zip(places, quarters, others, strict=True):
        if other.confidence > max(_least(first[i], other), answers[i].confidence):
            answers[i] = other._replace(turned=k, stacked=k == 0)
