"""What rendered words say, and their labels."""

import numpy as np

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
