"""SeqCLR: the loss, its options, and what a run of it is made of."""

import importlib
import json

import cv2
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from testing import contrastive_config, quick_jit, tiny_config
from toy import CTC, HEADED, Headed, Toy, toy_views

from jstr.checkpoints import checkpoint
from jstr.losses import contrastive
from jstr.nn.instances import map_frames
from jstr.objectives import seqclr
from jstr.objectives.parts.supervised_loss import mean, supervised_outputs
from jstr.text.messages import InputError
from jstr.training import loop, setup

KEY = jax.random.PRNGKey(0)


def built(images=8, **options):
    """(objective, params, model_state, batch) of seqclr on the toy recogniser."""
    objective = seqclr.Method(Toy(), CTC, **options).objective()
    batch = toy_views(images, options.get("joint", False))
    return objective, *quick_jit(objective.init)(KEY, batch), batch


def value(objective, params, model_state, batch):
    """(loss, model state, means of the metrics, gradient)."""
    step = jax.jit(jax.value_and_grad(lambda p, b: objective.loss(p, model_state, None, b, KEY, 0), has_aux=True))
    (loss, (state, metrics)), gradient = step(params, batch)
    return float(loss), state, {k: float(a / b) for k, (a, b) in metrics.items()}, gradient


def moving(tree) -> bool:
    return any(np.any(np.asarray(x)) for x in jax.tree.leaves(tree))


def test_loss_is_that_of_two_forwards_in_order():
    objective, params, before, batch = built()
    instances, state = [], before
    for view in ("view0", "view1"):
        variables = {"params": params["model"], **state}
        outputs, state = Toy().apply(variables, batch["unlabelled"][view], train=True, mutable=["batch_stats"])
        assert outputs["frames"].shape == (8, 12, 6)
        z, _ = map_frames(outputs["frames"], jnp.ones((8, 12), bool), "window", 5)
        instances.append(z.reshape(40, 6))
    loss, after, metrics, gradient = value(objective, params, before, batch)
    assert loss == pytest.approx(float(contrastive.nt_xent(*instances).loss.mean()), rel=1e-5)
    assert set(metrics) == {"contrast", "picked", "alignment", "uniformity"} and metrics["contrast"] == loss
    for a, b in zip(jax.tree.leaves(after), jax.tree.leaves(dict(state)), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5)
    assert {name: moving(g) for name, g in gradient["model"].items()} == {
        "extractor": True,
        "sequence": True,
        "decoder": False,
    }


@pytest.mark.parametrize(
    "options",
    [
        {"head": "linear"},
        {"head": "mlp"},
        {"head": "bilstm"},
        {"mapping": "all"},
        {"mapping": "frame"},
        {"size": 40},
        {"features": "visual"},
        {"features": "maps"},
        {"temperature": 0.5},
        {"centred": True},
    ],
    ids=str,
)
def test_every_option_trains(options):
    objective, params, state, batch = built(**options)
    loss, _, metrics, gradient = value(objective, params, state, batch)
    assert np.isfinite(loss) and all(map(np.isfinite, metrics.values()))
    assert ("projection" in params) == ("head" in options)
    assert all(np.any(np.asarray(g)) for g in jax.tree.leaves(gradient.get("projection", {})))
    assert moving(gradient["model"]["extractor"])
    assert moving(gradient["model"]["sequence"]) == ("features" not in options)
    shown = jax.jit(objective.show)(params, state, None, batch)["cosine"]
    instances = {"all": 1, "frame": 12}.get(options.get("mapping"), options.get("size", 5))
    assert shown.shape == (6, instances, 6, instances) and np.abs(shown).max() <= 1 + 1e-5


def test_centred_instances_are_other_instances():
    plain, centred = value(*built()), value(*built(centred=True))
    assert plain[0] != pytest.approx(centred[0], rel=1e-3)


def test_padding_of_maps():
    """Where padding fills the right half, each row has its left half."""
    method = seqclr.Method(Toy(), CTC, features="maps", size=4)
    maps = np.random.default_rng(0).normal(size=(2, 4, 12, 6)).astype(np.float32)
    found, counts = method.instances({}, {"maps": jnp.asarray(maps)}, jnp.array([0.5, 1.0]))
    assert counts.all()
    np.testing.assert_allclose(found[0], maps[0, :, :6].mean(axis=1), atol=1e-6)
    np.testing.assert_allclose(found[1], maps[1].mean(axis=1), atol=1e-6)


@pytest.mark.parametrize("temperature", [0.1, 0.5])
def test_temperature(temperature):
    z = jnp.asarray(np.random.default_rng(0).normal(size=(2, 4, 3, 6)), jnp.float32)
    found = seqclr.contrast_metrics(*z, jnp.ones((4, 3), bool), temperature)
    expected = contrastive.nt_xent(*z.reshape(2, 12, 6), temperature).loss.mean()
    assert float(found["contrast"][0] / found["contrast"][1]) == pytest.approx(float(expected), rel=1e-5)
    other = value(*built(temperature=temperature))[0]
    assert (other == pytest.approx(value(*built())[0], rel=1e-3)) is (temperature == 0.1)


def test_both_views_are_shown():
    objective, params, state, batch = built()
    shown = objective.show(params, state, None, batch)["cosine"]
    itself = np.einsum("knkn->kn", shown)
    assert itself.min() < 0.999, "view 0 against view 1, not against itself"


def test_maps_are_taken_row_by_row():
    """The windows of a feature map are bands of its rows, as in the code of SemiMTR."""
    objective, params, state, batch = built(features="maps", size=4)
    outputs = Toy().apply({"params": params["model"], **state}, batch["unlabelled"]["view0"][:6], train=False)
    rows = outputs["maps"].mean(axis=2)  # [B, 4, 6]
    rows = rows / np.linalg.norm(rows, axis=-1, keepdims=True)
    batch["unlabelled"]["view1"] = batch["unlabelled"]["view0"]
    shown = objective.show(params, state, None, batch)["cosine"]
    np.testing.assert_allclose(shown, np.einsum("knd,lmd->knlm", rows, rows), atol=1e-5)


@pytest.mark.parametrize("mapping", ["all", "window", "frame"])
@pytest.mark.parametrize("images", [1, 4])
def test_identical_images_and_single_ones_stay_finite(mapping, images):
    objective, params, state, batch = built(images, mapping=mapping)
    rows = batch["unlabelled"]
    for level in (0, 128):
        rows["view0"] = rows["view1"] = np.full_like(rows["view0"], level)
        rows["view0_filled"] = rows["view1_filled"] = np.full(images, 0.01, np.float32)
        loss, _, metrics, gradient = value(objective, params, state, batch)
        assert np.isfinite(loss) and all(map(np.isfinite, metrics.values()))
        assert all(np.all(np.isfinite(g)) for g in jax.tree.leaves(gradient))


def test_the_views_have_dropout_of_their_own():
    """Equal views differ by dropout alone."""
    for dropout, equal in ((0.0, True), (0.5, False)):
        options = dict(features="glimpses", mapping="frame")
        objective = seqclr.Method(Headed(dropout=dropout), HEADED, **options).objective()
        batch = toy_views(8)
        batch["unlabelled"]["view1"] = batch["unlabelled"]["view0"]
        params, state = quick_jit(objective.init)(KEY, batch)
        assert (value(objective, params, state, batch)[2]["alignment"] < 1e-5) is equal


def test_padding_does_not_count():
    objective, params, state, batch = built(mapping="frame", features="visual")
    rows = batch["unlabelled"]
    rows["view0_filled"] = np.full(8, 0.5, np.float32)
    rows["view1_filled"] = np.linspace(0.25, 1, 8, dtype=np.float32)
    metrics = objective.loss(params, state, None, batch, KEY, 0)[1][1]
    assert float(metrics["contrast"][1]) == 3 + 5 + 6 * 6  # both views must see a frame: 12 frames, of which 6


def test_joint_form():
    objective, params, state, batch = built(joint=True)
    rows = batch["mixed"]
    total, _, metrics, gradient = value(objective, params, state, batch)
    assert moving(gradient["model"]["decoder"])
    assert {"contrast", "supervised", "unalignable"} <= set(metrics)
    assert total == pytest.approx(metrics["contrast"] + 2 * metrics["supervised"], rel=1e-5)
    losses = []
    for view in ("view0", "view1"):
        outputs, _ = Toy().apply({"params": params["model"], **state}, rows[view], train=True, mutable=["batch_stats"])
        losses.append(mean(supervised_outputs(outputs, rows["tokens"], CTC, rows["has_label"])["loss"]))
    assert 2 * metrics["supervised"] == pytest.approx(float(sum(losses)), rel=1e-5) and losses[0] != losses[1]
    weighted = seqclr.Method(Toy(), CTC, joint=True, contrast_weight=0.5).objective()
    assert value(weighted, params, state, batch)[0] == pytest.approx(total - metrics["contrast"] / 2, rel=1e-5)
    alone = [value(*built(contrast_weight=weight))[0] for weight in (1.0, 0.5)]
    assert alone[1] == pytest.approx(alone[0] / 2, rel=1e-5)
    rows["tokens"] = np.where(rows["has_label"][:, None], rows["tokens"], 7)  # what stands there must not matter
    assert value(objective, params, state, batch)[0] == pytest.approx(total, rel=1e-6)
    rows["has_label"] = np.zeros(8, bool)
    assert value(objective, params, state, batch)[0] == pytest.approx(metrics["contrast"], rel=1e-6)


@pytest.mark.parametrize(
    "options, message",
    [
        ({"head": "lstm"}, "objective.head='lstm': choose one of none, linear, mlp, mlp_norm, bilstm"),
        ({"mapping": "words"}, "mapping='words': choose one of all, window, frame"),
        ({"size": 0}, "config.objective.size=0 must be at least 1"),
        ({"temperature": 0.0}, "must be positive"),
        ({"centred": True, "mapping": "all"}, "one instance is its own mean"),
        ({"temprature": 1.0}, "has no temprature .did you mean temperature.*; it takes features, head"),
        ({"features": "maps"}, "needs \\['maps'\\] of the model, which offers \\['frames'"),
    ],
)
def test_bad_options(options, message):
    config = contrastive_config()
    with config.unlocked():
        config.objective.update(options)
    with pytest.raises(InputError, match=message):
        setup.prepare(config)


def rows_of(workdir):
    return [json.loads(line) for line in (workdir / "metrics.jsonl").read_text().splitlines()]


def test_pretraining_needs_no_labels_and_watches_held_out_words(pretrained):
    watched = [row for row in rows_of(pretrained) if "held_back/loss" in row]
    assert [row["step"] for row in watched] == [2, 4]
    assert {"held_back/picked", "held_back/alignment", "held_back/uniformity"} <= set(watched[0])
    assert watched[0]["held_back/loss"] == pytest.approx(watched[0]["held_back/contrast"], rel=1e-6)
    assert watched[0]["held_back/loss"] != watched[1]["held_back/loss"]
    trained = [row for row in rows_of(pretrained) if "train/loss" in row]
    assert {"train/picked", "train/alignment", "train/uniformity", "data_wait"} <= set(trained[0])
    results = json.loads((pretrained / "results.json").read_text())
    assert results["held_back"]["loss"] == pytest.approx(watched[-1]["held_back/loss"], rel=1e-5)
    for step in (2, 4):
        picture = cv2.imread(str(pretrained / f"pictures/similarity_{step}.png"))
        assert picture.shape[0] > 300 and picture.std() > 10


def test_the_encoder_goes_on_under_another_decoder(pretrained, tmp_path, capsys):
    """CTC in the first run, attention in the second: the parts are joined by prefixes, the rest is named."""
    config = tiny_config()
    config.model.sequence, config.model.prediction, config.charset.layout = "none", "attention", "cr_attention"
    config.charset.max_length, config.evals = 5, {}
    config.init_from = (("model/extractor", str(pretrained), "model/extractor"),)
    config.optimizer.rules = {"model/extractor": dict(frozen=True)}
    with pytest.raises(InputError, match="no row for model/decoder.*init_allow_missing"):
        loop.run(config, str(tmp_path / "strict"))
    config.init_allow_missing, config.steps = ("model/decoder",), 2
    loop.run(config, str(tmp_path / "probe"))
    out = capsys.readouterr().out
    assert f"model/extractor starts from model/extractor of {pretrained}" in out
    assert "not loaded, starts fresh: model/decoder\n" in out
    a, b = (checkpoint.load_variables(workdir) for workdir in (pretrained, tmp_path / "probe"))
    jax.tree.map(np.testing.assert_array_equal, a["params"]["model"]["extractor"], b["params"]["model"]["extractor"])
    jax.tree.map(np.testing.assert_array_equal, a["model_state"], b["model_state"])


def test_joint_config_trains(tmp_path):
    config = importlib.import_module("configs.seqclr").get_config("joint,labels=0.1,compact,decoder=ctc,runlocal")
    config.model.update(transformation="none", features="vgg", sequence="none")
    config.evals = config.held_back = {}
    config.steps = 1
    loop.run(config, str(tmp_path))
    assert {"train/supervised", "train/contrast"} <= set(rows_of(tmp_path)[0])
