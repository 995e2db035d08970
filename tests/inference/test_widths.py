"""Images of several widths: batches of one width each, answers in order."""

import numpy as np
import pytest

from jstr.data.images import ImageSpec
from jstr.inference import widths
from jstr.text.messages import InputError

IMAGE = dict(size=(48, 320), channels=3, keep_ratio=True, backend="cv2_linear", pad="grey", widths=(480, 800))
SPEC = ImageSpec.make(IMAGE)


def test_a_picture_takes_the_least_width_that_holds_it():
    for aspect, width in ((1, 320), (320 / 48, 320), (6.7, 480), (10, 480), (10.1, 800), (16, 800), (50, 800)):
        image = np.full((24, round(24 * aspect), 3), 200, np.uint8)
        assert SPEC.reading_width(image) == width
        fitted = SPEC.fit(image, SPEC.reading_width(image))
        filled = min(np.ceil(48 * image.shape[1] / 24), width)
        assert fitted.shape == (48, width, 3) and (fitted[0, :, 0] == 200).sum() == filled
    assert SPEC.fit(np.zeros((24, 400, 3), np.uint8)).shape == (48, 320, 3), "training keeps to one width"
    assert ImageSpec.make(IMAGE | dict(widths=())).reading_width(np.zeros((24, 400, 3))) == 320


@pytest.mark.parametrize(
    "change", [dict(widths=(480, 400)), dict(widths=(200,)), dict(widths=(320,)), dict(keep_ratio=False)]
)
def test_widths_that_cannot_be(change):
    with pytest.raises(InputError, match="config.image.widths"):
        ImageSpec.make(IMAGE | change)


@pytest.mark.parametrize("full, shapes", [(False, [(2, 320), (2, 320), (1, 320)]), (True, [(2, 320)] * 3)])
def test_answers_come_in_the_order_of_the_images(full, shapes):
    sizes = [320, 800, None, 320, 480, 480, 320, 320, 320]
    images = [None if w is None else np.full((48, w, 3), i, np.uint8) for i, w in enumerate(sizes)]
    seen = []

    def read(batch):
        seen.append((len(batch), batch.shape[2]))
        return [int(image[0, 0, 0]) for image in batch]

    answers = widths.in_batches(images, SPEC, 2, read, full)
    assert answers == [None if w is None else i for i, w in enumerate(sizes)]
    assert seen == [*shapes, (1, 480), (1, 480), (1, 800)]
    assert widths.in_batches(images[1:2], SPEC, 16, read) == [1] and seen[-1] == (4, 800), "padded to a fixed size"
    assert widths.in_batches([None], SPEC, 2, read) == [None]
    assert widths.window(SPEC, 16) > 16 == widths.window(ImageSpec((32, 100), 1), 16)
