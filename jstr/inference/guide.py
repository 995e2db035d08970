"""What texts a reader expects: a prior made of a word list, and a pattern that they follow."""

from __future__ import annotations

import argparse
import functools
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from jstr.core import Recognizer
from jstr.data.patterns.checksums import CHECKSUMS
from jstr.data.patterns.pattern import Pattern, compiled
from jstr.data.patterns.spec import NONE_SHARE, PatternSpec, pattern_spec
from jstr.decoding.beam_search import Rules
from jstr.decoding.lm_decoder import Search, compiled_steps, make_prior, make_search
from jstr.decoding.ngram_lm import LANGUAGE_WEIGHT, WIDTH, WordPrior
from jstr.inference.details import Centres, attended, decoder_inputs
from jstr.inference.widths import padded
from jstr.parallel.compiling import jit
from jstr.text import Charset
from jstr.text.messages import InputError

FRAMES_OF = 8  # images at a time, so that one size is compiled


@dataclass(frozen=True)
class Guide:
    """What texts are expected: `rules`, whose prior and pattern are each None where nothing is, and their search.

    search: None: texts are decoded greedily. steps: see `compiled_steps`.
    """

    model: Recognizer
    charset: Charset
    rules: Rules
    steps: tuple
    search: Search | None = None

    @property
    def prior(self) -> WordPrior | None:
        return self.rules.prior

    @property
    def pattern(self) -> Pattern | None:
        return self.rules.pattern

    def with_weight(self, weight: float) -> Guide:
        """The same, for which the words that are expected weigh `weight` (config.language_model.weight)."""
        return self._with_rules(self.rules._replace(weight=weight))

    def with_pattern(self, spec: PatternSpec) -> Guide:
        """The same with another pattern; an empty spec stands for none. Raises InputError: see Pattern."""
        if spec and self.model.reads_text:
            raise InputError("pattern: a language model reads words, not images")
        return self._with_rules(self.rules._replace(pattern=compiled(spec, self.charset)))

    def _with_rules(self, rules: Rules) -> Guide:
        return replace(self, rules=rules, search=make_search(self.model, rules, self.steps) if rules.expect else None)

    @functools.cached_property
    def any_search(self) -> Search:
        """The search, or one that expects nothing: for the texts beside the one that is read greedily."""
        return self.search or make_search(self.model, self.rules, self.steps)

    def frames(self, variables: Mapping[str, Any], images: np.ndarray) -> np.ndarray:
        """CTC: probabilities [B, T, 1 + V] of the blank and of the characters in images uint8 [B, H, W, C]."""
        (probabilities_of,) = self.steps
        batches = [padded(images[i : i + FRAMES_OF], FRAMES_OF) for i in range(0, len(images), FRAMES_OF)]
        return np.concatenate([probabilities_of(variables, batch) for batch in batches])[: len(images)]

    def centres(self, variables: Mapping[str, Any], images: np.ndarray, texts: Sequence[str]) -> list[Centres]:
        """Where an attention decoder looks for the characters of the texts of the first of images; None for others."""
        if not self.model.autoregressive:
            return [None] * len(texts)
        tokens = padded(decoder_inputs(self.charset, texts), len(images))
        return attended(np.asarray(_attention(self.model)(variables, images, tokens)), texts)

    def read(self, variables: Mapping[str, Any], images: np.ndarray, count: int) -> tuple[list[str], np.ndarray]:
        """Texts and confidences of the first `count` images."""
        answers = [found.texts[0] for found in self.search(variables, images)[:count]]
        return [self.rules.written(text) for text, _ in answers], np.array([value for _, value in answers], np.float32)


@functools.lru_cache(maxsize=4)
def _attention(model: Recognizer) -> Any:
    return jit(lambda variables, images, tokens: model.apply(variables, images, tokens, train=False)["attention"])


def make_guide(model: Recognizer, charset: Charset, config: Mapping[str, Any]) -> Guide:
    """From config.language_model and config.pattern. Raises InputError: one that cannot be used with this model."""
    options = dict(words="", weight=LANGUAGE_WEIGHT, width=WIDTH) | dict(config.get("language_model") or {})
    words, weight, width = options["words"], float(options["weight"]), options["width"]
    if words not in ("", "none") and (model.heads or model.reads_text):
        raise InputError(f"language_model={words}: this recogniser has a language model of its own; leave it empty")
    prior = make_prior(words, charset.characters)
    steps = () if model.reads_text else compiled_steps(model)
    guide = Guide(model, charset, Rules(charset.characters, prior, weight, width), steps)
    return guide.with_pattern(pattern_spec(**(config.get("pattern") or {})))


def add_options(parser: argparse.ArgumentParser) -> None:
    """The options of a command that say which texts are expected."""
    group = parser.add_argument_group("codes and other texts of a known form")
    more = dict(action="append", default=[])
    group.add_argument("--pattern", metavar="REGEX", help="regular expression of all texts; may be repeated", **more)
    group.add_argument("--pattern_weights", metavar="W,W", help="how frequent each pattern is; default: equally")
    group.add_argument("--allow", metavar="CHARACTERS", default="", help="the only characters that are read")
    group.add_argument("--checksum", help=f"{', '.join(CHECKSUMS)}: one for all patterns, or one each", **more)
    share = f"share of crops that follow no pattern; default: {NONE_SHARE}"
    group.add_argument("--no_code", type=float, metavar="SHARE", help=share)


def with_options(reader: Any, args: argparse.Namespace) -> Any:
    """The reader with what `add_options` was given; notes on it go to stderr. Raises InputError."""
    given = dict(regex=args.pattern, allow=args.allow, checksum=args.checksum)
    if not any(given.values()):
        if args.pattern_weights or args.no_code is not None:
            raise InputError("--pattern_weights and --no_code need a --pattern")
        return reader
    weights = args.pattern_weights.split(",") if args.pattern_weights else ()
    none = NONE_SHARE if args.no_code is None else args.no_code
    reader = reader.guided(PatternSpec.make(**given, weights=weights, none=none))
    for note in reader.guide.pattern.notes:
        print(note, file=sys.stderr)
    return reader
