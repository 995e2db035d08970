"""Whether adaptation without labels should pay, said before a run spends an hour on it: config.outlook, in images.

The start reads a sample of the images, the same images lightly augmented, and those that it reads surely without the
words that it expects. It learns from what it reads surely, where two views are read alike it is not guessing, and what
it reads alike without the words teaches it nothing.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from jstr.augment.host.registry import apply_view
from jstr.data.images import ImageSpec
from jstr.data.sources.configured import open_images
from jstr.inference.pseudo_labelling import FOLDER, gate_of, rows_read_by, texts_of
from jstr.inference.reader import Reader
from jstr.interop.weights import STRONGEST
from jstr.models import ppocr
from jstr.parallel import distributed

VIEW = dict(affine=dict(rotate=2.0, shear=0.07, scale=0.05, shift=0.025), contrast=dict(contrast=0.2, brightness=0.08))


# Measured, share read surely -> points of accuracy by adaptation (greedily, with English words), configs/results:
# adapt.json: 49 % of ICDAR 2015 by a young start -> 6.1, 2.2; 19 % of IAM words by configs/reader.py -> 3.6, -2.7;
#   91 % of IIIT5K -> 0.5, 0.3 (test words); handwriting.json: 77 % of letterbooks by PP-OCRv6 -> 12.9, 7.6 (once);
# guided.json: 27 % of plates by PP-OCRv6, with their forms as gate -> 3.0 (with the forms);
# photos.json: of plates an older reader, which reads 39 %, gains -0.3, and 13.7 with 50 corrections (150 steps, and a
#   checkpoint chosen by trust); adapt.json: the bundled one, 17 % of them -> 20.4, 20.4 (300 steps, the last)
#   and 27.9, 26.4, another seed 29.6, 28.7 (3,000 steps).
# Of the words that PP-OCRv6 reads surely, it reads alike without the prior: of letterbooks 89 %, of scene words 98 %,
#   which it reads worse after it has learned them (ppocr_adapt.json).
# What the readers of the package make of sets on which adaptation was or was not measured: "outlook" in adapt.json.
# Share read surely: below it too little is learned, from where it paid always, and from where hardly anything is left.
HARDLY, PAYS, ENOUGH = 0.1, 0.4, 0.95
UNAIDED = 0.97  # share of the sure words that are read alike without the words, from where there is as little to learn
# Share read alike in two views: below it the start guesses, and below it lie only starts that read half of the images.
GUESSES, ALIKE = 0.4, 0.6


class Outlook(NamedTuple):
    """Shares of a sample of `images`: read surely, and read alike in both views.

    unaided: the share of the sure ones that are read alike without the words; 0 where no words are expected.
    stronger: the name of a reader to start from instead, or "".
    """

    images: int
    sure: float
    alike: float
    unaided: float = 0.0
    stronger: str = ""

    def line(self, labelled: bool) -> str:
        """In words, with what to do. labelled: whether a person has corrected words already."""
        other = f"start from a stronger reader (adapt:start={self.stronger}), or " if self.stronger else ""
        advice = f"{other}correct {'more' if labelled else '50'} words (jstr review) and give --config.labels"
        if self.sure < HARDLY or self.alike < GUESSES:
            expected = f"adaptation hardly helps; {advice}"
        elif self.sure < PAYS or self.alike < ALIKE:
            expected = f"adaptation may help; rather {advice}"
        elif self.sure >= ENOUGH:
            expected = "hardly anything is left for adaptation"
        elif self.unaided >= UNAIDED:
            expected = f"{self.unaided:.0%} of the sure ones also without its words, so adaptation has little to teach"
        else:
            expected = "adaptation should pay"
        read = f"reads {self.sure:.0%} of {self.images} of your images surely, and {self.alike:.0%} alike in two views"
        return f"{read}: {expected}"


def outlook_lines(config: Any, workdir: str, load_reader: Callable[..., Reader]) -> list[str]:
    """A line for each source that training reads, from WORKDIR/read/outlook_STREAM_SOURCE.json if it was judged before.

    Raises:
      InputError: a reader that cannot be loaded, or images that cannot be opened.
    """
    count, lines = config.get("outlook", 0), []
    # PAYS and ENOUGH were measured at the confidence of what is held back; training may begin with what is surer.
    held_back = {(stream, spec.name): by for stream, spec, by in rows_read_by(config, "held_back")}
    for stream, spec, by in rows_read_by(config, "streams") if count else ():
        by = held_back.get((stream, spec.name), by)
        file = Path(workdir) / FOLDER / f"outlook_{stream}_{spec.name}.json"
        gate = gate_of(config, by, 0)
        about = json.dumps(
            [spec.path, by.workdir, by.language_model, repr(by.pattern), by.language_weight, str(gate), count]
        )
        saved = json.loads(file.read_text()) if file.exists() else {}
        if saved.pop("about", None) == about:
            found = Outlook(**saved)
        else:
            reader = load_reader(by.workdir, by.language_model)
            without_words = None if reader.prior is None else load_reader(by.workdir, "none")
            found = judged(reader, without_words, spec, gate, count)
            if distributed.is_lead_host():
                _save(file, {"about": about} | found._asdict())
        lines.append(f"{spec.name}: {by.workdir} {found.line(bool(by.corrected))}")
    return lines


def _save(file: Path, values: dict[str, Any]) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    part = file.with_suffix(".part")
    part.write_text(json.dumps(values, indent=2) + "\n")
    part.replace(file)


def judged(reader: Reader, without_words: Reader | None, spec: Any, gate: Any, count: int) -> Outlook:
    """The outlook for up to `count` images of a source (a SourceSpec with read_by), chosen at random once for all."""
    source = open_images(replace(spec, labelled=False), None)
    chosen = np.sort(np.random.default_rng(0).permutation(len(source))[:count])
    plain, other = (texts_of(reader, spec, _Sample(source, chosen, reader.spec, view)) for view in ({}, VIEW))
    sure = {key: label for key, label in gate.usable(plain).items() if label is not None}
    alike = sum(bool(text) and text == other[key][0] for key, (text, _) in plain.items())
    unaided = 0.0
    if without_words is not None and sure:
        again = np.array([i for i in chosen if source[i]["key"] in sure])
        texts = texts_of(without_words, spec, _Sample(source, again, without_words.spec, {}))
        unaided = sum(texts[key][0] == label.text for key, label in sure.items()) / len(sure)
    # PP-OCR reads every set that was measured better, and knows these characters.
    other = not isinstance(reader.model, ppocr.Model) and reader.charset.characters.isascii()
    return Outlook(len(plain), len(sure) / len(plain), alike / len(plain), unaided, STRONGEST if other else "")


class _Sample:
    """Some samples of a source, in a view."""

    def __init__(self, source: Any, chosen: np.ndarray, spec: ImageSpec, view: dict):
        self.source, self.path, self.notes = source, source.path, source.notes
        self._chosen, self._spec, self._view = chosen.tolist(), spec, view

    def __len__(self) -> int:
        return len(self._chosen)

    def __getitem__(self, i: int) -> dict[str, Any]:
        sample = self.source[self._chosen[i]]
        image = self._spec.decode(sample["image"]) if self._view else None
        if image is None:
            return sample
        image = apply_view(image, np.random.default_rng(self._chosen[i]), self._view)
        return sample | {"image": image}
