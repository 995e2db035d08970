"""What is measured at a step: the benchmarks of config.evals and the validation batches of config.held_back."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from jstr.checkpoints import checkpoint
from jstr.core import TrainState
from jstr.inference import score
from jstr.inference.attention import attention_images
from jstr.inference.reader import model_variables
from jstr.parallel import sharding
from jstr.text.messages import check_choice
from jstr.text.metrics import Score
from jstr.training.setup import Parts

Weights = Callable[[str], dict]  # "student" or "teacher" -> the variables that the recogniser reads with


class Evaluation(NamedTuple):
    """scores: by benchmark. validation: means over the validation batches. images: for people, uint8 [H, W, 3]."""

    scores: dict[str, Score]
    validation: dict[str, float]
    images: dict[str, np.ndarray]

    def value(self, name: str) -> float | None:
        """The figure SET/METRIC or held_back/METRIC by which config.keep_best compares.

        None without a name, and where the metric had nothing to count, such as a mean over confident words.
        """
        place, _, metric = name.partition("/")
        scores = self.scores[place].row() if place in self.scores else {}
        return (self.validation if place == "held_back" else scores).get(metric)


def check_figure(parts: Parts, state: TrainState) -> None:
    """Raises InputError when config.keep_best names a figure that `evaluate` does not give."""
    name = parts.config.keep_best
    if not name:
        return
    place = name.partition("/")[0]
    scores = [*Score().row(), *(f"{head}/accuracy" for head in parts.reader.heads)]
    known = parts.validation.names(state) if place == "held_back" else scores
    check_choice("config.keep_best", name, [f"{place}/{metric}" for metric in known])


def evaluate(parts: Parts, state: TrainState) -> Evaluation:
    """Measures a state. All processes must call it; each reads the benchmarks on its first device."""
    weights = weights_of(parts, state)
    scores = benchmark_scores(parts, weights)
    validation, images = parts.validation.measure(state), parts.validation.draw(state, parts.reader.charset)
    if parts.benchmarks and parts.reader.has_attention:
        reader = parts.reader.with_variables(weights(parts.config.eval_weights))
        images |= attention_images(reader, parts.benchmarks)
    return Evaluation(scores, validation, images)


def benchmark_scores(parts: Parts, weights: Weights) -> dict[str, Score]:
    """The scores of config.evals by name, each read with the weights that its row names; prints remarks on them."""
    scores = {}
    for name, source in parts.benchmarks.items():
        row = parts.config.evals[name]
        reader = parts.reader.with_variables(weights(row.get("weights", parts.config.eval_weights)))
        scores[name] = score.score(reader, source, row.get("subset", name), row.get("protocol", "alnum36"))
        for line in score.remarks(name, scores[name]):
            print(line)
    return scores


def weights_of(parts: Parts, state: TrainState) -> Weights:
    """The weights of a state, on the first device of each process."""

    def weights(name: str) -> dict:
        variables = state.teacher if name == "teacher" else (state.params, state.model_state)
        return model_variables(*sharding.to_local_device(variables, parts.mesh))

    return weights


def saved_weights(workdir: str) -> Weights:
    """The weights that a workdir reads with: of its best checkpoint with config.keep_best, else of its newest."""

    def weights(name: str) -> dict:
        saved = checkpoint.load_variables(workdir, name)
        return model_variables(saved["params"], saved["model_state"])

    return weights
