"""SemiMTR (Aberdam et al. 2022), stage 2 of 3: the language model of ABINet learns to spell, from text alone.

    python -m jstr.main --config=configs/abinet_language.py:compact --workdir=runs/language

It predicts each character from all the others (cloze). Without `compact`: the published sizes and schedule on
text=FILE under data_root, such as the text of WikiText-103; this needs an accelerator. With `compact`: less than a
fifth of the width, on the bundled English words by their frequency, or on text=FILE: a text, or a list of
word<TAB>log10 frequency. About an hour on one core. 2 % of the distinct words are used for validation: `clean/` scores
them as they are, `noised/` with one wrong letter each. Options:

    power=0.5            sample words by their frequency to this power, so that rare words come more often
                         (published: 1)
    noise                train on misspelt words (in the official code, but off by default)
    smoothing=0.1        train on uncertain characters, as a recogniser produces them (likewise off by default)
"""

from configs import common, common_abinet


def get_config(arg: str = "") -> common.ConfigDict:
    options = common.arguments(arg, compact=False, form="lv", text="", power=1.0, noise=False, smoothing=0.0)
    config = common_abinet.network("abinet_language", options)
    config.model.num_layers = 4
    config.objective = dict(name="masked_lm", input_smoothing=options.smoothing)
    path = options.text or ("english" if options.compact else "wikitext-103.txt")

    def text(seed, batch_size, noise, **part):
        sources = dict(text=dict(words=dict(path=path, seed=seed, power=options.power)) | part)
        return common.views(batch_size, sources, noised=noise)

    batch_size, noise = 256 if options.compact else 4096, dict(spelling={}) if options.noise else {}
    config.streams.text = text(1, batch_size, noise, share=0.98)
    config.held_back.text = text(2, 1024, dict(one_edit={}), share=0.02, share_start=0.98) | dict(batches=4)
    if options.compact:
        config.steps, config.log_every, config.eval_every, config.save_every = 10_000, 100, 1_000, 1_000
    else:
        config.optimizer.schedule.drops = (0.875,)
        config.steps, config.log_every, config.eval_every, config.save_every = 1_690_000, 100, 10_000, 3_000
    return common.apply(config, "runlocal" if options.runlocal else "")
