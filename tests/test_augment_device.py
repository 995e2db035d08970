"""Views drawn on the device: as the host draws them with the same random numbers, which are distributed alike."""

import cv2
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.stats import ks_2samp
from test_ops import PLACES, TOLERANCE, where, word
from test_ops_cr import Signed
from testing import REAL_WORDS, quick_jit

from jstr.augment.device import base as base_module
from jstr.augment.device import cr, seqclr
from jstr.augment.device.base import Base
from jstr.augment.host import cr as host_cr
from jstr.augment.host import registry
from jstr.augment.host import seqclr as host_seqclr
from jstr.data.images import ImageSpec

B, SIZE, KEY = 80, (32, 100), jax.random.PRNGKey(0)
apply = quick_jit(seqclr.apply)
moved, changed, jittered = quick_jit(cr.moved), quick_jit(cr.changed), quick_jit(cr.jittered)


def smooth(height: int, width: int, seed: int) -> np.ndarray:
    noise = np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)
    blurred = cv2.GaussianBlur(noise, (0, 0), height / 10).astype(int)
    return np.clip((blurred - 127) * 5 + 127, 0, 255).astype(np.uint8)


def base_of(images, keep_ratio=False) -> Base:
    """Pictures of any sizes, resized as the host does it."""
    spec, size = ImageSpec(SIZE, 3, keep_ratio), np.float32([image.shape[:2] for image in images])
    return Base.make(jnp.asarray(np.stack([spec.fit(image) for image in images])), jnp.asarray(size), keep_ratio)


def off(a, b) -> np.ndarray:
    """Mean difference of each row."""
    return np.abs(np.asarray(a, float) - np.asarray(b, float)).mean(axis=(1, 2, 3))


class Played:
    """A generator that gives known numbers, whatever it is asked for."""

    def __init__(self, *numbers):
        rest = iter(numbers)
        self.uniform = self.normal = self.integers = self.permutation = lambda *_, **__: next(rest)


def seqclr_on_host(image, draws, i: int):
    """The host's operations, in the order and with the numbers of row i of the device's draws."""
    rows, columns = points = draws.points[i]
    numbers = (
        [draws.factor[i]],
        [draws.sigma[i]],
        [draws.cuts[i, :2]],
        [draws.cuts[i, 2:]],
        draws.blend[i],
        [0.0, points, draws.moves[i, :, :rows, :columns]],
        [0.0, draws.corners[i]],
    )
    for op in np.argsort(draws.rank[i]):
        if draws.on[i, op]:
            image = host_seqclr.PAPER[op](image, Played(*numbers[op]))
    return image


def some_draws():
    """The first half runs one operation in each row, the second up to seven."""
    draws = jax.device_get(quick_jit(lambda: seqclr.draw(KEY, B, 1, 7))())
    on = draws.on.copy()
    on[: B // 2] = np.arange(7) == np.arange(B // 2)[:, None] % 7
    return draws._replace(on=on)


def test_seqclr_operations_equal_the_hosts_in_any_order():
    """The host rounds after each operation and enlarges crops by cubic; else they would be equal."""
    images, draws = [smooth(*SIZE, i) for i in range(B)], some_draws()
    expected = np.stack([seqclr_on_host(image, draws, i) for i, image in enumerate(images)])
    found = np.asarray(apply(base_of(images), draws))
    wrong, change = off(found, expected), off(images, expected)
    for op in range(7):
        assert change[: B // 2][op::7].mean() > 2.0, f"operation {op} does something"
        assert wrong[: B // 2][op::7].max() < 1.0, (op, wrong[: B // 2][op::7])
    assert wrong[B // 2 :].max() < 5.0 and wrong[B // 2 :].mean() < 1.5, wrong[B // 2 :]
    assert change[B // 2 :].mean() > 15.0


@pytest.mark.parametrize("keep_ratio", [False, True])
def test_seqclr_views_of_pictures_of_any_size_are_nearly_the_hosts(keep_ratio):
    """Those are made before the resize. Cuts, kernels and grids must refer to that size, and padding stay padding."""
    rng = np.random.default_rng(1)
    images = [smooth(*rng.integers((16, 30), (70, 140)), i) for i in range(B)]
    draws, spec = some_draws(), ImageSpec(SIZE, 3, keep_ratio)
    expected = np.stack([spec.fit(seqclr_on_host(image, draws, i)) for i, image in enumerate(images)])
    start = base_of(images, keep_ratio)
    found = np.asarray(apply(start, draws))
    wrong, change = off(found, expected), off(start.images, expected)
    assert wrong.mean() < 0.1 * change.mean() and np.median(wrong) < 2.0, (wrong.mean(), change.mean())
    ends = np.ceil(np.asarray(start.filled) * SIZE[1] - 1e-3).astype(int)
    assert (min(ends) < 60) == keep_ratio
    for row, end in zip(found, ends, strict=True):
        assert (np.abs(row[:, end:].astype(int) - row[:, end - 1 : end]) <= 1).all()


def test_seqclr_keeps_the_sequence():
    """Bars stay in order and within 15 % of their place, when each is drawn with the same numbers."""
    count = B // len(PLACES)
    draws = jax.tree.map(lambda x: np.repeat(x[-count:], len(PLACES), axis=0), some_draws())
    found = np.asarray(apply(base_of([word(place) for place in PLACES] * count), draws))
    places = np.array([where(image) for image in found]).reshape(count, -1)
    assert (np.diff(places) > 0).all() and np.abs(places - PLACES).max() <= TOLERANCE


class Recorded(np.random.Generator):
    """A generator that notes what it gave."""

    def __init__(self, seed: int):
        super().__init__(np.random.PCG64(seed))
        self.given = []

    def uniform(self, *args, **kwargs):
        self.given.append(super().uniform(*args, **kwargs))
        return self.given[-1]

    def normal(self, *args, **kwargs):
        self.given.append(super().normal(*args, **kwargs))
        return self.given[-1]

    def integers(self, *args, **kwargs):
        self.given.append(super().integers(*args, **kwargs))
        return self.given[-1]


def test_seqclr_numbers_are_distributed_as_the_hosts():
    """Kolmogorov-Smirnov: a range that is a tenth off would be found among so many numbers."""
    host, image, count = Recorded(0), np.zeros((4, 4, 1), np.uint8), 1000
    draws = jax.device_get(quick_jit(lambda: seqclr.draw(KEY, 4000))())

    def given(op, *which):
        host.given.clear()
        for _ in range(count):
            host_seqclr.PAPER[op](image, host)
        calls = len(host.given) // count
        return [np.concatenate([np.ravel(x)[:4] for x in host.given[i::calls]]) for i in which]

    pairs = [
        (given(seqclr.CONTRAST, 0), [draws.factor]),
        (given(seqclr.BLUR, 0), [draws.sigma]),
        (given(seqclr.VERTICAL, 0), [draws.cuts[:, :2]]),
        (given(seqclr.HORIZONTAL, 0), [draws.cuts[:, 2:]]),
        (given(seqclr.SHARPEN, 0, 1), list(draws.blend.T)),
        (given(seqclr.PIECEWISE, 1, 2), [draws.points, draws.moves[:, :, 0, :2]]),
        (given(seqclr.PERSPECTIVE, 1), [draws.corners]),
    ]
    for expected, found in pairs:
        for a, b in zip(expected, found, strict=True):
            assert ks_2samp(np.abs(a), np.abs(np.ravel(b))).pvalue > 1e-3
    assert abs(draws.moves.mean()) < 1e-3
    counts = np.bincount(draws.on.sum(axis=1), minlength=8)
    assert not counts[[0, 6, 7]].any() and np.abs(counts[1:6] - 800).max() < 4 * 25.3  # standard deviations
    assert np.abs(draws.on.mean(axis=0) - 3 / 7).max() < 0.03
    first = (draws.rank[:, :, None] < draws.rank[:, None]).mean(axis=0)
    assert np.abs(first[~np.eye(7, dtype=bool)] - 0.5).max() < 0.03, "each before each other, as often as not"


def test_strong_operations_equal_the_hosts():
    """Every operation, level and sign. The host takes the nearest pixel and works in double precision."""
    cases = [(op, level, sign) for op in range(5) for level in range(1, 5) for sign in (-1, 1)]
    cases += [(op, level, sign) for op in range(8) for level in range(1, 10) for sign in (-1, 1)][: B - len(cases)]
    images = [smooth(*SIZE, i) for i in range(B)]
    op, level, sign = (jnp.asarray(x)[:, None] for x in zip(*cases, strict=True))
    found = np.asarray(moved(base_of(images), jnp.where(jnp.arange(B)[:, None] < 40, op, cr.NONE), level, sign))
    for i, (op_, level_, sign_) in enumerate(cases[:40]):
        expected = host_cr.SPATIAL[op_](images[i], Signed(sign_), level_)
        assert (np.abs(found[i] - expected) > 20).mean() < 0.03, cases[i]
        assert (np.abs(images[i].astype(int) - expected) > 20).mean() > 0.1
    np.testing.assert_array_equal(found[40:], np.stack(images[40:]))
    cases = [(op, level, sign) for op in range(8) for level in (1, 4, 5, 6, 9) for sign in (-1, 1)]
    op, level, sign = (jnp.asarray(x) for x in zip(*cases, strict=True))
    images = [image // (1 + i % 3) + 9 * (i % 3) for i, image in enumerate(images)]
    found = np.asarray(changed(np.stack(images).astype(np.float32), np.ones((B, SIZE[1]), np.float32), op, level, sign))
    for i, (op_, level_, sign_) in enumerate(cases):
        expected = host_cr.CHANNEL[op_](images[i], Signed(sign_), level_).astype(int)
        assert (np.abs(found[i] - expected) > 1).mean() < 0.002, cases[i]


def test_two_moves_are_made_in_order_and_what_left_the_picture_is_black():
    images = [smooth(*SIZE, i) for i in range(B)]
    op = np.array([(i % 5, i // 5 % 5) for i in range(B)])
    sign, level = np.where(np.arange(2 * B).reshape(B, 2) % 3, 1, -1), np.full((B, 2), 3)
    found = np.asarray(moved(base_of(images), op, level, sign))
    for i in range(B):
        expected = images[i]
        for j in range(2):
            expected = host_cr.SPATIAL[op[i, j]](expected, Signed(sign[i, j]), 3)
        assert (np.abs(found[i] - expected) > 25).mean() < 0.05, op[i]


def test_statistics_leave_padding_out():
    """The mean and the histogram of a word do not depend on the columns that repeat its last one."""
    narrow = np.stack([smooth(32, 50, i) for i in range(B)]).astype(np.float32)
    padded = np.concatenate([narrow, np.repeat(narrow[:, :, -1:], 50, axis=2)], axis=2)
    weight = np.repeat(np.float32(np.arange(100) < 50)[None], B, axis=0)
    op = np.array([cr.CONTRAST, cr.EQUALISE, cr.AUTOCONTRAST, cr.SATURATION] * (B // 4))
    found = np.asarray(changed(padded, weight, op, np.full(B, 8), np.ones(B, int)))
    for i in range(B):
        expected = host_cr.CHANNEL[op[i]](narrow[i].astype(np.uint8), None, 8).astype(int)
        assert (np.abs(found[i, :, :50] - expected) > 1).mean() < 0.002


def test_weak_jitter_equals_the_hosts():
    """In every order. cv2 keeps hue and saturation in 8 bits, which the device does not round."""
    rng, images = np.random.default_rng(0), [smooth(*SIZE, i) for i in range(B)]
    order = np.stack([rng.permutation(4) for _ in range(B)])
    ranges, signs = np.array([0.2, 0.1, 0.1]), rng.uniform(-1, 1, (B, 3))
    turn = rng.uniform(-0.05, 0.05, B)
    found = np.asarray(jittered(base_of(images), np.argsort(order, axis=1), 1 + signs * ranges, turn))
    expected = np.stack([host_cr.cr_weak(x, Played(signs[i], turn[i], order[i])) for i, x in enumerate(images)])
    wrong = off(found, expected)
    assert wrong.max() < 2.5 and wrong.mean() < 1.5 < 8 < off(images, expected).mean(), wrong


def test_strong_numbers_are_distributed_as_specified():
    """cr.md 3.2, as test_ops_cr measures it on the host."""
    for ops_count, levels in ((5, 4), (8, 9)):
        drawn = quick_jit(lambda n=ops_count, m=levels: cr.draw(KEY, 6000, 2, n, m, 0.5))()
        op, level, sign = jax.device_get(drawn)
        assert op.shape == level.shape == sign.shape == (6000, 2)
        assert abs((op == cr.NONE).mean() - 0.5) < 0.02 and abs((op == cr.NONE).all(axis=1).mean() - 0.25) < 0.02
        assert np.bincount(op[op >= 0], minlength=ops_count).min() > 0.9 * 6000 / ops_count
        assert set(np.unique(level)) == {*range(1, levels + 1)}
        assert np.bincount(level.ravel())[1:].min() > 0.9 * 12000 / levels
        assert abs(sign.mean()) < 0.03 and set(np.unique(sign)) == {-1, 1}


@pytest.mark.parametrize("name", ["seqclr", "cr_weak", "cr_strong"])
def test_whole_views_change_real_words_as_much_as_the_hosts(name):
    """Mean change of 64 words, over 4 views of each and over 16 that the host makes before the resize; within 15 %."""
    images = [cv2.imread(str(path), cv2.IMREAD_COLOR_RGB) for path in sorted(REAL_WORDS.glob("*.*g"))][:64]
    assert len(images) == 64
    spec, start = ImageSpec(SIZE, 3), base_of(images)
    op = {"seqclr": seqclr.seqclr, "cr_weak": cr.cr_weak, "cr_strong": cr.cr_strong}[name]
    device = quick_jit(op)
    found = [np.asarray(device(start, jax.random.PRNGKey(seed))) for seed in range(4)]
    rng = np.random.default_rng(0)
    views = [[spec.fit(registry.OPS[name](image, rng)) for image in images] for _ in range(16)]
    change, expected = (np.mean([off(view, start.images) for view in some]) for some in (found, views))
    assert abs(change / expected - 1) < 0.15, (change, expected)
    np.testing.assert_array_equal(device(start, jax.random.PRNGKey(0)), found[0])
    assert (off(found[0], found[1]) > 0).mean() > 0.8


def test_reading_by_products_equals_reading_by_index():
    """The form for TPUs."""
    rng = np.random.default_rng(0)
    images = np.float32(rng.integers(0, 256, (3, 8, 12, 3)))
    x, y = np.float32(rng.uniform(0, 11, (3, 5, 7))), np.float32(rng.uniform(0, 7, (3, 5, 7)))
    forms = base_module.read_by_index, base_module.read_by_products
    a, b = (jax.jit(form)(images, x, y) for form in forms)
    np.testing.assert_allclose(a, b, atol=1e-3)


def test_cutout_is_as_large_and_as_frequent_as_on_the_host():
    shapes = [(32, 100), (20, 40), (40, 300), (24, 60)]
    spec, count = ImageSpec(SIZE, 3, False), 2000
    images = [np.zeros((*shapes[i % 4], 3), np.uint8) for i in range(count)]
    found = quick_jit(lambda base: cr.cr_strong(base, KEY, spatial=0, channel=0, cutout=0.5))(base_of(images))
    options = dict(spatial=0, channel=0, cutout=0.5)
    host = [spec.fit(host_cr.cr_strong(x, np.random.default_rng(i), **options)) for i, x in enumerate(images)]
    for kind in range(4):
        grey = [np.stack(views)[kind::4].mean(axis=(1, 2, 3)) / 127 for views in (np.asarray(found), host)]
        assert abs(grey[0].mean() - grey[1].mean()) < 0.008, (shapes[kind], grey[0].mean(), grey[1].mean())
        assert all(0.42 < (part > 0).mean() < 0.58 for part in grey)
