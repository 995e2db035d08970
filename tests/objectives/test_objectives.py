"""Every method: its contract, and a step with every kind of recogniser."""

import dataclasses

import jax
import numpy as np
import pytest
from scripted import METHODS
from testing import ROOT, quick_jit
from toy import ATTENTION, FACTS, HEADED, Headed, Toy, ToyAttention, toy_words

from jstr.core import InputError
from jstr.objectives import find_objective, make_objective

KEY = jax.random.PRNGKey(0)


# What the recognisers of the package share with these two is the form of their outputs. CRNN and TRBA themselves run
# in test_configs.py, each method with one of them. ABINet: its vision model takes no decoder inputs, and
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


@pytest.mark.parametrize("method", ["supervised", "seqclr", "semimtr", *METHODS])
def test_every_method_trains_all_heads(method):
    """ABINet's column of the table of methods and recognisers: the labels of every method reach every head."""
    options = {"seqclr": dict(joint=True, features="visual"), "supervised": {}, "semimtr": {}}.get(method)
    row = METHODS[method] if options is None else dict(name=method) | options
    objective = make_objective(row, Headed(), HEADED)
    words = toy_words(HEADED, labelled=4, unlabelled=4, hidden=True)
    rows = words["labelled"] | words["unlabelled"] | {"has_label": np.arange(4) < 2}
    rows |= {"view0": rows["weak"], "view1": rows["strong"]}
    rows |= {f"view{i}_filled": np.ones(4, np.float32) for i in range(2)}
    batch = {stream: {f: rows[f] for f in fields} for stream, fields in objective.streams.items()}
    params, state = quick_jit(objective.init)(jax.random.key(0), batch)
    teacher = (params, state) if objective.needs_teacher else None
    step = quick_jit(jax.value_and_grad(lambda p: objective.loss(p, state, teacher, batch, jax.random.key(1), 0)[0]))
    loss, grads = step(params)
    assert np.isfinite(loss)
    for part in ("extractor", "attention", "vision", "language", "fusion"):
        assert all(np.any(g) for g in jax.tree.leaves(grads["model"][part])), part


def test_every_objective_keeps_the_contract():
    names = [p.stem for p in (ROOT / "jstr/objectives").glob("*.py") if p.stem != "__init__"]
    assert {"supervised", "seqclr"} <= set(names)
    for name in names:
        module = find_objective(name)
        first, second, *options = dataclasses.fields(module.Method)
        assert module.__doc__ and (first.name, second.name) == ("model", "model_config")
        assert all(option.default is not dataclasses.MISSING for option in options)
    with pytest.raises(InputError, match=f"unknown objective 'parts'; choose one of {', '.join(sorted(names))}"):
        find_objective("parts")
