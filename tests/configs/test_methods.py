"""What the arguments of the methods' configs change."""

import importlib

import pytest
from scripted import METHODS


def test_arguments_of_semi_supervised():
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
        assert get[name]("compact").optimizer.name == optimizer


@pytest.mark.parametrize("name", ["source_only", "cr_str"])
def test_rounds_of_semi_supervised(name):
    get_config = importlib.import_module(f"configs.{name}").get_config
    given = "compact,reader=a,words=english"
    assert not get_config(given).self_training
    config = get_config(f"{given},every=2000")
    assert config.self_training.every == 2000
    assert config.streams.labelled.sources.labelled_iiit5k.read_by.workdir == "a"
    with pytest.raises(ValueError, match="every: give reader="):
        get_config("compact,every=2000")


def test_arguments_of_contrastive():
    """The parts that a config names exist, and which of them a frozen encoder has."""
    finetune = importlib.import_module("configs.finetune").get_config
    config = finetune("compact,encoder=runs/a,labels=0.05,label_seed=3")
    assert all(r["share"] == 0.05 and r["share_seed"] == 3 for r in config.streams.labelled.sources.values())
    assert config.init_from[0] == ("model/rectifier", "runs/a", "model/rectifier")
    assert not config.optimizer.rules and not finetune("compact").init_from
    probe = importlib.import_module("configs.probe").get_config("encoder=runs/a,features=visual")
    assert set(probe.optimizer.rules) == {"model/rectifier", "model/extractor"}
    for bad, message in (("labels=ten", "'ten' is not a value of labels"), ("joint=maybe", "unknown config argument")):
        with pytest.raises(ValueError, match=message):
            finetune(bad)
