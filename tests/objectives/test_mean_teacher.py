"""Mean Teacher: the ramp of its weight."""

import pytest
from scripted import scripted_step


@pytest.mark.parametrize(("step", "weight"), [(0, 0.006738), (50, 0.286505), (100, 1.0), (200, 1.0)])
def test_ramp(step, weight):
    total, metrics, _ = scripted_step("mean_teacher", step=step, ramp_steps=100, cons_weight=2.0)
    rest = total - metrics["supervised"]
    assert rest == pytest.approx(2 * weight * metrics["consistency"], rel=1e-3, abs=1e-6)
