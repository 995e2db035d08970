"""The scale of ABINet's input."""

import numpy as np
import pytest

from jstr.models.abinet_vision import imagenet
from jstr.nn.images import normalise


@pytest.mark.parametrize("colour", [(0, 0, 0), (255, 128, 0), (12, 200, 255), (90, 90, 90)])
def test_input_is_scaled_as_for_imagenet(colour):
    """(value / 255 - mean) / deviation, for red, green and blue: torchvision's numbers, which SemiMTR's code uses."""
    image = np.full((1, 4, 5, 3), colour, np.uint8)
    red, green, blue = (np.array(colour) / 255).tolist()
    expected = (red - 0.485) / 0.229, (green - 0.456) / 0.224, (blue - 0.406) / 0.225
    np.testing.assert_allclose(imagenet(normalise(image))[0, 2, 3], expected, atol=1e-5)


def test_grey_input_is_scaled_by_the_mean_colour():
    found = imagenet(normalise(np.full((1, 2, 2, 1), 51, np.uint8)))
    np.testing.assert_allclose(found, np.full((1, 2, 2, 1), (0.2 - 1.347 / 3) / (0.678 / 3)), atol=1e-5)
