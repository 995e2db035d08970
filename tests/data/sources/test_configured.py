"""What opens from a parsed row of a config."""

import pytest
from ml_collections import ConfigDict

from jstr.core import InputError
from jstr.data.images import ImageSpec
from jstr.data.source_config import parse_source
from jstr.data.sources.configured import open_filtered
from jstr.text import Charset, frames_needed

CTC = Charset.make("36", "cr_ctc", 25)
SPEC = ImageSpec((32, 8), 1)


def rendered(**options):
    return parse_source("config.streams.s.sources.r", "r", dict(rendered=dict(seed=1, size=50, **options)), "")


@pytest.mark.parametrize("frames", [1, 3])
def test_rendered_words_that_no_alignment_fits_are_replaced_and_counted(frames):
    source = open_filtered(rendered(), CTC, SPEC, frames)
    assert all(frames_needed(source[i]["label"]) <= frames for i in range(50))
    assert len(source.notes) == 1 and f"need more than the {frames} frames of the model" in source.notes[0]


def test_rendered_words_are_not_replaced_without_frames_or_labels():
    free, unlabelled = open_filtered(rendered(), CTC, SPEC, None), rendered()
    row = dict(rendered=dict(seed=1, size=50), labelled=False)
    unlabelled = open_filtered(parse_source("config.x", "r", row, ""), CTC, SPEC, 1)
    assert max(frames_needed(free[i]["label"]) for i in range(50)) > 5
    assert not free.notes and not unlabelled.notes
    assert all((free[i]["image"] == unlabelled[i]["image"]).all() for i in range(5))


@pytest.mark.parametrize(
    "options, message",
    [
        (dict(style=dict(blurs=(0, 1))), "style has no blurs .did you mean blur"),
        (dict(style=dict(blur=(2, 1))), "blur=.2, 1.; give"),
        (dict(style="plain"), "style"),
        (dict(height="32"), "height='32'"),
        (dict(frames=3), "has no frames"),
        (dict(font="bundled"), "has no font .did you mean fonts"),
    ],
)
def test_bad_options_of_rendered_words_are_one_clear_line(options, message):
    with pytest.raises(InputError, match=message) as error:
        open_filtered(rendered(**options), CTC, SPEC, None)
    assert "\n" not in str(error.value)


def test_style_of_a_config():
    style = ConfigDict(dict(kinds=(0, 1, 0), unlabelled_marks=0.0))
    source = open_filtered(rendered(style=style), CTC, SPEC, None)
    assert all(set(source[i]["label"]) & set("0123456789") for i in range(20))
