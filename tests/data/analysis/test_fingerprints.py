"""Near duplicates: what is found, and what is not."""

import cv2
import numpy as np
import pytest
from testing import REAL_WORDS

from jstr.data.analysis.fingerprints import (
    ANY_BITS,
    BITS,
    DIFFERENCE,
    LIKE,
    candidates,
    copies,
    fingerprint,
    label_key,
    similarity,
    small,
)
from jstr.data.sources.open import open_source


def picture(name):
    return cv2.cvtColor(cv2.imread(str(REAL_WORDS / name)), cv2.COLOR_BGR2RGB)


REAL = [picture(s["key"]) for s in open_source(str(REAL_WORDS))]


def recropped(image):
    """The crop of another annotator: scaled, without its margins, saved as JPEG."""
    h, w = image.shape[:2]
    cut = np.ascontiguousarray(image[h // 30 : h - h // 40, w // 60 : w - w // 50])
    cut = cv2.resize(cut, None, fx=0.9, fy=0.9, interpolation=cv2.INTER_AREA)
    return cv2.imdecode(cv2.imencode(".jpg", cut, [cv2.IMWRITE_JPEG_QUALITY, 80])[1], cv2.IMREAD_COLOR)


def bits_of(images):
    return np.array([fingerprint(image)[1:] for image in images], np.uint64)


def test_other_crops_of_a_photograph_are_twins_and_other_words_are_not():
    again = [recropped(image) for image in REAL]
    distance = np.bitwise_count(bits_of(REAL)[:, None] ^ bits_of(again)[None]).sum(-1)
    own = np.eye(len(REAL), dtype=bool)
    assert (distance[own] <= BITS).mean() > 0.9 and (distance[~own] <= BITS).mean() < 0.02
    pairs = [similarity(small(a), small(b)) for a, b in zip(REAL, again, strict=True)]
    assert np.mean([c >= LIKE and d <= DIFFERENCE for c, d in pairs]) > 0.7
    pairs = [similarity(small(a), small(b)) for a, b in zip(REAL, REAL[1:], strict=False)]
    assert not any(c >= LIKE and d <= DIFFERENCE for c, d in pairs)
    assert similarity(small(REAL[0]), small(REAL[0])) == pytest.approx((1, 0), abs=1e-3)


def test_fingerprint_knows_pixels_and_shape():
    assert fingerprint(REAL[0]) == fingerprint(REAL[0].copy())
    changed = REAL[0].copy()
    changed[0, 0, 0] ^= 1
    assert fingerprint(changed)[0] != fingerprint(REAL[0])[0]
    wide, tall = (np.zeros((*shape, 3), np.uint8) for shape in ((10, 40), (40, 10)))
    assert fingerprint(wide)[0] != fingerprint(tall)[0] and fingerprint(wide)[1:] == (0, 0)
    assert fingerprint(np.zeros((1, 1, 3), np.uint8))[1:] == (0, 0)


def test_label_key():
    assert label_key(None) is None
    assert label_key("Don't!") == label_key("dont") == "dont" and label_key("-") == "-"
    assert label_key("\u1112\u1161\u11ab") == "한" and label_key("हिंदी") == "हिंदी"  # vowel signs stay


def brute_force(labels, bits):
    found = set()
    for i in range(len(labels)):
        for j in range(i + 1, len(labels)):
            distance = int(np.bitwise_count(bits[i] ^ bits[j]).sum())
            if labels[i] == labels[j] >= 0 and distance <= BITS and bits[i].any() and bits[j].any():
                found.add((i, j, distance))
    return found


def test_candidates_are_all_close_pairs_of_a_label(monkeypatch):
    rng = np.random.default_rng(0)
    bits = rng.integers(0, 2**64, (300, 2), np.uint64)
    for i in range(100):  # neighbours of others: up to 60 bits changed, also across words of 16 bits
        bits[i + 100] = bits[i]
        for b in rng.choice(128, i % 61, replace=False).tolist():
            bits[i + 100, b // 64] ^= np.uint64(1) << np.uint64(b % 64)
    bits[290:] = 0
    labels = rng.integers(-1, 3, 300)
    labels[100:200] = labels[:100]
    got = {tuple(row) for row in candidates(labels, bits).tolist()}
    same_label = {row for row in got if labels[row[0]] == labels[row[1]] >= 0}
    expected = brute_force(labels, bits)
    assert same_label == expected and len(expected) > 40
    assert all(distance <= ANY_BITS for _, _, distance in got - same_label)

    monkeypatch.setattr(
        "jstr.data.analysis.fingerprints.LARGE_GROUP", 1
    )  # now by pieces: 7 changed bits always leave one whole
    pieces = {tuple(row) for row in candidates(labels, bits).tolist()}
    assert pieces <= got and {row for row in expected if row[2] < 8} <= pieces


def test_candidates_over_labels_share_a_piece_and_differ_in_few_bits():
    bits = np.array([[1, 2], [1, 2], [1, 3], [1, 2], [0, 0], [0, 0], [2**64 - 1, 3]], np.uint64)
    got = candidates(np.array([-1, 0, 1, 2, -1, -1, -1]), bits)
    assert got.tolist() == [[0, 1, 0], [1, 3, 0], [0, 2, 1], [1, 2, 1], [2, 3, 1]]


def test_a_copy_without_label_is_found_after_scaling_and_recompression():
    again = [cv2.resize(image, None, fx=0.8, fy=0.8, interpolation=cv2.INTER_AREA) for image in REAL]
    again = [cv2.imdecode(cv2.imencode(".jpg", x, [cv2.IMWRITE_JPEG_QUALITY, 70])[1], cv2.IMREAD_COLOR) for x in again]
    pairs = candidates(np.r_[np.arange(len(REAL)), np.full(len(REAL), -1)], bits_of(REAL + again))
    own = pairs[:, 1] - pairs[:, 0] == len(REAL)
    assert own.sum() > 0.7 * len(REAL) and (~own).sum() < 0.1 * len(REAL)


def test_candidates_among_very_many_alike_are_bounded(monkeypatch):
    monkeypatch.setattr("jstr.data.analysis.fingerprints._WORK", 3000)
    bits = np.stack([np.arange(1000, dtype=np.uint64), np.full(1000, 7, np.uint64)], 1)
    assert len(candidates(np.full(1000, -1), bits)) <= 16 * 3000


def test_copies_link_to_each_set():
    pixels, sets = np.array([7, 8, 7, 7, 9, 7], np.uint64), np.array([0, 0, 0, 1, 1, 1])
    assert sorted(copies(pixels, sets)) == [(0, 2), (0, 3), (0, 5), (3, 5)]


@pytest.mark.parametrize("down, across", [(0, 0), (1, -3), (-1, 2), (1, 3)])
def test_images_are_compared_where_they_fit_best(down, across):
    """Noise is like itself in one place only."""
    noise = np.random.default_rng(0).uniform(0, 255, (2, 24, 64, 3)).astype(np.float32)
    one, other = noise[:, 4:20, 8:56], noise[:, 4 + down : 20 + down, 8 + across : 56 + across]
    correlation, difference = similarity(one, other)
    assert correlation > 0.999 and difference < 1e-3
    assert similarity(one, noise[:, 4:20, 12:60])[0] < 0.2
