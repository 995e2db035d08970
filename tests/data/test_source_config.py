"""Rows of sources: what they may have, and what is said of the rest."""

import numpy as np
import pytest
from ml_collections import ConfigDict

from jstr.data.source_config import EVAL_KEYS, ReadBy, Share, eval_specs, parse_source, parse_sources, resolve
from jstr.text.messages import InputError

WHERE = "config.streams.labelled.sources.mj"


def parse(row, **options):
    return parse_source(WHERE, "mj", row, "/data", **options)


def test_a_row_becomes_a_spec():
    by = dict(workdir="runs/a", language_model="english")
    row = dict(path="MJ", weight=0.5, labels="", labelled=False, share=0.1, share_start=0.9, read_by=by)
    for form in (row, ConfigDict(row)):
        spec = parse(form)
        assert (spec.kind, spec.path, spec.location, spec.weight) == ("path", "MJ", "/data/MJ", 0.5)
        assert spec.labels is None and not spec.labelled and not spec.is_random
        assert spec.share == Share(0.1, 0.9) and spec.read_by == ReadBy("runs/a", "english", 0.9)
        assert hash(spec.share) and str(spec.share) == "share=0.1, share_start=0.9"
    rendered, text = parse(dict(rendered=dict(seed=1))), parse(dict(words={}, share=0.5))
    assert rendered.is_random and rendered.options == dict(seed=1) and text.kind == "words" and text.options == {}
    assert parse(dict(path="MJ", protocol="exact", weights="teacher"), keys=EVAL_KEYS).path == "MJ"


@pytest.mark.parametrize(
    "row, says",
    [
        (dict(path="MJ", lables="x"), "mj has no lables .did you mean labels.*it takes path"),
        (dict(path="MJ", protocol="exact"), "mj has no protocol"),
        (dict(path="MJ", contiguous=True), "mj has no contiguous"),
        (dict(weight=1), "a source needs a path"),
        (dict(path=""), "a source needs a path"),
        (dict(path="MJ", rendered=dict(seed=1)), "mj has path and rendered; give one"),
        (dict(rendered=dict(seed=1), labels="x"), "mj.labels is for data sets, not for rendered"),
        (dict(rendered=dict(seed=1), share=0.5), "share is for data sets; rendered words have a size"),
        (dict(words={}, read_by=dict(workdir="a")), "mj.read_by is for data sets, not for words"),
        (dict(path="MJ", share_start=0.5), "share_start and share_seed need a share"),
        (dict(path="MJ", share=0.0), "share=0.0 from share_start=0.0 is not a part of 0 to 1"),
        (dict(path="MJ", share=0.6, share_start=0.5), "is not a part of 0 to 1"),
        (dict(path="MJ", share="half"), "mj.share='half': give a number"),
        (dict(path="MJ", share=0.5, share_seed=-1), "mj.share_seed=-1: give a whole number"),
        (dict(path="MJ", share=0.5, share_seed=0.5), "mj.share_seed=0.5: give a whole number"),
        (dict(path="MJ", share=0.5, share_seed=float("nan")), "mj.share_seed=nan: give a whole number"),
        (dict(path="MJ", weight=0), "mj.weight=0.0: give a positive number"),
        (dict(path="MJ", weight=float("nan")), "mj.weight=nan: give a positive number"),
        (dict(path="MJ", weight=None), "mj.weight=None: give a number"),
        (dict(path="MJ", read_by=dict(workdir="")), "mj.read_by needs a workdir"),
        (dict(path="MJ", read_by=dict(workdir="a", language_weight=-1)), "read_by.language_weight=-1.0: give a number"),
        (dict(path="MJ", read_by=dict(workdir="a", fallback=0.95)), "fallback=0.95: give a confidence below"),
        (dict(path="MJ", read_by=dict(workdir="a", treshold=1)), "read_by has no treshold .did you mean threshold"),
    ],
)
def test_bad_rows(row, says):
    with pytest.raises(InputError, match=says) as error:
        parse(row)
    assert str(error.value).startswith(WHERE) and "\n" not in str(error.value)


def test_no_rows():
    with pytest.raises(InputError, match="config.streams.labelled.sources is empty"):
        parse_sources("config.streams.labelled", {}, "")


def test_an_optional_row_without_a_path_is_left_out():
    rows = dict(a=dict(path="a"), b=dict(path="", optional=True))
    assert [spec.name for spec in parse_sources("w", rows, "")] == ["a"]
    rows["b"]["path"] = "labels.tsv"
    assert [spec.path for spec in parse_sources("w", rows, "")] == ["a", "labels.tsv"]
    with pytest.raises(InputError, match="needs a path"):
        parse_sources("w", dict(b=dict(path="")), "")
    test = dict(path="", optional=True, protocol="alnum36")
    assert eval_specs(ConfigDict(dict(evals=dict(test=test), data_root=""))) == {}
    assert list(eval_specs(ConfigDict(dict(evals=dict(test=test | dict(path="a")), data_root="")))) == ["test"]


def test_paths_lie_under_the_data_root(monkeypatch):
    assert resolve("a.tar", "/data") == "/data/a.tar"
    assert resolve("/b/a.tar", "/data") == "/b/a.tar"
    assert resolve("tfds:mnist", "/data") == "tfds:mnist"
    monkeypatch.setenv("JSTR_DATA", "/env")
    assert resolve("a.tar", "") == "/env/a.tar"
    assert resolve("a.tar", "/data") == "/data/a.tar"
    monkeypatch.setenv("HOME", "/home/me")
    assert resolve("~/a.tar", "/data") == "/home/me/a.tar" and resolve("a.tar", "~/d") == "/home/me/d/a.tar"


@pytest.mark.parametrize("seed", [0, 3])
def test_parts_of_a_data_set(seed):
    """They depend on the number of all samples, not on which are usable, and add up to the whole without overlap."""
    parts = [Share(0.25, start, seed).choose(np.arange(41), 41).tolist() for start in (0.0, 0.25, 0.5, 0.75)]
    assert sorted(sum(parts, [])) == list(range(41)) and {len(part) for part in parts} == {10, 11}
    usable = np.arange(0, 41, 2)
    assert Share(0.25, 0.5, seed).choose(usable, 41).tolist() == [i for i in parts[2] if i % 2 == 0]
    assert set(Share(0.1, 0.0, seed).choose(np.arange(41), 41).tolist()) < set(parts[0])
    assert parts[0] != Share(0.25, 0.0, seed + 1).choose(np.arange(41), 41).tolist() != list(range(10))
    assert len(Share(0.01, 0.5, seed).choose(np.arange(7), 7)) == 1


def test_borders_of_parts_are_not_subject_to_rounding():
    """0.1 + 0.2 is more than 0.3."""
    for n in range(5, 200):
        first, second = (Share(*part).choose(np.arange(n), n) for part in ((0.2, 0.1), (0.7, 0.3)))
        assert not set(first) & set(second), n
