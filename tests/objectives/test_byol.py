"""BYOL and SimSiam: the loss by hand, what no gradient reaches, and what a run of it is made of."""

import importlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from testing import assert_same_weights, contrastive_config, interrupted, metric_rows, quick_jit
from toy import CTC, Toy, toy_views

from jstr.checkpoints import checkpoint
from jstr.nn.instances import Predictor
from jstr.objectives import byol
from jstr.text.messages import InputError
from jstr.training import loop, setup

KEY = jax.random.PRNGKey(0)


def built(images=8, **options):
    """(objective, params, model_state, teacher, batch) of byol on the toy recogniser, with another target."""
    objective = byol.Method(Toy(), CTC, **dict(hidden=7) | options).objective()
    batch = toy_views(images)
    params, state = quick_jit(objective.init)(KEY, batch)
    target = {name: params[name] for name in params if name != "predictor"}
    teacher = (jax.tree.map(lambda x: 1.5 * x + 0.1, target), state) if objective.needs_teacher else None
    return objective, params, state, teacher, batch


def value(objective, params, state, teacher, batch):
    """(loss, model state, means of the metrics, gradient by the student, gradient by the teacher)."""

    def loss(params, teacher):
        return objective.loss(params, state, teacher, batch, KEY, 0)

    (total, (after, metrics)), gradients = quick_jit(jax.value_and_grad(loss, (0, 1), has_aux=True))(params, teacher)
    return float(total), after, {k: float(a / b) for k, (a, b) in metrics.items()}, *gradients


def moving(tree) -> bool:
    return any(np.any(np.asarray(x)) for x in jax.tree.leaves(tree))


def test_predictor_by_hand():
    rng = np.random.default_rng(0)
    z, mask = rng.normal(size=(3, 4, 5)), rng.random((3, 4)) < 0.7
    predictor = Predictor(6)
    params = predictor.init(KEY, jnp.asarray(z), jnp.asarray(mask))["params"]
    params = jax.tree.map(lambda x: x + 0.1, params)
    p = jax.tree.map(lambda x: np.asarray(x, np.float64), params)
    hidden = p["hidden"]
    x = z @ hidden["dense"]["kernel"]
    x = (x - x[mask].mean(0)) / np.sqrt(x[mask].var(0) + 1e-5) * hidden["scale"] + hidden["bias"]
    expected = np.maximum(x, 0) @ p["out"]["kernel"] + p["out"]["bias"]
    found = predictor.apply({"params": params}, jnp.asarray(z, jnp.float32), jnp.asarray(mask))
    np.testing.assert_allclose(found[mask], expected[mask], rtol=1e-4, atol=1e-5)


def by_hand(params, teacher, state, batch, shared):
    """The loss of linear heads on the toy's windows, in 64 bits from its frames on."""

    def instances(weights, view):
        outputs, _ = Toy().apply({"params": weights["model"], **state}, view, train=True, mutable=["batch_stats"])
        head = jax.tree.map(lambda x: np.asarray(x, np.float64), weights["projection"]["linear"])
        frames = np.asarray(outputs["frames"], np.float64) @ head["kernel"] + head["bias"]
        return np.stack([frames[:, i * 3 : i * 3 + 3].mean(axis=1) for i in range(4)], axis=1)  # 12 frames

    views = [batch["unlabelled"][f"view{i}"] for i in range(2)]
    online = [instances(params, view) for view in views]
    targets = online if shared else [instances(teacher[0], view) for view in views]
    p = jax.tree.map(lambda x: np.asarray(x, np.float64), params["predictor"])
    values = []
    for z, target in zip(online, targets[::-1], strict=True):
        hidden = p["hidden"]
        x = z @ hidden["dense"]["kernel"]
        x = (x - x.mean((0, 1))) / np.sqrt(x.var((0, 1)) + 1e-5) * hidden["scale"] + hidden["bias"]
        q = np.maximum(x, 0) @ p["out"]["kernel"] + p["out"]["bias"]
        values.append((q * target).sum(-1) / np.linalg.norm(q, axis=-1) / np.linalg.norm(target, axis=-1))
    return -np.mean(values)


@pytest.mark.parametrize("shared", [False, True], ids=["byol", "simsiam"])
def test_loss_by_hand(shared):
    found = built(shared=shared, head="linear", size=4)
    objective, params, state, teacher, batch = found
    loss, _, metrics, gradient, taught = value(*found)
    assert loss == pytest.approx(by_hand(params, teacher, state, batch, shared), rel=1e-4)
    assert set(metrics) == {"predicted", "spread", "others"} and metrics["predicted"] == pytest.approx(-loss)
    assert {name: moving(gradient["model"][name]) for name in gradient["model"]} == {
        "extractor": True,
        "sequence": True,
        "decoder": False,
    }
    assert moving(gradient["projection"]) and moving(gradient["predictor"]) and not moving(taught)


def test_simsiam_is_byol_with_a_target_that_does_not_lag():
    """The same loss and gradient: none flows through the target that is the network itself."""
    found = built(shared=True)
    loss, _, _, gradient, _ = value(*found)
    objective, params, state, _, batch = built()
    teacher = ({name: params[name] for name in ("model", "projection")}, state)
    other, _, _, expected, _ = value(objective, params, state, teacher, batch)
    assert loss == pytest.approx(other, rel=1e-6)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-6), gradient, expected)


@pytest.mark.parametrize(
    "options, instances",
    [
        ({}, 5),
        ({"head": "none"}, 5),
        ({"head": "bilstm"}, 5),
        ({"mapping": "all"}, 1),
        ({"mapping": "frame"}, 12),
        ({"size": 40}, 40),
        ({"features": "visual"}, 5),
        ({"features": "maps", "size": 4}, 4),
    ],
    ids=str,
)
def test_every_option_trains(options, instances):
    found = built(**options)
    loss, _, metrics, gradient, _ = value(*found)
    assert -1 <= loss <= 1 and 0 < metrics["spread"] <= 1 and -1 <= metrics["others"] <= 1
    assert ("projection" in gradient) == (options.get("head") != "none")
    assert moving(gradient["model"]["extractor"])
    objective, params, state, _, batch = found
    assert jax.eval_shape(objective.show, params, state, None, batch)["cosine"].shape == (6, instances, 6, instances)


def test_padding_does_not_count():
    objective, params, state, teacher, batch = built(mapping="frame", features="visual")
    rows = batch["unlabelled"]
    rows["view0_filled"] = np.full(8, 0.5, np.float32)
    rows["view1_filled"] = np.linspace(0.25, 1, 8, dtype=np.float32)
    metrics = objective.loss(params, state, teacher, batch, KEY, 0)[1][1]
    assert float(metrics["predicted"][1]) == 3 + 5 + 6 * 6  # both views must see a frame: 12 frames, of which 6


class Given:
    """A recogniser whose frames are its images [B, 1, S, D]."""

    def init(self, key, images, tokens, train):
        return {"params": {}}

    def apply(self, variables, images, tokens=None, *, train, **_):
        outputs = {"frames": images[:, 0]}
        return (outputs, {}) if train else outputs


@pytest.mark.parametrize("mapping", ["frame", "window"])
def test_what_padding_holds_does_not_matter(mapping):
    """Of a view's windows, its own padding; of its frames, also those that the other view has as padding."""
    rng = np.random.default_rng(0)
    filled = np.array([[0.5] * 4, [0.25, 0.5, 0.75, 1.0]], np.float32)
    padding = np.arange(8) >= 8 * (filled if mapping == "window" else filled.min(axis=0) + 0 * filled)[..., None]
    objective = byol.Method(Given(), CTC, head="none", mapping=mapping, size=2, hidden=7).objective()
    views, losses = rng.normal(size=(2, 4, 1, 8, 6)).astype(np.float32), []
    loss = quick_jit(lambda params, rows: objective.loss(params, {}, ({"model": {}}, {}), {"unlabelled": rows}, KEY, 0))
    for images in (views, views + 9 * padding[:, :, None, :, None].astype(np.float32)):
        rows = {f"view{i}": images[i] for i in range(2)} | {f"view{i}_filled": filled[i] for i in range(2)}
        params, _ = objective.init(KEY, {"unlabelled": rows})
        losses.append(float(loss(params, rows)[0]))
    assert losses[0] == pytest.approx(losses[1], abs=1e-5)


def test_a_collapse_is_seen():
    """Words that are all the same have no spread."""
    objective, params, state, teacher, batch = built(mapping="all")
    for view in ("view0", "view1"):
        batch["unlabelled"][view] = np.repeat(batch["unlabelled"][view][:1], 8, axis=0)
    _, _, metrics, _, _ = value(objective, params, state, teacher, batch)
    assert metrics["spread"] < 1e-3 and metrics["others"] > 0.999


@pytest.mark.parametrize(
    "options, message",
    [
        ({"hidden": 0}, "config.objective.hidden=0 must be at least 1"),
        ({"mapping": "words"}, "mapping='words': choose one of all, window, frame"),
        ({"temperature": 0.1}, "byol has no temperature"),
    ],
)
def test_bad_options(options, message):
    config = byol_config()
    with config.unlocked():
        config.objective.update(options)
    with pytest.raises(InputError, match=message):
        setup.prepare(config)


def byol_config(decay=0.5):
    config = contrastive_config()
    config.model.sequence = "none"
    config.objective = dict(name="byol", hidden=8)
    config.teacher = dict(decay=decay)
    config.steps, config.save_every, config.log_every = 4, 2, 1
    return config


def test_a_stopped_run_goes_on_exactly(tmp_path, monkeypatch):
    """The target's head is saved, too; the predictor is the student's alone."""
    loop.run(byol_config(), str(tmp_path / "whole"))
    with monkeypatch.context() as patch:
        patch.setattr(setup, "make_train_step", interrupted(setup.make_train_step, call=3))
        loop.run(byol_config(), str(tmp_path / "parts"))
    loop.run(byol_config(), str(tmp_path / "parts"))
    assert metric_rows(tmp_path / "parts") == metric_rows(tmp_path / "whole")
    for weights in ("student", "teacher"):
        assert_same_weights(tmp_path / "parts", tmp_path / "whole", weights)
    student, teacher = (checkpoint.load_variables(tmp_path / "whole", w)["params"] for w in ("student", "teacher"))
    assert set(student) == {"model", "projection", "predictor"} and set(teacher) == {"model", "projection"}
    assert moving(jax.tree.map(lambda a, b: a - b, teacher["projection"], student["projection"]))


def test_config():
    """Of SeqCLR's pre-training all but the objective; the parts that probe and fine-tuning take are there."""
    get, seqclr = (importlib.import_module(f"configs.{name}").get_config for name in ("byol", "seqclr"))
    ours, theirs = get("compact,stronger,features=visual").to_dict(), seqclr("compact,stronger,features=visual")
    assert ours["objective"]["features"] == "visual" and ours["teacher"]["decay"] == 0.99
    assert get("simsiam").objective.shared and not get("simsiam").teacher
    assert ours | {"objective": 0, "teacher": 0} == theirs.to_dict() | {"objective": 0, "teacher": 0}


def test_a_start_gives_the_encoder_alone(tmp_path):
    """Its head and predictor are new: no other method has them."""
    assert importlib.import_module("configs.byol").get_config("compact,start=bundled").init_allow_missing
    start = contrastive_config()
    start.model.sequence, start.steps = "none", 1
    loop.run(start, str(tmp_path / "start"))
    config = byol_config()
    config.init_from = (("model", str(tmp_path / "start"), "model"),)
    config.init_allow_missing, config.steps = ("projection", "predictor"), 1
    loop.run(config, str(tmp_path / "run"))
