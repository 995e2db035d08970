"""Views drawn on the device, within the training step: config.augment.where = "device".

The host then decodes and resizes each picture once, into the field `base`. The operators are those of jstr/augment,
with the parameters that the host's have.
"""

from __future__ import annotations

from collections.abc import Mapping

import jax

from jstr.augment.device import cr, seqclr
from jstr.augment.device.base import Base
from jstr.core import Array, InputError, Objective
from jstr.data.fields import BASE, BASE_SIZE, FILLED, image_fields, image_views
from jstr.data.sources.text_corpus import NOISED

OPS = {"seqclr": seqclr.seqclr, "cr_weak": cr.cr_weak, "cr_strong": cr.cr_strong}
VIEWS_KEY = 0x76696577  # sets the draws of views apart from the objective's, which fold in small numbers or split


def on_device(objective: Objective, config) -> Objective:
    """The objective with streams that hold `base` instead of views, which its loss draws; as it is for "host".

    Step and stream give the key, so a resumed run draws the same views. Of an accumulated step, each part has a key of
    its own. `show` and `measure` are left out: batches held back get their views from the host, once.

    Raises:
      InputError: config.augment.where is neither, or a view has an operation that is not in OPS.
    """
    where = config.augment.where
    if where not in ("host", "device"):
        raise InputError(f"config.augment.where={where!r}: choose host or device")
    views = device_views(objective.streams, config) if where == "device" else {}
    if not views:
        return objective
    keep_ratio = config.image.keep_ratio

    def drawn(batch, key: Array | None) -> dict[str, Mapping[str, Array]]:
        result = dict(batch)
        for number, (name, view) in enumerate(views.items()):
            result[name] = draw_views(batch[name], view, objective.streams[name], keep_ratio, key, number)
        return result

    def init(key, batch):
        return objective.init(key, drawn(batch, None))

    def loss(params, model_state, teacher, batch, key, step):
        views_key = jax.random.fold_in(key, VIEWS_KEY)
        return objective.loss(params, model_state, teacher, drawn(batch, views_key), key, step)

    streams = {n: base_fields(f) if n in views else f for n, f in objective.streams.items()}
    return objective._replace(streams=streams, init=init, loss=loss, show=None, measure=None)


def device_views(streams: Mapping[str, tuple[str, ...]], config) -> dict[str, dict[str, dict]]:
    """Stream -> image field -> view, of the streams that have a view with an operation.

    Raises:
      InputError: an operation, or a parameter of one, that there is not.
    """
    found = {}
    for name, fields in streams.items():
        if NOISED in fields or name not in config.streams:
            continue
        views = image_views(f"config.streams.{name}.views", fields, config.streams[name].get("views", {}))
        for field, view in views.items():
            for op in view:
                if op not in OPS:
                    raise InputError(
                        f"view {name}.{field}: {op!r} has no form for the device, which {', '.join(OPS)} have; "
                        "use --config.augment.where=host"
                    )
        if any(views.values()):
            found[name] = views
    return found


def base_fields(fields: tuple[str, ...]) -> tuple[str, ...]:
    """The fields of a stream with `base` and its size instead of images and what is known of them."""
    images = image_fields(fields)
    return BASE, BASE_SIZE, *(f for f in fields if f not in images and not f.endswith(FILLED))


def draw_views(rows, views: Mapping[str, dict], fields, keep_ratio: bool, key: Array | None, stream: int = 0) -> dict:
    """The fields of a stream from its `base` [B, H, W, C]; without a key, its images are all the base image.

    rows, as `base_fields` names them. stream: its number among those with views.
    """
    base = Base.make(rows[BASE], rows[BASE_SIZE], keep_ratio)
    result = {f: x for f, x in rows.items() if f not in (BASE, BASE_SIZE)}
    for number, (field, view) in enumerate(views.items()):
        images = base.images
        for i, (op, parameters) in enumerate(view.items() if key is not None else ()):
            own = jax.random.fold_in(jax.random.fold_in(jax.random.fold_in(key, stream), number), i)
            images = OPS[op](base._replace(images=images), own, **parameters)
        result[field] = images
    return result | {f: base.filled for f in fields if f.endswith(FILLED)}
