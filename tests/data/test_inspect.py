"""The report on data sets: what it counts, and that a test word in the train set is seen."""

import json
import os
import shutil

import cv2
import numpy as np
import pytest
from PIL import Image
from testing import REAL_WORDS, call, write_folder

from jstr.data import inspect
from jstr.data.sources.open import open_source
from jstr.text.messages import InputError


def picture(name):
    return cv2.cvtColor(cv2.imread(str(REAL_WORDS / name)), cv2.COLOR_BGR2RGB)


REAL = [picture(s["key"]) for s in open_source(str(REAL_WORDS))]


def write_set(folder, words):
    """words: [(label, RGB picture)]."""
    folder.mkdir()
    for i, (_, image) in enumerate(words):
        Image.fromarray(image).save(folder / f"{i}.png")
    (folder / "labels.tsv").write_text("".join(f"{i}.png\t{label}\n" for i, (label, _) in enumerate(words)))
    return folder


def test_labels_that_break_a_pattern(tmp_path, capsys):
    folder = write_set(tmp_path / "set", [("AB1", REAL[0]), ("ab1", REAL[1]), ("A1", REAL[2]), ("AB1", REAL[3])])
    inspect.run([str(folder), "--pattern=[A-Z]{2}[0-9]", "--compare=0", f"--json={tmp_path}/out.json"])
    assert "pattern: 2 of 4 labels break it: ab1, A1" in capsys.readouterr().out.replace("'", "")
    (facts,) = json.loads((tmp_path / "out.json").read_text())["sets"].values()
    assert facts["pattern"]["breaking"] == 2


def recropped(image):
    """The crop of another annotator: scaled, without its margins, saved as JPEG."""
    h, w = image.shape[:2]
    cut = np.ascontiguousarray(image[h // 30 : h - h // 40, w // 60 : w - w // 50])
    cut = cv2.resize(cut, None, fx=0.9, fy=0.9, interpolation=cv2.INTER_AREA)
    return cv2.imdecode(cv2.imencode(".jpg", cut, [cv2.IMWRITE_JPEG_QUALITY, 80])[1], cv2.IMREAD_COLOR)


def report(capsys, tmp_path, *arguments):
    file = tmp_path / "report.json"
    inspect.run([*map(str, arguments), f"--json={file}"])
    return capsys.readouterr(), json.loads(file.read_text())


def test_a_test_word_in_the_train_set_is_seen(tmp_path, capsys):
    words = [(f"w{i}", image) for i, image in enumerate(REAL[:20])]
    train = write_set(tmp_path / "train", [*words, ("w3", REAL[3]), ("other", REAL[4])])
    test = write_set(
        tmp_path / "test", [("w5", REAL[5]), ("W6!", recropped(REAL[6])), ("w1", REAL[30]), ("x", REAL[31])]
    )
    out, facts = report(capsys, tmp_path, f"train={train}", f"test={test}", f"--sheet={tmp_path / 'sheet.png'}")
    assert facts["duplicates"]["counts"] == [
        dict(first="train", second="train", same=2, near=0, other_label=1),
        dict(first="train", second="test", same=1, near=1, other_label=0),
    ]
    assert "same: 5.png 'w5' and 0.png 'w5'" in out.out and "near: 6.png 'w6' and 1.png 'W6!'" in out.out
    assert "same: 4.png 'w4' and 21.png 'other'  <- labels differ" in out.out
    pair = facts["duplicates"]["pairs"][0]["pictures"]
    assert [end["set"] for end in pair] == ["train", "test"]
    height, width = np.asarray(Image.open(tmp_path / "sheet.png")).shape[:2]
    assert width == 6 * 240 and height >= 6 * 72  # 26 pictures and 4 pairs


def test_says_what_lower_would_bring(tmp_path, capsys):
    folder = write_folder(tmp_path / "words", ["AB", "ab", "a-b"], shape=(20, 60, 3))
    hint = "with --lower 2 of 3 labels used"
    assert hint in report(capsys, tmp_path, folder, "--charset=abc")[0].out
    assert "with --lower" not in report(capsys, tmp_path, folder, "--charset=abc", "--lower")[0].out
    assert "with --lower" not in report(capsys, tmp_path, folder, "--charset=abcABC")[0].out


def test_facts_of_a_set(tmp_path, capsys):
    folder = write_folder(tmp_path / "words", ["ab", "b-c", "aé", "abcdef", "ab"], shape=(20, 60, 3))
    (folder / "0001.png").write_bytes(b"broken")
    (folder / "0002.png").unlink()
    out, facts = report(capsys, tmp_path, folder, "--charset=abc", "--max_length=4")
    facts = facts["sets"][str(folder)]
    assert facts["images"] == 5 and facts["broken"] == ["0001.png", "0002.png"]
    labels = facts["labels"]
    assert (labels["labelled"], labels["without"], labels["different"]) == (5, 0, 4)
    assert labels["lengths"]["counts"] == {"2": 3, "3": 1, "6": 1} and labels["lengths"]["median"] == 2
    assert labels["characters"] == {"a": 4, "b": 4, "c": 2, "-": 1, "é": 1, "d": 1, "e": 1, "f": 1}
    assert facts["charset"]["used"] == 2 and facts["charset"]["skipped"] == {"outside the charset": 3}
    assert facts["charset"]["outside"] == {"-": 1, "é": 1, "d": 1, "e": 1, "f": 1}
    assert facts["sizes"]["height"] == [20] * 7 and facts["sizes"]["aspect"] == [3] * 7
    assert ": 3 of 5 images read (" in out.out
    assert "broken or missing: 2: 0001.png, 0002.png" in out.out and "1 files that it names do not exist" in out.out
    assert "none" in out.out.splitlines()[-1]


def test_warns_of_what_is_likely_wrong(tmp_path, capsys):
    shapes = [(20, 300), (60, 20), (7, 30), (1100, 1000), (20, 60), (20, 60), (20, 60)]
    rng = np.random.default_rng(0)
    words = [(label, rng.integers(0, 256, (*s, 3), np.uint8)) for label, s in zip("abcd---", shapes, strict=True)]
    folder = write_set(tmp_path / "words", words)
    with open(folder / "labels.tsv", "a") as lines:
        lines.write("0.png\tother\n")
    out, facts = report(capsys, tmp_path, folder)
    facts = facts["sets"][str(folder)]
    assert [w.split(":")[0] for w in facts["warnings"]] == [
        "2 images are more than 12 times as wide as high",
        "1 images are more than 1.5 times as high as wide",
        "1 images are lower than 8 pixels",
        "1 images are larger than 1,000,000 pixels",
    ]
    assert all(f"  warning: {warning}" in out.out for warning in facts["warnings"]) and "(1.png)" in out.out
    assert "label '-' on 3 of 8 words: it may stand for none" in facts["notes"][0]
    assert "1 files have several labels, all of which are used: 0.png ('a', 'other')" in facts["notes"][1]


def test_without_labels_and_with_a_limit(tmp_path, capsys):
    folder = tmp_path / "images"
    folder.mkdir()
    for i in range(5):
        Image.fromarray(REAL[i]).save(folder / f"{i}.png")
    shutil.copy(folder / "1.png", folder / "5.png")
    out, facts = report(capsys, tmp_path, folder)
    assert "labels: none" in out.out and facts["sets"][str(folder)]["labels"]["without"] == 6
    assert facts["duplicates"]["counts"][0]["same"] == 1
    assert report(capsys, tmp_path, folder, "--limit=3")[1]["sets"][str(folder)]["images"] == 3


def test_pairs_that_were_not_compared_are_counted(tmp_path, capsys):
    train = write_set(tmp_path / "train", [("word", image) for image in (REAL[6], recropped(REAL[6]))])
    assert report(capsys, tmp_path, train)[1]["duplicates"]["counts"][0]["near"] == 1
    out, facts = report(capsys, tmp_path, train, "--compare=0")
    assert facts["duplicates"]["not_compared"] == 1 and "1 more pairs" in out.out and "none" in out.out


def test_names_that_are_not_utf8(tmp_path, capsys):
    folder = write_set(tmp_path / "words", [("ab", REAL[0])])
    name = os.fsdecode(b"caf\xe9.png")
    (folder / "0.png").rename(folder / name)
    (folder / "labels.tsv").unlink()
    out, facts = report(capsys, tmp_path, folder)
    assert "1 of 1 images read" in out.out
    (folder / name).write_bytes(b"broken")
    assert report(capsys, tmp_path, folder)[1]["sets"][str(folder)]["broken"] == [name]


def test_all_images_broken(tmp_path, capsys):
    folder = write_folder(tmp_path / "words", ["ab", "cd"])
    for file in folder.glob("*.png"):
        file.write_bytes(b"broken")
    out, facts = report(capsys, tmp_path, folder)
    assert len(facts["sets"][str(folder)]["broken"]) == 2 and facts["sets"][str(folder)]["sizes"] == {}


@pytest.mark.parametrize(
    "arguments, says",
    [
        (["/nowhere"], "/nowhere does not exist"),
        (["x=/nowhere"], "/nowhere does not exist"),
        (["=x"], "give PATH or NAME=PATH"),
        ([str(REAL_WORDS), str(REAL_WORDS)], "given twice"),
        ([str(REAL_WORDS), "--limit=0"], "positive"),
        ([str(REAL_WORDS), "--json=/no/folder/x.json"], "folder does not exist"),
        ([str(REAL_WORDS), "--json=/"], "--json=/ is a folder; give a file"),
        ([str(REAL_WORDS), "--charset=aa"], "more than once"),
        ([str(REAL_WORDS), "--labels=other.tsv"], "other.tsv"),
    ],
)
def test_bad_input(arguments, says):
    with pytest.raises(InputError, match=says) as error:
        inspect.run(arguments)
    assert "\n" not in str(error.value)


def test_command():
    status, out, err = call("-m", "jstr.data.inspect", f"words={REAL_WORDS}")
    assert status == 0 and "words: 64 of 64 images read" in out and "aspect" in out
    status, out, err = call("-m", "jstr.data.inspect", "/nowhere")
    assert status == 2 and not out and err == "error: /nowhere does not exist; check the path\n"
