"""What a user asks for where texts follow a pattern, checked as far as no charset is needed."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

from jstr.data.patterns.checksums import Checksum
from jstr.text.messages import InputError, check_known

NONE_SHARE = 0.01  # of texts that follow no pattern


@dataclass(frozen=True)
class PatternSpec:
    """What a user asks for; config.pattern has the same keys.

    regex: expressions, of which the whole text must follow one; () with `allow`: any text. weights: of each, by default
    equal. checksum: a name or a function of the text for all of them, or one of each ("": none).
    allow: the only characters that may occur; "": all. none: the share of crops that follow no pattern.
    """

    regex: tuple[str, ...] = ()
    weights: tuple[float, ...] = ()
    checksum: tuple[str | Checksum, ...] = ()
    allow: str = ""
    none: float = NONE_SHARE

    @classmethod
    def make(cls, regex=(), weights=(), checksum=(), allow="", none=NONE_SHARE) -> PatternSpec:
        """The same of single values too. Raises InputError: other types."""
        try:
            regex, checksum = ((x,) if isinstance(x, str) or callable(x) else tuple(x or ()) for x in (regex, checksum))
        except TypeError:
            raise InputError(f"pattern: regex={regex!r}, checksum={checksum!r}: give texts") from None
        try:
            weights, none = tuple(float(w) for w in weights or ()), float(none)
        except (TypeError, ValueError):
            raise InputError(f"pattern: weights={weights!r}, none={none!r}: give numbers") from None
        if not isinstance(allow or "", str) or not all(isinstance(expression, str) for expression in regex):
            raise InputError(f"pattern: regex={str(regex)[:60]}, allow={str(allow)[:60]!r}: give texts")
        return cls(regex, weights, tuple(c for c in checksum if c) and checksum, allow or "", none)

    def __bool__(self) -> bool:
        return bool(self.regex or self.allow or self.checksum)

    def __str__(self) -> str:
        """For a person: the expressions, and what else is not the default."""
        names = [getattr(c, "__name__", str(c)) for c in self.checksum]
        rest = dict(checksum=",".join(names), weights=",".join(f"{w:g}" for w in self.weights), allow=self.allow)
        rest["none"] = "" if self.none == NONE_SHARE else f"{self.none:g}"
        first = " or ".join(self.regex) or "any text"
        return ", ".join([first, *(f"{key} {value}" for key, value in rest.items() if value)])


def pattern_spec(**options: Any) -> PatternSpec:
    """From the keys of PatternSpec, of which `pattern` is another name of `regex`.

    Raises:
      InputError: another key, or weights or a share of others without what they are for.
    """
    options = {"regex" if key == "pattern" else key: value for key, value in options.items()}
    check_known("pattern", options, [field.name for field in fields(PatternSpec)])
    spec = PatternSpec.make(**options)
    if not spec and (spec.weights or spec.none != NONE_SHARE):
        raise InputError("pattern: weights and none need a regex, allow or checksum")
    return spec


def spec_of_read(**options: Any) -> PatternSpec:
    """pattern_spec of the options of a reader's `read` besides details and turn. Raises InputError: as pattern_spec."""
    check_known("read", options, ["details", "turn", "pattern", *(field.name for field in fields(PatternSpec))])
    return pattern_spec(**options)


def check_spec(spec: PatternSpec) -> None:
    """Raises InputError for values that do not fit each other."""
    if not spec:
        raise InputError("pattern: it is empty; give a regular expression such as [A-Z]{3}[0-9]{4}")
    weights = spec.weights
    if weights and (len(weights) != len(spec.regex) or not min(weights) > 0 or not 0 < min(weights) / sum(weights)):
        shown = f"{len(weights)}: {str(weights)[:60]}"
        raise InputError(f"pattern: {len(spec.regex)} patterns need as many positive weights, not {shown}")
    if len(spec.checksum) not in (0, 1, max(1, len(spec.regex))):
        raise InputError(f"pattern: give one checksum, or one for each of the {len(spec.regex)} patterns")
    if not 0 <= spec.none < 1:
        raise InputError(f"pattern: none={spec.none} is the share of crops without a code, from 0 to below 1")
