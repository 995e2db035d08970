"""The tiny config of the tests, as a config file."""

from testing import tiny_config


def get_config():
    return tiny_config()
