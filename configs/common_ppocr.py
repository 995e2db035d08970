"""What configs that go on from PP-OCR's recognisers share."""

from configs import common, reader

# Names of published PP-OCR readers (jstr/interop/weights.py) and the network of each.
PUBLISHED = {
    "ppocrv6-small": "v6_small",
    "ppocrv6-tiny": "v6_tiny",
    "ppocrv5-mobile": "mobile",
    "ppocrv4-mobile": "mobile",
}
LIGHT = reader.WEAK  # words are read well already
BLOCKS = dict(v6_small=13, v6_tiny=9, mobile=14)


def ppocr(network: str = "v6_small", characters: str = "") -> dict:
    """What is trained and fed when a run starts from a published PP-OCR reader: the keys charset, image, model and
    language_model.

    As jstr/interop/ppocr.py makes them, so that config.init_from fits. characters: of the name, "latin" of
    ppocrv6-small:latin; default: printable ASCII.
    """
    english = characters.removesuffix("+space") in ("", "36", "62", "94", "ascii")
    return dict(
        language_model=dict(words="english" if english else "none", weight=0.5, width=16),
        charset=dict(
            characters=characters or "94", layout="dtrb_ctc", max_length=25, lower=False, nfkc=False, drop_outside=False
        ),
        image=dict(
            size=(48, 320), channels=3, keep_ratio=True, backend="cv2_linear", pad="grey", widths=(480, 800, 1280)
        ),
        model=dict(name="ppocr", network=network, space_as_blank=not characters.endswith("+space"), dtype="float32"),
    )


def fine_tune(config: common.ConfigDict, peak: float, whole: bool = False) -> None:
    """Trains the last three blocks, the neck and the head, or the `whole` network, with the start's batch statistics.

    The gradient of the frozen layers is not computed, which halves a step. With the statistics of small batches the
    network would no longer be the one that reads so well.
    """
    count = BLOCKS[config.model.get("network", "v6_small")] - 3
    lower = () if whole else ("model/stem", *(f"model/block_{number}" for number in range(count)))
    config.optimizer = common.adamw(peak, weight_decay=0.0, warmup=0.1)
    config.optimizer.rules = {part: dict(frozen=True) for part in lower} | {"model": dict(fixed_statistics=True)}
