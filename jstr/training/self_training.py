"""Self-training in rounds: a run reads its unlabelled images again, with what it has learned from them so far.

    config.self_training = dict(every=N, thresholds=(0.9, 0.8), shares=(), stop_after=2)

The sources with read_by begin with the labels of that reader. After every N steps the run's own weights (the moving
average where config.teacher keeps one) read the same images with the same words, and what they read with enough
confidence are the labels until the next round: thresholds[i] in round i + 1, the last one in all that follow; none:
that of read_by. Or the surest share of the images is: shares=(0.5, 0.75, 1.0), in the same way. A threshold that falls
or a share that grows takes the surest words first, as in progressive self-training (StrDA, WACV 2025,
github.com/KhaLee2307/StrDA, with confidence in the place of distance). WORKDIR/read keeps the texts of every round, and
a sheet of what has changed.

stop_after: the run ends where config.keep_best has fallen from round to round this many times in a row, together by
more than noise (jstr/training/tracker.py); 0, the default: never. It then reads with its best weights, which may be the
start's.

config.average_with_start: the weights are averaged at the end of each round, before its texts are read.

A round depends only on the weights at its first step, so a run that is stopped in it goes on exactly.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from itertools import pairwise

from jstr.core import Config, TrainState
from jstr.inference.pseudo_labelling import Round, read_round
from jstr.inference.reader import Reader
from jstr.parallel import distributed
from jstr.text.messages import InputError
from jstr.training import ema_teacher
from jstr.training.evaluation import weights_of
from jstr.training.setup import Parts


def begins(config: Config, step: int) -> bool:
    """Whether a round of self-training begins before the step after this one."""
    return bool(config.self_training) and step > 0 and step % config.self_training.every == 0


def ends_round(config: Config, step: int) -> bool:
    """Whether a round, or what comes before the first, ends at this step and is to be compared with those before."""
    return bool(config.self_training.get("stop_after")) and step % config.self_training.every == 0


def drift(config: Config, values: Sequence[float], noise: float) -> str:
    """A line that says why the run ends after rounds with these values of config.keep_best; "": it goes on.

    noise: a difference of these values that says nothing.
    """
    falls = config.self_training.get("stop_after", 0)
    last = values[-falls - 1 :]
    if not falls or len(last) <= falls or any(b >= a for a, b in pairwise(last)):
        return ""
    if last[0] - last[-1] <= noise:
        return ""
    fallen = " > ".join(f"{value:.4g}" for value in last)
    return f"rounds end here: {config.keep_best} has fallen {falls} times in a row ({fallen}); the best step is kept"


def relabelled(parts: Parts, state: TrainState, step: int) -> Parts:
    """The parts with the labels of the round that `step` lies in; `state` reads them where the round begins.

    Raises:
      InputError: the labels of a round that began earlier are gone, or no image is read surely enough.
    """
    config = parts.config
    number = step // config.self_training.every if config.self_training else 0
    if not number:
        return parts
    reader = _reader_of(parts, state) if begins(config, step) else None
    read, lines = read_round(config, parts.workdir, Round(number, reader))
    try:
        data = parts.data.with_labels(read)
    except InputError as error:
        raise InputError(f"round {number} of self-training: {error}") from error
    if distributed.is_lead_host():
        lines += [note for note in data.notes if note not in parts.data.notes]
        print("\n".join(lines), flush=True)
    return parts._replace(data=data)


def _reader_of(parts: Parts, state: TrainState) -> Callable[[str | None], Reader]:
    """Language model (None: that of the config) -> the reader of a state."""
    config = parts.config
    variables = weights_of(parts, state)("teacher" if ema_teacher.is_moving(config) else config.eval_weights)

    @functools.cache
    def reader(words: str | None) -> Reader:
        given = config.to_dict()
        if words is not None:
            given["language_model"] = (given.get("language_model") or {}) | {"words": words}
        return Reader(given, variables)

    return reader
