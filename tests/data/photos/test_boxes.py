"""Boxes out of a map of text, their order, and words cut out of photographs."""

import cv2
import numpy as np
import pytest

from jstr.data.photos import boxes


def box(left, top, right, bottom):
    return np.float32([(left, top), (right, top), (right, bottom), (left, bottom)])


def rotated(width, height, degrees, centre=(100, 100)):
    return boxes.upright(cv2.boxPoints((centre, (width, height), degrees)))


def test_regions_are_grown_by_area_over_perimeter():
    probability = np.zeros((100, 200), np.float32)
    probability[40:60, 50:150] = 0.9
    (found,) = boxes.boxes_of_map(probability, unclip=1.6)
    grow = 100 * 20 * 1.6 / 240  # of a region of 100 x 20, on each side
    assert np.allclose(found.corners, box(50 - grow, 40 - grow, 150 + grow, 60 + grow), atol=2)
    assert found.score == pytest.approx(0.9, abs=0.1)


def test_noise_and_faint_regions_are_no_text():
    probability = np.zeros((100, 200), np.float32)
    probability[10:12, 10:12] = 1.0
    probability[40:60, 50:150] = 0.4
    assert boxes.boxes_of_map(probability, min_score=0.5) == []
    assert len(boxes.boxes_of_map(probability, min_score=0.3)) == 1


@pytest.mark.parametrize("degrees", [-40, -10, 0, 10, 40])
def test_a_sloping_word_is_made_level(degrees):
    picture = np.full((200, 200, 3), 255, np.uint8)
    corners = rotated(120, 30, degrees)
    cv2.fillPoly(picture, [np.int32(corners)], (0, 0, 0))
    begin = corners[0] + (corners[2] - corners[0]) * 0.1
    cv2.circle(picture, tuple(map(int, begin)), 3, (255, 255, 255), -1)
    word = boxes.cut(picture, corners)
    assert word.shape == (30, 120, 3)
    assert word[5:25, 30:].max() < 60
    assert word[:10, :30].max() > 200


def test_a_box_over_the_edge_is_filled_with_the_edge():
    word = boxes.cut(np.full((50, 50, 3), 77, np.uint8), box(-20, 10, 30, 30))
    assert word.shape == (20, 50, 3)
    assert (word == 77).all()


def test_turns():
    corners = box(0, 0, 10, 40)
    assert boxes.is_standing(corners) and not boxes.is_standing(box(0, 0, 30, 40))
    assert boxes.size(boxes.turned(corners, 1)) == (40, 10)
    picture = np.zeros((40, 10, 3), np.uint8)
    picture[:20] = 200  # above
    assert boxes.cut(picture, boxes.turned(corners, 1))[:, :15].min() == 200  # read downwards: above is the beginning
    assert boxes.cut(picture, boxes.turned(corners, 3))[:, 25:].min() == 200


def test_growing_and_parts():
    assert np.allclose(boxes.grown(box(10, 10, 50, 30), 0.1), box(8, 8, 52, 32))
    assert np.allclose(boxes.part_of(box(0, 0, 100, 10), 0.2, 0.5), box(20, 0, 50, 10))


def test_overlap():
    assert boxes.iou(box(0, 0, 10, 10), box(5, 0, 15, 10)) == pytest.approx(1 / 3)
    assert boxes.iou(box(0, 0, 10, 10), box(20, 0, 30, 10)) == 0


def order(corners, columns=()):
    return boxes.reading_order([boxes.Box(c, 0.9, i in columns) for i, c in enumerate(corners)])


def test_lines_are_read_from_the_left_and_the_upper_first():
    words = [box(200, 52, 280, 72), box(10, 100, 90, 120), box(10, 50, 90, 70), box(100, 48, 190, 68)]
    assert order(words) == [2, 3, 0, 1]


def test_sloping_lines_stay_together():
    def word(x, line):
        return rotated(80, 20, 10, (x, 100 + line * 30 + x * np.tan(np.radians(10))))

    words = [word(50, 0), word(150, 0), word(250, 0), word(50, 1), word(150, 1), word(250, 1)]
    assert order([words[i] for i in (5, 1, 3, 0, 4, 2)]) == [3, 1, 5, 2, 4, 0]


def test_columns_are_read_from_the_right():
    """Of whatever lengths, as one text among the lines around it; a column far away or lower is another text."""
    columns = [box(100, 50, 130, 300), box(150, 50, 180, 150), box(200, 50, 230, 300)]
    assert order(columns, (0, 1, 2)) == [2, 1, 0] and order(columns) == [1, 0, 2]
    above, beside, below = box(90, 10, 240, 40), box(10, 160, 60, 180), box(90, 310, 240, 340)
    assert order([below, *columns, beside, above], (1, 2, 3)) == [5, 4, 3, 2, 1, 0]
    far, lower = box(500, 50, 530, 300), box(220, 320, 250, 600)
    assert order([*columns, far], (0, 1, 2, 3)) == [2, 1, 0, 3]
    assert order([*columns, lower], (0, 1, 2, 3)) == [2, 1, 0, 3]
    turned = [boxes.turned(column, 1) for column in columns]
    assert order(turned, (0, 1, 2)) == [2, 1, 0]


def some_boxes(rng, count):
    sizes, centres = rng.uniform(4, (200, 60), (count, 2)), rng.uniform(0, 600, (count, 2))
    angles = rng.choice([0, 1], count) * rng.uniform(-45, 45, count)
    return [rotated(*wh, angle, centre) for wh, angle, centre in zip(sizes, angles, centres, strict=True)]


def read_pair_by_pair(found):
    """reading_order as its docstring says it, a pair of boxes at a time."""
    middle, lines = [b.mean(0) for b in found], []
    for i in sorted(range(len(found)), key=lambda i: (float(found[i][:, 0].min()), float(middle[i][1]))):
        best, least = None, np.inf
        for line in lines:
            last, (dx, dy) = line[-1], found[line[-1]][1] - found[line[-1]][0]
            slope = dy / dx if dx > 3 * abs(dy) else 0.0
            off = abs(middle[last][1] + slope * (middle[i][0] - middle[last][0]) - middle[i][1])
            low, high = sorted([boxes._tall(found[last]), boxes._tall(found[i])])
            if high < 3 * low and off < 0.5 * low and off < least:
                best, least = line, off
        lines.append([i]) if best is None else best.append(i)
    lines.sort(key=lambda line: (float(middle[line[0]][1]), float(middle[line[0]][0])))
    return [i for line in lines for i in line]


def test_the_order_of_many_boxes(monkeypatch):
    rng = np.random.default_rng(0)
    for count in range(60):
        found = some_boxes(rng, count)
        assert order(found) == read_pair_by_pair(found)
    calls, size = [], boxes.size
    monkeypatch.setattr(boxes, "size", lambda corners: calls.append(1) or size(corners))
    order(some_boxes(rng, 50))
    assert len(calls) <= 2 * 50  # not for every pair


def test_boxes_that_overlap_meet():
    rng = np.random.default_rng(0)
    some, others = some_boxes(rng, 30), some_boxes(rng, 40)
    shared = np.array([[boxes.overlap(a, b) for b in others] for a in some])
    near = boxes.meeting(some, others)
    assert near.shape == shared.shape and not shared[~near].any() and near.sum() < 0.5 * near.size
    assert boxes.meeting([], others).shape == (0, 40)
