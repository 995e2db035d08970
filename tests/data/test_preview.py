"""Contact sheets of rendered words and of data sets, and the command that writes them."""

import cv2
import numpy as np
import pytest
from PIL import Image
from testing import ROOT, call, write_folder

from jstr.data import preview
from jstr.data.preview import contact_sheet
from jstr.data.sources.open import open_source
from jstr.data.synth.fonts import font_files, label_faces
from jstr.data.synth.source import RenderedWords
from jstr.text import NAMED
from jstr.text.messages import InputError


def test_contact_sheet(tmp_path):
    words = RenderedWords(3, 1000, NAMED["36"])
    sheet = contact_sheet(words[i] for i in range(7))
    assert sheet.dtype == np.uint8 and sheet.shape == (2 * 72, 5 * 240, 3)
    sample = words[0] | {"label": "\u4e2d"}  # no font has it: its code point is written
    assert not np.array_equal(contact_sheet([sample]), contact_sheet([sample | {"label": ""}]))
    out = tmp_path / "sheet.png"
    preview.run([f"--out={out}", "--count=10", "--characters=94"])
    assert Image.open(out).size == (1200, 144)
    with pytest.raises(InputError, match="does not exist"):
        preview.run([f"--out={out}", f"--fonts={tmp_path / 'none'}"])


def test_contact_sheets_of_a_config(tmp_path, capsys):
    folder = write_folder(tmp_path / "real", ["one", "two", "three"])
    (folder / "0002.png").write_bytes(b"broken")
    out, config = tmp_path / "sheet.png", f"--config={ROOT / 'configs/quickstart.py'}"
    preview.run([f"--out={out}", config, "--count=9"])
    assert Image.open(out).size[0] == 1200 and "RenderedWords(seed=1" in capsys.readouterr().out
    preview.run([f"--out={out}", config, "--count=4", "--source=real"])  # an evaluation row
    sheet = cv2.imread(str(out))
    assert sheet.shape == (72, 1200, 3)
    preview.run([f"--out={out}", f"--source={folder}"])
    assert "1 broken images left out" in capsys.readouterr().err
    for arguments, message in [
        ([config, "--source=rael"], "neither a path nor one of"),
        ([f"--config={tmp_path / 'none.py'}"], "there is no such file"),
        ([f"{config}:wrong"], "wrong"),
        ([config, "--words=x"], "go without --config"),
        (["--count=0"], "a count from 1 to 10,000"),
        (["--count=10001"], "a count from 1 to 10,000"),
        (["--seed=-1"], "a seed of 0 or more"),
        (["--characters="], "charset"),
        (["--out="], "give a path"),
        ([f"--source={tmp_path / 'none'}"], "none"),
    ]:
        with pytest.raises(InputError) as caught:
            preview.run([f"--out={out}", *arguments])
        assert message in str(caught.value) and "\n" not in str(caught.value)


def test_a_source_from_here_whatever_jstr_data_says(tmp_path, monkeypatch, capsys):
    write_folder(tmp_path / "real", ["one", "two", "three"])
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("JSTR_DATA", "/data")
    preview.run(["--out=sheet.png", "--source=real"])
    assert "3 of FolderSource" in capsys.readouterr().out


def test_optional_rows_with_a_path_are_shown(tmp_path, monkeypatch, capsys):
    folder = write_folder(tmp_path / "real", ["one", "two", "three"])
    config = tmp_path / "mine.py"
    config.write_text(
        "from jstr.cli.config_file import load_config\n\n\ndef get_config():\n    config = load_config('quickstart')\n"
        f"    config.evals.mine = dict(path='{folder}', optional=True)\n"
        "    config.evals.none = dict(path='', optional=True)\n    return config\n"
    )
    preview.run([f"--out={tmp_path}/sheet.png", f"--config={config}", "--source=mine"])
    assert "3 of FolderSource" in capsys.readouterr().out
    with pytest.raises(InputError, match="neither a path nor one of"):
        preview.run([f"--out={tmp_path}/sheet.png", f"--config={config}", "--source=none"])


def test_contact_sheet_draws_hangul():
    font = font_files("korean")[0]
    blank = dict(image=np.full((32, 32, 3), 255, np.uint8))
    sheets = [contact_sheet([dict(blank, label=label)], font=font) for label in ("", "한국", "서울")]
    assert not any(np.array_equal(a, b) for a, b in zip(sheets, sheets[1:] + sheets[:1], strict=True))


HOSTILE = [
    "",
    " ",
    "a\nb\r\tc",
    "\x00\x1b[31m",
    "\u202eabc",
    "שלום",
    "سلام",
    "हिंदी",
    "\ud800",
    "e\u0301",
    "x" * 10_000,
    "\U0010ffff",
    "👩‍👩‍👧",
]


def test_hostile_labels_are_drawn_in_their_tile():
    blank = np.full((32, 80, 3), 255, np.uint8)
    sheet = contact_sheet([dict(image=blank, label=label) for label in HOSTILE], columns=4)
    assert sheet.shape == (-(-len(HOSTILE) // 4) * 72, 4 * 240, 3)
    tiles = sheet.reshape(-1, 72, 4, 240, 3).swapaxes(1, 2).reshape(-1, 72, 240, 3)[: len(HOSTILE)]
    inked = [(tile[48:] < 128).any() for tile in tiles]
    assert inked == [bool(label.strip()) for label in HOSTILE], "no label is lost"
    assert all((tile[:48] == 255).all() for tile in tiles), "none covers the image"


@pytest.mark.parametrize("script, label", [("Hebrew", "שלום"), ("Arabic", "سلام"), ("Devanagari", "हिंदी")])
def test_labels_of_any_script_are_drawn_with_a_font_that_has_them(script, label):
    font = ROOT / f"tests/data/fonts/NotoSans{script}-cut.ttf"
    texts, faces = label_faces([label, "word", label + "字"], [str(font)])
    assert texts == [label, "word", (label + "字").encode("ascii", "backslashreplace").decode()]
    families = [face.getname()[0] for face in faces]
    assert script in families[0] and families[1:] == ["Arimo", "Arimo"]


def test_notes_of_rendered_words_are_said(tmp_path, capsys):
    (tmp_path / "words.txt").write_text("cab\nхлеб\n", encoding="utf-8")
    preview.run([f"--out={tmp_path / 'a.png'}", "--count=2", f"--words={tmp_path / 'words.txt'}"])
    assert "1 of 2 words left out" in capsys.readouterr().err


def test_large_images_are_made_smaller_before_they_are_collected(tmp_path):
    folder = write_folder(tmp_path / "photographs", ["one"], shape=(1500, 4000, 3))
    (sample,) = preview._some(open_source(str(folder)), 5, 0)
    assert sample["image"].size < 10**6 and sample["label"] == "one"


def test_command_writes_on_any_terminal(tmp_path):
    out = tmp_path / "ä字.png"
    status, said, err = call("-m", "jstr.data.synth", f"--out={out}", "--count=2", PYTHONIOENCODING="ascii")
    assert status == 0 and out.is_file() and "\\xe4\\u5b57.png" in said, err
