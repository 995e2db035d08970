"""Reads with an exported network, whatever runs it: the counterpart of jstr.inference.reader without JAX.

An export is a folder: `reader.json` says what reading needs (charset, image size, language model, checksums),
`words.npz` holds the n-grams of the word list, and the other files are the network. No JAX is imported here.
"""

from __future__ import annotations

import copy
import hashlib
import json
import os
import sys
import zipfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from jstr.data.images import ImageSpec
from jstr.data.patterns.pattern import compiled
from jstr.data.patterns.spec import PatternSpec, pattern_spec, spec_of_read
from jstr.decoding.beam_search import Rules, attention_texts, ctc_texts, position_texts
from jstr.decoding.greedy_numpy import attention_greedy, ctc_greedy
from jstr.decoding.ngram_lm import LANGUAGE_WEIGHT, WIDTH, WordPrior
from jstr.decoding.ranking import Found, ranked
from jstr.decoding.upside_down import read_checked
from jstr.inference.crops import capacity, read_crops
from jstr.inference.details import Centres, Details, attended, decoder_inputs
from jstr.inference.widths import padded
from jstr.text import Charset
from jstr.text.messages import InputError

FORMAT = 2
ABOUT, WORDS, NETWORK = "reader.json", "words.npz", "reader"
BATCH = 16  # images read at a time
Run = Callable[..., Any]  # a network: arrays by name -> its outputs, in order


class ExportedReader:
    """An exported recogniser with its charset, image size and word list. `jstr.onnx_reader.load(folder)` makes one.

    about: what `reader.json` says. networks: `reader`, images uint8 [B, H, W, C] -> probabilities [B, T, C], or with an
    attention decoder frames [B, S, D] and memory [B, S, H], which `step` takes (jstr/interop/onnx_four_stage.py).
    prior: the word list as a prior over texts, used in a beam search; None: texts are decoded greedily.
    It has neither heads, nor attention maps, nor logits.
    """

    heads = ()

    def __init__(self, about: Mapping[str, Any], networks: Mapping[str, Run], prior: WordPrior | None):
        config = about["config"]
        self.about = about
        self.charset, self.spec = Charset.make(**config["charset"]), ImageSpec.make(config["image"])
        self._networks, self._batch = networks, about["batch"]
        words = config.get("language_model") or {}
        weight, width = float(words.get("weight", LANGUAGE_WEIGHT)), int(words.get("width", WIDTH))
        pattern = compiled(pattern_spec(**(config.get("pattern") or {})), self.charset)
        self.rules = Rules(self.charset.characters, prior, weight, width, pattern)
        self.capacity = capacity(self.spec, self.charset, about["frames"])

    @property
    def prior(self) -> WordPrior | None:
        return self.rules.prior

    def guided(self, spec: PatternSpec) -> ExportedReader:
        """The same reader with another pattern. Raises InputError: see Pattern."""
        other = copy.copy(self)
        other.rules = self.rules._replace(pattern=compiled(spec, self.charset))
        return other

    def read(
        self, images: Any, *, details: bool = False, turn: str = "never", **pattern: Any
    ) -> tuple[list[str], np.ndarray] | list[Details]:
        """(texts, confidences [N] in 0..1) of images, or their Details, as jstr.load().read: of one or of several.

        Raises:
          InputError: a file that is not an image, an array of another form, or a pattern that cannot be used.
        """
        reader = self.guided(spec_of_read(**pattern)) if pattern else self
        return read_crops(reader, images, BATCH, details=details, turn=turn)

    def threshold(self, precision: float) -> float:
        """The confidence from which on words are right with this precision, as `predict --precision` has it.

        Says on stderr where it was measured with another pattern.

        Raises:
          InputError: what was exported was not calibrated, or no confidence promises it.
        """
        known = self.about.get("calibration")
        if known is None:
            raise InputError("what was exported was not calibrated: run jstr calibrate and export again")
        pattern = None if self.rules.pattern is None else str(self.rules.pattern.spec)
        if known["about"].get("pattern") != pattern:
            print(f"calibrated with pattern={known['about'].get('pattern')}, not {pattern}", file=sys.stderr)
        least = [confidence for confidence, promised in known["promises"] if promised >= precision]
        if not least:
            data = known["about"]["data"]
            raise InputError(f"precision {precision}: no confidence promises it on the words of {data}")
        return min(least)

    def read_checked(self, images: np.ndarray) -> tuple[list[str], np.ndarray]:
        """read_batch with less confidence in words that read better upside down."""
        return read_checked(self.read_batch, images, self.prior, self.rules.weight)

    def read_batch(self, images: np.ndarray) -> tuple[list[str], np.ndarray]:
        """Texts and confidences of model-sized images uint8 [B, H, W, C]."""
        if not self.rules.expect:
            layout = self.charset.layout
            decode = ctc_greedy if layout.is_ctc else attention_greedy
            ids, confidences = decode(self.probabilities(images), layout)
            return [self.charset.decode(row) for row in ids.tolist()], confidences
        found = [one.texts[0] for one in self.search(images)]
        return [self.rules.written(text) for text, _ in found], np.array([value for _, value in found], np.float32)

    def probabilities(self, images: np.ndarray) -> np.ndarray:
        """[B, T, C] of model-sized images uint8 [B, H, W, C]; an attention decoder is fed its most probable tokens.

        It stops when all words have ended; later probabilities are 0.
        """
        if "step" not in self._networks:
            return self._in_batches(images)[0]
        steps, layout = self._start(images), self.charset.layout
        found = np.zeros((len(images), self.charset.max_length + 1, self.charset.num_classes), np.float32)
        tokens, ended = np.full(len(images), layout.bos_id, np.int64), np.zeros(len(images), bool)
        for t in range(found.shape[1]):
            found[:, t] = steps.advance(tokens[:, None])[:, 0]
            tokens = found[:, t].argmax(axis=-1)
            ended |= tokens == layout.eos_id
            if ended.all():
                break
        return found

    def search(self, images: np.ndarray) -> list[Found]:
        """What a beam search finds in each image uint8 [B, H, W, C], also where texts are read greedily."""
        layout, rules = self.charset.layout, self.rules
        if "step" not in self._networks:
            search = ctc_texts if layout.is_ctc else position_texts
            return [
                Found(ranked(search(row, rules), rules.characters, rules.pattern), row) for row in self.frames(images)
            ]
        steps = self._start(images)
        start = steps.advance(np.full((len(images), 1), layout.bos_id, np.int64))[:, 0]

        def advance(parents: np.ndarray, written: np.ndarray) -> np.ndarray:
            steps.follow(parents.T)
            return self._chosen(steps.advance(written.T.astype(np.int64) + layout.first_id)).swapaxes(0, 1)

        words = attention_texts(self._chosen(start), advance, self.charset.max_length + 1, rules)
        return [Found(ranked(texts, rules.characters, rules.pattern)) for texts in words]

    def frames(self, images: np.ndarray) -> np.ndarray:
        """Probabilities [B, T, 1 + V] of the blank or EOS and of the characters. Not of an attention decoder."""
        batches = (images[i : i + BATCH] for i in range(0, len(images), BATCH))
        return np.concatenate([self._chosen(self.probabilities(batch)) for batch in batches])

    def centres(self, images: np.ndarray, texts: Sequence[str]) -> list[Centres]:
        """Where an attention decoder looks for the characters of the texts; None for others."""
        if "step" not in self._networks:
            return [None] * len(texts)
        steps, tokens = self._start(images), padded(decoder_inputs(self.charset, texts), len(images))
        attention = []
        for t in range(max(map(len, texts)) or 1):
            steps.advance(tokens[:, t : t + 1].astype(np.int64))
            attention.append(steps.attention[:, 0])
        return attended(np.stack(attention, axis=1), texts)

    def _chosen(self, x: np.ndarray) -> np.ndarray:
        """[..., C] -> [..., 1 + V]: the blank or EOS, and the characters."""
        first = self.charset.layout.eos_id or 0
        return np.concatenate([x[..., first : first + 1], x[..., self.charset.layout.first_id :]], axis=-1)

    def _start(self, images: np.ndarray) -> _Steps:
        return _Steps(self._networks["step"], *self._in_batches(images), self._batch)

    def _in_batches(self, images: np.ndarray) -> list[np.ndarray]:
        """The outputs of the network `reader`; with a fixed batch, of as many images at a time as it takes."""
        if self._batch is None:
            return list(self._networks["reader"](images=images))
        parts = []
        for i in range(0, len(images), self._batch):
            parts.append(self._networks["reader"](images=padded(images[i : i + self._batch], self._batch)))
        return [np.concatenate(values)[: len(images)] for values in zip(*parts, strict=True)]


class _Steps:
    """The decoder of a batch of words between two steps. attention [B, W, S]: of the step before."""

    attention: np.ndarray

    def __init__(self, step: Run, frames: np.ndarray, memory: np.ndarray, batch: int | None):
        self._count, size = len(frames), -(-len(frames) // batch) * batch if batch else len(frames)
        self._step, self._chunk = step, batch or len(frames)
        self._frames, self._memory = padded(frames, size), padded(memory, size)
        self._state = [np.zeros((size, 1, memory.shape[-1]), np.float32)] * 2

    def follow(self, parents: np.ndarray) -> None:
        """The state of text `parents` [B, W] of each word becomes that of its W texts."""
        parents = padded(parents, len(self._frames))
        self._state = [np.take_along_axis(x, parents[..., None], axis=1) for x in self._state]

    def advance(self, tokens: np.ndarray) -> np.ndarray:
        """Probabilities [B, W, C] after tokens [B, W]."""
        tokens, parts = padded(tokens, len(self._frames)), []
        for i in range(0, len(tokens), self._chunk):
            rows = slice(i, i + self._chunk)
            inputs = dict(frames=self._frames, memory=self._memory, tokens=tokens)
            inputs |= dict(hidden=self._state[0], cell=self._state[1])
            parts.append(self._step(**{name: array[rows] for name, array in inputs.items()}))
        found, *self._state, attention = (np.concatenate(values) for values in zip(*parts, strict=True))
        self.attention = attention[: self._count]
        return found[: self._count]


def open_export(
    folder: str | os.PathLike, kind: str, networks: Callable[[Path, Mapping[str, Any]], Mapping[str, Run]]
) -> ExportedReader:
    """The reader of a folder. kind: what it must be an export to. networks: of (its path, what `reader.json` says).

    Raises:
      InputError: no such export, or a damaged one.
    """
    about, path = read_about(folder), Path(os.path.expanduser(folder))
    try:
        if about["kind"] != kind:
            raise InputError(f"{folder} is an export to {about['kind']}, not to {kind}")
        found = networks(path, about)
        if NETWORK not in found:
            raise InputError(f"{path / ABOUT} names no network {NETWORK!r}; export again")
        return ExportedReader(about, found, read_prior(path, about))
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError, zipfile.BadZipFile) as error:
        if isinstance(error, InputError):
            raise
        why = f"{type(error).__name__}: {error}".splitlines()[0][:120]
        raise InputError(f"{folder}: {ABOUT} or {WORDS} is damaged ({why}); export again") from error


def read_about(folder: str | os.PathLike) -> dict[str, Any]:
    """What `reader.json` of an export says, after its files were checked.

    Raises:
      InputError: not an export, one of another version, or a file that is missing or damaged.
    """
    path = Path(os.path.expanduser(folder)) / ABOUT
    try:
        about = json.loads(path.read_text(encoding="utf-8"))
        version, files = about["format"], about["files"].items()
    except (FileNotFoundError, NotADirectoryError):
        raise InputError(f"{folder} is not an export: it has no {ABOUT}; make one with jstr export") from None
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}") from error
    except (ValueError, KeyError, TypeError, AttributeError):
        raise InputError(f"{path} is damaged; export again") from None
    if version != FORMAT:
        raise InputError(f"{path}: format {version}, but this jstr reads format {FORMAT}; export again")
    for name, wanted in files:
        if checksum(path.parent / name) != wanted:
            raise InputError(f"{path.parent / name} is damaged: not the file that {ABOUT} describes; export again")
    return about


def checksum(path: Path) -> str:
    """SHA-256 of a file. Raises InputError: it cannot be read."""
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}; export again") from error


def _arrays(path: Path) -> dict[str, np.ndarray]:
    with np.load(path, allow_pickle=False) as file:
        return {name: file[name] for name in file.files}


def read_prior(folder: str | os.PathLike, about: Mapping[str, Any]) -> WordPrior | None:
    """The prior over texts of an export; None where it has no word list."""
    if WORDS not in about["files"]:
        return None
    characters = Charset.make(**about["config"]["charset"]).characters
    return WordPrior.of_arrays(_arrays(Path(os.path.expanduser(folder)) / WORDS), characters)
