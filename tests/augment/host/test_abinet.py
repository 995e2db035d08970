"""ABINet's augmentation: how often each part comes, what it leaves alone, and that geometry holds the whole word."""

import cv2
import numpy as np
import pytest

from jstr.augment.host import abinet

IMAGE = np.random.default_rng(0).integers(0, 256, (32, 100, 3), np.uint8)


def many(image=IMAGE, count=600, **parameters):
    return [abinet.abinet(image, np.random.default_rng(seed), **parameters) for seed in range(count)]


def test_nothing_comes_at_probability_zero():
    assert all(out is IMAGE for out in many(count=5, geometry=0, deterioration=0, colour=0))


@pytest.mark.parametrize("part, share", [("geometry", 0.5), ("deterioration", 0.25), ("colour", 0.25)])
def test_parts_come_as_often_as_published(part, share):
    off = {"geometry": 0, "deterioration": 0, "colour": 0}
    off.pop(part)
    changed = [out.shape != IMAGE.shape or (out != IMAGE).any() for out in many(**off)]
    assert abs(np.mean(changed) - share) < 0.06


def test_geometry_holds_the_whole_word():
    """A bright frame along the border of a dark image: all of its corners are still there."""
    image = np.zeros((32, 100, 1), np.uint8)
    cv2.rectangle(image, (2, 2), (97, 29), 255, 3)
    sizes = []
    for out in many(image, 60, geometry=1, deterioration=0, colour=0):
        assert out.shape[-1] == 1 and out.max() > 200
        sizes.append(out.shape[:2])
    assert len(set(sizes)) > 20
    rng = np.random.default_rng(0)
    angles = np.array([abinet._symmetric(rng, 45) for _ in range(4000)])
    assert np.abs(angles).max() < 45 and abs(angles.mean()) < 1 and abs(angles.std() - 15) < 1


def test_rotation_makes_the_canvas_grow():
    turn = np.deg2rad(30)
    matrix = np.array([[np.cos(turn), np.sin(turn)], [-np.sin(turn), np.cos(turn)]])
    out = abinet._map(IMAGE, np.random.default_rng(0), matrix)
    expected = (100 * np.sin(turn) + 32 * np.cos(turn), 100 * np.cos(turn) + 32 * np.sin(turn))
    np.testing.assert_allclose(out.shape[:2], expected, atol=1)


def test_noise_is_weak_and_most_blur_keeps_the_mean():
    flat = np.full((64, 64, 3), 100, np.uint8)
    rng = np.random.default_rng(0)
    choices = [abinet.Choice.draw(rng) for _ in range(200)]
    for choice in choices[:20]:
        noise = abinet._noise(flat, rng, choice).astype(float) - 100
        np.testing.assert_allclose(noise.std(), choice.variance**0.5, rtol=0.05, atol=0.2)
    blurred = np.array([abinet._motion_blur(flat, rng, choice)[32, 32, 0] for choice in choices])
    assert np.mean(blurred == 100) > 0.8 and blurred.max() < 115
    assert {c.variance for c in choices} <= set(range(1, 21)) and {c.blur for c in choices} <= set(range(1, 7))
    assert {c.halvings for c in choices} == set(range(5)) and len({c.order for c in choices}) == 6


def test_every_image_draws_its_own_choice_unless_frozen(monkeypatch):
    """The published code draws the kind of geometry, and the strength of the deterioration, once for a run."""
    used = []
    monkeypatch.setattr(abinet, "_map", lambda image, rng, matrix: used.append("map") or image)
    monkeypatch.setattr(abinet, "_perspective", lambda image, rng: used.append("perspective") or image)
    monkeypatch.setattr(abinet, "_rescale", lambda image, rng, choice: used.append(choice) or image)
    every = dict(geometry=1, deterioration=1, colour=0)
    made = many(count=20, **every)
    assert len(set(used)) > 15 and {"map", "perspective"} < set(used)
    used.clear()
    frozen = many(count=20, frozen=4, **every)
    assert len(set(used)) == 2 and len(used) == 40
    assert len({out.tobytes() for out in frozen}) == len({out.tobytes() for out in made}) == 20  # noise is noise


class Scripted:
    """A generator with known beta draws, 0.5 once they are used up, and one value for all uniform draws."""

    def __init__(self, *betas, uniform=1.0):
        self.betas, self.value = list(betas), uniform

    def beta(self, a, b, size=None):
        drawn = self.betas.pop(0) if self.betas else 0.5
        return drawn if size is None else np.full(size, drawn)

    def uniform(self, low, high):
        return self.value

    def integers(self, count):
        return 1  # linear interpolation


def test_choices_are_distributed_as_published():
    """int(20 beta(1, 4)) and int(6 beta(1, 4)), at least 1; an angle of +-90 degrees; round(U(0, 4)) halvings."""
    rng = np.random.default_rng(0)
    choices = [abinet.Choice.draw(rng) for _ in range(3000)]
    for values, expected in (
        ([c.variance >= 10 for c in choices], 0.5**4),
        ([c.variance >= 2 for c in choices], 0.9**4),
        ([c.blur >= 2 for c in choices], (2 / 3) ** 4),
        ([c.blur >= 4 for c in choices], (1 / 3) ** 4),
        ([c.halvings == 0 for c in choices], 1 / 8),
        ([c.halvings == 3 for c in choices], 1 / 4),
        ([c.halvings == 4 for c in choices], 1 / 8),
        ([c.geometry == 2 for c in choices], 1 / 3),
    ):
        assert abs(np.mean(values) - expected) < 0.03
    angles = np.array([c.blur_angle for c in choices])
    assert angles.min() < -85 and angles.max() > 85 and abs(angles.mean()) < 3


def test_draws_are_symmetric_or_mostly_small():
    rng = np.random.default_rng(0)
    around, small = (np.array([draw(rng, 10) for _ in range(4000)]) for draw in (abinet._symmetric, abinet._asymmetric))
    assert around.std() == pytest.approx(10 / 3, rel=0.05) and abs(around.mean()) < 0.2
    assert small.mean() == pytest.approx(2, rel=0.06) and small.min() >= 0


@pytest.mark.parametrize("betas, size", [((0.5, 0.5, 0.5), 2.0), ((0.75, 0.5, 0.5), 1.0), ((0.4, 0.8, 0.9), 0.7)])
def test_affine_map_is_rotation_then_shear_then_size(monkeypatch, betas, size):
    """Angles of up to 45, 45 and 15 degrees, size by 0.5 to 2."""
    matrices = []
    monkeypatch.setattr(abinet, "_map", lambda image, rng, matrix: matrices.append(matrix) or image)
    abinet._affine(IMAGE, Scripted(*betas, uniform=size))
    angle, x, y = np.deg2rad((np.array(betas) - 0.5) * 2 * [45, 45, 15])
    rotation = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    shear = np.array([[1, np.tan(x)], [0, 1]]) @ np.array([[1, 0], [np.tan(y), 1]])
    np.testing.assert_allclose(matrices[0], shear @ rotation / size)
    rng = np.random.default_rng(0)
    for _ in range(500):
        abinet._affine(IMAGE, rng)
    sizes = np.array([np.linalg.det(m) ** -0.5 for m in matrices[1:]])
    assert 0.5 <= sizes.min() < 0.55 and 1.95 < sizes.max() <= 2


def test_rotation_is_by_up_to_45_degrees(monkeypatch):
    matrices = []
    monkeypatch.setattr(abinet, "_map", lambda image, rng, matrix: matrices.append(matrix) or image)
    abinet._rotate(IMAGE, Scripted(1.0))
    np.testing.assert_allclose(matrices[0], np.array([[1, 1], [-1, 1]]) / np.sqrt(2))


def test_perspective_pulls_corners_inwards_by_up_to_a_quarter():
    assert abinet._perspective(IMAGE, Scripted(1.0)).shape == (16, 50, 3)
    assert abinet._perspective(IMAGE, Scripted(0.0)).shape == IMAGE.shape
    wide = [abinet._perspective(IMAGE, np.random.default_rng(seed)).shape for seed in range(50)]
    assert all(16 <= h <= 32 and 50 <= w <= 100 for h, w, _ in wide) and len(set(wide)) > 20


def test_deterioration_comes_in_any_order_with_the_choice(monkeypatch):
    seen = []
    for name in ("_noise", "_motion_blur", "_rescale"):
        monkeypatch.setattr(abinet, name, lambda image, rng, choice, name=name: seen.append((name, choice)) or image)
    many(count=60, geometry=0, deterioration=1, colour=0)
    orders = {tuple(name for name, _ in seen[i : i + 3]) for i in range(0, 180, 3)}
    assert len(orders) == 6 and all(len(set(order)) == 3 for order in orders)
    seen.clear()
    many(count=1, geometry=0, deterioration=1, colour=0, frozen=5)
    assert seen[0][1] == abinet.Choice.draw(np.random.default_rng(5)) != abinet.Choice.draw(np.random.default_rng(0))


def test_rescaling_halves_as_often_as_chosen(monkeypatch):
    halved, down = [], cv2.pyrDown
    monkeypatch.setattr(abinet.cv2, "pyrDown", lambda image: halved.append(image.shape[:2]) or down(image))
    choice = abinet.Choice.draw(np.random.default_rng(0))
    for count in range(5):
        halved.clear()
        out = abinet._rescale(IMAGE, np.random.default_rng(0), choice._replace(halvings=count))
        assert halved == [(128, 512), (64, 256), (32, 128), (16, 64)][:count] and out.shape == IMAGE.shape


def test_colour_jitter_is_that_of_the_published_code(monkeypatch):
    given = []
    monkeypatch.setattr(abinet, "cr_weak", lambda image, rng, **options: given.append(options) or image)
    many(count=1, geometry=0, deterioration=0, colour=1)
    assert given == [dict(brightness=0.5, contrast=0.5, saturation=0.5, hue=0.1)]
