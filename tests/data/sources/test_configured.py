"""Sources as the rows of a config describe them: what is used, and what is said of the rest."""

import shutil

import cv2
import numpy as np
import pytest
from ml_collections import ConfigDict
from source_files import tsv, write_folder, write_lmdb

from jstr.data.images import ImageSpec
from jstr.data.source_config import parse_source
from jstr.data.sources.configured import open_filtered, open_images, open_text
from jstr.data.synth.fonts import BUNDLED
from jstr.text import Charset, frames_needed
from jstr.text.messages import InputError

CHARSET = Charset.make("36", "cr_ctc", 25, lower=True)
SPEC = ImageSpec((32, 100), 1)


def spec_of(**row):
    return parse_source("config.streams.labelled.sources.mine", "mine", row, "")


def filtered(frames=None, **row):
    return open_filtered(spec_of(**row), CHARSET, SPEC, frames)


def test_a_relative_path_that_leads_nowhere_says_where_it_lies(tmp_path, monkeypatch):
    hint = "does not exist; check the path; relative paths lie under --config.data_root or JSTR_DATA, if set"
    for root in ("", str(tmp_path)):
        monkeypatch.setenv("JSTR_DATA", root)
        with pytest.raises(InputError, match=f"gone {hint}$"):
            open_images(spec_of(path="gone"), None)
    with pytest.raises(InputError, match="/gone does not exist; check the path$"):
        open_images(spec_of(path="/gone"), None)


@pytest.mark.parametrize(
    "row, says",
    [
        (dict(rendered=dict(seed=1, size=9, hight=3)), "mine.rendered has no hight .did you mean height"),
        (dict(rendered=dict(seed=1, size=9, style=dict(wobble=3))), "mine.rendered.style has no wobble"),
        (dict(rendered=dict(size=9)), "mine.rendered: .*seed"),
        (dict(words=dict(path="english", speed=1)), "mine is text without images"),
    ],
)
def test_bad_options(row, says):
    with pytest.raises(InputError, match=says) as error:
        open_images(spec_of(**row), CHARSET)
    assert "\n" not in str(error.value)


def test_text_options():
    with pytest.raises(InputError, match="mine.words has no speed.*; it takes path, seed"):
        open_text(spec_of(words=dict(speed=1)), CHARSET)
    with pytest.raises(InputError, match="mine has images"):
        open_text(spec_of(path="x"), CHARSET)


def test_every_note_of_a_source_is_passed_on(tmp_path):
    (tmp_path / "labels.tsv").touch()
    source = open_images(spec_of(path=write_lmdb(tmp_path, ["a", "b", "x\ty"], num_samples=1)), CHARSET)
    notes = filtered(path=str(tmp_path)).notes
    assert len(source.notes) == 2 and notes[:2] == [f"mine: {note}" for note in source.notes]
    assert notes[2] == "mine: 1 of 1 labels used"


def test_placeholders_are_said_once(tmp_path):
    says = "label 'N/A' on 3 of 5 words: it may stand for none"
    for path in (
        write_folder(tmp_path / "a", tsv(["N/A"] * 3 + ["a", "b"])),
        write_lmdb(tmp_path / "b", "N/A N/A N/A a b".split()),
    ):
        assert sum(says in note for note in filtered(path=path).notes) == 1


def test_slow_images_are_said(tmp_path):
    path = write_folder(tmp_path, tsv())
    assert filtered(path=path, labelled=False).notes[1:] == ["mine: 5 images without labels"]
    for i in range(3):
        assert "slow" not in filtered(path=path).notes[0], "fewer than half are large"
        (tmp_path / f"{i}.png").write_bytes(cv2.imencode(".png", np.zeros((1200, 1000), np.uint8))[1].tobytes())
    assert "mine: images are slow to decode: half of 5 have 1.2 million pixels or more" in filtered(path=path).notes[0]


def test_labels_that_no_alignment_fits_are_left_out(tmp_path):
    source = filtered(3, path=write_folder(tmp_path, tsv(["ab", "aab", "abc", "aaa", "a"])))
    assert [source[i]["label"] for i in range(len(source))] == ["ab", "abc", "a"]
    assert any("skipped 2 longer than the 3 frames of the model" in note for note in source.notes)


def test_a_part_of_a_data_set_is_the_same_with_labels_and_without(tmp_path):
    """So that two parts have no image in common, although one leaves out what has no label."""
    path = write_lmdb(tmp_path, [["a", "", "b"][i % 3] for i in range(40)])
    part = dict(path=path, share=0.5, share_start=0.25)
    keys = [
        [source[i]["key"] for i in range(len(source))]
        for source in (filtered(**part), filtered(**part, labelled=False))
    ]
    assert len(keys[1]) == 20 and keys[0] == [key for key in keys[1] if int(key.rpartition("-")[2]) % 3 != 2]


def test_huge_images_are_shrunk_before_the_views(tmp_path):
    path = write_folder(tmp_path, tsv(["a", "b"]), count=2)
    (tmp_path / "1.png").write_bytes(cv2.imencode(".png", np.zeros((1200, 1000), np.uint8))[1].tobytes())
    source = filtered(path=path)
    assert source[0]["image"].shape == (4, 9, 1) and source[1]["image"].size <= 1.01 * 64 * 32 * 100


CTC = Charset.make("36", "cr_ctc", 25)
NARROW = ImageSpec((32, 8), 1)


def rendered(**options):
    return parse_source("config.streams.s.sources.r", "r", dict(rendered=dict(seed=1, size=50, **options)), "")


@pytest.mark.parametrize("frames", [1, 3])
def test_rendered_words_that_no_alignment_fits_are_replaced_and_counted(frames):
    source = open_filtered(rendered(), CTC, NARROW, frames)
    assert all(frames_needed(source[i]["label"]) <= frames for i in range(50))
    assert len(source.notes) == 1 and f"need more than the {frames} frames of the model" in source.notes[0]


def test_rendered_words_are_not_replaced_without_frames_or_labels():
    free, unlabelled = open_filtered(rendered(), CTC, NARROW, None), rendered()
    row = dict(rendered=dict(seed=1, size=50), labelled=False)
    unlabelled = open_filtered(parse_source("config.x", "r", row, ""), CTC, NARROW, 1)
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
        open_filtered(rendered(**options), CTC, NARROW, None)
    assert "\n" not in str(error.value)


def test_style_of_a_config():
    style = ConfigDict(dict(kinds=(0, 1, 0), unlabelled_marks=0.0))
    source = open_filtered(rendered(style=style), CTC, NARROW, None)
    assert all(set(source[i]["label"]) & set("0123456789") for i in range(20))


def test_paths_of_rendered_words_lie_under_data_root(tmp_path, monkeypatch):
    (tmp_path / "words.txt").write_text("zebra\n")
    shutil.copytree(BUNDLED, tmp_path / "letters")
    (tmp_path / "photos").mkdir()
    cv2.imwrite(str(tmp_path / "photos/a.png"), np.zeros((90, 90, 3), np.uint8))

    def source(**options):
        row = dict(rendered=dict(seed=1, size=9) | options)
        return open_images(parse_source("config.x", "x", row, str(tmp_path)), CHARSET)

    mine = source(words="words.txt", fonts=["letters", "bundled"], backgrounds="photos")
    assert mine._sampler.words == ["zebra"] and mine._scene and len(mine) == 9
    assert len(source(words="english", fonts="bundled")._sampler.words) > 1000
    assert source(words=["zebra", "words"])._sampler.words == ["zebra", "words"]
    monkeypatch.chdir(tmp_path / "photos")
    (tmp_path / "photos/here.txt").write_text("yak\n")
    assert source(words="here.txt")._sampler.words == ["yak"]
    with pytest.raises(InputError, match=f"{tmp_path}/gone"):
        source(backgrounds="gone")


@pytest.mark.parametrize("characters, changed", [("ab½12⁄", "½"), ("abµ", "µ")])
def test_rendered_words_have_no_character_that_nfkc_changes(characters, changed):
    """Their labels would be others than what is drawn, outside the charset, or longer than max_length."""
    charset = Charset.make(characters, "cr_ctc", 25, nfkc=True)
    row = dict(rendered=dict(seed=0, size=50, words="none"))
    source = open_filtered(parse_source("config.x", "r", row, ""), charset, NARROW, None)
    drawn = set("".join(source[i]["label"] for i in range(50)))
    assert "a" in drawn and changed not in drawn and not charset.outside(charset.normalise("".join(drawn)))


def test_a_row_of_rendered_words_needs_no_size():
    source = open_filtered(parse_source("config.x", "r", dict(rendered=dict(seed=0)), ""), CTC, NARROW, None)
    assert len(source) == 10**9
