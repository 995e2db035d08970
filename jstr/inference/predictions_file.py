"""What a finished run reads in the user's own pictures (config.images): predictions.tsv, the doubtful ones first."""

from __future__ import annotations

from pathlib import Path

from PIL import Image

from jstr.data.pipeline import padded_batches
from jstr.data.source_config import SourceSpec
from jstr.data.sources import configured
from jstr.inference.reader import Reader, batch_size
from jstr.visualize import word_sheet

NAME, SHEET = "predictions.tsv", "doubtful.png"
SHOWN = 60


def open_images(config):
    """The source that config.images names, or None. Raises InputError when it cannot be opened."""
    if not config.images:
        return None
    spec = SourceSpec("config.images", "images", "path", config.images, config.data_root, labelled=False)
    return configured.open_images(spec, None)


def write(reader: Reader, source, workdir: str) -> list[str]:
    """Reads every picture of a source; returns lines that say what was done.

    workdir/predictions.tsv: path, text, confidence (0..1) with tabs between, lowest confidence first; pictures that
    cannot be read come before all others, without text, at confidence 0. workdir/doubtful.png: the first 60 words.
    """
    rows, broken = [], []
    for batch in padded_batches(source, reader.spec, batch_size()):
        texts, confidences = reader.read_batch(batch["image"])
        broken += batch["broken"]
        for i, key in enumerate(batch["keys"]):
            if batch["mask"][i]:
                rows.append((float(confidences[i]), len(rows), key, texts[i], batch["image"][i]))
        rows.sort(key=lambda row: row[:2])
        rows[SHOWN:] = [(*row[:4], None) for row in rows[SHOWN:]]  # only the pictures that may be shown are kept
    lines = [f"{key}\t\t{0:.4f}" for key in broken] + [f"{key}\t{text}\t{c:.4f}" for c, _, key, text, _ in rows]
    path = Path(workdir) / NAME
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    said = [f"{path}: {len(rows):,} words, the doubtful ones first"]
    if rows:
        sheet = word_sheet([image for *_, image in rows[:SHOWN]], [f"{r[3]}  {r[0]:.2f}" for r in rows[:SHOWN]])
        Image.fromarray(sheet).save(Path(workdir) / SHEET)
        said.append(f"{Path(workdir) / SHEET}: the {min(SHOWN, len(rows))} most doubtful")
    if broken:
        some = ", ".join(broken[:5]) + (", ..." if len(broken) > 5 else "")
        said.append(f"{len(broken):,} broken or missing pictures, at the top: {some}")
    return said
