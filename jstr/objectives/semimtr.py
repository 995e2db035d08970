"""SemiMTR (Aberdam et al. 2022): what each head reads in a weak view of a word, it shall read in a strong one.

semimtr.md section 9. A recogniser with several heads (ABINet) teaches each by itself; with one, this is plain
character-level consistency.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp

from jstr.core import Array, InputError, Metrics, ModelConfig, Objective
from jstr.decode import word_length
from jstr.losses import precise
from jstr.nn.images import normalise
from jstr.supervision import mean, supervised_outputs

REDUCTIONS = ("sum", "mean")


def make(
    model,
    *,
    config: ModelConfig,
    one_hot: bool = True,
    kl: bool = False,
    threshold: float = 0.0,
    stop_gradient: bool = True,
    cons_weight: float = 1.0,
    cons_iter_reduce: str = "sum",
    teacher_head: str = "",
    student_head: str = "",
    use_teacher: bool = False,
) -> Objective:
    """Trains `model` on batch["mixed"]: weak and strong views [B, H, W, C], tokens [B, N], has_label [B].

    one_hot: the weak view's most probable characters are learned, not its probabilities. kl: Kullback-Leibler
      divergence instead of cross-entropy.
    threshold: positions whose highest probability is not above it add nothing, but they count; 0: all add.
    stop_gradient: the weak view only teaches; it matters where one_hot is False.
    cons_iter_reduce: `sum` over the iterations of a head, as the published code does, or `mean`.
    teacher_head, student_head: the head that teaches, and the only one that learns; "": each teaches itself.
    use_teacher: the weak view is read by config.teacher, a moving average of the student, with the batch statistics
      and dropout of training. Only the strong view has a supervised loss then.

    Loss: supervised_outputs of both views on the words with a label, plus cons_weight times consistency_loss of every
    head on all words. Both views run in training mode, weak first. Recognisers that read their own output
    (`autoregressive`) first read the weak view freely; that string, or the label where there is one, is then the
    context of both views. With CTC, all frames count and views should leave the pixels where they are; both forms are
    ours. A word read as empty counts one position (the published code: two for vision).

    Metrics: those of supervised_outputs on both views; supervised; consistency and, of every head,
    HEAD/consistency, HEAD/agreement (share of positions where both views have the same character) and
    HEAD/confident (share of positions above the threshold).

    Raises:
      InputError: an unknown choice, or a threshold outside of 0 to 1.
    """
    if cons_iter_reduce not in REDUCTIONS:
        raise InputError(f"config.objective.cons_iter_reduce={cons_iter_reduce!r}: choose {' or '.join(REDUCTIONS)}")
    if not 0 <= threshold < 1:
        raise InputError(f"config.objective.threshold={threshold} is a probability, from 0 to 1")

    def forward(params, model_state, images, tokens, key):
        variables = {"params": params["model"], **model_state}
        outputs, updates = model.apply(
            variables, normalise(images), tokens, train=True, mutable=list(model_state), rngs={"dropout": key}
        )
        return outputs, {**model_state, **updates}

    def init(key, batch):
        rows = batch["mixed"]
        variables = dict(model.init(key, normalise(rows["weak"]), rows["tokens"], train=False))
        return {"model": variables.pop("params")}, variables

    def context(params, model_state, rows, key):
        """Tokens for both views: labels, and where there are none what the weak view is read as."""
        if not getattr(model, "autoregressive", False):
            return rows["tokens"]
        outputs, _ = forward(jax.lax.stop_gradient(params), model_state, rows["weak"], None, key)
        return jnp.where(rows["has_label"][:, None], rows["tokens"], read_tokens(outputs["logits"], config))

    def loss(params, model_state, teacher, batch, key, step):
        del step
        rows, keys = batch["mixed"], jax.random.split(key, 3)
        source = jax.lax.stop_gradient(teacher) if use_teacher else (params, model_state)
        tokens = context(*source, rows, keys[2])
        weak, moved = forward(*source, rows["weak"], tokens, keys[0])
        strong, model_state = forward(params, model_state if use_teacher else moved, rows["strong"], tokens, keys[1])
        views = [strong] if use_teacher else [weak, strong]
        found = [supervised_outputs(outputs, rows["tokens"], config, rows["has_label"]) for outputs in views]
        supervised = sum(mean(f["loss"]) for f in found)
        metrics = jax.tree.map(lambda *values: sum(values), *found)
        metrics["supervised"] = metrics.pop("loss")
        total, more = consistency(_iterations(weak), _iterations(strong))
        metrics |= more | {"consistency": (total, jnp.ones(()))}
        return supervised + cons_weight * total, (model_state, metrics)

    def consistency(weak, strong) -> tuple[Array, Metrics]:
        """Loss and metrics of iterations by head, each a tuple of logits [B, T, C]."""
        for name in filter(None, (teacher_head, student_head)):
            if name not in weak:
                raise InputError(f"config.objective: the model has no head {name!r}, but {', '.join(weak)}")
        total, metrics = jnp.zeros(()), {}
        for name in (student_head,) if student_head else weak:
            logits = weak[teacher_head or name][-1]
            taught = jax.lax.stop_gradient(logits) if stop_gradient else logits
            mask = positions(taught, config)
            losses = [consistency_loss(taught, s, mask, one_hot=one_hot, kl=kl, threshold=threshold)
                      for s in strong[name]]  # fmt: skip
            value = sum(mean(pair) for pair in losses) / (1 if cons_iter_reduce == "sum" else len(losses))
            total += value
            metrics[f"{name}/consistency"] = (value, jnp.ones(()))
            same = jnp.argmax(taught, axis=-1) == jnp.argmax(strong[name][-1], axis=-1)
            sure = jax.nn.softmax(precise(taught)).max(axis=-1) > threshold
            for metric, hit in (("agreement", same), ("confident", sure)):
                metrics[f"{name}/{metric}"] = (jnp.sum(hit & mask, dtype=jnp.float32), mask.sum(dtype=jnp.float32))
        return total, metrics

    fields = ("weak", "strong", "tokens", "has_label")
    return Objective({"mixed": fields}, ("logits",), init, loss, needs_teacher=use_teacher)


def positions(logits: Array, config: ModelConfig) -> Array:
    """[B, T] bool: the positions of what logits [B, T, C] read, the first EOS included. CTC: all frames."""
    steps = jnp.arange(logits.shape[1])
    if config.bos_id is None:
        return jnp.ones(logits.shape[:2], bool)
    return steps < word_length(jnp.argmax(logits, axis=-1), config.eos_id)[:, None]


def read_tokens(logits: Array, config: ModelConfig) -> Array:
    """Logits [B, T, C] as tokens [B, T + 1]: BOS, what they read, EOS and padding."""
    ids = jnp.argmax(logits, axis=-1).astype(jnp.int32)
    ids = jnp.where(positions(logits, config), ids, config.pad_id)
    return jnp.pad(ids, ((0, 0), (1, 0)), constant_values=config.bos_id)


def consistency_loss(
    teacher: Array, student: Array, mask: Array, *, one_hot: bool, kl: bool, threshold: float
) -> tuple[Array, Array]:
    """(sum, count) over the positions of mask [B, T] between logits [B, T, C] of two views. semimtr.md section 9.2.

    Positions whose highest teacher's probability is not above the threshold add 0 and are counted.
    """
    log_target, log_prob = (jax.nn.log_softmax(precise(x)) for x in (teacher, student))
    target = jnp.exp(log_target)
    sure = target.max(axis=-1) > threshold
    if one_hot:
        best = jnp.argmax(log_target, axis=-1)[..., None]
        value = -jnp.take_along_axis(log_prob, best, axis=-1)[..., 0]
    else:
        value = (target * (log_target * kl - log_prob)).sum(axis=-1)
    return jnp.where(mask & sure, value, 0.0).sum(), mask.sum(dtype=jnp.float32)


def _iterations(outputs) -> dict[str, tuple[Array, ...]]:
    return outputs.get("iterations") or {"output": (outputs["logits"],)}
