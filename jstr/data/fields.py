"""The fields of a stream of images: which there are, and how they are made of a sample.

`tokens` [B, N] int32, padding where a row has no label; `has_label` [B] bool, which lets sources say `labelled=False`;
`weight` [B] float32, the confidence of a label that was read, 1 of any other;
`X_filled` [B] float32, the share of the width of image X that is not padding; any other name is an image uint8
[B, H, W, C], which the view of that name draws from the sample.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import grain
import numpy as np

from jstr.augment.host import registry
from jstr.data.images import ImageSpec
from jstr.text import Charset
from jstr.text.messages import InputError

LABEL_FIELDS = ("tokens", "has_label", "weight")
FILLED = "_filled"
# Of streams whose views are drawn on the device: the image that views start from, and its size before the resize
BASE, BASE_SIZE = "base", "base_size"


def image_fields(fields: Sequence[str]) -> list[str]:
    """Those of the fields of a stream that are images."""
    return [f for f in fields if f not in (*LABEL_FIELDS, BASE_SIZE) and not f.endswith(FILLED)]


def image_views(where: str, fields: Sequence[str], given: Mapping[str, Any]) -> dict[str, dict]:
    """The view of each image of a stream, from its config. Raises InputError: an unknown field or operation."""
    views = {field: given.get(field, {}) for field in image_fields(fields)}
    if set(given) - set(views):
        raise InputError(f"{where} has {sorted(given)}; the images of this stream are {sorted(views)}")
    for field, view in views.items():
        registry.check_view(f"{where.split('.')[-2]}.{field}", view)
    return {field: dict(view) for field, view in views.items()}


def make_fields(
    dataset: grain.MapDataset,
    seed: int,
    fields: Sequence[str],
    views: Mapping[str, Mapping[str, dict]],
    spec: ImageSpec,
    charset: Charset,
) -> grain.MapDataset:
    """Element {image, label, weight, key, broken} to {fields..., key, broken}: views, resize, tokens."""

    def make(sample: dict, rng: np.random.Generator | None) -> dict:
        out, label = {"key": sample["key"], "broken": sample["broken"]}, sample["label"]
        for (name, view), view_rng in zip(views.items(), _independent(rng, len(views)), strict=True):
            image = registry.apply_view(sample["image"], view_rng, view) if view else sample["image"]
            out[name] = spec.fit(image)
            if name + FILLED in fields:
                out[name + FILLED] = np.float32(spec.filled(image))
        if BASE_SIZE in fields:
            out[BASE_SIZE] = np.float32(sample["image"].shape[:2])
        if "tokens" in fields:
            out["tokens"] = charset.padding() if label is None else charset.encode(charset.normalise(label))
        if "weight" in fields:
            out["weight"] = np.float32(sample["weight"])
        if "has_label" in fields:
            out["has_label"] = np.bool_(label is not None)
        return out

    if any(views.values()):
        return dataset.seed(seed).random_map(make)
    return dataset.map(lambda sample: make(sample, None))


def _independent(rng: np.random.Generator | None, count: int) -> list:
    """One generator per view, so that the draws of one view do not change the others."""
    if rng is None or count == 1:
        return [rng] * count
    return [np.random.Generator(np.random.PCG64(int(seed))) for seed in rng.integers(2**63, size=count)]
