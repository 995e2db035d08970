"""Beam search with a prior over texts (shallow fusion), for CTC and for decoders that end words with EOS.

With a pattern, only texts that can still follow it stay in the beam.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from jstr.data.patterns.pattern import Pattern, State
from jstr.decoding.candidates import MARGIN, Candidates, Frame, allowed, ctc_frames, rows_of
from jstr.decoding.ngram_lm import WordPrior
from jstr.decoding.ranking import Scores
from jstr.text import tidy

BONUS = 2.0  # per character, in units of the prior's weight: about what a character of a word costs in the prior
WIDER = 4  # times the width, where texts are refused at their end only: checksums are right once in 10 to 97 texts
IMPROBABLE = 2 * MARGIN  # texts of a wide beam are pruned that are less probable than exp(-IMPROBABLE) times the best
IMPOSSIBLE = -math.inf


class Rules(NamedTuple):
    """What a search goes by.

    characters: of the charset, in the order of their ids. prior: None stands for one that finds all texts alike, and
    weight is its weight. width: texts kept after each frame or step. pattern: what the texts follow; None: anything.
    """

    characters: str
    prior: WordPrior | None
    weight: float
    width: int
    pattern: Pattern | None = None

    @property
    def expect(self) -> bool:
        """Whether some texts are expected more than others; where not, they can be read greedily."""
        return self.prior is not None or self.pattern is not None

    def written(self, text: str) -> str:
        """A text in the case that the pattern asks for; without one, with white space as labels have it."""
        return tidy(text, self.characters) if self.pattern is None else self.pattern.written(text)

    @property
    def beam(self) -> int:
        """The width of the beam. Checksums refuse texts at their end only, so more of them must be kept."""
        return self.width * (WIDER if self.pattern is not None and self.pattern.has_checksum else 1)


def ctc_texts(probabilities: np.ndarray, rules: Rules) -> Scores:
    """The final beam for probabilities [T, 1 + V] of the blank and of the characters (Hannun et al. 2014).

    A score is log P(text | frames) + weight * (log P(text) + BONUS * length), where P(text | frames) sums over the
    paths within the beam; with a pattern, the logarithm of the weight of what the text follows is added. Where nothing
    in the beam follows the pattern, less is cut, then the beam is wider; {} if that does not help. `ranked` gives
    probabilities.
    """
    pattern, width = rules.pattern, rules.width
    if pattern is None:
        return _ctc_texts(ctc_frames(probabilities, rules.characters, None), rules, width)[0]
    frames = ctc_frames(probabilities, rules.characters, pattern)
    texts, best = _ctc_texts(frames, rules, width)
    if best not in texts and pattern.has_checksum:
        texts, _ = _ctc_texts(frames, rules, width * WIDER, IMPROBABLE)  # which the image and the pattern choose
    if not texts:
        frames = ctc_frames(probabilities, rules.characters, pattern, math.inf)
        for more in (WIDER,) if pattern.has_checksum else (1, WIDER):
            texts = texts or _ctc_texts(frames, rules, width * more)[0]
    return texts


def position_texts(probabilities: np.ndarray, rules: Rules) -> Scores:
    """The same for probabilities [T, 1 + V] of EOS and of the characters at positions that are independent."""
    beam, search = [("", 0.0, 0)], _Endings(rules)
    rows = rows_of(probabilities, rules.characters, rules.pattern)
    for left, row in zip(range(len(probabilities) - 1, -1, -1), rows, strict=True):
        beam = search.extend(beam, [row] * len(beam), left)
    return search.ended


def attention_texts(
    probabilities: np.ndarray, advance: Callable[[np.ndarray, np.ndarray], np.ndarray], steps: int, rules: Rules
) -> list[Scores]:
    """The same for B words at once and an autoregressive decoder, which is re-run after each prefix.

    probabilities [B, 1 + V]: of EOS and of the characters at the first step. steps: the most steps, EOS included.
    advance(parents, written), both [rules.beam, B] int32, returns probabilities [rules.beam, B, 1 + V] after each text
    of a word's beam: the text that was at index `parent`, followed by character number `written`.
    """
    index_of = {c: i for i, c in enumerate(rules.characters)}
    beams = [[("", 0.0, 0)] for _ in probabilities]
    searches = [_Endings(rules) for _ in probabilities]
    probabilities = probabilities[None]
    for left in range(steps - 1, -1, -1):
        parents, written = np.zeros((2, rules.beam, len(beams)), np.int32)
        for word, beam in enumerate(beams):
            rows = list(rows_of(probabilities[: len(beam), word], rules.characters, rules.pattern))
            beams[word] = searches[word].extend(beam, rows, left) if beam else []
            for i, (text, _, parent) in enumerate(beams[word]):
                parents[i, word], written[i, word] = parent, index_of[text[-1]]
        if not left or not any(beams):
            break
        probabilities = advance(parents, written)
    return [search.ended for search in searches]


class _Endings:
    """The texts of one word that a decoder has ended, and what may follow the others.

    ended: the score of each text and its log probability without the prior.
    """

    def __init__(self, rules: Rules):
        self._rules, self._pattern = rules, rules.pattern
        self._states: dict[str, State] = {} if self._pattern is None else {"": self._pattern.start}
        self.ended: Scores = {}

    def extend(self, beam: list, rows: list, left: int) -> list:
        """The best texts of `beam` plus a character: (text, log probability, index of its prefix in `beam`).

        rows: the result of `rows_of` for each of them. left: how many steps there are after this one. Adds to `ended`
        the texts that may end here. A text whose end is as improbable as a character that is pruned may not, where it
        can go on: a heavy prior would otherwise cut long numbers short.
        """
        longer = []
        for parent, ((text, log, _), (end, candidates)) in enumerate(zip(beam, rows, strict=True)):
            candidates = self._fitting(text, candidates, left)
            if end >= -MARGIN or not candidates or not left:
                self._end(text, log + end)
            for c, _, more in candidates if left else ():
                score = log + more + _prefix_score(self._rules, text + c)
                if self._pattern is not None:
                    score += self._pattern.log_live(self._states[text + c])
                longer.append((score, text + c, log + more, parent))
        least = max((score for score, _ in self.ended.values()), default=IMPOSSIBLE) - MARGIN
        return [tuple(rest) for score, *rest in sorted(longer, reverse=True)[: self._rules.beam] if score > least]

    def _end(self, text: str, log: float) -> None:
        score = log + _whole_score(self._rules, text)
        if self._pattern is not None:
            score += self._pattern.log_weight(text, self._states[text])
        if score > IMPOSSIBLE:
            self.ended[text] = score, log

    def _fitting(self, text: str, candidates: Candidates, left: int) -> Candidates:
        """The characters that may follow `text` with a pattern; `left` more steps must suffice for the rest of it."""
        if self._pattern is None:
            return candidates
        state, found = self._states[text], []
        for c, i, log in allowed(candidates, state.characters):
            after = self._pattern.step(state, i)
            if after.need < left:
                self._states[text + c] = after
                found.append((c, i, log))
        return found


def _prefix_score(rules: Rules, text: str) -> float:
    return 0.0 if rules.prior is None else rules.weight * (rules.prior.log_prefix(text) + BONUS * len(text))


def _whole_score(rules: Rules, text: str) -> float:
    return 0.0 if rules.prior is None else rules.weight * (rules.prior.log_whole(text) + BONUS * len(text))


def _ctc_texts(
    frames: list[tuple[Frame, int]], rules: Rules, width: int, margin: float = math.inf
) -> tuple[Scores, str | None]:
    """(the texts that are left after the last frame and may end, the best one if all might).

    width: texts kept after each frame. Texts whose paths are less probable than exp(-margin) times the best are not.
    """
    pattern = rules.pattern
    states = {} if pattern is None else {"": pattern.start}
    bias: dict[str, float] = {}  # what the prior and the weights of patterns add to a text that may go on

    alike = (rules.prior is None or margin < math.inf) and (pattern is None or pattern.is_single)

    def fused(item) -> float:
        text, (blank, other) = item
        log = other if blank == IMPOSSIBLE else _log_add(blank, other)
        if alike:
            return log
        more = bias.get(text)
        if more is None:
            more = _prefix_score(rules, text) if margin == math.inf else 0.0
            if pattern is not None:
                more += pattern.log_live(states[text])
            bias[text] = more
        return log + more

    beam = {"": (0.0, IMPOSSIBLE)}  # text -> log probability of its paths that end with a blank, and of the others
    numbers = {"": -1}  # of the last character of each text
    for frame, left in frames:
        least = max(max(paths) for paths in beam.values()) - margin if beam else 0.0
        beam = _ctc_step(beam, frame, numbers, states, pattern, least)
        if pattern is not None:
            beam = {text: paths for text, paths in beam.items() if states[text].need <= left}
        if len(beam) > width:
            beam = dict(sorted(beam.items(), key=fused, reverse=True)[:width])
    best = max(beam.items(), key=fused)[0] if beam else None
    return _ended(beam, states, rules), best


def _ended(beam: dict[str, tuple[float, float]], states: dict[str, State], rules: Rules) -> Scores:
    """The scores of the texts of a beam, without those that follow no pattern."""
    scores, pattern = {}, rules.pattern
    for text, paths in beam.items():
        log = _log_add(*paths)
        score = log + _whole_score(rules, text)
        if pattern is not None:
            score += pattern.log_weight(text, states[text])
        if score > IMPOSSIBLE or pattern is None:
            scores[text] = score, log
    return scores


def _ctc_step(
    beam: dict[str, tuple[float, float]],
    frame: Frame,
    numbers: dict[str, int],
    states: dict[str, State],
    pattern: Pattern | None,
    least: float,
) -> dict[str, tuple[float, float]]:
    """All texts after one more frame. Adds the new ones to `numbers` and, with a pattern, to `states`.

    least: the log probability of the texts before it and of the new ones; less is left out.
    """
    blank, candidates, row = frame
    if not row:
        return {text: (_log_add(*paths) + blank, IMPOSSIBLE) for text, paths in beam.items()}
    result: dict[str, tuple[float, float]] = {}
    fitting: dict[int, Candidates] = {}
    for text, (ends_blank, ends_other) in beam.items():
        both, last = _log_add(ends_blank, ends_other), numbers[text]
        if both < least:
            continue
        again = ends_other + row[last] if text else IMPOSSIBLE  # a repeat without a blank in between is the same
        known = result.get(text)
        stays = both + blank
        result[text] = (stays, again) if known is None else (_log_add(known[0], stays), _log_add(known[1], again))
        if pattern is None:
            following = candidates
        else:  # most texts of a beam may go on in the same ways
            bits = states[text].characters
            following = fitting.get(bits)
            if following is None:
                following = fitting[bits] = allowed(candidates, bits)
        for c, i, log in following:
            log += ends_blank if i == last else both
            if log > least:
                longer = text + c
                known = result.get(longer)
                result[longer] = (IMPOSSIBLE, log) if known is None else (known[0], _log_add(known[1], log))
                if longer not in numbers:
                    numbers[longer] = i
                    if pattern is not None:
                        states[longer] = pattern.step(states[text], i)
    return result


def _log_add(a: float, b: float) -> float:
    """log(exp(a) + exp(b))."""
    if a < b:
        a, b = b, a
    return a if b == IMPOSSIBLE else a + math.log1p(math.exp(b - a))
