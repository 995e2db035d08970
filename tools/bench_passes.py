"""Images that a training step passes through networks, and the plain passes that bench_train.py compares it with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np


def views_per_step(config, streams: Mapping[str, Sequence[str]]) -> int:
    """Images that pass through a network in a step: all views of all rows. A text counts as one.

    streams: stream -> fields, of the objective.
    """
    from jstr.data.fields import image_fields

    return sum(config.streams[name].batch_size * max(1, len(image_fields(fields))) for name, fields in streams.items())


def supervised_passes(prepared, example: Mapping[str, Any]) -> tuple[Any, dict]:
    """(objective, batch): supervised passes over the images of all views with invented labels, one after the other."""
    import jax.numpy as jnp

    from jstr.objectives import supervised

    one = supervised.Method(prepared.reader.model, prepared.reader.model_config).objective()
    images = [x for rows in example.values() for x in rows.values() if np.ndim(x) == 4]
    charset, tokens = prepared.reader.charset, []
    for view in images:
        tokens.append(np.stack([charset.encode(charset.characters[:5])] * len(view)))
    batch = {str(i): {"image": x, "tokens": t} for i, (x, t) in enumerate(zip(images, tokens, strict=True))}

    def init(key, batch):
        return one.init(key, {"labelled": batch["0"]})

    def loss(params, model_state, teacher, batch, key, step):
        total = jnp.zeros(())
        for rows in batch.values():
            part, (model_state, metrics) = one.loss(params, model_state, teacher, {"labelled": rows}, key, step)
            total += part
        return total, (model_state, metrics)

    return one._replace(init=init, loss=loss), batch


def parts_of_a_step(prepared, example: Mapping[str, Any]) -> tuple[Any, dict]:
    """(objective, batch): the passes of a consistency step with invented labels, and nothing else."""
    import jax
    import jax.numpy as jnp

    from jstr.objectives import supervised
    from jstr.objectives.parts.supervised_loss import mean, supervised_metrics

    model, model_config = prepared.reader.model, prepared.reader.model_config
    one = supervised.Method(model, model_config).objective()
    views = example["unlabelled"]
    tokens = np.resize(example["labelled"]["tokens"], (len(views["strong"]), example["labelled"]["tokens"].shape[1]))
    project = {"project": True} if model.has_projection else {}
    batch = {"labelled": example["labelled"], "strong": {"image": views["strong"], "tokens": tokens}}
    batch["weak"] = {"image": views.get("weak", views["strong"])}

    def loss(params, model_state, teacher, batch, key, step):
        variables = jax.lax.stop_gradient({"params": params["model"], **model_state})
        teacher_logits = model.apply(variables, batch["weak"]["image"], train=False)["logits"]
        total, _ = one.loss(params, model_state, teacher, {"labelled": batch["labelled"]}, key, step)
        variables = {"params": params["model"], **model_state}
        rows = batch["strong"]
        outputs, updates = model.apply(
            variables, rows["image"], rows["tokens"], train=True, mutable=list(model_state), **project
        )
        total += mean(supervised_metrics(outputs["logits"], rows["tokens"], model_config)["loss"])
        return total, ({**model_state, **updates}, {"read": (teacher_logits.sum(), jnp.ones(()))})

    return one._replace(loss=loss), batch
