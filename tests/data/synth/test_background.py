"""What lies behind rendered words."""

import pickle

import cv2
import numpy as np
import pytest
from synth_testing import SHARES
from testing import write_folder

from jstr.data.synth import background
from jstr.data.synth.background import Photographs
from jstr.data.synth.source import RenderedWords
from jstr.data.synth.style import Style
from jstr.text import NAMED
from jstr.text.messages import InputError


def test_photographs_behind_words(tmp_path):
    write_folder(tmp_path, ["a"] * 3, shape=(80, 100, 3))
    style = Style(**dict.fromkeys(SHARES, 0.0) | dict(photographed=1.0), contrast=(200, 200))
    source = RenderedWords(2, 20, NAMED["36"], style=style, backgrounds=tmp_path)
    copy = pickle.loads(pickle.dumps(source))
    for i in range(20):
        image = source[i]["image"]
        assert np.array_equal(image, copy[i]["image"])
        assert len(np.unique(image.reshape(-1, 3), axis=0)) > 100  # not a flat background


def test_photographs_that_cannot_be_used_are_named(tmp_path, capsys):
    write_folder(tmp_path, ["a"] * 2, shape=(80, 100, 3))
    (tmp_path / "none.png").write_bytes(b"no image")
    (tmp_path / "._hidden.png").write_bytes(b"macOS leaves such files")
    cv2.imwrite(str(tmp_path / "thin.png"), np.zeros((1, 9000, 3), np.uint8))
    photographs = Photographs(tmp_path)
    assert photographs.notes == ["backgrounds: 1 of 4 photographs cannot be used: none.png"]
    damaged = (tmp_path / "0000.png").read_bytes()
    (tmp_path / "0000.png").write_bytes(damaged[:60])  # after the folder was opened, as a disk may fail
    assert [photographs.crop(np.random.default_rng(i), i, (32, 90)).shape for i in range(20)] == [(3, 32, 90)] * 20
    assert capsys.readouterr().err.count("0000.png is damaged; another photograph is used") == 1
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="no photograph"):
        Photographs(tmp_path / "empty")
    (tmp_path / "empty" / "a.jpg").write_bytes(b"no image")
    with pytest.raises(InputError, match="1 of 1 photographs cannot be used: a.jpg"):
        Photographs(tmp_path / "empty")


def test_large_photographs_are_decoded_small(tmp_path, monkeypatch):
    rng = np.random.default_rng(0)
    image = cv2.resize(rng.integers(0, 256, (9, 8, 3), np.uint8), (2000, 1200), interpolation=cv2.INTER_CUBIC)
    cv2.imwrite(str(tmp_path / "a.jpg"), image)
    whole = background._decode(tmp_path / "a.jpg")
    background._decode.cache_clear()
    monkeypatch.setattr(background, "LARGE", 10**6)
    small = background._decode(tmp_path / "a.jpg")
    assert small.shape[1] in (500, 512) and whole.shape == (307, 512, 3)
    resized = cv2.resize(small, (512, 307), interpolation=cv2.INTER_LINEAR)
    assert np.abs(resized.astype(int) - whole).mean() < 5, "same colours"
    monkeypatch.setattr(background, "MOST_PIXELS", 10**6)
    with pytest.raises(InputError, match="cannot be used: a.jpg"):
        Photographs(tmp_path)
    background._decode.cache_clear()


def test_colours_have_their_luminance_and_the_hues_of_the_style():
    rng, style = np.random.default_rng(0), Style(hues=((1.0, 120, 1),), grey=0.0, vivid=1.0)
    for tone in (0.0, 12.0, 100.0, 240.0, 255.0):
        for _ in range(30):
            colour = background.colour(rng, style, tone)
            assert background.luma(colour) == pytest.approx(tone, abs=1e-3)
            assert colour.min() >= -1e-3 and colour.max() <= 255.001
            if tone == 100:
                assert colour[1] == colour.max() and colour[0] == pytest.approx(colour[2], abs=12), "green"
    grey = [np.ptp(background.colour(rng, Style(grey=0.3), 128.0)) == 0 for _ in range(2000)]
    assert 0.25 < np.mean(grey) < 0.36


def test_tones_differ_by_the_contrast():
    rng, style = np.random.default_rng(0), Style(contrast=(60, 90), extreme=0.0)
    for _ in range(200):
        dark, light, contrast = background.tones(rng, style)
        assert 60 <= contrast <= 90
        assert background.luma(light) - background.luma(dark) == pytest.approx(contrast, abs=1e-2)
    extremes = [background.luma(background.tones(rng, Style(extreme=1.0, contrast=(100, 100)))[0]) for _ in range(500)]
    assert all(min(abs(x - 0.03 * 155), abs(x - 0.99 * 155)) < 0.1 for x in extremes)
    assert 0.33 < np.mean(np.array(extremes) < 50) < 0.47


def test_surfaces_stay_calm_relative_to_the_contrast():
    tone = np.full((3, 1, 1), 120, np.float32)
    for seed in range(20):
        rng = np.random.default_rng(seed)
        off = dict.fromkeys(SHARES, 0.0)
        assert (background.surface(rng, (32, 90), tone, 100.0, Style(**off)) == 120).all()
        shaded = background.surface(rng, (32, 90), tone, 100.0, Style(**(off | dict(gradient=1.0)))) - 120
        assert np.abs(shaded).max() <= 35 and abs(shaded.mean()) < 1.5
        textured = Style(**(off | dict(textured=1.0, texture=(0.2, 0.2))))
        grain = background.surface(rng, (160, 1024), tone, 100.0, textured) - 120
        assert grain.std() == pytest.approx(20, rel=0.02) and abs(grain.mean()) < 0.5
        photograph = np.random.default_rng(seed).uniform(0, 255, (3, 32, 90)).astype(np.float32)
        calm = background.calmed(photograph, tone, 100.0)
        assert calm.mean() == pytest.approx(120, abs=0.1) and calm.mean(0).std() <= 30.01


def test_slopes_run_from_end_to_end_in_any_direction():
    slopes = [background.slope(np.random.default_rng(seed), (40, 100)) for seed in range(200)]
    assert all(-1.001 <= s.min() < -0.9 and 0.9 < s.max() <= 1.001 for s in slopes)
    across, down = (np.array([np.sign(s[a] - s[0, 0]) for s in slopes]) for a in ((0, -1), (-1, 0)))
    for signs in (across, down):
        assert 60 < (signs > 0).sum() < 140


def test_panels_end_close_to_the_word():
    image, ink = np.full((3, 60, 160), 100, np.float32), (30, 100)
    matrix = np.array([[1, 0, 30], [0, 1, 15], [0, 0, 1.0]])

    def project(plane, shift):
        moved = matrix @ [[1, 0, shift[0]], [0, 1, shift[1]], [0, 0, 1]]
        return cv2.warpPerspective(plane, moved, (160, 60))

    background.panel(np.random.default_rng(0), image, project, ink, Style())
    assert (image[:, 20:40, 35:125] == 100).all(), "the word's own place"
    corners = image[:, [0, 0, -1, -1], [0, -1, 0, -1]]
    assert np.abs(corners - 100).max() > 5 and (image != 100).any(axis=0).mean() > 0.2
