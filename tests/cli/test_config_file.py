"""Config files by name and by path, and what is said of those that are wrong."""

import os
import subprocess
import sys

import pytest
from testing import ROOT

from jstr.cli import config_file
from jstr.cli.config_file import load_config
from jstr.text.messages import InputError


def write(path, text):
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def test_by_name_and_by_path(monkeypatch, tmp_path):
    config = load_config("quickstart")
    assert (
        load_config("configs/quickstart.py" if os.getcwd() == str(ROOT) else f"{ROOT}/configs/quickstart.py") == config
    )
    assert load_config("quickstart:runlocal").steps == 2
    monkeypatch.chdir(tmp_path)  # a name is that of the package, from any folder
    assert load_config("quickstart").to_dict() | {"example_image": ""} == config.to_dict() | {"example_image": ""}
    assert "common" not in config_file.names() and "adapt" in config_file.names()
    monkeypatch.setenv("HOME", str(tmp_path))
    write(tmp_path / "mine.py", "from ml_collections import ConfigDict\ndef get_config(): return ConfigDict({'a': 1})")
    assert load_config("~/mine.py").a == load_config("mine.py").a == 1
    assert config_file.docstring("adapt").startswith("Adapts a recogniser")


@pytest.mark.parametrize(
    "text, spec, says",
    [
        ("def get_config(:", "", r"--config=.*mine.py: not Python: line 1: invalid syntax"),
        (b"x = '\xff'", "", "not Python: .*utf-8"),
        (b"x = 1\0", "", "not Python: .*null bytes"),
        ("x = 1", "", "has no function get_config"),
        ("def get_config(): pass", "", "returns NoneType; it must return a ConfigDict"),
        ("def get_config(): pass", ":a", "takes no arguments"),
        ("def get_config(arg): pass", "", "needs an argument"),
        ("def get_config(arg=''): raise ValueError('choose\\none')", "", "^choose one$"),
        (
            "def get_config(arg=''):\n    return {}['steps']",
            "",
            'File ".*mine.py", line 2, in get_config: KeyError: steps',
        ),
        ("import nothing_there", "", 'File ".*mine.py", line 1, in <module>: ModuleNotFoundError'),
        ("from configs import common\ncommon.rendered()", "", 'File ".*mine.py", line 2, in <module>: TypeError'),
    ],
)
def test_what_is_wrong_with_a_file(text, spec, says, tmp_path):
    with pytest.raises(InputError, match=says) as caught:
        load_config(f"{write(tmp_path / 'mine.py', text)}{spec}")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "spec, says",
    [
        ("quickstrat", "there is no config quickstrat; did you mean quickstart?"),
        ("nothing_like_it", "choose one of abinet, .*, or give a path"),
        ("", "give the name of a config"),
        (":runlocal", "give the name of a config"),
        ("quickstart.py", "there is no such file; did you mean --config=quickstart, which comes with jstr?"),
        ("configs/none.py", "there is no such file$"),
        ("./", "is a folder; give a Python file"),
        ("a" * 300 + ".py", "File name too long|no such file"),
        ("a\0b.py", "null|no such file"),
        ("quickstart:wrong", "unknown config argument 'wrong'; there are runlocal"),
    ],
)
def test_no_such_config(spec, says):
    with pytest.raises(InputError, match=says) as caught:
        load_config(spec)
    assert "\n" not in str(caught.value)


def test_imports_of_a_config(tmp_path):
    """From any folder: `configs` is ours, with what the user's own folder of this name adds; neighbours are found."""
    folder = tmp_path / "configs"
    write(folder / "base.py", "STEPS = 7")
    write(tmp_path / "beside.py", "SEED = 8")
    text = """
        import dataclasses
        from configs import base, common
        import beside

        @dataclasses.dataclass
        class Sizes:
            steps: "int"

        def get_config(arg=""):
            config = common.base()
            config.steps, config.seed = Sizes(base.STEPS).steps, beside.SEED
            return config
        """
    mine = write(folder / "mine.py", text.replace("\n        ", "\n"))
    code = f"from jstr.cli.config_file import load_config; c = load_config({str(mine)!r}); print(c.steps, c.seed)"
    env = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, "-c", code], cwd="/", env=env, capture_output=True, text=True)
    assert done.stdout.strip() == "7 8", done.stderr
