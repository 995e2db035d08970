"""Regular expressions as nondeterministic automata over the characters of a charset (Thompson 1968).

Python's own parser reads the expressions, so that their syntax is that of `re`. What is no regular language (references
to groups, look-around) is refused. Python keeps the parser as a private module, which is as stable as its syntax tree.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterable
from re import _constants as op  # type: ignore[attr-defined]
from re import _parser  # type: ignore[attr-defined]
from typing import Any

from jstr.text.messages import InputError

LONGEST = 256  # characters of a text; no reader holds more
MAX_NODES = 400_000
MAX_MEMBERS = 2_000_000  # of all sets of characters together
AGAIN = 3  # how much likelier a random text repeats an unlimited repeat than it ends it
_TYPES = re.ASCII | re.UNICODE
_BEGIN, _FINISH = (op.AT_BEGINNING, op.AT_BEGINNING_STRING), (op.AT_END, op.AT_END_STRING)
_CATEGORIES = {
    op.CATEGORY_DIGIT: r"\d",
    op.CATEGORY_NOT_DIGIT: r"\D",
    op.CATEGORY_SPACE: r"\s",
    op.CATEGORY_NOT_SPACE: r"\S",
    op.CATEGORY_WORD: r"\w",
    op.CATEGORY_NOT_WORD: r"\W",
}


def written_forms(characters: str) -> dict[str, int]:
    """Every character that a text over `characters` stands for -> its place there: both cases of what has one."""
    forms = {c: i for i, c in enumerate(characters)}
    for i, c in enumerate(characters):
        for other in (c.lower(), c.upper()):
            if len(other) == 1 and other not in characters:
                forms.setdefault(other, i)
    return forms


class NFA:
    """The union of expressions. Node 0 is where all begin; each node has edges without a character, or one with.

    forms: what expressions may ask for -> number of the character (see written_forms).
    edges [N]: (node, weight) without a character; weights are those of a random choice.
    kind [N]: number of the set of characters that leads to `after` [N]; -1: none.
    sets: {number of a character: the forms of it that belong to the set}.
    leave: where unlimited repeats may go on or end -> where they end.
    owner [N]: the expression that a node belongs to. accepts: the last node of each; accept_set holds the same.
    need [N]: the fewest characters from there to the end of an expression; more than LONGEST if there is no way.
    """

    def __init__(self, expressions: Iterable[str], forms: dict[str, int]):
        self._forms, self._members = forms, 0
        self._cases: dict[str, list[str]] = {}  # of each character, in any case, the forms that differ in case only
        for form in forms:
            for c in {form, form.lower(), form.upper()}:
                self._cases.setdefault(c, []).append(form)
        self.edges: list[list[tuple[int, float]]] = [[]]
        self.kind, self.after, self.owner = [-1], [-1], [-1]
        self.leave: dict[int, int] = {}
        self.sets: list[dict[int, list[str]]] = []
        self.accepts: list[int] = []
        self._set_numbers: dict[Any, int] = {}
        for number, expression in enumerate(expressions):
            self._owner = number
            start = self._node()
            self.edges[0].append((start, 1.0))
            try:
                tree = _parse(expression)
                self.accepts.append(self._sequence(_without_anchors(tree), start, tree.state.flags))
            except InputError as error:
                raise InputError(f"pattern {_short(expression)}: {error}") from None
        del self._set_numbers  # constants of re, which cannot be pickled
        self.accept_set = frozenset(self.accepts)
        self.need = self._distances()

    def _node(self) -> int:
        if len(self.edges) >= MAX_NODES:
            raise InputError(f"it has more than {MAX_NODES:,} parts; make it smaller")
        self.edges.append([])
        self.kind.append(-1)
        self.after.append(-1)
        self.owner.append(self._owner)
        return len(self.edges) - 1

    def _sequence(self, items: Iterable[tuple[Any, Any]], at: int, flags: int) -> int:
        """Adds what comes after the node `at`, which nothing leaves yet; returns the last node."""
        for code, argument in items:
            if code in (op.LITERAL, op.NOT_LITERAL, op.IN, op.ANY):
                self.kind[at] = self._set(code, argument, flags)
                at_next = self._node()
                self.after[at] = at_next
                at = at_next
            elif code is op.SUBPATTERN:
                _, added, removed, body = argument
                kept = flags & ~_TYPES if added & _TYPES else flags
                at = self._sequence(body, at, (kept | added) & ~removed)
            elif code is op.BRANCH:
                at = self._branches(argument[1], at, flags)
            elif code in (op.MAX_REPEAT, op.MIN_REPEAT):
                at = self._repeat(*argument, at, flags)
            else:
                raise InputError(_refused(code))
        return at

    def _branches(self, branches: list, at: int, flags: int) -> int:
        join = self._node()
        for branch in branches:
            start = self._node()
            self.edges[at].append((start, 1.0))
            self.edges[self._sequence(branch, start, flags)].append((join, 1.0))
        return join

    def _repeat(self, least: int, most: Any, body: Any, at: int, flags: int) -> int:
        """Copies of `body`. More copies than fit into LONGEST characters change nothing but the size."""
        enough = LONGEST // max(1, body.getwidth()[0]) + 1
        for _ in range(min(least, enough)):
            at = self._sequence(body, at, flags)
        if most is op.MAXREPEAT:
            loop, inside, end = self._node(), self._node(), self._node()
            self.edges[at].append((loop, 1.0))
            self.edges[loop] += [(inside, AGAIN), (end, 1.0)]
            self.leave[loop] = end
            self.edges[self._sequence(body, inside, flags)].append((loop, 1.0))
            return end
        end, more = self._node(), min(most - least, enough)
        for i in range(more):
            inside = self._node()
            self.edges[at] += [(inside, more - i), (end, 1.0)]  # every number of copies is as likely
            at = self._sequence(body, inside, flags)
        self.edges[at].append((end, 1.0))
        return end

    def _set(self, code: Any, argument: Any, flags: int) -> int:
        """The number of a set of characters in `sets`."""
        flags &= re.IGNORECASE | re.ASCII
        key = (code, tuple(argument) if code is op.IN else argument, flags)
        if key in self._set_numbers:
            return self._set_numbers[key]
        forms = self._forms
        negated = code is op.NOT_LITERAL or code is op.ANY or (code is op.IN and argument[0][0] is op.NEGATE)
        inside: dict[int, list[str]] = {}
        for form in self._named(code, argument, flags):
            inside.setdefault(forms[form], []).append(form)
        found = inside
        if negated:  # [^a] leaves out what may stand for an a, in any case
            found = {}
            for form, number in forms.items():
                if number not in inside:
                    found.setdefault(number, []).append(form)
        self._members += len(found)
        if self._members > MAX_MEMBERS:
            raise InputError(f"its classes have more than {MAX_MEMBERS:,} characters; make it smaller")
        self.sets.append(found)
        self._set_numbers[key] = len(self.sets) - 1
        return len(self.sets) - 1

    def _named(self, code: Any, argument: Any, flags: int) -> Iterable[str]:
        """The forms that a set of the syntax tree names, with all that differ from them in case only."""
        forms = self._forms
        parts = argument if code is op.IN else [(op.LITERAL, ord("\n") if code is op.ANY else argument)]
        found: dict[str, None] = {}
        for low, high in _merged(value if kind is op.RANGE else (value, value) for kind, value in _ranges(parts)):
            if high - low < len(self._cases):
                found |= dict.fromkeys(map(chr, range(low, high + 1)))
            else:
                found |= dict.fromkeys(c for c in self._cases if len(c) == 1 and low <= ord(c) <= high)
        for name in {value for kind, value in parts if kind is op.CATEGORY}:
            matches = re.compile(_CATEGORIES[name], flags & re.ASCII).fullmatch
            found |= dict.fromkeys(c for c in self._cases if len(c) == 1 and matches(c))
        if flags & re.IGNORECASE:
            pairs = ((c, form) for c in found for form in self._cases.get(c, ()))
            return dict.fromkeys(form for c, form in pairs if not flags & re.ASCII or c == form or (c + form).isascii())
        return [c for c in found if c in forms]

    def _distances(self) -> list[int]:
        """`need` of all nodes: breadth first from the ends, edges without a character first."""
        back: list[list[tuple[int, int]]] = [[] for _ in self.edges]
        for node, edges in enumerate(self.edges):
            for target, _ in edges:
                back[target].append((node, 0))
            if self.kind[node] >= 0 and self.sets[self.kind[node]]:
                back[self.after[node]].append((node, 1))
        need = [LONGEST + 1] * len(self.edges)
        queue = deque(self.accepts)
        for node in self.accepts:
            need[node] = 0
        while queue:
            node = queue.popleft()
            for before, length in back[node]:
                if need[node] + length < need[before]:
                    need[before] = need[node] + length
                    (queue.append if length else queue.appendleft)(before)
        return need


def _short(expression: str) -> str:
    return repr(expression if len(expression) <= 60 else expression[:57] + "...")


def _parse(expression: str) -> Any:
    if not isinstance(expression, str) or not expression:
        raise InputError("it is empty; give a regular expression such as [A-Z]{3}[0-9]{4}")
    try:
        return _parser.parse(expression)
    except (re.error, OverflowError) as error:
        raise InputError(f"{error}; give a regular expression as of Python's re") from None
    except RecursionError:
        raise InputError("its groups are nested too deeply") from None


def _without_anchors(items: Iterable[Any], first: bool = True, last: bool = True) -> list:
    """Without ^ at the beginning and $ at the end, also of alternatives: a pattern is always that of the whole text.

    first, last: whether the items begin or end the expression.
    """
    items = list(items)
    if first and items and items[0][0] is op.AT and items[0][1] in _BEGIN:
        items = items[1:]
    if last and items and items[-1][0] is op.AT and items[-1][1] in _FINISH:
        items = items[:-1]
    for i in {0, len(items) - 1} if items else ():
        (code, argument), ends = items[i], (first and i == 0, last and i == len(items) - 1)
        if code is op.BRANCH:
            items[i] = code, (argument[0], [_without_anchors(branch, *ends) for branch in argument[1]])
        elif code is op.SUBPATTERN:
            items[i] = code, (*argument[:3], _without_anchors(argument[3], *ends))
    return items


def _refused(code: Any) -> str:
    if code is op.AT:
        return "^ and $ may only stand at its ends, and \\b nowhere; it always matches the whole text"
    names = {op.GROUPREF: "references to groups", op.ASSERT: "look-around", op.ASSERT_NOT: "look-around"}
    names[op.GROUPREF_EXISTS] = names[op.GROUPREF]
    what = names.get(code, "atomic groups and possessive repeats")
    return f"{what} cannot be used; literals, classes, repeats, alternatives and groups can"


def _ranges(parts: Iterable[tuple[Any, Any]]) -> list[tuple[Any, Any]]:
    """The characters and ranges of characters among the parts of a set."""
    return [part for part in parts if part[0] in (op.LITERAL, op.RANGE)]


def _merged(ranges: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    """The same numbers as ranges that do not overlap, ascending."""
    found: list[tuple[int, int]] = []
    for low, high in sorted(ranges):
        if found and low <= found[-1][1] + 1:
            found[-1] = found[-1][0], max(high, found[-1][1])
        else:
            found.append((low, high))
    return found
