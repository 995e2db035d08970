"""The full-size configs hold the published values: one table, each value beside its source.

DTRB is clovaai/deep-text-recognition-benchmark; FL is ku21fan/STR-Fewer-Labels; CR is
Caiyuan-Zheng/Consistency_Regularization_STR; SM is amazon-science/semimtr-text-recognition; AB is FangShancheng/ABINet.
"ours" marks what these do not fix, so that it does not change unnoticed either.
"""

import importlib

import numpy as np
import pytest

from jstr.cli import config_file
from jstr.objectives import find_objective
from jstr.training.optimizer import make_schedule

RGB, GREY = {"image.size": (32, 100), "image.channels": 3}, {"image.size": (32, 100), "image.channels": 1}
TRBA = {  # Baek et al. 2019, the best of its recognisers
    "model.name": "four_stage",
    "model.transformation": "tps",
    "model.features": "resnet",
    "model.sequence": "bilstm",
    "model.prediction": "attention",
    "model.width": 1.0,
}
MJ_AND_ST = {"streams.labelled.sources.mj.weight": 0.5, "streams.labelled.sources.st.weight": 0.5}
ADADELTA = {  # DTRB train.py
    "optimizer.name": "adadelta",
    "optimizer.schedule": {"name": "constant", "peak": 1.0},
    "optimizer.options": {"rho": 0.95, "eps": 1e-8},
    "optimizer.weight_decay": 0.0,
    "optimizer.clip_norm": 5.0,
}
ONE_CYCLE = {"optimizer.schedule.name": "one_cycle", "optimizer.clip_norm": 5.0}  # FL and CR, train.py
CR_WORDS = {  # CR config_parser.py: 94 characters, batches, steps
    "charset.characters": "94",
    "charset.layout": "cr_attention",
    "charset.lower": False,
    "charset.max_length": 25,
    "streams.labelled.batch_size": 384,
    "streams.unlabelled.batch_size": 288,
    "steps": 250_000,
}
CR_VIEWS = {  # CR run_semi.sh: the labelled words are strongly augmented, too
    "streams.labelled.views": {"image": {"cr_strong": {}}},
    "streams.unlabelled.views": {"weak": {"cr_weak": {}}, "strong": {"cr_strong": {}}},
}
ADAM = {"optimizer.name": "adam", "optimizer.weight_decay": 0.0, "optimizer.schedule.peak": 1e-3}
ADAMW = {"optimizer.name": "adamw", "optimizer.weight_decay": 0.01, "optimizer.schedule.peak": 1e-3}
FL_VIEW = {
    "crop": {"amount": 0.01},
    "blur": {"sigma": 1.5, "probability": 0.5},
}  # FL: Blur5-Crop99 for TRBA; ours: sigma
ABINET = {  # AB configs/train_abinet.yaml, and SM, which builds on it
    "charset.characters": "abcdefghijklmnopqrstuvwxyz1234567890",
    "charset.layout": "abinet",
    "charset.lower": True,
    "charset.max_length": 25,
    "image.size": (32, 128),
    "image.channels": 3,
    "model.width": 1.0,
    "model.dropout": 0.1,
    "optimizer.name": "adam",
    "optimizer.weight_decay": 0.0,
    "optimizer.clip_norm": 20.0,
    "optimizer.schedule.name": "multi_step",
    "optimizer.schedule.peak": 1e-4,
}
VISION = {"model.blocks": (3, 4, 6, 6, 3), "model.num_layers": 3, "model.attention": "position"}  # AB, LV form
FUSED = {"model.language_layers": 4, "model.iterations": 3}  # AB
MIXED = {
    "streams.mixed.sources.labelled.weight": 0.3,
    "streams.mixed.sources.unlabelled.weight": 0.7,
}  # SM: both stages
SEVERITY1 = {"seqclr_severity1": {}}

PUBLISHED = {
    "crnn": GREY  # DTRB: None-VGG-BiLSTM-CTC, batch 192, 300,000 iterations
    | MJ_AND_ST
    | ADADELTA
    | {
        "model.transformation": "none",
        "model.features": "vgg",
        "model.sequence": "bilstm",
        "model.prediction": "ctc",
        "model.width": 1.0,
        "charset.characters": "36",
        "charset.layout": "dtrb_ctc",
        "streams.labelled.batch_size": 192,
        "streams.labelled.views": {"image": {}},
        "steps": 300_000,
    },
    "trba": RGB | TRBA | MJ_AND_ST | ADAM | ONE_CYCLE | {"steps": 250_000, "streams.labelled.batch_size": 384},  # CR
    "cr_str": RGB
    | TRBA
    | MJ_AND_ST
    | CR_WORDS
    | CR_VIEWS
    | ADAMW  # CR run_semi.sh
    | ONE_CYCLE
    | {
        "model.projection": "mlp",  # CR modules/prediction.py: PositionwiseFeedForward
        "model.dropout": 0.0,
        "objective.labels": "soft",  # CR semi-supervised loss KLDiv
        "objective.divergence": "kl",
        "objective.temperature": 0.4,  # CR config_parser.py: uda_softmax_temp
        "objective.confidence": "product",
        "objective.threshold": 0.5,  # CR: confidence of the unlabelled words
        "objective.cons_reduction": "character",
        "objective.cons_weight": 1.0,
        "objective.context": "shared",
        "objective.coral_weight": 0.01,  # CR: lambda_mmd
        "objective.coral_threshold": 0.6,  # CR: confidence of the labelled words
        "objective.coral_normalise": False,
        "teacher": {
            "decay": 0.999,
            "warmup": False,
            "update": "after",
            "workdir": "",
        },  # CR: the warm-up is commented out
        "eval_weights": "student",
        "init_from": (),
    },
    "source_only": RGB | TRBA | MJ_AND_ST | ADAM | ONE_CYCLE | {"steps": 250_000, "streams.labelled.batch_size": 384},
    "uda": RGB  # Xie et al. 2020 for temperature, weight and threshold (ImageNet); the rest ours, as CR
    | TRBA
    | MJ_AND_ST
    | CR_WORDS
    | CR_VIEWS
    | ADAM
    | ONE_CYCLE
    | {
        "objective.temperature": 0.4,
        "objective.confidence": "product",
        "objective.threshold": 0.5,
        "objective.cons_reduction": "sample",
        "objective.cons_weight": 1.0,
        "objective.context": "own",
        "objective.annealing": "none",
        "objective.per_character": False,
        "teacher": {},
    },
    "fixmatch": RGB  # Sohn et al. 2020 for threshold, weight and decay; the rest ours, as CR
    | TRBA
    | MJ_AND_ST
    | CR_WORDS
    | CR_VIEWS
    | ADAMW
    | ONE_CYCLE
    | {
        "objective.confidence": "minimum",
        "objective.threshold": 0.95,
        "objective.cons_reduction": "sample",
        "objective.cons_weight": 1.0,
        "objective.context": "own",
        "objective.per_character": False,
        "teacher": {"decay": 0.999, "warmup": False, "update": "after", "workdir": ""},
        "eval_weights": "teacher",
    },
    "mean_teacher": RGB  # FL modules/semi_supervised.py: MeanTeacherLoss; words and optimiser as CR
    | TRBA
    | MJ_AND_ST
    | CR_WORDS
    | ADAM
    | ONE_CYCLE
    | {
        "objective.cons_weight": 1.0,
        "objective.ramp_steps": 0,
        "objective.masked": False,
        "streams.labelled.views": {"view0": FL_VIEW, "view1": FL_VIEW},
        "streams.unlabelled.views": {"view0": FL_VIEW, "view1": FL_VIEW},
        "teacher": {"decay": 0.999, "warmup": True, "update": "before", "workdir": ""},
    },
    "pseudo_label:teacher=T": RGB  # FL PseudoLabelLoss, Adam 5e-4; words as CR
    | TRBA
    | MJ_AND_ST
    | CR_WORDS
    | ADAM
    | ONE_CYCLE
    | {
        "optimizer.schedule.peak": 5e-4,
        "objective.same_view": True,
        "objective.labels": "hard",
        "objective.threshold": 0.0,
        "objective.cons_reduction": "kept",
        "objective.cons_weight": 1.0,
        "streams.labelled.views": {"image": FL_VIEW},
        "streams.unlabelled.views": {"strong": FL_VIEW},
        "teacher": {"decay": 1.0, "warmup": False, "update": "after", "workdir": "T"},
    },
    "noisy_student:teacher=T": RGB  # Xie et al. 2020 for weight and dropout; the rest ours, as CR
    | TRBA
    | MJ_AND_ST
    | CR_WORDS
    | CR_VIEWS
    | ADAM
    | ONE_CYCLE
    | {
        "model.dropout": 0.1,
        "objective.same_view": False,
        "objective.labels": "hard",
        "objective.temperature": 1.0,
        "objective.confidence": "geometric_mean",
        "objective.threshold": 0.5,
        "objective.cons_reduction": "character",
        "objective.cons_weight": 1.0,
        "teacher": {"decay": 1.0, "warmup": False, "update": "after", "workdir": "T"},
    },
    "seqclr": GREY  # Aberdam et al. 2021; the authors published no code of this form, optimiser as DTRB
    | TRBA
    | ADADELTA
    | {
        "objective.features": "frames",
        "objective.head": "none",
        "objective.mapping": "window",
        "objective.size": 5,
        "objective.temperature": 0.1,  # SM: SeqCLRLoss
        "objective.centred": False,
        "objective.joint": False,
        "streams.unlabelled.batch_size": 256,
        "streams.unlabelled.views": {"view0": {"seqclr": {}}, "view1": {"seqclr": {}}},
        "steps": 300_000,
    },
    "byol": GREY  # Grill et al. 2020, appendix C, for whole images; ours: all that is SeqCLR's
    | TRBA
    | ADADELTA
    | {
        "objective.features": "frames",
        "objective.head": "mlp_norm",
        "objective.mapping": "window",
        "objective.size": 5,
        "objective.hidden": 4096,
        "objective.shared": False,
        "teacher": {"decay": 0.996, "warmup": False, "update": "after", "workdir": ""},
        "streams.unlabelled.batch_size": 256,
        "streams.unlabelled.views": {"view0": {"seqclr": {}}, "view1": {"seqclr": {}}},
        "steps": 300_000,
    },
    "probe": GREY | TRBA | ADADELTA | {"streams.labelled.batch_size": 256, "steps": 50_000},
    "finetune": GREY | TRBA | ADADELTA | {"streams.labelled.batch_size": 256, "steps": 50_000},
    "abinet": ABINET
    | VISION
    | FUSED
    | MJ_AND_ST
    | {"optimizer.schedule.drops": (0.6,), "streams.labelled.batch_size": 384},
    "abinet_vision": ABINET  # SM configs/semimtr_pretrain_vision_model.yaml
    | VISION
    | MIXED
    | {
        "objective.name": "seqclr",
        "objective.features": "visual",
        "objective.head": "none",
        "objective.mapping": "window",
        "objective.size": 5,
        "objective.temperature": 0.1,
        "objective.joint": True,
        "objective.contrast_weight": 1.0,
        "optimizer.l2": 1e-4,
        "optimizer.schedule.drops": (17 / 25, 22 / 25),
        "streams.mixed.batch_size": 304,
        "streams.mixed.views": {"view0": SEVERITY1, "view1": SEVERITY1},
    },
    "abinet_vision:supervised": ABINET  # AB configs/pretrain_vision_model.yaml
    | VISION
    | {
        "optimizer.l2": 0.0,
        "optimizer.schedule.drops": (6 / 8,),
        "streams.labelled.batch_size": 384,
        "steps": 344_000,  # 8 epochs
    },
    "abinet_language": ABINET  # AB configs/pretrain_language_model.yaml
    | {
        "model.num_layers": 4,
        "objective.input_smoothing": 0.0,
        "optimizer.schedule.drops": (70 / 80,),
        "streams.text.batch_size": 4096,
        "streams.text.views": {"noised": {}},
        "streams.text.sources.text.words.power": 1.0,
    },
    "semimtr": ABINET  # SM configs/semimtr_finetune.yaml
    | VISION
    | FUSED
    | MIXED
    | {
        "objective.one_hot": True,
        "objective.kl": False,
        "objective.threshold": 0.0,
        "objective.stop_gradient": True,
        "objective.cons_weight": 1.0,  # what the code reads; the key in the YAML is not read
        "objective.cons_iter_reduce": "sum",
        "objective.use_teacher": False,
        "optimizer.l2": 1e-4,
        "optimizer.schedule.drops": (3 / 5, 4 / 5),
        "streams.mixed.batch_size": 232,
        "streams.mixed.views": {"weak": {"abinet": {}}, "strong": SEVERITY1},
        "teacher": {},
    },
}
OWN = {
    "adapt",
    "crnn_real",
    "distill",
    "korean",
    "ppocr_finetune",
    "quickstart",
    "reader",
}  # nothing published


def config_of(name: str) -> dict:
    stem, _, arguments = name.partition(":")
    return importlib.import_module(f"configs.{stem}").get_config(arguments).to_dict()


def at(config: dict, path: str):
    for key in path.split("."):
        config = config[key]
    return config


@pytest.mark.parametrize("name", sorted(PUBLISHED))
def test_published_values(name):
    config = config_of(name)
    found = {path: at(config, path) for path in PUBLISHED[name]}
    assert found == PUBLISHED[name]


def test_every_config_is_in_the_table():
    assert set(config_file.names()) - OWN == {name.partition(":")[0] for name in PUBLISHED}


@pytest.mark.parametrize(
    "name", ["cr_str", "uda", "fixmatch", "pseudo_label:teacher=T", "mean_teacher", "seqclr", "byol", "semimtr"]
)
def test_defaults_of_a_method_are_the_published_ones(name):
    """An option that a config leaves out has the value that the published config states."""
    row = config_of(name)["objective"]
    method = find_objective(row.pop("name")).Method
    assert {option: getattr(method, option) for option in row} == row


def test_published_schedule_of_cr():
    """The learning rate of CR's OneCycleLR: 30 % of warm-up from a twentieth, down to a 20,000th."""
    config = config_of("cr_str")
    schedule = make_schedule(config["optimizer"]["schedule"], config["steps"])
    rates = [float(schedule(step)) for step in (0, 1000, 37_500, 74_999, 100_000, 150_000, 249_999)]
    expected = [5e-5, 5.041667e-5, 5.250099e-4, 1e-3, 9.504830e-4, 6.112712e-4, 5e-8]
    np.testing.assert_allclose(rates, expected, rtol=1e-4)
