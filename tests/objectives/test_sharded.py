"""A batch split over several devices gives the loss, metrics and gradient of one device."""

import json

import pytest
from testing import call


@pytest.mark.parametrize("name", ["seqclr", "seqclr_joint", "byol", "cr_str", "cr_str_ctc", "semimtr"])
def test_eight_devices_equal_one(name):
    status, out, err = call("tests/sharded_objectives.py", name, JAX_NUM_CPU_DEVICES="8")
    assert status == 0, err
    found = json.loads(out.splitlines()[-1])
    assert found["devices"] == 8 and max(found["differences"].values()) < 1e-5, found
    for metric in ("contrast", "consistency", "confident", "coral", "supervised", "spread"):
        assert found["values"].get(metric, 1) > 0, f"{metric}: nothing was compared"
