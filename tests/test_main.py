"""`python -m jstr.main` and the command `jstr`: what they make of their arguments."""

import importlib.util
import re
import subprocess
import sys
from pathlib import Path

import pytest
from testing import call

from jstr import __main__ as command
from jstr import __version__, main
from jstr.text.messages import InputError


def run(monkeypatch, *arguments):
    monkeypatch.setattr(sys, "argv", ["/bin/jstr", *arguments])
    return command.run()


def test_the_command_names_its_commands(monkeypatch, capsys):
    for arguments in ([], ["--help"], ["-h"]):
        assert run(monkeypatch, *arguments) == 0
        out = capsys.readouterr().out
        assert all(f"  {name} " in out for name in command.COMMANDS)
    run(monkeypatch, "--version")
    assert capsys.readouterr().out == f"jstr {__version__}\n"
    with pytest.raises(InputError, match="no command 'evalute'; did you mean evaluate?"):
        run(monkeypatch, "evalute")
    with pytest.raises(InputError, match="choose one of train, adapt"):
        run(monkeypatch, "")


def test_each_command_is_a_module():
    """--help names it, and it runs the same function; most are called as the command is."""
    named = dict(re.findall(r"^  (\w+) .* python -m ([\w.]+)", command.__doc__, re.MULTILINE))
    assert named == {name: module for name, (module, _) in command.COMMANDS.items()}
    alike = {name for name, module in named.items() if module == f"jstr.{name}"}
    assert alike == {"predict", "detect", "review", "evaluate", "calibrate", "export"}
    for module in named.values():
        file = importlib.util.find_spec(module).origin
        assert 'if __name__ == "__main__":\n    cli(run)' in Path(file).read_text(), module


@pytest.mark.parametrize("name", command.COMMANDS)
def test_help_of_every_command(name, monkeypatch, capsys):
    with pytest.raises(SystemExit) as ended:
        run(monkeypatch, name, "--help")
    out = capsys.readouterr().out
    assert ended.value.code in (0, None) and len(out.splitlines()) > 10
    assert name == "train" or f"usage: jstr {name}" in out
    assert f"jstr {name} " in out and all(len(line) <= 120 for line in out.splitlines())
    assert name == "adapt" or "python -m jstr" not in out  # its lines are those of the config's own help


def test_help_of_a_config(monkeypatch, capsys):
    with pytest.raises(SystemExit):
        run(monkeypatch, "train", "--config=quickstart", "--help")
    assert capsys.readouterr().out.startswith("A compact CRNN learns to read")


@pytest.mark.parametrize("name", [n for n in command.COMMANDS if n != "train"])
def test_unknown_options_are_one_line(name, monkeypatch):
    with pytest.raises(InputError, match="; see --help$"):
        run(monkeypatch, name, "--nothing-like-it")


def test_adapt_is_a_config(monkeypatch):
    given = []
    monkeypatch.setattr(main, "run", given.append)
    monkeypatch.setenv("HOME", "/home/me")
    run(monkeypatch, "adapt", "~/images", "--workdir=~/run", "--config=adapt:labels_only", "--config.steps=5")
    run(monkeypatch, "adapt", "--workdir", "w", "images")
    assert given == [
        ["--config=adapt:labels_only", "--config.images=/home/me/images", "--workdir=/home/me/run", "--config.steps=5"],
        ["--config=adapt", "--config.images=images", "--workdir=w"],
    ]


def test_adapt_finds_what_is_here_whatever_jstr_data_says(monkeypatch, tmp_path):
    given = []
    monkeypatch.setattr(main, "run", given.append)
    monkeypatch.setenv("JSTR_DATA", "/data")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "images").mkdir()
    for name in ("images", "images#train", "IIIT5K"):
        run(monkeypatch, "adapt", name, "--workdir=w")
    assert [options[1] for options in given] == [
        f"--config.images={tmp_path}/images",
        f"--config.images={tmp_path}/images#train",
        "--config.images=IIIT5K",
    ]


def test_a_typo_does_not_wait_for_jax():
    code = "import sys, jstr.main, jstr.__main__, jstr.data.prepare; print('jax' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.strip() == "False"


def test_a_platform_that_is_not_there():
    for module in (
        ["jstr.predict", "--workdir=bundled", "tests/data/real_words/svt_0063.jpg"],
        ["jstr.main", "--config=tests/tiny.py"],
    ):
        arguments = [*module, "--workdir=w"] if module[0] == "jstr.main" else module
        status, out, err = call("-m", *arguments, JAX_PLATFORMS="nowhere")
        assert (status, out, err.count("\n")) == (2, "", 1) and "JAX_PLATFORMS=nowhere: jax finds no such device" in err
