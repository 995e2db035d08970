"""What configs that go on from PP-OCR's recognisers share."""

from configs import common, reader

LIGHT = reader.WEAK  # words are read well already
BLOCKS = dict(v6_small=13, v6_tiny=9, mobile=14)


def fine_tune(config: common.ConfigDict, peak: float) -> None:
    """Trains the last three blocks, the neck and the head, with the batch statistics of the start.

    The gradient of the frozen layers is not computed, which halves a step. With the statistics of small batches the
    network would no longer be the one that reads so well.
    """
    count = BLOCKS[config.model.get("network", "v6_small")] - 3
    lower = ("model/stem", *(f"model/block_{number}" for number in range(count)))
    config.optimizer = common.adamw(peak, weight_decay=0.0, warmup=0.1)
    config.optimizer.rules = {part: dict(frozen=True) for part in lower} | {"model": dict(fixed_statistics=True)}
