"""Patterns against Python's re, over all short texts, and hostile ones."""

import itertools
import re
import time

import numpy as np
import pytest

from jstr.data.patterns.pattern import Pattern
from jstr.data.patterns.spec import PatternSpec, pattern_spec
from jstr.text.messages import InputError

RNG = np.random.default_rng(0)
TEXTS = ["".join(t) for n in range(5) for t in itertools.product("abB1.", repeat=n)]


def make(regex, characters="abB1.", **more) -> Pattern:
    return Pattern(PatternSpec.make(regex, **more), characters)


@pytest.mark.parametrize(
    "regex",
    [
        "ab1",
        "[ab]{2}[0-9]",
        "a*b+1?",
        "(a|b1)*",
        "(ab|a)(b1|1)?",
        r"\d+|\w\.\w",
        "[^a]{1,3}",
        "(?:a{2}|b){2,3}",
        "a{0,2}?b{,2}",
        "(a?){3}b",
        "((a|b)*)*1",
        "(?i)ab|1",
        "(?i:b)1",
        "(?i:a(?-i:b))1?",
        "[.-a1]b",
        "^a.b$",
        r"\Aa\.+\Z",
        "[^\\d.]+",
        "(|a)b",
        "a(?:)b|(ab)+",
        "(?x) a  b # comment",
        "^a$|^b1$",
        "(^a|b)1?($|b$)",
        "(?:^(a$|b)|1)",
    ],
)
def test_matches_what_re_matches(regex):
    pattern, compiled = make(regex), re.compile(regex)
    wrong = [t for t in TEXTS if pattern.matches(t) != (compiled.fullmatch(t) is not None)]
    assert not wrong
    prefixes = {t[:i] for t in TEXTS if compiled.fullmatch(t) for i in range(len(t) + 1)}
    for text in TEXTS:
        state = pattern.start
        for c in text:
            number = "abB1.".index(c)
            if not state.characters >> number & 1:
                assert text not in prefixes
                break
            state = pattern.step(state, number)
        else:
            full = [t for t in TEXTS if t.startswith(text) and compiled.fullmatch(t)]
            assert not full or state.need == min(map(len, full)) - len(text)


@pytest.mark.parametrize(
    "regex", [r"(?a)\w\d", r"(?a:\w)\d", r"(?ai)[éa]k", r"(?i)É(?a:k)\w", r"(?a)[^\W\d]s", r"(?a)\W."]
)
def test_ascii_is_that_of_re(regex):
    characters = "aéÉ1\u0661kKs\u212a\u017f"
    pattern, compiled = make(regex, characters), re.compile(regex)
    texts = ["".join(t) for n in (2, 3) for t in itertools.product(characters, repeat=n)]
    assert [t for t in texts if pattern.matches(t) != (compiled.fullmatch(t) is not None)] == []


def test_one_case_stands_for_both_and_is_given_back():
    pattern = make("[A-Z]{3}[0-9]{2}|x[a-z]{3}", "0123456789abcdefghijklmnopqrstuvwxyz")
    assert pattern.matches("abc12") and pattern.matches("ABC12") and not pattern.matches("ab12")
    assert pattern.written("abc12") == "ABC12" and pattern.written("xabc") == "xabc"
    assert pattern.written("nothing") == "nothing"
    assert make("[A-Z]b", "abB1").written("Bb") == "Bb" and not make("[A-Z]b", "abB1").matches("bb")
    lower = make("[^A-C].", "abcd")
    assert lower.matches("da") and not lower.matches("ad")
    assert make("[가-힣]{2}", "가나다a").matches("가다")


def test_allow_and_checksum():
    assert make((), allow="1a").matches("1aa1") and not make((), allow="1a").matches("1b")
    assert not make("[ab]+", allow="1a").matches("b")
    lower = "0123456789abcdefghijklmnopqrstuvwxyz"
    capitals = make((), lower, allow="ABC1")
    assert capitals.written("ab1") == "AB1" and set(capitals.draw(RNG)) <= set("ABC1") and capitals.matches("ab1")
    assert (
        make("[a-c]+", lower, allow="ABC").written("ab") == "ab" and make((), lower, allow="Ab").written("ab") == "Ab"
    )
    pattern = make((), allow="1-")
    assert "-" in pattern.notes[0]
    digits = make("[0-9]{4,8}", "0123456789", checksum="luhn")
    assert not digits.matches("0000019") and digits.matches("0000018")
    own = make("[ab]+", checksum=lambda text: text.count("a") == 2)
    assert own.matches("aba") and not own.matches("ab")
    written = make("[A-Z]{2}", "ab", checksum=lambda text: text == "AB")
    assert written.matches("ab") and not written.matches("ba")  # a checksum sees what the pattern writes


def test_weights_of_patterns():
    pattern = make(["a+", "b"], weights=[3, 1])
    after = {c: pattern.step(pattern.start, "abB1.".index(c)) for c in "ab"}
    assert [pattern.log_live(after[c]) for c in "ab"] == pytest.approx(np.log([0.75, 0.25]))
    assert pattern.log_live(pattern.start) == pytest.approx(0)
    assert pattern.log_weight("", pattern.start) == -np.inf
    drawn = [pattern.draw(RNG)[0] for _ in range(400)]
    assert 0.65 < np.mean([c == "a" for c in drawn]) < 0.85


@pytest.mark.parametrize("regex", ["[ab]{2,4}1?", "(a|bb|1\\.)+", "a{0,3}|b{2}"])
def test_draws_follow_the_pattern(regex):
    pattern = make(regex)
    drawn = [pattern.draw(RNG) for _ in range(300)]
    assert all(re.fullmatch(regex, text) for text in drawn) and len(set(drawn)) > 3


def test_draws_are_uniform_over_choices():
    lengths = [len(make("a{1,4}").draw(RNG)) for _ in range(1000)]
    assert all(0.2 < lengths.count(n) / 1000 < 0.3 for n in (1, 2, 3, 4))
    lengths = [len(make("a+").draw(RNG)) for _ in range(1000)]
    assert all(abs(lengths.count(n) / 1000 - 0.25 * 0.75 ** (n - 1)) < 0.06 for n in (1, 2, 3))
    short = Pattern(PatternSpec.make("(ab)+1?"), "ab1", longest=4)
    assert {short.draw(RNG) for _ in range(100)} == {"ab", "ab1", "abab"}
    upper = make("[A-Z]{8}", "abcdefghijklmnopqrstuvwxyz").draw(RNG)
    assert upper.isupper() and len(upper) == 8
    container = make("[A-Z]{3}U[0-9]{7}", "0123456789abcdefghijklmnopqrstuvwxyz", checksum="iso6346")
    assert container.matches(container.draw(RNG))
    with pytest.raises(InputError, match="none of 10,000 random texts"):
        make("a", checksum=lambda text: False).draw(RNG)


@pytest.mark.parametrize(
    "regex, message",
    [
        ("", "it is empty"),
        ("[A-Z", "unterminated character set"),
        ("a{3,1}", "min repeat greater"),
        ("(a)\\1", "references to groups"),
        ("(?=a)b", "look-around"),
        ("a++", "possessive"),
        ("a\\bb", "whole text"),
        ("a^b", "whole text"),
        ("\\bab\\b", r"\\b nowhere"),
        ("(a|^b)*", "whole text"),
        ("a(^b|1)", "whole text"),
        ("[xyz]{2}", "no text of up to 256 characters of 'abB1.'"),
        ("a[^abB1.]", "no text"),
        ("a{1000000}", "no text of up to 256"),
        ("((a{1000}){1000}){1000}", "no text of up to 256"),
        ("(){1000000}", "only the empty text"),
        ("a{0}", "only the empty text"),
        ("[^\\x00-\\uffff]", "no text of up to 256"),
        ([5], "give texts"),
        (b"a", "give texts"),
        ("(" * 3000 + "a" + ")" * 3000, "nested too deeply"),
        ("a{99999999999999999999}", "repetition number is too large"),
        ((), "it is empty"),
    ],
)
def test_refuses(regex, message):
    start = time.process_time()
    with pytest.raises(InputError, match=message) as error:
        make(regex)
    assert time.process_time() - start < 10 and "\n" not in str(error.value) and len(str(error.value)) < 300


@pytest.mark.parametrize(
    "more, message",
    [
        (dict(weights=[1, 2]), "1 patterns need as many positive weights"),
        (dict(weights=["x"]), "give numbers"),
        (dict(weights=["nan"]), "1 patterns need as many positive weights"),
        (dict(allow=5), "give texts"),
        (dict(checksum=["luhn", "iban"]), "one for each of the 1"),
        (dict(none=1.5), "none=1.5"),
        (dict(allow="xyz"), "knows none of these characters"),
    ],
)
def test_refuses_other_values(more, message):
    with pytest.raises(InputError, match=message):
        make("a", **more)


@pytest.mark.parametrize("options", [dict(weights=[1]), dict(none=0.5), dict(regex=(), allow="", none=0.2)])
def test_options_without_a_pattern_are_refused(options):
    with pytest.raises(InputError, match="weights and none need a regex"):
        pattern_spec(**options)
    assert not pattern_spec(regex=(), weights=(), checksum=(), allow="", none=0.01), "as configs have it"


@pytest.mark.parametrize("regex", ["(a|a)*b", "(a*)*b", "(a+)+b", "(a|b)*a(a|b){20}", "(.*)*1", "a{0,200}" * 5 + "b"])
def test_catastrophic_patterns_take_linear_time(regex):
    pattern, start = make(regex), time.process_time()
    pattern.matches("a" * 200 + ".")
    assert pattern.matches("a" * 30 + "b") == ("1" not in regex)
    assert time.process_time() - start < 2


def test_weights_that_floats_cannot_tell_apart():
    for weights in ([1e308, 1e308], [1e-320, 1e300]):
        with pytest.raises(InputError, match="2 patterns need as many positive weights"):
            make(["a", "b"], weights=weights)


def test_many_ways_at_once_take_linear_time(monkeypatch):
    """Repeats inside of repeats: many nodes at once, written without doing the work of all for each of them."""
    pattern, start = make("((a{1,9}){1,9}){1,9}b|(a|a)*"), time.process_time()
    assert pattern.matches("a" * 60) and pattern.written("a" * 40 + "b") == "a" * 40 + "b"
    nested = make("(" * 12 + "a" + ")*" * 12)
    assert nested.matches("aaa") and set(nested.draw(RNG)) == {"a"}
    assert time.process_time() - start < 2
    monkeypatch.setattr("jstr.data.patterns.pattern.MAX_AT_ONCE", 100)
    with pytest.raises(InputError, match="'b.*more than 100 ways at once; make it smaller"):
        make("b((a{0,9}b?){0,9}){0,9}").matches("baa")


def test_classes_of_a_large_charset(monkeypatch):
    many = "".join(map(chr, range(0x4E00, 0x4E00 + 3000)))
    start = time.process_time()
    pattern = make("|".join(f"[{a}{b}]{a}" for a, b in itertools.pairwise(many[:2000])), many)
    assert pattern.matches(many[1] + many[0]) and not pattern.matches(many[3] + many[0])
    assert make("(?i)" + "|".join(c + many[0] for c in many[:500]), many).matches(many[7] + many[0])
    assert time.process_time() - start < 5
    monkeypatch.setattr("jstr.data.patterns.nfa.MAX_MEMBERS", 100_000)
    with pytest.raises(InputError, match="its classes have more than 100,000 characters"):
        make("|".join(f"[^{a}]{a}" for a in many[:100]), many)


def test_too_large(monkeypatch):
    monkeypatch.setattr("jstr.data.patterns.nfa.MAX_NODES", 5000)
    with pytest.raises(InputError, match="it has more than 5,000 parts; make it smaller"):
        make("((a?){9999}b?){9999}")


def test_ten_thousand_alternatives():
    words = [f"{i:04d}a" for i in range(10_000)]
    start = time.process_time()
    for regex in ("|".join(words), tuple(words)):
        pattern = make(regex, "0123456789ab")
        assert pattern.matches("0999a") and not pattern.matches("1000b") and pattern.draw(RNG) in words
    assert time.process_time() - start < 10


def test_what_is_asked_for_is_shown_as_it_was_written():
    assert str(PatternSpec.make("[0-9]{3}")) == "[0-9]{3}"
    spec = PatternSpec.make(("a", "b"), (3, 1), ("luhn", str.isdigit), "ab", 0.05)
    assert str(spec) == "a or b, checksum luhn,isdigit, weights 3,1, allow ab, none 0.05"
    assert str(PatternSpec.make(allow="01")) == "any text, allow 01"
