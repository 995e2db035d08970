"""Fine-tunes PP-OCR on labelled words: the upper layers, at a low rate.

    python -m jstr.main --config=configs/ppocr_finetune.py --workdir=runs/fine --config.data_root=DATA

Arguments: `start=ppocrv6-small`, or the WORKDIR of a run that went on from such a reader; `data=PATH`, your labelled
words (default: the real words under data_root, 7,583 of printable ASCII); `whole`, to train all layers;
`characters=latin`, or file:PATH, to read others (`latin+space`: and the space): those that the start knows keep what it
learned of them.

It is easy to make this reader worse on what it was made for. So the weights are averaged with those of the start at the
end (WiSE-FT, Wortsman et al. 2022), and the checkpoint that reads most of a held-back tenth of the words is used; the
start is a candidate. `jstr export --to=ppocr-onnx` writes the result back into the ONNX file.
"""

from configs import common, common_ppocr
from configs.adapt import start_from


def get_config(arg: str = "") -> common.ConfigDict:
    options = common.arguments(arg, start="ppocrv6-small", data="", characters="", whole=False)
    config = common.base()
    if not options.runlocal:
        start_from(config, options.start)
    if options.characters:
        config.charset.characters = options.characters
        config.model.space_as_blank = not options.characters.endswith("+space")
    sources = dict(own=dict(path=options.data)) if options.data else common.real_words()
    config.streams.labelled = common.stream(16, part(sources, share=0.9), common_ppocr.LIGHT)
    config.held_back.labelled = common.stream(32, part(sources, share=0.1, share_start=0.9)) | dict(batches=8)
    config.keep_best = "held_back/right"
    config.evals = common.benchmarks()
    config.steps, config.log_every, config.eval_every, config.save_every = 400, 50, 200, 100
    if options.runlocal:
        return tiny(config)
    common_ppocr.fine_tune(config, 2e-5, options.whole)
    config.average_with_start = 0.5
    return config


def part(sources: dict, **share) -> dict:
    return {name: row | share for name, row in sources.items()}


def tiny(config: common.ConfigDict) -> common.ConfigDict:
    """On rendered words, by another network: this one has one size."""
    config.model = common.crnn()
    config = common.apply(config, "runlocal")
    config.optimizer.rules = {"model": dict(fixed_statistics=True)}
    return config
