"""A page on which a person corrects what was read: one file, without server or network, for any browser.

Its data are JSON inside a script element that is not run, with `<`, `>` and `&` escaped; the page shows them as text
only, and its content security policy lets no script run but its own, which it names by its hash.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

HEIGHT, WIDTH = 160, 900  # pixels of an image on the page, at most
TWIN_HEIGHT = 40
SHOWN_TWINS = 5
PER_PAGE = 2000
_HERE = Path(__file__).parent


@dataclass(frozen=True)
class Word:
    """A word to review. files: of all images that one answer is for, absolute. images: of these, RGB uint8.

    others: the next best readings. source: where it comes from, for the person.
    """

    files: tuple[str, ...]
    images: tuple[np.ndarray, ...]
    text: str
    confidence: float
    others: tuple[str, ...] = ()
    source: str = ""


def write_pages(out: str | os.PathLike, words: Sequence[Word], *, random: bool, per_page: int = PER_PAGE) -> list[Path]:
    """Writes OUT and, for more words than fit, OUT-2, ...; returns these files.

    random: whether the words are a random sample, whose accuracy is that of all words.
    """
    out, made = Path(out), []
    for start in range(0, len(words), per_page):
        number = start // per_page + 1
        path = out if number == 1 else out.with_name(f"{out.stem}-{number}{out.suffix}")
        last = -(-len(words) // per_page)
        text = page(words[start : start + per_page], random=random, number=number, pages=last)
        part = path.with_name(f".{path.name}.part")
        part.write_text(text, encoding="utf-8")
        os.replace(part, path)
        made.append(path)
    return made


def page(words: Sequence[Word], *, random: bool, number: int = 1, pages: int = 1) -> str:
    """The HTML of one page."""
    rows = [_row(word) for word in words]
    names = "".join(f"{row['id']}\t{row['text']}\n" for row in rows)
    data = {
        "id": hashlib.sha256(names.encode("utf-8", "surrogatepass")).hexdigest()[:16],
        "title": "Words to review" + (f", page {number} of {pages}" if pages > 1 else ""),
        "file": "labels.tsv" if number == 1 else f"labels-{number}.tsv",
        "random": random,
        "words": rows,
    }
    script = (_HERE / "page.js").read_text(encoding="utf-8")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    html = (_HERE / "page.html").read_text(encoding="utf-8")
    html = html.replace("SCRIPT_HASH", f"sha256-{digest}").replace("SCRIPT<", f"{script}<")
    return html.replace("DATA_JSON", _embedded(data))


def _embedded(data: dict) -> str:
    """JSON that cannot end the element it stands in."""
    text = json.dumps(data)  # ASCII: no line ends of Unicode, no halves of surrogate pairs
    return text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e")


def _row(word: Word) -> dict:
    return {
        "id": hashlib.sha256(os.fsencode(word.files[0])).hexdigest()[:16],
        "files": list(word.files),
        "text": word.text,
        "confidence": round(word.confidence, 4),
        "others": list(word.others),
        "source": word.source,
        "image": _data_url(word.images[0], HEIGHT),
        "twins": [_data_url(image, TWIN_HEIGHT) for image in word.images[1 : 1 + SHOWN_TWINS]],
    }


def _data_url(image: np.ndarray, height: int) -> str:
    scale = min(height / image.shape[0], WIDTH / image.shape[1], 1.0)
    if scale < 1:
        size = tuple(max(round(side * scale), 1) for side in image.shape[1::-1])
        image = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
    bgr = cv2.cvtColor(np.ascontiguousarray(image), cv2.COLOR_RGB2BGR)
    _, data = cv2.imencode(".jpg", bgr, (cv2.IMWRITE_JPEG_QUALITY, 88))
    return f"data:image/jpeg;base64,{base64.b64encode(data.tobytes()).decode()}"
