"""The check of spelling noise; its draws are tested where text streams are."""

import pytest

from jstr.augment.host import spelling
from jstr.text.messages import InputError


@pytest.mark.parametrize(
    "noise, message",
    [
        ("spelling", "give each text operation"),
        (dict(spelling=3), "spelling=3; give its parameters"),
        (dict(spelling=dict(edits=())), "spelling.edits=.*; give numbers"),
        (dict(spelling=dict(edits=0.5)), "spelling.edits=0.5; give numbers"),
        (dict(one_edit=dict(clean="half")), "one_edit.clean='half'; give a number"),
        (dict(one_edit=dict(clean=1.1)), "one_edit.clean=1.1; give a number from 0 to 1"),
        (dict(one_edits={}), "unknown text operation 'one_edits'"),
    ],
)
def test_bad_noise_is_one_clear_line(noise, message):
    with pytest.raises(InputError, match=message):
        spelling.check_noise("config.streams.text.views.noised", noise)


def test_good_noise_is_taken():
    spelling.check_noise("x", dict(spelling=dict(edits=[0.2, 0.8]), one_edit=dict(clean=0)))
