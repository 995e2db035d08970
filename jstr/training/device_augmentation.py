"""Views made on the device, within the training step: config.augment.where = "device".

The host then decodes and resizes each image once, into the field `base`. The operations are those of augment/device,
with the parameters of their namesakes on the host.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import jax
import jax.numpy as jnp

from jstr.augment.device import cr, seqclr
from jstr.augment.device.base import Base
from jstr.core import Array, Batch, Config, Objective
from jstr.data.fields import BASE, BASE_SIZE, FILLED, image_fields, image_views
from jstr.data.images import GREY, ImageSpec
from jstr.data.sources.text_corpus import NOISED
from jstr.text.messages import InputError, check_choice

OPS = {"seqclr": seqclr.seqclr, "cr_weak": cr.cr_weak, "cr_strong": cr.cr_strong}
VIEWS_KEY = 0x76696577  # separates the keys of views from those of the objective, which fold in small numbers or split


def on_device(objective: Objective, config: Config) -> Objective:
    """The objective with streams that hold `base` instead of views, which its loss makes; unchanged for "host".

    Keys come from the step and the stream, so a resumed run makes the same views. Each part of an accumulated step has
    its own key. `show` and `measure` are left out: validation batches get their views from the host, once.

    Raises:
      InputError: config.augment.where is neither, or a view has an operation that is not in OPS.
    """
    where = config.augment.where
    check_choice("config.augment.where", where, ("host", "device"))
    views = device_views(objective.streams, config) if where == "device" else {}
    if not views:
        return objective
    spec = ImageSpec.make(config.image)

    def with_views(batch: Batch, key: Array | None) -> Batch:
        result = dict(batch)
        for number, (name, view) in enumerate(views.items()):
            result[name] = draw_views(batch[name], view, objective.streams[name], spec, key, number)
        return result

    def init(key, batch):
        return objective.init(key, with_views(batch, None))

    def loss(params, model_state, teacher, batch, key, step):
        views_key = jax.random.fold_in(key, VIEWS_KEY)
        return objective.loss(params, model_state, teacher, with_views(batch, views_key), key, step)

    streams = {n: base_fields(f) if n in views else f for n, f in objective.streams.items()}
    return objective._replace(streams=streams, init=init, loss=loss, show=None, measure=None)


def device_views(streams: Mapping[str, tuple[str, ...]], config: Config) -> dict[str, dict[str, dict]]:
    """Stream -> image field -> view, for the streams that have a view with an operation.

    Raises:
      InputError: an unknown operation or parameter, or an operation that the device lacks.
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
                        f"view {name}.{field}: {op!r} does not run on the device (only {', '.join(OPS)} do); "
                        "use --config.augment.where=host"
                    )
        if any(views.values()):
            found[name] = views
    return found


def base_fields(fields: tuple[str, ...]) -> tuple[str, ...]:
    """The fields of a stream with `base` and its size instead of its images and their `_filled`."""
    images = image_fields(fields)
    return BASE, BASE_SIZE, *(f for f in fields if f not in images and not f.endswith(FILLED))


def draw_views(
    rows: Mapping[str, Array],
    views: Mapping[str, dict],
    fields: Iterable[str],
    spec: ImageSpec,
    key: Array | None,
    stream: int = 0,
) -> dict[str, Array]:
    """The fields of a stream from its `base` [B, H, W, C]; without a key, every image is the base image.

    rows: as `base_fields` names them. spec: of the images. stream: its number among those with views.
    """
    base = Base.make(rows[BASE], rows[BASE_SIZE], spec.keep_ratio)
    result = {f: x for f, x in rows.items() if f not in (BASE, BASE_SIZE)}
    for number, (field, view) in enumerate(views.items()):
        images = base.images
        for i, (op, parameters) in enumerate(view.items()):
            if key is None:
                break
            own = jax.random.fold_in(jax.random.fold_in(jax.random.fold_in(key, stream), number), i)
            images = OPS[op](base._replace(images=images), own, **parameters)
            if spec.pad == "grey":  # operations fill the padding with the last column of the word
                images = jnp.where(base.column_mask()[:, None, :, None] > 0, images, jnp.asarray(GREY, images.dtype))
        result[field] = images
    return result | {f: base.filled for f in fields if f.endswith(FILLED)}
