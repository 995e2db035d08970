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
