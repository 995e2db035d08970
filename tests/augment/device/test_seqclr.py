"""SeqCLR's views on the device: as the host makes them with the same random numbers, which have its distribution."""

import jax
import numpy as np
import pytest
from scipy.stats import ks_2samp
from testing import quick_jit
from views_testing import PLACES, SIZE, TOLERANCE, Played, base_of, off, smooth, where, word

from jstr.augment.device import seqclr
from jstr.augment.host import seqclr as host_seqclr
from jstr.augment.spec import Seqclr
from jstr.data.images import ImageSpec

B, KEY = 80, jax.random.PRNGKey(0)
apply = quick_jit(seqclr.apply)


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


def test_operations_equal_the_hosts_in_any_order():
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
def test_views_of_images_of_any_size_are_nearly_the_hosts(keep_ratio):
    """The host augments before the resize: cuts, kernels and grids refer to that size, and padding stays padding."""
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


def test_views_keep_the_sequence():
    """Bars stay in order and within 15 % of their place, when each is drawn with the same numbers."""
    count = B // len(PLACES)
    draws = jax.tree.map(lambda x: np.repeat(x[-count:], len(PLACES), axis=0), some_draws())
    found = np.asarray(apply(base_of([word(place) for place in PLACES] * count), draws))
    places = np.array([where(image) for image in found]).reshape(count, -1)
    assert (np.diff(places) > 0).all() and np.abs(places - PLACES).max() <= TOLERANCE


class Recorded(np.random.Generator):
    """A generator that records the numbers it returns."""

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


def test_numbers_are_distributed_as_the_hosts():
    """Kolmogorov-Smirnov: detects a range that is off by a tenth."""
    host, image, count = Recorded(0), np.zeros((4, 4, 1), np.uint8), 1000
    draws = jax.device_get(quick_jit(lambda: seqclr.draw(KEY, 4000))())

    def given(op, *which):
        host.given.clear()
        for _ in range(count):
            host_seqclr.PAPER[op](image, host)
        calls = len(host.given) // count
        return [np.concatenate([np.ravel(x)[:4] for x in host.given[i::calls]]) for i in which]

    pairs = [
        (given(Seqclr.LINEAR_CONTRAST, 0), [draws.factor]),
        (given(Seqclr.GAUSSIAN_BLUR, 0), [draws.sigma]),
        (given(Seqclr.VERTICAL_CROP, 0), [draws.cuts[:, :2]]),
        (given(Seqclr.HORIZONTAL_CROP, 0), [draws.cuts[:, 2:]]),
        (given(Seqclr.SHARPEN, 0, 1), list(draws.blend.T)),
        (given(Seqclr.PIECEWISE_AFFINE, 1, 2), [draws.points, draws.moves[:, :, 0, :2]]),
        (given(Seqclr.PERSPECTIVE_INWARDS, 1), [draws.corners]),
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
