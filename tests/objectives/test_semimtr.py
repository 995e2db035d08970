"""SemiMTR: values of the published code, masks, gradients, other recognisers."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from toy import CTC, Toy, toy_views

from jstr.core import ModelConfig
from jstr.losses import consistency
from jstr.models.four_stage import Model as FourStage
from jstr.objectives import semimtr
from jstr.objectives.parts import pseudo_labels
from jstr.objectives.parts.supervised_loss import mean, supervised_outputs
from jstr.text.messages import InputError

CONFIG = ModelConfig((4, 4), 1, 2, 3, first_id=1, pad_id=-1, bos_id=-1, eos_id=0)
TEACHER = np.array([[[3, 0, 0], [0, 2, 0], [2.5, 0, 0]], [[0, 0, 1], [1.5, 0, 0.2], [0, 0, 0]]])
STUDENT = np.array([[[1, 0.5, 0], [0.2, 1, 0.3], [1, 0, 0]], [[0, 0.3, 0.6], [0.9, 0, 0.1], [0, 0, 0]]])
TOKENS = np.array([[-1, 1, 0, -1], [-1, 2, 1, 0]])  # BOS, characters, EOS, padding
WEAK, STRONG = np.full((2, 4, 4, 1), -1.0, np.float32), np.ones((2, 4, 4, 1), np.float32)
CTC_WIDE = ModelConfig((32, 32), 1, 3, 8, first_id=1, pad_id=0)
HEADS = {"vision": 1, "language": 3, "fusion": 3}


class Fixed(nn.Module):
    """Its logits are parameters: `weak` for dark images, `strong` for bright ones. heads: iterations by name."""

    heads: tuple = tuple(HEADS.items())
    config: ModelConfig = CONFIG
    autoregressive = False

    @nn.compact
    def __call__(self, images, tokens=None, *, train):
        values = {"weak": TEACHER, "strong": STUDENT}
        weak, strong = (self.param(k, lambda _, v=v: jnp.asarray(v, jnp.float32)) for k, v in values.items())
        seen = self.variable("batch_stats", "seen", jnp.zeros, ())
        if train and self.is_mutable_collection("batch_stats"):
            seen.value = 10 * seen.value + jnp.where(images.mean() > 0, 2, 1)
        logits = jnp.where(images.mean() > 0, strong, weak)
        if not self.heads:
            return {"logits": logits}
        return {"logits": logits, "iterations": {name: (logits,) * count for name, count in self.heads}}


def batch(has_label=(True, True)):
    rows = {"weak": WEAK, "strong": STRONG, "tokens": jnp.asarray(TOKENS), "has_label": jnp.asarray(has_label)}
    return {"mixed": rows}


def run(model=None, has_label=(True, True), teacher=None, **options):
    """(loss, metrics, gradient of the model, model state after it)."""
    model = model or Fixed()
    objective = semimtr.Method(model, CONFIG, **options).objective()
    data = batch(has_label)
    params, state = objective.init(jax.random.key(0), data)
    function = jax.value_and_grad(objective.loss, has_aux=True)
    (loss, (state, metrics)), grads = function(params, state, teacher, data, jax.random.key(1), 0)
    return float(loss), {k: float(a / b) for k, (a, b) in metrics.items() if b}, grads["model"], state


@pytest.mark.parametrize(
    "options, expected",
    [
        (dict(), 0.709010),
        (dict(one_hot=False), 0.888577),
        (dict(one_hot=False, kl=True), 0.153528),
        (dict(kl=True), 0.709010),
        (dict(threshold=0.9), 0.226757),
    ],
)
def test_consistency_values(options, expected):
    loss, metrics, _, _ = run(Fixed(heads=()), has_label=(False, False), **options)
    np.testing.assert_allclose([loss, metrics["consistency"], metrics["output/consistency"]], expected, atol=2e-6)
    assert "supervised" not in metrics  # nothing was counted


def test_consistency_values_of_all_heads():
    loss, metrics, _, _ = run(has_label=(False, False))
    np.testing.assert_allclose(loss, 4.963068, atol=5e-6)
    np.testing.assert_allclose(run(has_label=(False, False), cons_iter_reduce="mean")[0], 3 * 0.709010, atol=5e-6)
    np.testing.assert_allclose(run(has_label=(False, False), cons_weight=0.5)[0], 4.963068 / 2, atol=5e-6)
    # Of the 3 positions of the teacher's words the student agrees in all, and 1 is above 0.9.
    assert metrics["vision/agreement"] == 1 and metrics["vision/confident"] == 1
    np.testing.assert_allclose(run(threshold=0.9)[1]["vision/confident"], 1 / 3, atol=1e-6)


@pytest.mark.parametrize(
    "has_label, single", [((True, True), 1.218275), ((True, False), 1.323001), ((False, False), 0.0)]
)
def test_supervised_values(has_label, single):
    outputs = Fixed().apply(Fixed().init(jax.random.key(0), STRONG, train=False), STRONG, train=False)
    metrics = supervised_outputs(outputs, jnp.asarray(TOKENS), CONFIG, jnp.asarray(has_label))
    np.testing.assert_allclose(mean(metrics["loss"]), 3 * single, atol=5e-6)
    alone = supervised_outputs({"logits": outputs["logits"]}, jnp.asarray(TOKENS), CONFIG, jnp.asarray(has_label))
    np.testing.assert_allclose(mean(alone["loss"]), single, atol=2e-6)


def test_both_views_are_supervised_and_nothing_is_nan_without_labels():
    _, metrics, grads, state = run(cons_weight=0.0)
    assert all(np.abs(grads[view]).max() > 0 for view in ("weak", "strong"))
    assert float(state["batch_stats"]["seen"]) == 12  # weak, then strong
    loss, _, grads, _ = run(has_label=(False, False), cons_weight=0.0)
    assert loss == 0 and not any(jnp.any(g) or jnp.isnan(g).any() for g in jax.tree.leaves(grads))


def test_a_word_without_a_label_adds_nothing_to_the_supervised_loss():
    grads = run(has_label=(True, False), cons_weight=0.0)[2]
    assert (grads["strong"][1] == 0).all() and np.abs(grads["strong"][0, :2]).min() > 0
    assert (grads["strong"][0, 2] == 0).all()  # behind EOS


@pytest.mark.parametrize(
    "one_hot, stop_gradient, flows",
    [(True, True, False), (True, False, False), (False, True, False), (False, False, True)],
)
def test_gradient_into_the_weak_view(one_hot, stop_gradient, flows):
    grads = run(has_label=(False, False), one_hot=one_hot, stop_gradient=stop_gradient)[2]
    assert bool(jnp.any(grads["weak"])) is flows and bool(jnp.any(grads["strong"]))


def test_cross_entropy_and_divergence_have_the_same_gradient():
    first, second = (run(has_label=(False, False), one_hot=False, kl=kl)[2]["strong"] for kl in (False, True))
    np.testing.assert_allclose(first, second, atol=1e-6)


def test_positions_end_at_the_teachers_first_null():
    grads = run(Fixed(heads=()), has_label=(False, False))[2]["strong"]
    assert (grads[0, 1:] == 0).all() and (grads[1, 2] == 0).all() and (np.abs(grads[1, :2]) > 0).all()


def test_moving_average_teaches():
    """Its weights are read, no gradient reaches them, and only the strong view is supervised and moves statistics."""
    model = Fixed(heads=())
    variables = model.init(jax.random.key(0), WEAK, train=False)
    other = jax.tree.map(lambda x: x[::-1], variables["params"])
    teacher = ({"model": other}, {"batch_stats": variables["batch_stats"]})
    loss, metrics, grads, state = run(model, teacher=teacher, use_teacher=True)
    assert not jnp.any(grads["weak"]) and jnp.any(grads["strong"])
    assert float(state["batch_stats"]["seen"]) == 2
    np.testing.assert_allclose(metrics["supervised"], 1.218275, atol=2e-6)
    length = np.array([[2], [1]])  # of what the reversed logits read
    value, count = consistency.thresholded_divergence(
        TEACHER[::-1], STUDENT, np.arange(3) < length, one_hot=True, kl=False, threshold=0.0
    )
    np.testing.assert_allclose(loss - metrics["supervised"], value / count, atol=2e-6)
    assert semimtr.Method(model, CONFIG, use_teacher=True).objective().needs_teacher
    frozen = jax.grad(
        lambda t: (
            semimtr.Method(model, CONFIG, use_teacher=True)
            .objective()
            .loss(
                {"model": variables["params"]},
                {"batch_stats": variables["batch_stats"]},
                (t, teacher[1]),
                batch(),
                jax.random.key(0),
                0,
            )[0]
        )
    )(teacher[0])
    assert not any(jnp.any(g) for g in jax.tree.leaves(frozen))


def test_ctc_recogniser_with_one_modality():
    rows = toy_views(joint=True)["mixed"]
    rows = {"weak": rows["view0"], "strong": rows["view1"], "tokens": rows["tokens"], "has_label": rows["has_label"]}
    objective = semimtr.Method(Toy(), CTC).objective()
    params, state = objective.init(jax.random.key(0), {"mixed": rows})
    (loss, (after, metrics)), grads = jax.jit(jax.value_and_grad(objective.loss, has_aux=True))(
        params, state, None, {"mixed": rows}, jax.random.key(1), 0
    )
    assert np.isfinite(loss) and metrics["output/agreement"][1] == 8 * 12  # every frame
    assert all(jnp.any(g) for g in jax.tree.leaves(grads))
    assert not np.allclose(after["batch_stats"]["extractor"]["norm"]["mean"], 0)


def test_autoregressive_recogniser_reads_first():
    """Of a word with a label, the context of both views is the label; of another, what the weak view is read as."""
    inputs = []

    class Autoregressive(Fixed):
        autoregressive = True

        def apply(self, variables, images, tokens, **options):
            inputs.append(tokens)
            return super().apply(variables, images, tokens, **options)

    loss, _, grads, state = run(Autoregressive(heads=()), has_label=(True, False))
    assert inputs[0] is None and len(inputs) == 3 and float(state["batch_stats"]["seen"]) == 12
    for context in inputs[1:]:
        assert context.tolist() == [[-1, 1, 0, -1], [-1, 2, 0, -1]]
    np.testing.assert_allclose(loss, run(Fixed(heads=()), has_label=(True, False))[0], rtol=1e-6)
    model_config = ModelConfig((32, 32), 1, 3, 8, first_id=5, pad_id=0, bos_id=2, eos_id=3)
    assert FourStage(model_config, prediction="attention").autoregressive
    assert not FourStage(CTC_WIDE).autoregressive


@pytest.mark.parametrize(
    "options, message",
    [
        (dict(cons_iter_reduce="max"), "cons_iter_reduce='max'"),
        (dict(threshold=1.5), "threshold=1.5"),
    ],
)
def test_refuses(options, message):
    with pytest.raises(InputError, match=message):
        run(**options)


def test_the_last_iteration_of_the_weak_view_teaches_all_of_the_strong_one():
    """agreement compares the last iterations of both."""
    rng = np.random.default_rng(0)
    weak, strong = (tuple(jnp.asarray(rng.normal(size=(2, 3, 3)), jnp.float32) for _ in range(3)) for _ in range(2))
    method = semimtr.Method(Fixed(), CONFIG, one_hot=False, threshold=0.4)
    total, metrics = method.consistency({"fusion": weak}, {"fusion": strong})
    mask = pseudo_labels.read(weak[-1], CONFIG).mask
    options = dict(one_hot=False, kl=False, threshold=0.4)
    values = [mean(consistency.thresholded_divergence(weak[-1], s, mask, **options)) for s in strong]
    assert float(total) == pytest.approx(float(sum(values)), rel=1e-5)
    same = (weak[-1].argmax(-1) == strong[-1].argmax(-1)) & mask
    assert metrics["fusion/agreement"] == (same.sum(), mask.sum())
    assert (same != ((weak[-1].argmax(-1) == strong[0].argmax(-1)) & mask)).any(), "the example tells them apart"
