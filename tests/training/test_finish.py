"""What a run says at its end."""

import pytest
from testing import contrastive_config

from jstr.training import setup
from jstr.training.finish import what_next


@pytest.mark.parametrize(("joint", "said"), [(False, "finetune.py:encoder=runs/a"), (True, "predict --workdir=runs/a")])
def test_a_run_says_what_its_weights_are_good_for(joint, said):
    """Without labels no decoder has learned to read."""
    config = contrastive_config(joint)
    prepared = setup.prepare(config)
    assert said in what_next(config, prepared.objective, prepared.reader.model, "runs/a")
