"""What a finished run reads in the user's own images (config.images): predictions.tsv, least confident first."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from PIL import Image

from jstr.data.photos import words_file
from jstr.data.photos.words_file import FoundWord
from jstr.data.source_config import SourceSpec
from jstr.data.sources import configured
from jstr.data.synth.fonts import label_faces
from jstr.inference.read_source import Reading, read_source
from jstr.inference.reader import Reader
from jstr.text.messages import escape, first_few
from jstr.visualize import word_sheet

NAME, SHEET = "predictions.tsv", "doubtful.png"
SHOWN = 60


def open_images(config: Any) -> Any:
    """The source that config.images names, or None. Raises InputError when it cannot be opened."""
    if not config.images:
        return None
    spec = SourceSpec("config.images", "images", "path", config.images, config.data_root, labelled=False)
    return configured.open_images(spec, None)


def write(reader: Reader, source: Any, workdir: str) -> list[str]:
    """Reads every image of a source; returns lines that say what was done.

    workdir/predictions.tsv: path, text and confidence (0..1) with tabs between (the path escaped, see messages.escape),
    lowest confidence first; where the images are words found in photographs, also photograph and box, under a header.
    Images that cannot be read come before all others, without text, at confidence 0. workdir/doubtful.png: the first
    60 words.
    """
    broken, readings = _read_sorted(reader, source)
    path, sheet = Path(workdir) / NAME, Path(workdir) / SHEET
    origins = _origins(source)
    lines = ["path\ttext\tconfidence\tphotograph\tbox\n"] * bool(origins)
    lines += [f"{escape(key)}\t\t{0:.4f}{_origin(origins, key)}\n" for key in broken]
    for r in readings:
        lines.append(f"{escape(r.key)}\t{r.answer.text}\t{r.answer.confidence:.4f}{_origin(origins, r.key)}\n")
    path.write_text("".join(lines), encoding="utf-8")
    done = [f"{path}: {len(readings):,} words, least confident first"]
    shown = readings[:SHOWN]
    if shown:
        texts = [f"{r.answer.text}  {r.answer.confidence:.2f}" for r in shown]
        texts, faces = label_faces(texts)
        Image.fromarray(word_sheet([r.image for r in shown], texts, faces=faces)).save(sheet)
        done.append(f"{sheet}: the {len(shown)} least confident")
    if broken:
        done.append(f"{len(broken):,} broken or missing images, at the top: {first_few(broken)}")
    return done


def _origins(source: Any) -> dict[str, FoundWord]:
    """The words of a folder that was made from photographs, by crop; {} for others."""
    table = Path(source.path) / words_file.NAME
    return {word.crop: word for word in words_file.load(table)} if table.is_file() else {}


def _origin(origins: dict[str, FoundWord], key: str) -> str:
    word = origins.get(key)
    return f"\t{escape(word.photograph)}\t{word.box}" if word else "\t\t" * bool(origins)


def _read_sorted(reader: Reader, source: Any) -> tuple[list[str], list[Reading]]:
    """(keys of broken images, the other readings by confidence); only those that may be shown keep their image."""
    broken, readings, kept = [], [], []
    for reading in read_source(reader, source, checked=True):
        if reading.answer is None:
            broken.append(reading.key)
            continue
        kept = sorted([*kept, reading], key=_confidence)  # stable: ties stay in the order of the source
        if len(kept) > SHOWN:
            readings.append(kept.pop()._replace(image=None))
    return broken, kept + sorted(readings, key=_confidence)


def _confidence(reading: Reading) -> tuple[float, int]:
    return reading.answer.confidence, reading.index
