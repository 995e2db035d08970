"""Pseudo-labelling, Noisy Student, Mean Teacher, UDA and FixMatch: every method with every recogniser, and offline."""

import importlib
import tarfile

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from test_consistency import STUDENT, TEACHER
from testing import REAL_WORDS, call, consistency_config, quick_jit, tiny_config
from toy import ATTENTION, FACTS, Toy, ToyAttention, toy_words

from jstr.core import InputError, ModelConfig
from jstr.data.sources.open import open_source
from jstr.objectives import make_objective
from jstr.objectives.parts.schedules import annealed_rows
from jstr.objectives.parts.supervised_loss import mean, supervised_metrics
from jstr.training import loop

KEY = jax.random.PRNGKey(0)
METHODS = {
    "cr_str": dict(name="cr_str", threshold=0.0, coral_threshold=0.0),
    "uda": dict(name="uda", threshold=0.0),
    "fixmatch": dict(name="fixmatch", threshold=0.0),
    "pseudo_label": dict(name="pseudo_label"),
    "noisy_student": dict(name="pseudo_label", same_view=False, labels="soft"),
    "mean_teacher": dict(name="mean_teacher"),
}
# What the recognisers of the package share with these two is the form of their outputs. CRNN and TRBA themselves run
# in test_configs.py, each method with one of them. ABINet: its vision model reads without being told characters, and
# its fusion has three outputs to compare, which is what jstr/objectives/semimtr.py does.
RECOGNISERS = {"ctc (CRNN)": (Toy(), FACTS), "attention (TRBA)": (ToyAttention(), ATTENTION)}


def batch_for(objective, facts):
    batch = toy_words(facts)
    rows = batch["labelled"] | batch["unlabelled"]
    rows |= {"view0": rows["image"], "view1": rows["image"][::-1]}
    weak = {"view0": batch["unlabelled"]["weak"], "view1": batch["unlabelled"]["strong"]} | batch["unlabelled"]
    sources = {"labelled": rows, "unlabelled": weak}
    return {s: {f: sources[s][f] for f in fields} for s, fields in objective.streams.items()}


@pytest.mark.parametrize("recogniser", sorted(RECOGNISERS))
@pytest.mark.parametrize("method", sorted(METHODS))
def test_every_method_with_every_recogniser(method, recogniser):
    """One step: finite, the student learns, the teacher does not."""
    model, facts = RECOGNISERS[recogniser]
    objective = make_objective(METHODS[method], model, facts)
    batch = batch_for(objective, facts)
    params, state = quick_jit(objective.init)(KEY, batch)
    teacher = jax.tree.map(lambda x: 1.5 * x, (params, state)) if objective.needs_teacher else None
    if teacher:  # untrained networks write special tokens that pseudo-labelling refuses, and hardly ever EOS
        decoder, end = teacher[0]["model"]["decoder"], facts.eos_id or 0
        name = "classifier_bias" if "classifier_bias" in decoder else "bias"
        decoder[name] = decoder[name].at[end].add(9.0)
    assert objective.needs_teacher == (method not in ("uda", "fixmatch"))

    def loss(params, teacher):
        return objective.loss(params, state, teacher, batch, KEY, 0)

    step = quick_jit(jax.value_and_grad(loss, argnums=(0, 1), has_aux=True))
    (total, (after, metrics)), (gradient, taught) = step(params, teacher)
    assert np.isfinite(float(total)) and set(after) == set(state)
    assert float(metrics["consistency"][0]) > 0 and {"supervised", "agreement", "confidence"} <= set(metrics)
    assert all(np.all(np.isfinite(g)) for g in jax.tree.leaves(gradient))
    assert any(np.any(g) for g in jax.tree.leaves(gradient["model"]["extractor"]))
    assert not any(np.any(np.asarray(g)) for g in jax.tree.leaves(taught))


class Spoken:
    """A recogniser whose outputs are its parameters: weak views read `teacher`, others `student`; it keeps no state."""

    has_projection = False

    def __init__(self):
        self.told = []

    def apply(self, variables, images, tokens=None, *, train, **_):
        name = "teacher" if images.shape[2] == 2 else "student"
        self.told.append((name, tokens is not None))
        outputs = {"logits": variables["params"][name]}
        return (outputs, {}) if train else outputs


SPOKEN = ModelConfig((1, 1), 1, 3, 7, first_id=5, pad_id=0, bos_id=2, eos_id=3)


def spoken(method, views=("weak", "strong"), **options):
    """(metrics of the oracle's logits, what each forward was told)."""
    model = Spoken()
    objective = make_objective(METHODS[method] | options, model, SPOKEN)
    tokens = np.full((2, 5), 3, np.int32)
    labelled = {n: np.zeros((2, 1, 1, 1), np.float32) for n in ("image", "view0")} | {"tokens": tokens}
    wide = np.zeros((2, 1, 2, 1), np.float32)
    rows = {"weak": wide, "strong": wide[:, :, :1], "view0": wide[:, :, :1], "view1": wide}
    batch = {"labelled": labelled | {"view1": wide}, "unlabelled": rows}
    both = {"model": {"teacher": jnp.asarray(TEACHER), "student": jnp.asarray(STUDENT)}}
    metrics = objective.loss(both, {}, (both, {}), batch, KEY, 0)[1][1]
    return {k: float(mean(v)) for k, v in metrics.items()}, model.told


def test_oracles_of_the_specification():
    """baselines.md 8 and cr.md 11.4, through the objectives."""
    cr = dict(coral_weight=0.0, threshold=0.5)
    for options, value in (
        ({}, 0.300674),
        (dict(temperature=1.0), 0.134203),
        (dict(cons_reduction="sample"), 0.300674),
        (dict(labels="hard", confidence="minimum"), 0.303572),
    ):
        assert spoken("cr_str", **cr, **options)[0]["consistency"] == pytest.approx(value, abs=1e-6), options
    for threshold, value in ((0.5, 0.300674), (0.8, 0)):
        assert spoken("uda", threshold=threshold)[0]["consistency"] == pytest.approx(value, abs=1e-6)
    for threshold, value in ((0.5, 0.303572), (0.8, 0.303572), (0.95, 0)):
        assert spoken("fixmatch", threshold=threshold)[0]["consistency"] == pytest.approx(value, abs=1e-6)
    hard = spoken("noisy_student", labels="hard", cons_reduction="kept")[0]
    assert hard["consistency"] == pytest.approx(1.043215, abs=1e-6)
    assert spoken("noisy_student", cons_reduction="kept")[0]["consistency"] == pytest.approx(1.378251, abs=1e-6)
    assert spoken("mean_teacher")[0]["consistency"] == pytest.approx(0.021558, abs=1e-6)
    assert spoken("mean_teacher", masked=True)[0]["consistency"] == pytest.approx(0.011492, abs=1e-6)


@pytest.mark.parametrize(("threshold", "counted"), [(0.2, 6), (0.3, 4), (0.85, 2), (0.95, 0)])
def test_each_character_may_be_gated_by_itself(threshold, counted):
    """baselines.md 5: the steps of section 8 whose own c_i is high enough, divided by the length of the word."""
    log_p = TEACHER - np.log(np.exp(TEACHER).sum(-1, keepdims=True))
    log_q = STUDENT - np.log(np.exp(STUDENT).sum(-1, keepdims=True))
    words = np.arange(4) < 3  # the first three steps of both words
    steps = (np.exp(log_p.max(-1)) >= threshold) & words
    assert steps.sum() == counted
    labels = np.array([[5, 6, 3, 0]] * 2)
    entropy = -np.take_along_axis(log_q, labels[..., None], axis=-1)[..., 0]
    found, _ = spoken("fixmatch", threshold=threshold, per_character=True)
    assert found["consistency"] == pytest.approx(np.where(steps, entropy, 0).sum() / 6, abs=1e-5)
    assert found["confident"] == steps.any(axis=1).mean()
    sharp = np.exp(TEACHER / 0.4) / np.exp(TEACHER / 0.4).sum(-1, keepdims=True)
    divergence = (sharp * (np.log(sharp) - log_q)).sum(-1)
    found, _ = spoken("uda", threshold=threshold, per_character=True)
    assert found["consistency"] == pytest.approx(np.where(steps, divergence, 0).sum() / 6, abs=1e-5)


def test_characters_of_a_ctc_string_are_not_gated():
    with pytest.raises(InputError, match="per_character: CTC learns whole strings"):
        make_objective(METHODS["fixmatch"] | dict(per_character=True), Toy(), FACTS)
    make_objective(METHODS["uda"] | dict(per_character=True), Toy(), FACTS)


@pytest.mark.parametrize(("schedule", "half"), [("linear", 0.5), ("log", 1 - np.exp(-2.5)), ("exp", np.exp(-2.5))])
def test_training_signal_annealing(schedule, half):
    """Words whose label the student gives a probability above the threshold do not count; at the end all do."""
    threshold = 1 / 7 + 6 / 7 * half
    logits = np.zeros((3, 2, 7), np.float32)
    logits[1, :, 5] = logits[1, :, 6] = -20  # a word it reads surely, beside one it knows nothing of
    for row, p in ((1, threshold + 0.01), (2, threshold - 0.01)):
        logits[row] = np.log((1 - p) / 6)
        logits[row, 0, 5] = logits[row, 1, 3] = np.log(p)
    tokens = np.array([[2, 5, 3]] * 3, np.int32)
    rows = [np.asarray(annealed_rows(logits, tokens, step, schedule, 100, SPOKEN)).tolist() for step in (50, 100, 1000)]
    assert rows == [[True, False, True], [True] * 3, [True] * 3]
    off, _ = spoken("uda")
    early, _ = spoken("uda", annealing=schedule, annealing_steps=10**9)
    assert "released" not in off and off["supervised"] > 0
    sure = np.asarray(annealed_rows(jnp.asarray(STUDENT), np.full((2, 5), 3, np.int32), 0, schedule, 10**9, SPOKEN))
    assert early["released"] == 1 - sure.mean()


def test_annealing_with_ctc_leaves_rows_out():
    """The loss is that of the rows that count, as if the others were deleted; labels that do not fit still count."""
    logits = np.zeros((4, 3, 9), np.float32)
    tokens = np.array([[3, 4, 0], [3, 4, 0], [5, 6, 0], [6, 6, 6]], np.int32)  # the last needs five frames
    for row, p in ((0, 0.9), (1, 0.3)):
        logits[row] = np.log((1 - p) / 8)
        logits[row, [0, 1, 2], [3, 4, 4]] = np.log(p)
    facts = ModelConfig((1, 1), 1, 3, 9, first_id=1, pad_id=0)
    rows = annealed_rows(logits, tokens, 5, "linear", 10, facts)
    assert np.asarray(rows).tolist() == [False, True, True, True]
    found = supervised_metrics(jnp.asarray(logits), jnp.asarray(tokens), facts, rows)
    rest = supervised_metrics(jnp.asarray(logits[1:]), jnp.asarray(tokens[1:]), facts)
    assert float(mean(found["loss"])) == pytest.approx(float(mean(rest["loss"])), rel=1e-5)
    assert float(mean(found["unalignable"])) == pytest.approx(1 / 3)


@pytest.mark.parametrize("options", [dict(annealing="cos"), dict(annealing="log")])
def test_annealing_that_cannot_be(options):
    with pytest.raises(InputError, match="config.objective.annealing"):
        make_objective(METHODS["uda"] | options, Toy(), FACTS)


def test_who_is_told_what():
    """The teacher always reads freely; the student reads its own or the teacher's characters; labels for labelled."""
    for method, context, told in (
        ("uda", "own", False),
        ("uda", "shared", True),
        ("fixmatch", "own", False),
        ("noisy_student", None, True),
        ("cr_str", None, True),
    ):
        options = {"context": context} if context else {"coral_weight": 0.0} if method == "cr_str" else {}
        _, calls = spoken(method, **options)
        assert calls == [("teacher", False), ("student", True), ("student", told)], method
    _, calls = spoken("mean_teacher")
    assert calls == [("teacher", False)] * 2 + [("student", True), ("student", False)]


def test_pseudo_labelling_keeps_words_that_end():
    """The gate of STR-Fewer-Labels is on special tokens alone; the mean is over what is kept."""
    model = ToyAttention(projection="none")
    objective = make_objective(METHODS["pseudo_label"], model, ATTENTION)
    assert objective.streams["unlabelled"] == ("strong",)
    teacher = TEACHER.copy()
    teacher[1, 2] = [0, 9, 0, 0, 0, 0, 0]  # UNK ends the second word
    played = Spoken()
    both = {"model": {"teacher": jnp.asarray(teacher), "student": jnp.asarray(STUDENT)}}
    gated = make_objective(METHODS["noisy_student"] | dict(labels="hard", cons_reduction="kept"), played, SPOKEN)
    wide = np.zeros((2, 1, 2, 1), np.float32)
    batch = {
        "labelled": {"image": wide[:, :, :1], "tokens": np.full((2, 5), 3, np.int32)},
        "unlabelled": {"weak": wide, "strong": wide[:, :, :1]},
    }
    metrics = gated.loss(both, {}, (both, {}), batch, KEY, 0)[1][1]
    assert float(mean(metrics["confident"])) == 0.5
    assert float(mean(metrics["consistency"])) == pytest.approx(2 * 0.303572, abs=1e-6)


def test_mean_teacher_ramp():
    model = Spoken()
    objective = make_objective(METHODS["mean_teacher"] | dict(ramp_steps=100, cons_weight=2.0), model, SPOKEN)
    wide = np.zeros((2, 1, 2, 1), np.float32)
    rows = {"view0": wide[:, :, :1], "view1": wide}
    batch = {"labelled": rows | {"tokens": np.full((2, 5), 3, np.int32)}, "unlabelled": rows}
    both = {"model": {"teacher": jnp.asarray(TEACHER), "student": jnp.asarray(STUDENT)}}
    for step, weight in ((0, 0.006738), (50, 0.286505), (100, 1.0), (200, 1.0)):
        total, (_, metrics) = objective.loss(both, {}, (both, {}), batch, KEY, step)
        rest = float(total) - float(mean(metrics["supervised"]))
        assert rest == pytest.approx(2 * weight * float(mean(metrics["consistency"])), rel=1e-3, abs=1e-6)


def test_no_option_of_another_method():
    with pytest.raises(InputError, match="uda has no option coral_weight; it takes temperature"):
        make_objective(METHODS["uda"] | dict(coral_weight=1.0), Toy(), FACTS)
    with pytest.raises(InputError, match="config.objective.context='mine': choose one of shared, own"):
        make_objective(METHODS["uda"] | dict(context="mine"), Toy(), FACTS)


def test_config_arguments():
    get = {n: importlib.import_module(f"configs.{n}").get_config for n in METHODS | {"source_only": None}}
    for name in ("pseudo_label", "noisy_student"):
        with pytest.raises(ValueError, match="teacher=WORKDIR"):
            get[name]("compact")
    assert get["noisy_student"]("compact,teacher=runs/a").teacher.workdir == "runs/a"
    offline = get["pseudo_label"]("compact,kept=kept.tar")
    assert set(offline.streams) == {"labelled"} and offline.objective.name == "supervised" and not offline.teacher
    assert offline.streams.labelled.sources.kept.path.endswith("/kept.tar")
    full = get["cr_str"]("hidden")
    assert (full.streams.labelled.batch_size, full.streams.unlabelled.batch_size) == (384, 288)
    assert full.objective.hidden_labels and "labelled" not in full.streams.unlabelled.sources.u
    assert get["cr_str"]("").streams.unlabelled.sources.u.labelled is False
    assert get["cr_str"]("compact,decoder=ctc").streams.unlabelled.views.strong.cr_strong.spatial == 0
    assert get["cr_str"]("compact,init=runs/a").init_from == (("model", "runs/a", "model"),)
    assert "unlabelled" not in get["source_only"]("compact").streams
    for name, optimizer in (("cr_str", "adamw"), ("fixmatch", "adamw"), ("uda", "adam"), ("source_only", "adam")):
        assert get[name]("compact").optimizer.name == optimizer, "cr.md 6, baselines.md 4 and 5"


def test_dropout_and_batches_of_another_size_train(tmp_path):
    """Noisy Student's dropout in the recogniser; streams of 8 and 4 words; a teacher of its own."""
    config = consistency_config()
    config.model.dropout = 0.5
    config.steps, config.evals = 2, {}
    loop.run(config, str(tmp_path))
    assert '"train/consistency"' in (tmp_path / "metrics.jsonl").read_text()


def test_labels_made_offline(tmp_path):
    workdir = tmp_path / "teacher"
    config = tiny_config()
    config.steps, config.evals = 1, {}
    loop.run(config, str(workdir))
    command = ["tools/pseudo_label.py", f"--workdir={workdir}", f"--data={REAL_WORDS}"]
    status, out, err = call(*command, f"--out={tmp_path / 'kept.tar'}", "--threshold=0", "--check")
    assert status == 0, err
    kept = open_source(str(tmp_path / "kept.tar"))
    assert f": {len(kept)} of 64 kept; geometric_mean of all words:" in out and "all: " in out
    with tarfile.open(tmp_path / "kept.tar") as tar:
        assert len(tar.getnames()) == len(kept) + 1 and all(kept[i]["label"] for i in range(len(kept)))
    status, _, err = call(*command, f"--out={tmp_path / 'none.tar'}", "--threshold=1")
    assert status == 2 and "no word has geometric_mean 1.0 or more; lower --threshold" in err
    assert sorted(p.name for p in tmp_path.iterdir()) == ["kept.tar", "teacher"]
