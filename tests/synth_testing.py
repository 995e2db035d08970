"""Styles and fonts for tests of the renderer."""

from dataclasses import fields

from jstr.data.synth.fonts import BUNDLED
from jstr.data.synth.style import Style

AMOUNTS = ("temper", "decorative", "vivid", "faint", "finest", "strong_tilt")
SHARES = [f.name for f in fields(Style) if f.type == "float" and f.name not in AMOUNTS]
TEXT_SHARES = ("mixed", "addresses", "phrases", "punctuation", "unlabelled_marks")
ONLY_WORDS = Style(kinds=(1, 0, 0), mixed=0, addresses=0, phrases=0, punctuation=0, unlabelled_marks=0)
SMALL_FONTS = [BUNDLED / "Arimo-Bold.ttf", BUNDLED / "Lobster.otf"]
