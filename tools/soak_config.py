"""The quick start without its evaluations, for tools/soak.py."""

from configs import common, quickstart


def get_config(arg: str = "") -> common.ConfigDict:
    config = quickstart.get_config(arg)
    config.evals = {}
    return config
