"""Figures and contact sheets."""

import numpy as np
import pytest

from jstr.visualize import (
    attention_sheet,
    one_line,
    pair_sheet,
    similarity_sheet,
    text_tile,
    view_sheet,
    word_sheet,
)

RNG = np.random.default_rng(0)


def noise(*shape):
    return RNG.integers(0, 256, shape, np.uint8)


def test_similarity_sheet_shows_the_matrix():
    cosine = np.zeros((2, 5, 2, 5))
    cosine[np.arange(2)[:, None], np.arange(5), np.arange(2)[:, None], np.arange(5)] = 1
    words = np.random.default_rng(0).integers(0, 256, (2, 32, 100, 1), np.uint8)
    sheet = similarity_sheet(cosine, words, words)
    assert sheet.dtype == np.uint8 and sheet.shape[0] == 80 + 320 and sheet.shape[1] == 160 + 320
    red = np.all(sheet == [200, 0, 0], axis=-1)
    assert red[80 + 16, 160 + 16] and not red[80 + 16, 160 + 48]
    assert 0.05 < red[80:, 160:].mean() < 0.1


def test_word_sheet_keeps_the_ratio_and_fills_rows():
    black = np.zeros((30, 60, 3), np.uint8)
    sheet = word_sheet([black, black[..., :1], black[:, :, 0], black, black], ["one", "two", "three", "four", ""], 4)
    assert sheet.shape == (2 * 72, 4 * 240, 3) and sheet.dtype == np.uint8
    rows, columns = np.nonzero((sheet[:48, :240] == 0).all(axis=-1))
    assert np.ptp(columns) + 1 == 2 * (np.ptp(rows) + 1) == 88
    assert (sheet[72:, 240:] == 255).all(), "empty tiles are white"
    assert (sheet[48:72, :240] < 128).any() and not (sheet[120:, :240] < 255).any()


@pytest.mark.parametrize("shape", [(1, 1, 3), (1, 3000, 1), (3000, 1, 3), (2, 5, 3)])
def test_images_of_any_shape_fit_their_tile(shape):
    assert word_sheet([noise(*shape)], ["x"], 1).shape == (72, 240, 3)
    assert pair_sheet([(noise(*shape), noise(*shape), "a", "b", True)]).shape == (48, 740, 3)


def test_view_sheet_puts_fields_side_by_side():
    rows = [[noise(8, 20, 1), noise(8, 20, 1)] for _ in range(3)]
    sheet = view_sheet(rows, columns=2, scale=2)
    assert sheet.shape == (2 * 20, 2 * (2 * 44 + 8), 3)
    assert np.array_equal(sheet[2:18:2, 6:46:2, 0], rows[0][0][..., 0])
    assert np.array_equal(sheet[2:18:2, 50:90:2, 0], rows[0][1][..., 0])
    assert (sheet[20:, 96:] == 255).all()


def test_attention_sheet_has_a_tile_for_each_character():
    images, maps = noise(2, 32, 128, 3), np.zeros((2, 5, 8, 32))
    maps[:, :, 2, 4] = 1
    sheet = attention_sheet(images, maps, ["abc", ""])
    assert sheet.shape == (2 * (24 + 4 + 24), 4 * 100, 3)
    assert (sheet[52:, 100:] == 255).all()
    red = sheet[:24, 100:200].astype(int)
    assert (red[..., 0] - red[..., 2]).argmax() // 100 in range(6, 14), "at the row that the map marks"


@pytest.mark.parametrize(
    "text, line",
    [("word", "word"), ("a\nb", "a\\nb"), ("\x00", "\\x00"), ("\u202ea", "\\u202ea"), ("\ud800", "\\ud800")],
)
def test_text_is_one_printable_line(text, line):
    assert one_line(text) == line
    assert text_tile(text, 100).shape == (24, 100, 3)


def test_long_text_is_cut_off():
    assert one_line("x" * 10**6) == "x" * 100 + "..." and one_line("x" * 100) == "x" * 100
