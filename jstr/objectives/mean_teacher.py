"""Mean Teacher (Tarvainen and Valpola 2017) for words: the student's probabilities stay near those of its average.

The defaults are the form of STR-Fewer-Labels (Baek et al. 2021); masked, ramp_steps and context="shared" are ours.
The teacher normalises by its own batch, so its batch statistics do not matter to the loss. baselines.md section 3.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp

from jstr import losses_consistency as lc
from jstr import supervision
from jstr.consistency import read, strings
from jstr.core import InputError, ModelConfig, Objective
from jstr.nn.images import normalise

VIEWS = ("view0", "view1")


def make(
    model,
    *,
    config: ModelConfig,
    cons_weight: float = 1.0,
    ramp_steps: int = 0,
    masked: bool = False,
    context: str = "own",
) -> Objective:
    """Student and teacher each see a view, drawn alike, of the words of batch["labelled"] and batch["unlabelled"].

    Loss: the supervised one of view0 + cons_weight * the mean squared difference of the probabilities of both views,
    over all words, labelled or not, all steps and all classes. The teacher reads freely, the student likewise, but
    labelled words by their labels.
    ramp_steps: the weight grows as exp(-5 (1 - step / ramp_steps)^2); 0: it is there from the start.
    masked: only the steps up to the end of the teacher's word count. context: `shared` tells the student the teacher's
    characters.
    Metrics: supervised, consistency, agreement and confidence of the unlabelled words as in consistency.py.

    Raises:
      InputError: an unknown context.
    """
    if context not in ("own", "shared"):
        raise InputError(f"config.objective.context={context!r}: choose one of own, shared")

    def forward(params, model_state, images, tokens, key):
        variables = {"params": params["model"], **model_state}
        outputs, updates = model.apply(
            variables, normalise(images), tokens, train=True, mutable=list(model_state), rngs={"dropout": key}
        )
        return outputs, {**model_state, **updates}

    def init(key, batch):
        images, tokens = normalise(batch["labelled"]["view0"]), batch["labelled"]["tokens"]
        variables = dict(model.init(key, images, tokens, train=False))
        return {"model": variables.pop("params")}, variables

    def teach(teacher, images, key):
        return jax.lax.stop_gradient(forward(*jax.lax.stop_gradient(teacher), images, None, key)[0]["logits"])

    def difference(taught, logits):
        """Sum and count over the steps that count."""
        values = lc.squared_difference(taught, logits)
        mask = read(taught, config).mask if masked else jnp.ones(values.shape, bool)
        return jnp.where(mask, values, 0.0).sum(), mask.sum().astype(jnp.float32)

    def loss(params, model_state, teacher, batch, key, step):
        labelled, rows = batch["labelled"], batch["unlabelled"]
        keys = jax.random.split(key, 4)
        taught = [teach(teacher, x["view1"], k) for x, k in zip((labelled, rows), keys, strict=False)]
        readings = [read(t, config) for t in taught]
        tokens = None
        if context == "shared" and config.bos_id is not None:
            tokens = jnp.pad(readings[1].tokens, ((0, 0), (1, 0)), constant_values=config.bos_id)
        known, model_state = forward(params, model_state, labelled["view0"], labelled["tokens"], keys[2])
        free, model_state = forward(params, model_state, rows["view0"], tokens, keys[3])
        metrics = supervision.supervised_outputs(known, labelled["tokens"], config)
        metrics["supervised"] = metrics.pop("loss")
        pairs = [difference(*pair) for pair in zip(taught, (known["logits"], free["logits"]), strict=True)]
        metrics["consistency"] = jax.tree.map(jnp.add, *pairs)
        weight = cons_weight * lc.sigmoid_ramp(step, ramp_steps)
        total = supervision.mean(metrics["supervised"]) + weight * supervision.mean(metrics["consistency"])
        return total, (model_state, metrics | _watch(readings[1], read(free["logits"], config), config))

    fields = {"labelled": (*VIEWS, "tokens"), "unlabelled": VIEWS}
    return Objective(fields, ("logits",), init, loss, needs_teacher=True)


def _watch(reading, student, config):
    texts, count = strings(reading, config), jnp.full((), len(reading.tokens), jnp.float32)
    same = (texts == strings(student, config)).all(axis=1) & (texts >= config.first_id).any(axis=1)
    return {"agreement": (same.sum().astype(jnp.float32), count), "confidence": (lc.product(reading).sum(), count)}
