"""python -m jstr.predict."""

import io
import json
import os
import re
import shutil
import struct
import sys
import tarfile
import zlib
from pathlib import Path

import cv2
import lmdb
import numpy as np
import pytest
from PIL import Image
from testing import REAL_WORDS, saved_run, tiny_config, write_folder

import jstr
from jstr import predict
from jstr.data.patterns.checksums import luhn
from jstr.data.sources.open import open_source
from jstr.decoding.ranking import Found
from jstr.inference.crops import Answer
from jstr.interop import weights
from jstr.text.messages import InputError


@pytest.fixture(autouse=True)
def bundled(monkeypatch):
    """Whatever stronger reader is installed."""
    monkeypatch.setattr(weights, "default", lambda: (weights.BUNDLED, "reading with the bundled reader"))


@pytest.fixture(scope="module")
def loaded(tmp_path_factory):
    """A CTC reader with 31 frames, in which 15 characters can be told apart."""
    config = tiny_config().image.to_dict() | dict(size=(32, 128))
    return jstr.load(saved_run(tmp_path_factory.mktemp("run"), image=config))


@pytest.fixture(autouse=True)
def reader(loaded, monkeypatch):
    """What predict loads."""
    reader = loaded.with_variables(loaded.variables)
    monkeypatch.setattr(predict, "load", lambda *_: reader)
    return reader


def test_predict(tmp_path, capsys):
    folder = tmp_path / "in"
    folder.mkdir()
    for name in ("iiit5k_6_7.png", "svt_0138.jpg"):
        shutil.copy(REAL_WORDS / name, folder / name)
    (folder / "notes.txt").write_text("not an image")
    assert predict.run([str(folder)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split("\t")[0] for line in lines] == [str(folder / n) for n in ("iiit5k_6_7.png", "svt_0138.jpg")]
    assert all(0 <= float(line.split("\t")[2]) <= 1 for line in lines)

    bad = folder / "bad.png"
    bad.write_bytes(b"broken")
    assert predict.run(["--workdir=bundled", "--json", str(folder), str(tmp_path / "none.jpg")]) == 1
    captured = capsys.readouterr()
    assert [json.loads(line)["path"] for line in captured.out.splitlines()] == [line.split("\t")[0] for line in lines]
    assert captured.err.splitlines() == [
        f"{bad}: not an image that can be decoded",
        f"{tmp_path}/none.jpg: No such file or directory",
    ]


def test_texts_follow_a_pattern(capsys):
    image = str(REAL_WORDS / "iiit5k_6_7.png")
    assert predict.run(["--pattern=[A-Z]{2}[0-9]", "--pattern=[0-9]{4}", "--pattern_weights=1,2", image]) == 0
    text = capsys.readouterr().out.split("\t")[1]
    assert re.fullmatch("[A-Z]{2}[0-9]|[0-9]{4}", text)
    assert predict.run(["--allow=01.", "--checksum=luhn", image]) == 0
    captured = capsys.readouterr()
    assert luhn(captured.out.split("\t")[1]) and "does not know ." in captured.err
    with pytest.raises(InputError, match="need a --pattern"):
        predict.run(["--no_code=0.1", image])


def test_an_empty_folder_does_not_hide_the_others(tmp_path, capsys):
    (tmp_path / "empty").mkdir()
    image = str(REAL_WORDS / "svt_0138.jpg")
    assert predict.run([str(tmp_path / "empty"), image]) == 1
    captured = capsys.readouterr()
    assert "empty holds no word images" in captured.err and captured.out.startswith(f"{image}\t")


def test_a_folder_is_read_as_training_reads_it(tmp_path, capsys):
    folder, other = tmp_path / "in", tmp_path / "other"
    folder.mkdir(), other.mkdir()
    word = REAL_WORDS / "svt_0063.jpg"
    names = ["a.jpg", "b.jfif", "c.JPE", "e.pgm", "f.avif", "g.j2k"]
    for name in names:
        shutil.copy(word, folder / name) if "jp" in name.lower() or "jf" in name else Image.open(word).save(
            folder / name
        )
    shutil.copy(word, other / "linked.jpg")
    (folder / "link").symlink_to("../other")
    (folder / "loop").symlink_to(".")
    (folder / "._a.jpg").write_bytes(b"\0\5\26\7")
    for name in (".DS_Store", "Thumbs.db", "notes.txt"):
        (folder / name).write_bytes(b"no image")
    assert predict.run([str(folder)]) == 0
    captured = capsys.readouterr()
    read = [line.split("\t")[0] for line in captured.out.splitlines()]
    assert read == [f"{folder}/{name}" for name in [*names, "link/linked.jpg"]]
    source = open_source(str(folder), labelled=False)
    assert read == [f"{folder}/{source[i]['key']}" for i in range(len(source))]
    assert "left out, hidden: ._a.jpg, .DS_Store" in captured.err.replace(".DS_Store, ._a.jpg", "._a.jpg, .DS_Store")
    assert "left out, a link to a folder above it: loop" in captured.err and ".db" in captured.err


def test_other_sources_are_read_too(tmp_path, capsys):
    folder = write_folder(tmp_path / "words", ["ab", "cd"])
    (folder / "0001.png").write_bytes(b"broken")
    with tarfile.open(tmp_path / "words.tar", "w") as tar:
        tar.add(folder, "words")
    assert predict.run([str(tmp_path / "words.tar")]) == 1
    captured = capsys.readouterr()
    assert captured.out.startswith(f"{tmp_path}/words.tar/words/0000.png\t")
    assert f"{tmp_path}/words.tar/words/0001.png: not an image that can be decoded" in captured.err


def test_a_label_file_and_an_lmdb_in_a_single_file(tmp_path, capsys):
    folder = write_folder(tmp_path / "words", ["ab", "cd", "ef"])
    (folder / "some.tsv").write_text("0001.png\tcd\n")
    with lmdb.open(str(tmp_path / "words.bin"), subdir=False, map_size=1 << 20) as env, env.begin(write=True) as txn:
        txn.put(b"num-samples", b"1")
        txn.put(b"image-%09d" % 1, (folder / "0000.png").read_bytes())
    assert predict.run([str(folder / "some.tsv"), str(tmp_path / "words.bin"), str(folder / "0002.png")]) == 0
    paths = [line.split("\t")[0] for line in capsys.readouterr().out.splitlines()]
    assert paths == [f"{folder}/0001.png", f"{tmp_path}/words.bin/image-000000001", f"{folder}/0002.png"]


def test_a_hostile_folder_ends_and_every_file_is_named(tmp_path, capsys):
    good = (REAL_WORDS / "iiit5k_6_7.png").read_bytes()
    header = b"IHDR" + struct.pack(">II", 60000, 60000) + good[24:29]
    files = {
        "empty.png": b"",
        "huge.png": good[:12] + header + struct.pack(">I", zlib.crc32(header)) + good[33:],
        "text.png": b"not an image",
        "cut.png": good[: len(good) // 2],
        "fine.png": good,
    }
    for name, data in files.items():
        (tmp_path / name).write_bytes(data)
    os.mkfifo(tmp_path / "pipe.png")
    (tmp_path / "gone.png").symlink_to("nowhere")
    (tmp_path / "folder.png").mkdir()
    assert predict.run([str(tmp_path)]) == 1
    captured = capsys.readouterr()
    assert [line.split("\t")[0] for line in captured.out.splitlines()] == [f"{tmp_path}/fine.png"]
    for name in ("empty", "huge", "text", "cut", "pipe", "gone", "folder"):
        assert sum(f"{name}.png" in line for line in captured.err.splitlines()) == 1, (name, captured.err)
    assert "pipe.png: not a regular file" in captured.err and "gone.png: No such file" in captured.err
    assert predict.run([str(tmp_path / "pipe.png")]) == 1
    assert "pipe.png: not a regular file" in capsys.readouterr().err


@pytest.mark.parametrize("encoding", ["ascii", "cp1252", "utf-8"])
def test_any_file_name_on_any_terminal(tmp_path, monkeypatch, encoding):
    names = ["caf\udce9.png", "two\nlines.png", "tab\there.png", "\ud55c\uad6d.png", "e\u0301.png", "\u2028.png"]
    for name in names:
        shutil.copy(REAL_WORDS / "iiit5k_6_7.png", tmp_path / name)
    stream = io.TextIOWrapper(io.BytesIO(), encoding=encoding, errors="backslashreplace")  # as jstr.cli.cli sets it
    monkeypatch.setattr(sys, "stdout", stream)
    assert predict.run([str(tmp_path)]) == 0
    assert predict.run(["--json", str(tmp_path)]) == 0
    stream.flush()
    lines = stream.buffer.getvalue().decode(encoding).splitlines()
    assert len(lines) == 2 * len(names) and {len(line.split("\t")) for line in lines[: len(names)]} == {3}
    rows = [json.loads(line) for line in lines[len(names) :]]
    assert {row["path"] for row in rows} == {f"{tmp_path}/{name}" for name in names}
    assert all(line.isascii() for line in lines[len(names) :])


@pytest.mark.parametrize("confidence, named", [(0.1, [170, 400]), (0.9, [400])])
def test_images_too_wide_for_the_reader_are_read_in_parts(reader, tmp_path, monkeypatch, capsys, confidence, named):
    """Letters may be wide: where the reader is sure, only images of twice the width that it can read."""
    monkeypatch.setattr(reader, "read_batch", lambda images: (["a"] * len(images), np.full(len(images), confidence)))
    monkeypatch.setattr("jstr.inference.crops.read_long", lambda *_: Found([("b", 0.95)]))
    for width in (60, 160, 170, 400):
        cv2.imwrite(str(tmp_path / f"{width}.png"), np.zeros((32, width), np.uint8))
    assert predict.run([str(tmp_path)]) == 0
    captured = capsys.readouterr()
    texts = {Path(line.split("\t")[0]).stem: line.split("\t")[1] for line in captured.out.splitlines()}
    assert texts == {str(width): "b" if width in named else "a" for width in (60, 160, 170, 400)}
    for line, width in zip(captured.err.splitlines(), named, strict=True):
        room = f"room for {width / 32 / 0.35:.0f} characters, and this reader can tell about 15 apart"
        assert line == f"{tmp_path}/{width}.png: too wide: {room}; read in parts"


def test_a_doubtful_word_that_is_read_no_better_in_parts_is_not_too_wide(reader, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(reader, "read_batch", lambda images: (["a"] * len(images), np.full(len(images), 0.1)))
    monkeypatch.setattr("jstr.inference.crops.read_long", lambda *_: Found([("b", 0.05)]))
    cv2.imwrite(str(tmp_path / "a.png"), np.zeros((32, 170), np.uint8))
    assert predict.run([str(tmp_path)]) == 0
    assert capsys.readouterr() == (f"{tmp_path}/a.png\ta\t0.1000\n", "")


def test_turned_crops_that_are_too_wide_are_named(reader, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(reader, "read_batch", lambda images: (["a"] * len(images), np.full(len(images), 0.1)))
    monkeypatch.setattr("jstr.inference.crops.read_long", lambda *_: Found([("long", 0.95)]))
    cv2.imwrite(str(tmp_path / "tall.png"), np.zeros((400, 32), np.uint8))
    assert predict.run(["--turn=auto", str(tmp_path)]) == 0
    captured = capsys.readouterr()
    assert captured.out == f"{tmp_path}/tall.png\tlong\t0.9500\n"
    assert "tall.png: too wide: room for 36 characters" in captured.err and "read in parts" in captured.err


def test_json_lines_say_how_a_crop_was_turned_or_cut(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(predict, "load", jstr.load)
    word = cv2.imread(str(REAL_WORDS / "iiit5k_685_2.png"))
    letters = [cv2.putText(np.zeros((48, 44, 3), np.uint8), c, (6, 38), 0, 1.2, (255,) * 3, 3) for c in "STREET"]
    for name, image in (("word", word), ("turned", np.rot90(word)), ("letters", np.concatenate(letters))):
        cv2.imwrite(str(tmp_path / f"{name}.png"), image)
    assert predict.run(["--workdir=bundled", "--json", "--turn=auto", str(tmp_path)]) == 0
    letters, turned, word = (json.loads(line) for line in capsys.readouterr().out.splitlines())
    assert [(row["text"], row.get("turned"), row.get("stacked")) for row in (word, turned, letters)] == [
        ("santa", None, None),
        ("santa", 270, None),
        ("street", None, True),
    ]


@pytest.mark.parametrize(
    "options, message",
    [
        (["--photos", "--turn=auto"], "--turn does not apply to --photos"),
        (["--photos", "--heads"], "--heads does not apply to --photos"),
        (["--photos", "--attention=a.png"], "--attention does not apply to --photos"),
        (["--words", "--json"], "--json does not apply to --words"),
        (["--words", "--photos"], "--photos does not apply to --words"),
        (["--words", "--turn=auto"], "--turn does not apply to --words"),
        (["--split=lines"], "--split does not apply to images of words"),
        (["--calibration=c.json"], "--calibration needs --precision"),
    ],
)
def test_options_that_do_not_apply_are_refused(options, message):
    with pytest.raises(InputError, match=message):
        predict.run([*options, str(REAL_WORDS / "iiit5k_6_7.png")])


def test_heads_are_shown_beside_what_follows_a_pattern():
    heads = {"vision": ("a", 0.5), "fusion": ("ab", 0.5)}
    shown = [predict._line("x", Answer(text, 0.5, heads), sure=True).split("\t")[1] for text in ("ab", "42")]
    assert shown == ["vision a -> fusion ab", "vision a -> fusion ab -> pattern 42"]


def test_json_lines_have_characters_and_alternatives(capsys):
    assert predict.run(["--json", "--allow=ab", str(REAL_WORDS / "iiit5k_6_7.png")]) == 0
    row = json.loads(capsys.readouterr().out)
    assert "".join(c for c, *_ in row["characters"]) == row["text"]
    assert all(0 <= p <= 1 and 0 <= left <= right <= 1 for _, p, left, right in row["characters"])
    assert sum(p for _, p in row["alternatives"]) <= 1 + 1e-4
