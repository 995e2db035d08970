"""CR's views on the device: as the host makes them with the same random numbers, which have its distribution."""

import jax
import jax.numpy as jnp
import numpy as np
from testing import quick_jit
from views_testing import SIZE, Played, Signed, base_of, off, smooth

from jstr.augment.device import cr
from jstr.augment.host import cr as host_cr
from jstr.augment.spec import Channel
from jstr.data.images import ImageSpec

B, KEY = 80, jax.random.PRNGKey(0)
apply_spatial, apply_channel = quick_jit(cr.apply_spatial), quick_jit(cr.apply_channel)
jitter_colours = quick_jit(cr.jitter_colours)


def test_strong_operations_equal_the_hosts():
    """Every operation, level and sign. The host takes the nearest pixel and works in double precision."""
    cases = [(op, level, sign) for op in range(5) for level in range(1, 5) for sign in (-1, 1)]
    cases += [(op, level, sign) for op in range(8) for level in range(1, 10) for sign in (-1, 1)][: B - len(cases)]
    images = [smooth(*SIZE, i) for i in range(B)]
    op, level, sign = (jnp.asarray(x)[:, None] for x in zip(*cases, strict=True))
    found = np.asarray(apply_spatial(base_of(images), jnp.where(jnp.arange(B)[:, None] < 40, op, cr.NONE), level, sign))
    for i, (op_, level_, sign_) in enumerate(cases[:40]):
        expected = host_cr.SPATIAL[op_](images[i], Signed(sign_), level_)
        assert (np.abs(found[i] - expected) > 20).mean() < 0.03, cases[i]
        assert (np.abs(images[i].astype(int) - expected) > 20).mean() > 0.1
    np.testing.assert_array_equal(found[40:], np.stack(images[40:]))
    cases = [(op, level, sign) for op in range(8) for level in (1, 4, 5, 6, 9) for sign in (-1, 1)]
    op, level, sign = (jnp.asarray(x) for x in zip(*cases, strict=True))
    images = [image // (1 + i % 3) + 9 * (i % 3) for i, image in enumerate(images)]
    found = np.asarray(
        apply_channel(np.stack(images).astype(np.float32), np.ones((B, SIZE[1]), np.float32), op, level, sign)
    )
    for i, (op_, level_, sign_) in enumerate(cases):
        expected = host_cr.CHANNEL[op_](images[i], Signed(sign_), level_).astype(int)
        assert (np.abs(found[i] - expected) > 1).mean() < 0.002, cases[i]


def test_two_moves_are_made_in_order_and_the_outside_is_black():
    images = [smooth(*SIZE, i) for i in range(B)]
    op = np.array([(i % 5, i // 5 % 5) for i in range(B)])
    sign, level = np.where(np.arange(2 * B).reshape(B, 2) % 3, 1, -1), np.full((B, 2), 3)
    found = np.asarray(apply_spatial(base_of(images), op, level, sign))
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
    op = np.array([Channel.CONTRAST, Channel.EQUALISE, Channel.AUTOCONTRAST, Channel.SATURATION] * (B // 4))
    found = np.asarray(apply_channel(padded, weight, op, np.full(B, 8), np.ones(B, int)))
    for i in range(B):
        expected = host_cr.CHANNEL[op[i]](narrow[i].astype(np.uint8), None, 8).astype(int)
        assert (np.abs(found[i, :, :50] - expected) > 1).mean() < 0.002


def test_weak_jitter_equals_the_hosts():
    """In every order. cv2 keeps hue and saturation in 8 bits, which the device does not round."""
    rng, images = np.random.default_rng(0), [smooth(*SIZE, i) for i in range(B)]
    order = np.stack([rng.permutation(4) for _ in range(B)])
    ranges, signs = np.array([0.2, 0.1, 0.1]), rng.uniform(-1, 1, (B, 3))
    turn = rng.uniform(-0.05, 0.05, B)
    found = np.asarray(jitter_colours(base_of(images), np.argsort(order, axis=1), 1 + signs * ranges, turn))
    expected = np.stack([host_cr.cr_weak(x, Played(signs[i], turn[i], order[i])) for i, x in enumerate(images)])
    wrong = off(found, expected)
    assert wrong.max() < 2.5 and wrong.mean() < 1.5 < 8 < off(images, expected).mean(), wrong


def test_the_hue_turns_in_its_place():
    """Brightness cuts values off, so it matters whether it comes before the hue or after."""
    image = smooth(*SIZE, 0)

    def jittered(pixels, rank, brightness, turn):
        factors = np.tile([brightness, 1.0, 1.0], (B, 1))
        return np.asarray(jitter_colours(base_of([pixels] * B), np.tile(rank, (B, 1)), factors, np.full(B, turn)))[0]

    last, first = [0, 1, 2, 3], [1, 2, 3, 0]  # places of brightness, contrast, saturation and hue
    then_hue = jittered(jittered(image, last, 2.0, 0.0), last, 1.0, 0.12)
    then_brightness = jittered(jittered(image, last, 1.0, 0.12), last, 2.0, 0.0)
    assert off([then_hue], [then_brightness]).mean() > 5
    assert off([jittered(image, last, 2.0, 0.12)], [then_hue]).mean() < 1.5
    assert off([jittered(image, first, 2.0, 0.12)], [then_brightness]).mean() < 1.5


def test_weak_numbers_fill_the_ranges_of_the_host(monkeypatch):
    drawn = {}
    monkeypatch.setattr(cr, "jitter_colours", lambda base, rank, factors, turn: drawn.update(f=factors, t=turn))
    cr.cr_weak(base_of([smooth(*SIZE, 0)] * B), KEY)
    largest = np.abs(np.column_stack([drawn["f"] - 1, drawn["t"]])).max(axis=0)
    ranges = np.array([0.2, 0.1, 0.1, 0.05])
    assert (largest <= ranges + 1e-6).all() and (largest > 0.9 * ranges).all()


def test_strong_numbers_are_distributed_as_specified():
    """As host/test_cr.py measures it on the host."""
    for ops_count, levels in ((5, 4), (8, 9)):
        drawn = quick_jit(lambda n=ops_count, m=levels: cr.draw(KEY, 6000, 2, n, m, 0.5))()
        op, level, sign = jax.device_get(drawn)
        assert op.shape == level.shape == sign.shape == (6000, 2)
        assert abs((op == cr.NONE).mean() - 0.5) < 0.02 and abs((op == cr.NONE).all(axis=1).mean() - 0.25) < 0.02
        assert np.bincount(op[op >= 0], minlength=ops_count).min() > 0.9 * 6000 / ops_count
        assert set(np.unique(level)) == {*range(1, levels + 1)}
        assert np.bincount(level.ravel())[1:].min() > 0.9 * 12000 / levels
        assert abs(sign.mean()) < 0.03 and set(np.unique(sign)) == {-1, 1}


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
