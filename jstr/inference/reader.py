"""A trained recogniser that turns images into text. Evaluation, prediction and the Python API all read through it."""

from __future__ import annotations

import copy
import functools
import os
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from PIL import Image

from jstr import visualize
from jstr.core import ModelState, Params
from jstr.data.images import ImageSpec
from jstr.data.patterns.spec import PatternSpec, spec_of_read
from jstr.data.synth.fonts import label_faces
from jstr.decoding.beam_search import Rules
from jstr.decoding.ranking import Found
from jstr.decoding.upside_down import read_checked
from jstr.inference import word_copy
from jstr.inference.compiled_model import CompiledModel, Decoded, pad_to_power_of_two
from jstr.inference.crops import capacity, capacity_line, read_crops
from jstr.inference.details import Centres, Details
from jstr.inference.guide import make_guide
from jstr.inference.photographs import ReadWord, read_photos
from jstr.interop import weights
from jstr.models import example_input, make_model
from jstr.text import Charset
from jstr.text.messages import InputError, first_few, first_line

WORKDIR_HELP = (
    f"a run, a packed file, or a name: {', '.join(weights.NAMES)}; NAME:latin or NAME:all: other characters that "
    "PP-OCR knows; default: the strongest that is installed"
)
WORDS_HELP = "likely words: english, korean, or a file; none: read greedily; default: what the config says"
Images = Iterable[Any] | str | os.PathLike | np.ndarray | Image.Image  # one image or several


def default_batch_size() -> int:
    """Images to read at a time. Larger batches are slower on a CPU, because their features leave its caches."""
    return 16 if jax.default_backend() == "cpu" else 64


def make_charset(config: Mapping[str, Any]) -> Charset:
    """From config.charset, whose keys are the arguments of Charset.make."""
    return Charset.make(**dict(config))


class Reader:
    """A recogniser with its charset, image size and variables. `jstr.load(workdir)` makes one.

    variables: {"params": ..., "batch_stats": ...} of the model. heads: names of the model's heads, of which the last
    gives the answer; () where there is only one. has_attention: whether `attention_maps` has something to show.
    guide: what texts are expected, by config.language_model and config.pattern. prior: that over words, or None.
    step: how many training steps the variables have behind them; None where it is not known.

    Raises:
      InputError: a language model that cannot be read, or one for a recogniser that has its own.
    """

    def __init__(self, config: Mapping[str, Any], variables: Mapping[str, Any] | None = None):
        self.charset = make_charset(config["charset"])
        self.spec = ImageSpec.make(config["image"])
        self.model, self.model_config = make_model(config["model"], self.charset, self.spec.size, self.spec.channels)
        self.heads = self.model.heads
        self.has_attention = self.model.has_attention_maps
        self.variables = variables
        self.step: int | None = None
        self.guide = make_guide(self.model, self.charset, config)
        self.prior = self.guide.prior
        self._compiled = CompiledModel(self.model)

    def with_variables(self, variables: Mapping[str, Any]) -> Reader:
        """The same reader with other variables; both share what is compiled."""
        return self._with(variables=variables)

    def guided(self, spec: PatternSpec) -> Reader:
        """The same reader with another pattern; both share what is compiled. Raises InputError: see Pattern."""
        return self._with(guide=self.guide.with_pattern(spec))

    def weighing(self, weight: float) -> Reader:
        """The same reader with another config.language_model.weight; both share what is compiled."""
        return self._with(guide=self.guide.with_weight(weight))

    def _with(self, **changes: Any) -> Reader:
        other = copy.copy(self)
        vars(other).update(changes)
        return other

    @functools.cached_property
    def capacity(self) -> int:
        """About how many characters an image can show to this reader: in less room each, they cannot be told apart."""
        return capacity(self.spec, self.charset, self.frame_count)

    @property
    def frame_count(self) -> int | None:
        """CTC: how many frames an image of the usual width has; None for other recognisers."""
        return self.shapes[0]["logits"].shape[1] if self.model_config.is_ctc else None

    @functools.cached_property
    def shapes(self) -> tuple[Any, Any]:
        """Shapes of what the model returns for an image of the usual size, and of its variables."""
        init = functools.partial(self.model.init_with_output, train=False)
        return jax.eval_shape(init, jax.random.PRNGKey(0), example_input(self.model))

    def read(
        self, images: Images, *, details: bool = False, turn: str = "never", **pattern: Any
    ) -> tuple[list[str], np.ndarray] | list[Details]:
        """(texts, confidences [N] in 0..1) of images, of any kind that ImageSpec.open takes; or their Details.

        These are paths, bytes of files, open files, PIL images, and arrays [H, W] or RGB [H, W, 3]. A single image is
        read as a list of one. pattern: what the texts are to follow, as for `pattern_spec`. turn: "auto" also tries
        crops that are tall or doubtful turned.

        Raises:
          InputError: a file that is not an image, an array of another form, or a pattern that cannot be used.
        """
        if pattern:
            return self.guided(spec_of_read(**pattern)).read(images, details=details, turn=turn)
        return read_crops(self, images, default_batch_size(), details=details, turn=turn)

    def read_photos(self, photographs: Images, split: str = "words") -> list[list[ReadWord]]:
        """The words of each photograph in reading order, with their boxes. For kinds of images see `read`.

        split: "words", or "lines" as the detector finds them. Needs rapidocr and onnxruntime, the extra `photos`.

        Raises:
          InputError: the extra is missing, or a photograph cannot be decoded.
        """
        return read_photos(self, photographs, split)

    def logits(self, images: Images, tokens: np.ndarray | None = None) -> np.ndarray:
        """Raw scores [N, T, C] float32: fed back greedily, or teacher-forced on tokens [N, max_length + 2]."""
        self._check_reads_images()
        pixels = list(self.pixels(images))
        if not pixels:
            raise InputError("give at least one image")
        widest = max(image.shape[1] for image in pixels)
        pixels = [self.spec.padded(image, widest) for image in pixels]
        return self.logits_batch(np.stack(pixels), tokens)

    def logits_batch(self, images: np.ndarray, tokens: np.ndarray | None = None) -> np.ndarray:
        """The same of model-sized images uint8 [B, H, W, C]. Compiled for every B."""
        return np.asarray(
            self._compiled.logits(self.variables, images, None if tokens is None else jnp.asarray(tokens))
        )

    def read_batch(self, images: np.ndarray) -> tuple[list[str], np.ndarray]:
        """Texts and confidences of model-sized images uint8 [B, H, W, C]. Compiled once per power of two of B."""
        self._check_reads_images()
        padded = pad_to_power_of_two(images)
        if self.guide.search:
            return self.guide.read(self.variables, padded, len(images))
        if self.has_attention:  # compiled once for everything that such a recogniser is asked
            answer, _, _ = self._compiled.decode_with_attention(self.variables, padded)
        else:
            answer = self._compiled.decode(self.variables, padded)
        return self._text(jax.device_get(answer), len(images))

    def read_checked(self, images: np.ndarray) -> tuple[list[str], np.ndarray]:
        """The same, with less confidence in words that read better upside down. For readers with a prior over texts."""
        return read_checked(self.read_batch, images, self.prior, self.guide.rules.weight)

    @property
    def rules(self) -> Rules:
        """What texts are expected. This and the next three are what details, long crops and alternatives need."""
        return self.guide.rules

    def search(self, images: np.ndarray) -> list[Found]:
        return self.guide.any_search(self.variables, images)

    def frames(self, images: np.ndarray) -> np.ndarray:
        return self.guide.frames(self.variables, images)

    def centres(self, images: np.ndarray, texts: Sequence[str]) -> list[Centres]:
        return self.guide.centres(self.variables, images, texts)

    def read_heads(self, images: np.ndarray) -> dict[str, tuple[list[str], np.ndarray]]:
        """What each of `heads` reads in images as of read_batch: texts and confidences by name; {} without heads."""
        if not self.heads:
            return {}
        found = jax.device_get(self._compiled.decode_with_attention(self.variables, pad_to_power_of_two(images))[1])
        return {name: self._text(found[name], len(images)) for name in self.heads}

    def attention_maps(self, images: np.ndarray) -> tuple[list[str], np.ndarray]:
        """Texts of images as of read_batch, and [B, T, h, w]: where each character was read; each map sums to 1.

        Raises:
          InputError: a recogniser without position attention.
        """
        if not self.has_attention:
            raise InputError("this recogniser has no position attention to show; ABINet has")
        answer, _, maps = self._compiled.decode_with_attention(self.variables, pad_to_power_of_two(images))
        return self._text(jax.device_get(answer), len(images))[0], np.asarray(maps)[: len(images)]

    def attention_sheet(self, images: np.ndarray, count: int) -> np.ndarray:
        """uint8 [H, W, 3]: the `attention_maps` of the first `count` images, drawn."""
        texts, maps = self.attention_maps(images)
        faces = label_faces(texts[:count])[1]
        return visualize.attention_sheet(images[:count], maps[:count], texts[:count], faces=faces)

    def correct(self, words: Sequence[str]) -> tuple[list[str], np.ndarray]:
        """Texts and confidences that a language model makes of words; a single text is a list of one.

        Raises:
          InputError: a recogniser of images, or a word that is empty, too long or outside of the charset.
        """
        if not self.model.reads_text:
            raise InputError("this recogniser reads images, not words; give the workdir of a language model")
        words = [self.charset.normalise(word) for word in ([words] if isinstance(words, str) else words)]
        if not words:
            raise InputError("give at least one word")
        most = self.charset.max_length
        for word in words:
            if outside := self.charset.outside(word):
                raise InputError(f"word {word[:40]!r}: {outside[0]!r} is outside of the charset")
            if not 0 < len(word) <= most:
                raise InputError(f"word {word[:40]!r}: give 1 to {most} characters")
        ids = np.stack([self.charset.encode(word)[1:] for word in words])
        return self._text(jax.device_get(self._compiled.correct(self.variables, pad_to_power_of_two(ids))), len(words))

    def _text(self, found: Decoded, count: int) -> tuple[list[str], np.ndarray]:
        ids, confidences = found
        return [self.charset.decode(row) for row in ids[:count].tolist()], confidences[:count]

    def _check_reads_images(self) -> None:
        if self.model.reads_text:
            raise InputError("a language model reads words, not images: use predict --words")

    def pixels(self, images: Images) -> Iterator[np.ndarray]:
        """Model-sized uint8 [H, W, C] of each image of `read`. Raises InputError, which says which image is wrong."""
        return map(self.spec.fit_for_reading, self.spec.open_all(images))


def load(
    workdir: str | os.PathLike | None = None, language_model: str | None = None, *, verbose: bool = False
) -> Reader:
    """The reader of a training run, of converted weights, of a packed file, or one of weights.NAMES.

    workdir: of a run, its newest checkpoint is loaded, or the best if config.keep_best chose one. A charset may follow
    the name of a reader of PP-OCR, `ppocrv6-small:latin`. None: the strongest reader that is installed, as a line on
    stderr says. language_model: replaces config.language_model; a word list ("english", "korean", or a file) of likely
    words, or "none". verbose: says on stderr what the reader can hold.

    Raises:
      InputError: not a workdir, no complete checkpoint in it, or a language model that cannot be used.
    """
    if workdir is None:
        workdir, line = weights.default()
        words = "english" if language_model is None else language_model
        expected = workdir != weights.BUNDLED and words not in ("", "none")
        print(f"{line} ({words} words expected)" if expected else line, file=sys.stderr)
    workdir = os.path.expanduser(workdir)
    try:
        reader = _load(workdir, language_model)
    except _OF_A_DAMAGED_FILE as error:
        if isinstance(error, InputError):
            raise
        reason = f"its config or weights cannot be used ({type(error).__name__}: {first_line(error)})"
        raise InputError(f"{workdir}: {reason}; they are damaged or of another jstr") from error
    if verbose and not reader.model.reads_text:
        print(capacity_line(str(workdir), reader), file=sys.stderr)
    return reader


# What code raises that is given a config with other keys or types. Not RuntimeError: see cli.py.
_OF_A_DAMAGED_FILE = (ArithmeticError, AttributeError, LookupError, MemoryError, TypeError, ValueError)


def _load(workdir: str | os.PathLike, language_model: str | None) -> Reader:
    meta = weights.read_meta(workdir)
    with word_copy.found_again(workdir, meta) as config:
        if language_model is not None:
            config["language_model"] = (config.get("language_model") or {}) | {"words": language_model}
        reader = Reader(config)
    saved = weights.load_variables(workdir, config.get("eval_weights", "student"))
    variables = model_variables(saved["params"], saved["model_state"])
    _check_same_shapes(workdir, reader.shapes[1], variables)
    reader.variables, reader.step = variables, meta["step"]
    return reader


def model_variables(params: Params, model_state: ModelState) -> dict[str, Any]:
    """The variables of the recogniser among those of a run, as `Model.apply` takes them."""
    return {"params": params["model"], **model_state}


def _check_same_shapes(workdir: str | os.PathLike, expected: Any, found: Any) -> None:
    shapes = [
        {jax.tree_util.keystr(path): leaf.shape for path, leaf in jax.tree_util.tree_leaves_with_path(tree)}
        for tree in (expected, found)
    ]
    different = [k for k in shapes[0] | shapes[1] if shapes[0].get(k) != shapes[1].get(k)]
    if different:
        raise InputError(f"{workdir}: the checkpoint does not fit its config at {first_few(different)}")
