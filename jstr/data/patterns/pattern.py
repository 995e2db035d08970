"""Patterns of codes: which texts can still become one, how they are written, and random ones."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from jstr.data.patterns.checksums import find_checksum
from jstr.data.patterns.nfa import LONGEST, NFA, written_forms
from jstr.data.patterns.spec import PatternSpec, check_spec
from jstr.text import Charset
from jstr.text.messages import InputError, first_few

MAX_STATES, MAX_NODES_KEPT = 20_000, 1_000_000  # of states, all nodes together; more are found again when needed
MAX_AT_ONCE = 15_000  # nodes of a state: what a character costs, at most
TRIES = 10_000  # of a random text, until its checksum is right


class State:
    """What is known of a text so far. Two texts with the same state can go on in the same ways.

    nodes: of the NFA. characters: numbers of those that may follow, as bits. need: the fewest that must follow.
    live, ends: numbers of the patterns that it may become, and of those that it follows as it is.
    """

    __slots__ = ("nodes", "characters", "need", "live", "ends", "next")

    def __init__(self, nodes: frozenset[int], nfa: NFA, bits: list[int]):
        self.nodes, self.next = nodes, {}
        self.need = min((nfa.need[node] for node in nodes), default=LONGEST + 1)
        self.live = frozenset(nfa.owner[node] for node in nodes)
        self.ends = frozenset(nfa.owner[node] for node in nodes if node in nfa.accept_set)
        self.characters = 0
        for kind in {nfa.kind[node] for node in nodes} - {-1}:
            self.characters |= bits[kind]


class Pattern:
    """One or several patterns with weights, over the characters of a charset.

    A charset with one case stands for both: [A-Z] matches the lower-case letters of a reader that knows no others, and
    `written` gives the capitals back.

    notes: what the user should know, a line each. numbers: of all characters that its texts have, an array.

    Raises:
      InputError: an expression that is no regular one or too large, that no text of the charset follows, or another
        invalid value.
    """

    def __init__(self, spec: PatternSpec, characters: str, longest: int = LONGEST):
        check_spec(spec)
        self.spec, self._forms = spec, written_forms(characters)
        forms, self.notes = self._allowed(spec.allow)
        regex = spec.regex or (".+",)
        weights = np.array(spec.weights or [1.0] * len(regex))
        self._log_weights = np.log(weights / weights.sum())
        checks = [find_checksum(c) for c in spec.checksum] or [None]
        self._checks = checks * (len(regex) if len(checks) == 1 else 1)
        self._nfa = NFA(regex, forms)
        self._bits = [_bits_of(members, len(characters)) for members in self._nfa.sets]
        self.numbers = np.array(sorted({n for members in self._nfa.sets for n in members}), np.int64)
        self._longest = min(longest, LONGEST)
        self._check_possible(regex, characters)
        self._live_logs: dict[frozenset[int], float] = {}
        self._clear()

    @property
    def has_checksum(self) -> bool:
        """Whether some complete texts are refused that the automaton accepts."""
        return any(self._checks)

    @property
    def is_single(self) -> bool:
        """Whether it is one expression, so that all texts that may still follow it have the same weight."""
        return len(self._checks) == 1

    def _allowed(self, allow: str) -> tuple[dict[str, int], list[str]]:
        """(forms of the characters that may occur, a note on those that the charset lacks)."""
        if not allow:
            return self._forms, []
        unknown = [c for c in dict.fromkeys(allow) if c not in self._forms]
        if len(unknown) == len(set(allow)):
            raise InputError(f"allow={allow[:40]!r}: this reader knows none of these characters")
        numbers = {self._forms[c] for c in allow if c in self._forms}
        notes = (
            [f"allow: this reader does not know {first_few(unknown, 20, ' ')}, so it never reads it"] if unknown else []
        )
        return {c: n for c, n in self._forms.items() if n in numbers}, notes

    def _check_possible(self, regex: Sequence[str], characters: str) -> None:
        """Raises InputError unless a text that is not empty follows each pattern."""
        nfa = self._nfa
        written = {nfa.owner[n] for n, kind in enumerate(nfa.kind) if kind >= 0 and nfa.need[n] <= self._longest}
        for number, (start, _) in enumerate(nfa.edges[0]):
            if nfa.need[start] > self._longest:
                known = characters if len(characters) <= 100 else characters[:97] + "..."
                why = f"no text of up to {self._longest} characters of {known!r} follows it"
            elif number not in written:
                why = "only the empty text follows it"
            else:
                continue
            raise InputError(f"pattern {regex[number][:60]!r}: {why}")

    def _clear(self) -> None:
        self._states: dict[frozenset[int], State] = {}
        self._nodes_kept = 0
        self._start = self._state([0])

    @property
    def start(self) -> State:
        """The state of the empty text."""
        if len(self._states) > MAX_STATES or self._nodes_kept > MAX_NODES_KEPT:
            self._clear()
        return self._start

    def _state(self, nodes: Sequence[int]) -> State:
        """The state of these nodes and of those that are reached without a character. Raises InputError: too many."""
        key = frozenset(self._reached(dict.fromkeys(nodes)))
        found = self._states.get(key)
        if found is None:
            if len(key) > MAX_AT_ONCE:
                raise InputError(
                    f"pattern {self.spec.regex[0][:60]!r}: a text may follow it in more than {MAX_AT_ONCE:,} ways at "
                    "once; make it smaller, with fewer repeats inside of repeats"
                )
            found = self._states[key] = State(key, nfa=self._nfa, bits=self._bits)
            self._nodes_kept += len(key)
        return found

    def _reached(self, nodes: dict[int, Any]) -> dict[int, Any]:
        """Those nodes, and those that are reached from them without a character, that a text can stop at.

        Each has the value of the one in `nodes` that it is reached from, of several that of the last.
        """
        nfa, seen, kept, todo = self._nfa, set(nodes), {}, list(nodes.items())
        while todo:
            node, value = todo.pop()
            if nfa.kind[node] >= 0 or node in nfa.accept_set:
                kept[node] = value
            for target, _ in nfa.edges[node]:
                if target not in seen and nfa.need[target] <= LONGEST:
                    seen.add(target)
                    todo.append((target, value))
        return kept

    def step(self, state: State, character: int) -> State:
        """The state after one more character, which must be one of state.characters."""
        found = state.next.get(character)
        if found is None:
            nfa, bit = self._nfa, 1 << character
            nodes = [nfa.after[n] for n in state.nodes if nfa.kind[n] >= 0 and self._bits[nfa.kind[n]] & bit]
            found = state.next[character] = self._state([n for n in nodes if nfa.need[n] <= LONGEST])
        return found

    def log_live(self, state: State) -> float:
        """Logarithm of the weight of the patterns that a text with this state may become."""
        found = self._live_logs.get(state.live)
        if found is None:
            weights = self._log_weights[list(state.live)]
            found = self._live_logs[state.live] = float(np.logaddexp.reduce(weights))
        return found

    def log_weight(self, text: str, state: State) -> float:
        """Logarithm of the weight of the patterns that a text follows, with their checksums; -inf: of none."""
        followed = [n for n in state.ends if self._checks[n] is None or self._checks[n](self.written(text))]
        return float(np.logaddexp.reduce(self._log_weights[followed])) if followed else -math.inf

    def matches(self, text: str) -> bool:
        """Whether a text, in the charset or as it is written, follows a pattern and its checksum."""
        state = self.start
        for c in text:
            number = self._forms.get(c, -1)
            if number < 0 or not state.characters >> number & 1:
                return False
            state = self.step(state, number)
        return self.log_weight(text, state) > -math.inf

    def written(self, text: str) -> str:
        """A text that follows a pattern, with the case that the pattern asks for; others as they are."""
        nfa = self._nfa
        ways = {node: "" for node in self.start.nodes}
        for c in text:
            longer: dict[int, str] = {}
            for node, before in sorted(ways.items(), reverse=True):  # of several ways, that of the first pattern
                for form in self._likeliest(node, c):
                    longer[nfa.after[node]] = before + form
            ways = self._reached(longer)
        return next((way for node, way in sorted(ways.items()) if node in nfa.accept_set), text)

    def _likeliest(self, node: int, c: str) -> list[str]:
        """How a node writes a character: as it is where it may; [] where it cannot."""
        kind = self._nfa.kind[node]
        forms = self._nfa.sets[kind].get(self._forms.get(c, -1), []) if kind >= 0 else []
        forms = self._preferred(forms)
        return [c] if c in forms else forms[:1]

    def _preferred(self, forms: list[str]) -> list[str]:
        """Those of the forms of a character that `allow` names; all of them where it names none."""
        return [form for form in forms if form in self.spec.allow] or forms

    def draw(self, rng: np.random.Generator) -> str:
        """A random text as it is written: uniform over every choice (patterns by their weights), its checksum right.

        Raises:
          InputError: no text with the right checksum is found.
        """
        for _ in range(TRIES):
            number = int(rng.choice(len(self._checks), p=np.exp(self._log_weights)))
            text = self._walk(rng, number)
            if text and (self._checks[number] is None or self._checks[number](text)):
                return text
        raise InputError(
            f"pattern {str(self.spec.regex)[:60]}: none of {TRIES:,} random texts is right: they are empty, or their "
            "checksum is wrong"
        )

    def _walk(self, rng: np.random.Generator, number: int) -> str:
        nfa, node, text = self._nfa, self._nfa.edges[0][number][0], []
        passed: set[int] = set()  # since the last character: what repeats nothing ends, or it would do so for ever
        while node != nfa.accepts[number]:
            left = self._longest - len(text)
            if nfa.kind[node] >= 0:
                members = nfa.sets[nfa.kind[node]]
                forms = [form for some in members.values() for form in self._preferred(some)]
                text.append(forms[int(rng.integers(len(forms)))])
                node = nfa.after[node]
                passed.clear()
                continue
            if node in passed and node in nfa.leave:
                node = nfa.leave[node]
                continue
            passed.add(node)
            edges = [(target, weight) for target, weight in nfa.edges[node] if nfa.need[target] <= left]
            pick = rng.random() * sum(weight for _, weight in edges)
            for node, weight in edges:  # noqa: B007
                pick -= weight
                if pick < 0:
                    break
        return "".join(text)


def compiled(spec: PatternSpec, charset: Charset) -> Pattern | None:
    """The pattern of texts that a reader with this charset can read; None for an empty spec. Raises InputError."""
    longest = LONGEST if charset.layout.is_ctc else charset.max_length
    return Pattern(spec, charset.characters, longest) if spec else None


def _bits_of(numbers: Iterable[int], count: int) -> int:
    """Those numbers, below `count`, as the bits of one."""
    marks = np.zeros(count, np.uint8)
    marks[list(numbers)] = 1
    return int.from_bytes(np.packbits(marks, bitorder="little").tobytes(), "little")
