"""Every config, made tiny, trains a step and ends in a workdir that reads."""

import importlib

import jax
import numpy as np
import pytest
from testing import traced_step

import jstr
from jstr.cli import config_file
from jstr.data.pipeline import example_batch
from jstr.training import loop, setup

NAMES = config_file.names()


@pytest.mark.parametrize("name", NAMES)
def test_config_trains_and_reads(name, tmp_path):
    config = importlib.import_module(f"configs.{name}").get_config("runlocal")
    config.lock()
    scores = loop.run(config, str(tmp_path))
    if name == "abinet_language":
        texts, confidences = jstr.load(tmp_path).correct(["hause", "a"])
        assert len(texts) == 2 and ((confidences >= 0) & (confidences <= 1)).all()
        return
    assert scores["rendered"].words == 16
    texts, confidences = jstr.load(tmp_path).read(np.zeros((32, 100, 3), np.uint8))
    assert isinstance(texts[0], str) and 0 <= confidences[0] <= 1


@pytest.mark.parametrize("name", NAMES)
def test_full_size_is_traced(name):
    """The step of the config as it stands, not compiled: with the size some number may become too large."""
    arguments = "teacher=runs/teacher" if name in ("noisy_student", "pseudo_label") else ""
    config = importlib.import_module(f"configs.{name}").get_config(arguments)
    _, metrics = traced_step(config)
    assert all(metric.shape == () for metric in jax.tree.leaves(metrics)) and metrics


@pytest.mark.parametrize("name", NAMES)
def test_config_refuses_unknown_argument(name):
    with pytest.raises(ValueError, match="runlocal"):
        importlib.import_module(f"configs.{name}").get_config("runlocl")


def test_what_the_third_stage_starts_from():
    get_config = importlib.import_module("configs.semimtr").get_config
    assert get_config("compact").init_from == ()
    config = get_config("compact,vision=a,language=b")
    classifier = ("model/fusion/classifier", "a", "model/classifier")
    assert config.init_from == (("model/vision", "a", "model"), ("model/language", "b", "model"), classifier)
    assert config.init_allow_missing == ("model/fusion/gate",)
    language = get_config("compact,language=b")
    assert language.init_from == (("model/language", "b", "model"),)
    assert language.init_allow_missing == ("model/fusion", "model/vision")
    for whole in ("start=a", "vision_only,vision=a", "vision_only,start=a"):
        assert get_config(f"compact,{whole}").init_from == (("model", "a", "model"),)
    with pytest.raises(ValueError, match="start includes vision and language"):
        get_config("compact,start=a,vision=b")


def test_features_of_another_recogniser():
    get_config = {n: importlib.import_module(f"configs.{n}").get_config for n in ("abinet_vision", "abinet", "semimtr")}
    config = get_config["abinet_vision"]("compact,supervised,features=compact,encoder=a")
    assert config.init_from == (("model/backbone/extractor", "a", "model/extractor"),)
    assert not any("model/backbone/extractor".startswith(part) for part in config.init_allow_missing)
    assert (config.model.features, config.model.feature_channels, config.image.channels) == ("compact", 256, 1)
    for name in ("abinet", "semimtr"):
        assert get_config[name]("compact,features=compact,vision=a").model.features == "compact"
    for given in ("encoder=a", "features=compact,start=a,encoder=b"):
        with pytest.raises(ValueError, match="encoder is for features"):
            get_config["abinet_vision"](f"compact,{given}")


def test_language_that_is_kept():
    """Its parameters, and no others, are held fixed; a rule that matches none of them is refused (test_optim.py)."""
    config = importlib.import_module("configs.semimtr").get_config("runlocal,keep_language")
    assert config.optimizer.rules.to_dict() == {"model/language": {"frozen": True}}
    prepared = setup.prepare(config)
    setup.plan_state(
        config,
        prepared.objective,
        example_batch(config, prepared.objective.streams, prepared.reader.spec, prepared.reader.charset),
    )
    with pytest.raises(ValueError, match="has no language"):
        importlib.import_module("configs.semimtr").get_config("compact,keep_language,vision_only")


def test_labels_of_seqclr_need_joint():
    get_config = importlib.import_module("configs.seqclr").get_config
    with pytest.raises(ValueError, match="labels: give joint too"):
        get_config("compact,labels=0.1")
    assert "labelled_iiit5k" in get_config("compact,joint,labels=0.1").streams.mixed.sources


def test_nothing_is_read_again_where_everything_is_rendered():
    for name, given in (("source_only", "reader=runs/a,words=english,every=10"), ("distill", "every=10")):
        get_config = importlib.import_module(f"configs.{name}").get_config
        assert get_config(given).self_training.every == 10
        assert not get_config(f"runlocal,{given}").self_training
