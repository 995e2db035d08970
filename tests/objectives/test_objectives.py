"""Every method: its contract, and a step with every kind of recogniser."""

import dataclasses
import types

import jax
import numpy as np
import pytest
from scripted import METHODS, Recording
from testing import ROOT, quick_jit
from toy import ATTENTION, CTC, HEADED, Headed, Toy, ToyAttention, toy_words

from jstr.nn.images import normalise
from jstr.objectives import find_objective, make_objective
from jstr.text.messages import InputError

KEY = jax.random.PRNGKey(0)


# What the recognisers of the package share with these two is the form of their outputs. CRNN and TRBA themselves run
# in test_configs.py, each method with one of them. ABINet: its vision model takes no decoder inputs, and
# its fusion has three outputs to compare, which is what jstr/objectives/semimtr.py does.
RECOGNISERS = {"ctc (CRNN)": (Toy(), CTC), "attention (TRBA)": (ToyAttention(), ATTENTION)}


def batch_for(objective, model_config, unlabelled=4):
    """Noise in every stream and field that the objective reads."""
    words = toy_words(model_config, labelled=8, unlabelled=unlabelled, hidden=True)
    labelled = words["labelled"] | {"view0": words["labelled"]["image"], "view1": words["labelled"]["image"][::-1]}
    others = words["unlabelled"] | {"view0": words["unlabelled"]["weak"], "view1": words["unlabelled"]["strong"]}
    others |= {f"view{i}_filled": np.ones(unlabelled, np.float32) for i in range(2)}
    streams = {"labelled": labelled, "unlabelled": others, "mixed": others}
    return {s: {f: streams[s][f] for f in fields} for s, fields in objective.streams.items()}


@pytest.mark.parametrize("recogniser", sorted(RECOGNISERS))
@pytest.mark.parametrize("method", sorted(METHODS))
def test_every_method_with_every_recogniser(method, recogniser):
    """One step: finite, the student learns, the teacher does not."""
    model, model_config = RECOGNISERS[recogniser]
    objective = make_objective(METHODS[method], model, model_config)
    batch = batch_for(objective, model_config)
    params, state = quick_jit(objective.init)(KEY, batch)
    teacher = jax.tree.map(lambda x: 1.5 * x, (params, state)) if objective.needs_teacher else None
    if teacher:  # untrained networks write special tokens that pseudo-labelling refuses, and hardly ever EOS
        decoder, end = teacher[0]["model"]["decoder"], model_config.eos_id or 0
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


@pytest.mark.parametrize("method", ["supervised", "seqclr", "semimtr", *METHODS])
def test_every_method_trains_all_heads(method):
    """ABINet's column of the table of methods and recognisers: the labels of every method reach every head."""
    options = {"seqclr": dict(joint=True, features="visual"), "supervised": {}, "semimtr": {}}.get(method)
    row = METHODS[method] if options is None else dict(name=method) | options
    objective = make_objective(row, Headed(), HEADED)
    batch = batch_for(objective, HEADED)
    params, state = quick_jit(objective.init)(jax.random.key(0), batch)
    teacher = (params, state) if objective.needs_teacher else None
    step = quick_jit(jax.value_and_grad(lambda p: objective.loss(p, state, teacher, batch, jax.random.key(1), 0)[0]))
    loss, grads = step(params)
    assert np.isfinite(loss)
    for part in ("extractor", "attention", "vision", "language", "fusion"):
        assert all(np.any(g) for g in jax.tree.leaves(grads["model"][part])), part


FAMILY = [("teacher", "unlabelled/weak", False), ("student", "labelled/image", True)]
FAMILY += [("student", "unlabelled/strong", True)]
PASSES = {  # (whose variables, which images, in training mode) in the order that moves the batch statistics
    "supervised": [("student", "labelled/image", True)],
    "cr_str": FAMILY,
    "noisy_student": FAMILY,
    "pseudo_label": [("teacher", "unlabelled/strong", False), *FAMILY[1:]],
    "uda": [("student", "unlabelled/weak", False), *FAMILY[1:]],
    "fixmatch": [("student", "unlabelled/weak", False), *FAMILY[1:]],
    "mean_teacher": [
        ("teacher", "labelled/view1", True),
        ("teacher", "unlabelled/view1", True),
        ("student", "labelled/view0", True),
        ("student", "unlabelled/view0", True),
    ],
    "seqclr": [("student", "unlabelled/view0", True), ("student", "unlabelled/view1", True)],
    "byol": [(who, f"unlabelled/view{i}", True) for who in ("student", "teacher") for i in range(2)],
    "semimtr": [("student", "mixed/weak", True)] * 2 + [("student", "mixed/strong", True)],  # it reads weak ones first
    "semimtr_teacher": [("teacher", "mixed/weak", True)] * 2 + [("student", "mixed/strong", True)],
}


@pytest.mark.parametrize("method", sorted(PASSES))
def test_forward_passes(method):
    """Whose weights see which view in which mode, and no two passes in training share a dropout key."""
    rows = METHODS | {"semimtr_teacher": dict(name="semimtr", use_teacher=True)}
    model = Recording(ToyAttention())
    objective = make_objective(rows.get(method, dict(name=method)), model, ATTENTION)
    batch = batch_for(objective, ATTENTION)
    params, state = quick_jit(objective.init)(KEY, batch)
    other = jax.tree.map(lambda x: 1.5 * x, (params, state)) if objective.needs_teacher else None
    model.passes.clear()
    objective.loss(params, state, other, batch, KEY, 0)
    views = {f"{s}/{f}": np.asarray(normalise(x)) for s, fs in batch.items() for f, x in fs.items() if np.ndim(x) == 4}
    scale = params["model"]["extractor"]["norm"]["scale"]
    found = []
    for one in model.passes:
        (view,) = [name for name, x in views.items() if np.array_equal(x, one["images"])]
        is_student = np.array_equal(one["variables"]["params"]["extractor"]["norm"]["scale"], scale)
        found.append(("student" if is_student else "teacher", view, one["train"]))
    assert found == PASSES[method]
    keys = [tuple(np.asarray(one["rngs"]["dropout"]).tolist()) for one in model.passes if one["train"]]
    assert len(set(keys)) == len(keys)


def test_every_objective_keeps_the_contract():
    names = [p.stem for p in (ROOT / "jstr/objectives").glob("*.py") if p.stem != "__init__"]
    assert {"supervised", "seqclr"} <= set(names)
    for name in names:
        module = find_objective(name)
        first, second, *options = dataclasses.fields(module.Method)
        assert module.__doc__ and (first.name, second.name) == ("model", "model_config")
        assert all(option.default is not dataclasses.MISSING for option in options)
    with pytest.raises(InputError, match=f"config.objective.name='parts': choose one of {', '.join(sorted(names))}"):
        find_objective("parts")


@pytest.mark.parametrize(
    "row, message",
    [
        (dict(), "config.objective.name=None: choose one of byol, cr_str, "),
        (
            dict(name="uda", coral_weight=1.0),
            "config.objective: uda has no coral_weight .*; it takes temperature, confi",
        ),
        (dict(name="cr_str", temprature=1.0), r"has no temprature \(did you mean temperature\?\)"),
        (dict(name="cr_str", own_teacher=True), "cr_str has no own_teacher"),
        (dict(name="cr_str", model=None), "cr_str has no model"),
        (dict(name="cr_str", threshold="0.5"), "config.objective.threshold='0.5': give a number"),
        (dict(name="cr_str", coral_normalise=1), "config.objective.coral_normalise=1: give True or False"),
        (dict(name="cr_str", cons_weight=True), "config.objective.cons_weight=True: give a number"),
        (dict(name="cr_str", labels=None), "config.objective.labels=None: give a text"),
        (dict(name="seqclr", size=2.5), "config.objective.size=2.5: give a whole number"),
        (dict(name="cr_str", cons_weight=-1.0), "config.objective.cons_weight=-1.0 must be at least 0"),
        (dict(name="cr_str", coral_weight=float("nan")), "config.objective.coral_weight=nan must be at least 0"),
        (dict(name="cr_str", threshold=float("nan")), "config.objective.threshold=nan is a probability"),
        (dict(name="mean_teacher", ramp_steps=-1), "config.objective.ramp_steps=-1 must be at least 0"),
        (dict(name="semimtr", cons_weight=-1), "config.objective.cons_weight=-1 must be at least 0"),
        (dict(name="seqclr", joint=True, contrast_weight=-1), "config.objective.contrast_weight=-1 must be at least 0"),
        (dict(name="masked_lm"), "config.objective.name=masked_lm trains language models; set config.model.name"),
    ],
    ids=str,
)
def test_refused_options(row, message):
    """One line that names the option as the user wrote it."""
    with pytest.raises(InputError, match=message):
        make_objective(row, ToyAttention(), ATTENTION)


def test_options_without_postponed_annotations(monkeypatch):
    """An objective of one's own may annotate with types, also with others than those that are checked."""

    @dataclasses.dataclass
    class Method:
        model: object
        model_config: object
        weight: float = 1.0
        sizes: tuple[int, ...] = (1,)

        def objective(self):
            return self.weight, self.sizes

    Method.__dataclass_fields__["weight"].type = float
    Method.__dataclass_fields__["sizes"].type = tuple[int, ...]
    monkeypatch.setattr("jstr.objectives.find_objective", lambda name: types.SimpleNamespace(Method=Method))
    assert make_objective(dict(name="own", weight=2.0, sizes=(1, 2)), Toy(), CTC) == (2.0, (1, 2))
    with pytest.raises(InputError, match="config.objective.weight='much': give a number"):
        make_objective(dict(name="own", weight="much"), Toy(), CTC)
