"""What rendered words say, and their labels."""

import numpy as np

from jstr.data.synth import text_sampler
from jstr.data.synth.style import Style
from jstr.data.synth.text_sampler import TextSampler
from jstr.text import NAMED


def test_one_case_reads_both():
    def shown(characters, **options):
        sampler, rng = TextSampler(characters, 25, Style(), **options), np.random.default_rng(0)
        return [pair for _ in range(300) if (pair := sampler.draw(rng))]

    pairs = shown(NAMED["36"])
    assert any(s.isupper() for _, s in pairs) and all(label == label.lower() for label, _ in pairs)
    assert all(label == "".join(c for c in s.lower() if c in NAMED["36"]) for label, s in pairs)
    assert all(label == s for label, s in shown(NAMED["94"]))
    assert not any(c.isupper() for _, s in shown(NAMED["36"], case_insensitive=False) for c in s)


def test_phrases_where_the_charset_has_the_space():
    def labels(characters, **style):
        sampler, rng = TextSampler(characters, 25, Style(**style)), np.random.default_rng(0)
        return [pair[0] for _ in range(400) if (pair := sampler.draw(rng))]

    spaced = labels(NAMED["94"] + " ", kinds=(1, 0, 0))
    assert 0.2 < np.mean([" " in label for label in spaced]) < 0.4
    assert all(label == " ".join(label.split()) and len(label) <= 25 for label in spaced)
    assert max(label.count(" ") for label in spaced) == 3 and any(label.istitle() and " " in label for label in spaced)
    assert labels(NAMED["94"], phrases=1.0) == labels(NAMED["94"], phrases=0.0), "others have none"


def test_addresses_and_numbers_show_their_marks():
    style = Style(addresses=1.0, kinds=(1, 0, 0))
    sampler, rng = TextSampler(NAMED["36"], 25, style), np.random.default_rng(0)
    pairs = [pair for _ in range(100) if (pair := sampler.draw(rng))]
    assert all(set(label) <= set(NAMED["36"]) and set("./@#") & set(shown) for label, shown in pairs)
    sampler = TextSampler(NAMED["36"], 25, Style(unlabelled_marks=0.0, kinds=(0, 1, 0)))
    assert all(shown.isalnum() for _ in range(300) if (pair := sampler.draw(rng)) for shown in pair)


def test_mixed_case_keeps_labels_true():
    rng, style = np.random.default_rng(0), Style(mixed=1.0, kinds=(1, 0, 0), addresses=0)
    sampler = TextSampler(NAMED["62"], 25, style, ["corner", "shop"])
    labels = [pair[0] for _ in range(200) if (pair := sampler.draw(rng))]
    assert "CornerShop" in labels and any(x.lower() in ("corner", "shop") and not x.istitle() for x in labels)
    assert {x.lower() for x in labels} <= {a + b for a in ("corner", "shop") for b in ("", "corner", "shop")}


def pairs(count=3000, characters=NAMED["94"], words=("corner", "shop"), **style):
    sampler, rng = TextSampler(characters, 25, Style(**style), words), np.random.default_rng(0)
    return [pair for _ in range(count) if (pair := sampler.draw(rng))]


def share(found, condition) -> float:
    return float(np.mean([condition(shown) for _, shown in found]))


def test_kinds_come_in_their_shares():
    found = pairs(kinds=(0.5, 0.3, 0.2), mixed=0.0, addresses=0.0, punctuation=0.0)
    words = share(found, lambda text: text.lower() in ("corner", "shop"))
    assert abs(words - 0.5) < 0.03
    numbers = pairs(kinds=(0, 1, 0), punctuation=0.0)
    assert share(numbers, lambda text: any(c.isdigit() for c in text)) > 0.95
    assert abs(share(found, lambda text: text.isalpha()) - 0.5 - 0.2 * 0.8) < 0.12


def test_cases_come_in_their_shares():
    found = pairs(kinds=(1, 0, 0), cases=(0.2, 0.5, 0.3), mixed=0.0, addresses=0.0, punctuation=0.0)
    for expected, condition in ((0.2, str.islower), (0.5, str.isupper), (0.3, str.istitle)):
        assert abs(share(found, condition) - expected) < 0.03
    mixed = pairs(kinds=(1, 0, 0), mixed=0.25, cases=(1, 0, 0), addresses=0.0, punctuation=0.0)
    assert abs(share(mixed, lambda text: not text.islower()) - 0.25) < 0.05


def test_marks_come_in_their_share_and_at_the_ends():
    off = dict(kinds=(1, 0, 0), cases=(1, 0, 0), mixed=0.0, addresses=0.0)
    found = pairs(punctuation=0.4, **off)
    assert abs(share(found, lambda text: not text.isalpha()) - 0.4) < 0.03
    marked = [shown for _, shown in found if not shown.isalpha()]
    before = np.mean([not text[0].isalpha() for text in marked])
    assert abs(before - 0.3) < 0.05 and all(sum(not c.isalpha() for c in text) == 1 for text in marked)
    silent = pairs(characters=NAMED["36"], unlabelled_marks=0.4, **off)
    assert abs(share(silent, lambda text: not text.isalpha()) - 0.4) < 0.03
    assert all(label.isalpha() for label, _ in silent)


def test_addresses_come_in_their_share():
    found = pairs(kinds=(1, 0, 0), addresses=0.3, mixed=0.0, punctuation=0.0)
    assert abs(share(found, lambda text: not set("./@#").isdisjoint(text)) - 0.3) < 0.03


def test_frequent_words_come_more_often_but_less_than_in_proportion(tmp_path):
    (tmp_path / "words.txt").write_text("often\t-1\nrare\t-3\n")
    found = pairs(words=tmp_path / "words.txt", kinds=(1, 0, 0), temper=0.5, mixed=0.0, addresses=0.0, punctuation=0.0)
    assert abs(share(found, lambda text: text.lower() == "often") - 10 / 11) < 0.02


def test_random_strings_have_their_lengths_and_pools():
    found = pairs(kinds=(0, 0, 1), random_length=(2, 5), punctuation=0.0)
    lengths = np.bincount([len(shown) for _, shown in found], minlength=7)
    assert not lengths[[0, 1, 6]].any() and lengths[2:6].min() > 0.2 * len(found)
    letters, digits = share(found, str.isalpha), share(found, str.isdigit)
    assert 0.74 < letters < 0.82 and 0.09 < digits < 0.13
    assert len({c for _, shown in found for c in shown}) == 94, "every character of the charset"
    short = TextSampler(NAMED["36"], 3, Style(kinds=(0, 0, 1), random_length=(5, 8)))
    drawn = [short.draw(np.random.default_rng(seed)) for seed in range(50)]
    assert {len(pair[0]) for pair in drawn if pair} == {3}


def test_words_are_fitted_to_the_charset():
    """Another case where that is all there is; without punctuation that the charset lacks; not without a letter."""

    def words(characters, *given, **options):
        return TextSampler(characters, 25, Style(unlabelled_marks=0.0), given, **options).words

    assert words("CAB", "cab", "Cab!", case_insensitive=False) == ["CAB", "CAB"]
    assert words("cab", "CAB", case_insensitive=False) == ["cab"]
    assert words("cab", "c'a-b", "cabin", "cabé", "cab¹", "c4b") == ["cab"]
    assert words("cab'", "c'a-b") == ["c'ab"]


def test_templates_of_numbers(monkeypatch):
    monkeypatch.setattr(text_sampler, "NUMBERS", ("Dd",))
    sampler, rng = TextSampler("0123456789", 25, Style(), ["1"]), np.random.default_rng(0)
    found = [sampler._number(rng) for _ in range(2000)]
    assert set(found) == {f"{tens}{ones}" for tens in range(1, 10) for ones in range(10)}
    monkeypatch.setattr(text_sampler, "NUMBERS", ("LL-d",))
    sampler = TextSampler("ab01-", 25, Style(), ["ab"])
    assert {sampler._number(rng)[:3] for _ in range(100)} == {"AA-", "AB-", "BA-", "BB-"}


def test_sources_that_share_a_list_draw_from_a_list_that_has_changed(tmp_path):
    """What is kept between sources is of the file as it was, and of the charset that asked."""
    words = tmp_path / "words.txt"
    words.write_text("cab\nxyz\n")
    sampled = [TextSampler(characters, 9, Style(), words).words for characters in ("abc", "xyz", "abc")]
    assert sampled == [["cab"], ["xyz"], ["cab"]]
    words.write_text("abba\n")
    assert TextSampler("abc", 9, Style(), words).words == ["abba"]


def test_without_words_numbers_and_random_strings_are_drawn():
    """`jstr adapt --config.words=none` of a reader of codes."""
    found = pairs(words="none", kinds=(0.7, 0.2, 0.1), unlabelled_marks=0.0)
    assert len(found) > 500 and TextSampler(NAMED["94"], 25, Style(), "none").words == [""]
    numbers = share(found, lambda text: any(c.isdigit() for c in text))
    assert abs(numbers - 2 / 3) < 0.1
