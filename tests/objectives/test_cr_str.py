"""CR: equal to the published code, its invariants, and what it shows."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from testing import quick_jit
from toy import ATTENTION, CTC, Toy, ToyAttention, toy_words

from jstr.core import ModelConfig
from jstr.nn.attention_decoder import Projection
from jstr.objectives import cr_str
from jstr.objectives.parts import pseudo_labels
from jstr.objectives.parts.apply_model import eval_logits, train_forward
from jstr.objectives.parts.supervised_loss import mean, supervised_metrics
from jstr.text.messages import InputError

KEY = jax.random.PRNGKey(0)
MODELS = {"attention": (ToyAttention(), ATTENTION), "ctc": (Toy(), CTC)}


def built(kind="attention", hidden=False, seed=7, **options):
    """(objective, params, model_state, teacher, batch); the teacher is not the student."""
    model, model_config = MODELS[kind]
    objective = cr_str.Method(model, model_config, hidden_labels=hidden, **options).objective()
    batch = toy_words(model_config, hidden=hidden)
    init = quick_jit(objective.init)
    return objective, *init(KEY, batch), init(jax.random.PRNGKey(seed), batch), batch


def value(objective, params, model_state, teacher, batch):
    """(loss, model state, means of the metrics, gradient of the student, gradient of the teacher)."""

    def loss(params, teacher, batch):
        return objective.loss(params, model_state, teacher, batch, KEY, 0)

    step = quick_jit(jax.value_and_grad(loss, argnums=(0, 1), has_aux=True))
    (total, (state, metrics)), gradients = step(params, teacher, batch)
    return float(total), state, {k: float(a / b) if b else None for k, (a, b) in metrics.items()}, *gradients


def moving(tree) -> bool:
    return any(np.any(np.asarray(x)) for x in jax.tree.leaves(tree))


class Played:
    """A recogniser whose outputs are its parameters; the width of the images chooses: 1 labelled, 2 weak, 3 strong."""

    has_projection = False

    def __init__(self):
        self.tokens = None

    def apply(self, variables, images, tokens=None, *, train, **_):
        name = ("known", "teacher", "student")[images.shape[2] - 1]
        if name == "student":
            self.tokens = tokens
        outputs = {"logits": variables["params"][name], "glimpses": variables["params"].get(f"{name}_glimpses")}
        return (outputs, {}) if train else outputs


def played():
    """Made-up outputs: (params, teacher, batch). Word 1 of the teacher and word 2 of the labelled are not confident."""
    rng = np.random.default_rng(11)
    teacher, student, known = (rng.normal(size=(6, 5, 9)) for _ in range(3))
    best, end = rng.integers(5, 9, (6, 5)), (2, 3, 4, 0, 1, 9)
    for b in range(6):
        for t in range(5):
            c = 3 if t == end[b] else best[b, t]
            teacher[b, t, c] += 6 if b != 1 else 1.5
            student[b, t, c] += 5
            known[b, t, c] += 6 if b != 2 else 2
    glimpses = {f"{name}_glimpses": rng.normal(size=(6, 5, 4)) for name in ("known", "student")}
    params = {"model": {"known": known, "student": student} | glimpses}
    images = {width: np.zeros((6, 1, width, 1), np.float32) for width in (1, 2, 3)}
    tokens = np.full((6, 6), 3, np.int32)
    batch = {"labelled": {"image": images[1], "tokens": tokens}, "unlabelled": {"weak": images[2], "strong": images[3]}}
    to32 = jax.tree.map(lambda x: np.asarray(x, np.float32), (params, ({"model": {"teacher": teacher}}, {})))
    return *to32, batch


PUBLISHED = {
    "kl": (0.0679145412105932, 0.12868781538933888, 0.006765045044367201),
    "ce": (0.393659669657696, 0.2279151453144194, -0.09704962739257315),
}
CORAL = 0.004065027920731391 / 0.01
CORAL_GRADIENTS = {
    "known_glimpses": (0.009976040365666555, -0.0006996920722449003),
    "student_glimpses": (0.01790691444696585, -0.0009497360774529901),
}


@pytest.mark.parametrize("divergence", sorted(PUBLISHED))
def test_loss_and_gradient_are_those_of_the_published_code(divergence):
    """Its KLDivLoss, CrossEntropyLoss and coral_loss on the same numbers. Gradients: sum of sizes, and a product."""
    params, teacher, batch = played()
    model_config, model = ModelConfig((1, 1), 1, 4, 9, first_id=5, pad_id=0, bos_id=2, eos_id=3), Played()
    variant = {"labels": "hard", "confidence": "minimum"} if divergence == "ce" else {}
    objective = cr_str.Method(model, model_config, divergence=divergence, **variant).objective()
    metrics = objective.loss(params, {}, teacher, batch, KEY, 0)[1][1]
    np.testing.assert_array_equal(
        model.tokens,
        [
            [2, 6, 7, 3, 0, 0],
            [2, 7, 8, 7, 3, 0],
            [2, 7, 7, 8, 5, 3],
            [2, 3, 0, 0, 0, 0],
            [2, 5, 3, 0, 0, 0],
            [2, 8, 8, 5, 6, 3],
        ],
    )
    loss, *sizes = PUBLISHED[divergence]
    assert float(mean(metrics["consistency"])) == pytest.approx(loss, rel=1e-5)
    assert float(mean(metrics["confident"])) == pytest.approx(5 / 6)
    assert float(mean(metrics["coral"])) == pytest.approx(CORAL, rel=1e-5)
    gradient = jax.grad(lambda p: objective.loss(p, {}, teacher, batch, KEY, 0)[0])(params)["model"]
    for name, expected, scale in [("student", sizes, 1), *((n, e, 1) for n, e in CORAL_GRADIENTS.items())]:
        g = np.asarray(gradient[name], np.float64)
        found = [np.abs(g).sum(), (g * np.cos(np.arange(g.size)).reshape(g.shape)).sum()]
        np.testing.assert_allclose(np.array(found) * scale, expected, rtol=2e-5, atol=1e-8, err_msg=name)


def test_a_word_that_is_left_out_is_as_good_as_deleted():
    """Word 1, which the teacher is not sure of: value and gradient, but for the share of words that are kept."""
    model_config = ModelConfig((1, 1), 1, 4, 9, first_id=5, pad_id=0, bos_id=2, eos_id=3)
    objective = cr_str.Method(Played(), model_config, coral_weight=0.0, cons_weight=2.0).objective()
    params, teacher, batch = played()

    def consistency_of(student, teacher):
        both = {"model": params["model"] | {"student": student}}
        return mean(objective.loss(both, {}, teacher, batch, KEY, 0)[1][1]["consistency"])

    rest, student = np.array([0, 2, 3, 4, 5]), params["model"]["student"]
    fewer = ({"model": {"teacher": teacher[0]["model"]["teacher"][rest]}}, {})
    whole, gradient = jax.value_and_grad(consistency_of)(student, teacher)
    part, few = jax.value_and_grad(consistency_of)(student[rest], fewer)
    assert float(whole) == pytest.approx(5 / 6 * float(part), rel=1e-5) and float(part) > 0
    np.testing.assert_allclose(gradient[rest], 5 / 6 * few, rtol=1e-4, atol=1e-8)
    assert not np.any(gradient[1])


def test_classic_coral_of_the_characters_that_count():
    """By NumPy: covariances over the characters before the end, of words whose product reaches 0.6 and 0.5."""
    params, teacher, batch = played()
    model_config, covariances = ModelConfig((1, 1), 1, 4, 9, first_id=5, pad_id=0, bos_id=2, eos_id=3), []
    for name, threshold in (("known", 0.6), ("student", 0.5)):
        characters = []
        for logits, glimpses in zip(params["model"][name], params["model"][f"{name}_glimpses"], strict=True):
            probability = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
            end = next((t for t, c in enumerate(logits.argmax(axis=1)) if c < 5), len(logits) - 1)
            if probability.max(axis=1)[: end + 1].prod() >= threshold:
                characters += list(glimpses[:end])
        assert 2 < len(characters) < 24
        covariances.append(np.cov(np.array(characters, np.float64).T))
    objective = cr_str.Method(Played(), model_config, coral_normalise=True).objective()
    metrics = objective.loss(params, {}, teacher, batch, KEY, 0)[1][1]
    distance = np.square(covariances[0] - covariances[1]).sum() / (4 * 4**2)
    assert float(mean(metrics["coral"])) == pytest.approx(distance, rel=1e-4)


@pytest.mark.parametrize("kind", sorted(MODELS))
def test_no_gradient_reaches_the_teacher(kind):
    rest = built(kind, threshold=0.0, coral_threshold=0.0)
    total, state, metrics, gradient, taught = value(*rest)
    assert np.isfinite(total) and metrics["confident"] == 1 and metrics["coral"] is not None
    assert not moving(taught) and moving(gradient["model"]["extractor"])
    assert moving(jax.tree.map(lambda a, b: a - b, state, rest[2])), "the student's batch statistics move"


@pytest.mark.parametrize("kind", sorted(MODELS))
@pytest.mark.parametrize("labels", ["soft", "hard"])
def test_a_batch_without_a_confident_word(kind, labels):
    """Neither consistency nor CORAL, no NaN, and the gradient of the supervised loss alone."""
    objective, params, state, teacher, batch = built(kind, labels=labels, threshold=1.0, coral_threshold=0.0)
    total, after, metrics, gradient, _ = value(objective, params, state, teacher, batch)
    assert metrics["confident"] == 0 and metrics["consistency"] == 0 and metrics["coral"] == 0
    assert total == metrics["supervised"]
    assert all(np.all(np.isfinite(g)) for g in jax.tree.leaves(gradient))
    plain = cr_str.Method(
        MODELS[kind][0], MODELS[kind][1], labels=labels, cons_weight=0.0, coral_weight=0.0
    ).objective()
    alone = value(plain, params, state, teacher, batch)[3]
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-6), gradient, alone)
    _, labelled = train_forward(MODELS[kind][0], params, state, *batch["labelled"].values(), KEY)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5), after, labelled)  # not the strong views


def test_no_coral_where_the_teacher_is_sure_of_nothing():
    """However sure the student is of the strong views."""
    params, teacher, batch = played()
    model_config = ModelConfig((1, 1), 1, 4, 9, first_id=5, pad_id=0, bos_id=2, eos_id=3)
    objective = cr_str.Method(Played(), model_config).objective()
    sure, unsure = (
        objective.loss(params, {}, t, batch, KEY, 0)[1][1] for t in (teacher, jax.tree.map(lambda x: 0.01 * x, teacher))
    )
    assert mean(sure["coral"]) > 0 and mean(unsure["confident"]) == mean(unsure["coral"]) == 0


def test_the_student_does_not_change_the_confidence():
    objective, params, state, teacher, batch = built()
    other = jax.tree.map(lambda x: 1.5 * x + 0.1, params)
    first, second = (value(objective, p, state, teacher, batch)[2] for p in (params, other))
    assert first["confidence"] == second["confidence"] and first["supervised"] != second["supervised"]


@pytest.mark.parametrize("kind", sorted(MODELS))
def test_equal_readings_cost_nothing(kind):
    """Same weights, same view, no projection, temperature 1; in training mode the views differ by batch norm."""
    model, model_config = MODELS[kind]
    if kind == "attention":
        model = ToyAttention(projection="none")

    class Still:
        def __getattr__(self, name):
            return getattr(model, name)

        def apply(self, variables, images, tokens=None, *, train, mutable=(), **more):
            outputs = model.apply(variables, images, tokens, train=False)
            return (outputs, {}) if train else outputs

    objective = cr_str.Method(Still(), model_config, temperature=1.0, threshold=0.0, coral_weight=0.0).objective()
    batch = toy_words(model_config)
    batch["unlabelled"]["strong"] = batch["unlabelled"]["weak"]
    params, state = quick_jit(objective.init)(KEY, batch)
    total, _, metrics, gradient, _ = value(objective, params, state, (params, state), batch)
    assert metrics["consistency"] == pytest.approx(0, abs=1e-5) and metrics["agreement"] > 0
    assert total == pytest.approx(metrics["supervised"], abs=1e-5)


def test_the_projection_layer_learns_on_the_strong_view_only():
    objective, params, state, teacher, batch = built(threshold=0.0, coral_weight=0.0)
    assert "projection" in params["model"]["decoder"]
    assert moving(value(objective, params, state, teacher, batch)[3]["model"]["decoder"]["projection"])
    off = cr_str.Method(ToyAttention(), ATTENTION, cons_weight=0.0, coral_weight=0.0).objective()
    assert not moving(value(off, params, state, teacher, batch)[3]["model"]["decoder"]["projection"])
    count = sum(x.size for x in jax.tree.leaves(Projection("mlp").init(KEY, jnp.zeros((1, 256)))))
    assert count == 33_216, "of the published layer"


def test_two_forwards_in_written_order():
    """Labelled, then strong: the batch statistics are those of this order."""
    objective, params, state, teacher, batch = built(coral_weight=0.0, threshold=0.0)
    model, expected = ToyAttention(), state
    rows = batch["labelled"]
    for image, tokens in ((rows["image"], rows["tokens"]), (batch["unlabelled"]["strong"], None)):
        variables = {"params": params["model"], **expected}
        outputs, expected = model.apply(variables, image, tokens, train=True, mutable=["batch_stats"])
        if tokens is not None:
            supervised = mean(supervised_metrics(outputs["logits"], tokens, ATTENTION)["loss"])
    _, after, metrics, *_ = value(objective, params, state, teacher, batch)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5), after, dict(expected))
    assert metrics["supervised"] == pytest.approx(float(supervised), rel=1e-5)


@pytest.mark.parametrize("kind", sorted(MODELS))
def test_hidden_labels_are_for_people(kind):
    """Loss and gradient are the same without them and with others; the metrics are what they say."""
    without = value(*built(kind, threshold=0.0))
    objective, params, state, teacher, batch = built(kind, hidden=True, threshold=0.0)
    assert objective.streams["unlabelled"] == ("weak", "strong", "tokens", "has_label")
    first = value(objective, params, state, teacher, batch)
    model_config, rows = MODELS[kind][1], dict(batch["unlabelled"])
    variables = {"params": teacher[0]["model"], **teacher[1]}
    read = pseudo_labels.read(MODELS[kind][0].apply(variables, rows["weak"], train=False)["logits"], model_config)
    texts = np.asarray(pseudo_labels.strings(read, model_config))
    truth = np.full_like(rows["tokens"], model_config.pad_id)
    start = int(not model_config.is_ctc)
    texts = np.where(texts >= model_config.first_id, texts, model_config.pad_id)[:, : truth.shape[1] - start]
    truth[:, start:] = texts
    truth[0, start] = model_config.first_id + (
        truth[0, start] == model_config.first_id
    )  # word 0 is misread, the rest is right
    rows |= {"tokens": truth, "has_label": np.array([True, True, False, True])}
    second = value(objective, params, state, teacher, batch | {"unlabelled": rows})
    assert first[0] == second[0] == pytest.approx(without[0], rel=1e-6)
    jax.tree.map(np.testing.assert_array_equal, first[3], second[3])
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-5), first[3], without[3])
    assert second[2]["teacher_accuracy"] == pytest.approx(2 / 3)
    assert second[2]["confident_accuracy"] == pytest.approx(2 / 3)
    confidence = np.exp(np.asarray(read.log_confidence))[[0, 1, 3]]
    assert second[2]["brier"] == pytest.approx(np.mean((confidence - [0, 1, 1]) ** 2), rel=1e-4)


@pytest.mark.parametrize("kind", sorted(MODELS))
def test_what_is_shown(kind):
    objective, params, state, teacher, batch = built(kind)
    arrays = jax.device_get(quick_jit(objective.show)(params, state, teacher, batch))
    assert {"teacher", "student", "confidence", "kept"} == set(arrays) and len(arrays["kept"]) == 4
    assert set(arrays["kept"]) == {bool(c >= 0.5) for c in arrays["confidence"]}
    model, model_config = MODELS[kind]
    logits = eval_logits(model, params, state, batch["unlabelled"]["strong"])
    student = pseudo_labels.strings(pseudo_labels.read(logits, model_config), model_config)
    np.testing.assert_array_equal(arrays["student"], student)
    arrays["kept"] = np.array([True, False, True, False])

    class Letters:
        @staticmethod
        def decode(ids):
            return "".join(chr(97 + i) for i in ids if i >= 5)

    sheet = objective.draw(arrays, batch, Letters)["words"]
    assert sheet.dtype == np.uint8 and sheet.shape == (4 * 48, 2 * 170 + 400, 3)
    green = (sheet[..., 1] > 100) & (sheet[..., 0] < 60)
    assert green[:48, 340:].any() and not green[48:96, 340:].any()


@pytest.mark.parametrize(
    "options, message",
    [
        ({"labels": "firm"}, "labels='firm': choose one of soft, hard"),
        ({"cons_reduction": "batch"}, "choose one of character, sample, kept"),
        ({"temperature": 0.0}, "temperature=0.0 must be positive"),
        ({"threshold": 1.5}, "threshold=1.5 is a probability"),
    ],
)
def test_bad_options(options, message):
    with pytest.raises(InputError, match=message):
        cr_str.Method(ToyAttention(), ATTENTION, **options).objective()
