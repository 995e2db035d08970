"""Figures and contact sheets."""

import numpy as np

from jstr.visualize import similarity_sheet


def test_similarity_sheet_shows_the_matrix():
    cosine = np.zeros((2, 5, 2, 5))
    cosine[np.arange(2)[:, None], np.arange(5), np.arange(2)[:, None], np.arange(5)] = 1
    words = np.random.default_rng(0).integers(0, 256, (2, 32, 100, 1), np.uint8)
    sheet = similarity_sheet(cosine, words, words)
    assert sheet.dtype == np.uint8 and sheet.shape[0] == 80 + 320 and sheet.shape[1] == 160 + 320
    red = np.all(sheet == [200, 0, 0], axis=-1)
    assert red[80 + 16, 160 + 16] and not red[80 + 16, 160 + 48]
    assert 0.05 < red[80:, 160:].mean() < 0.1
