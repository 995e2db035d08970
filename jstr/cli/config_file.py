"""Loads config files: `NAME` of the configs that come with jstr, or the path of any Python file with a `get_config`."""

from __future__ import annotations

import difflib
import importlib.machinery
import importlib.util
import inspect
import os
import sys
import traceback
from pathlib import Path
from types import ModuleType

from ml_collections import ConfigDict

from jstr.text.messages import InputError

# In the repository the configs stand beside the package; a wheel carries them inside it.
_PLACES = (Path(__file__).parents[1] / "configs", Path(__file__).parents[2] / "configs")
FOLDER = next((place for place in _PLACES if (place / "common.py").is_file()), _PLACES[0])

_OPTIONAL = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)


def names() -> list[str]:
    """The configs that come with jstr, without what they import (common...)."""
    return sorted(path.stem for path in FOLDER.glob("*.py") if not path.stem.startswith(("__", "common")))


def load_config(spec: str) -> ConfigDict:
    """The config of NAME[:ARGUMENTS] or PATH[:ARGUMENTS]; what is behind the colon goes to its get_config.

    Raises:
      InputError: no such file, one that is not a config, or what its get_config refuses (by a ValueError).
    """
    path = find_config(spec)
    try:
        return _call(_module(path), *spec.split(":", 1)[1:])
    except InputError as error:
        raise InputError(f"--config={spec}: {error}") from error
    except ValueError as error:  # meant for the user
        raise InputError(_one_line(error)) from error
    except Exception as error:  # a bug of the config file
        raise InputError(f"{_place(error, path)}: {type(error).__name__}: {_one_line(error)}") from error


def find_config(spec: str) -> Path:
    """The file of NAME[:ARGUMENTS] or PATH[:ARGUMENTS]. Raises InputError: there is none."""
    name = spec.split(":", 1)[0]
    if not name:
        raise InputError(f"--config={spec}: give the name of a config, such as quickstart, or the path of a file")
    if name in names():
        return FOLDER / f"{name}.py"
    if "/" not in name and not name.endswith(".py"):
        likely = difflib.get_close_matches(name, names(), 1)
        there = f"did you mean {likely[0]}?" if likely else f"choose one of {', '.join(names())}, or give a path"
        raise InputError(f"--config={spec}: there is no config {name}; {there}")
    path = Path(os.path.expanduser(name))
    try:
        is_file, is_folder = path.is_file(), path.is_dir()
    except (OSError, ValueError) as error:  # a name that no file can have, or a folder that may not be entered
        raise InputError(f"--config={spec}: {getattr(error, 'strerror', None) or error}") from error
    if is_folder:
        raise InputError(f"--config={spec}: {name} is a folder; give a Python file")
    if not is_file:
        there = f"; did you mean --config={path.stem}, which comes with jstr?" if path.stem in names() else ""
        raise InputError(f"--config={spec}: there is no such file{there}")
    return path.resolve()


def docstring(spec: str) -> str:
    """What a config file says about itself."""
    return inspect.getdoc(_module(find_config(spec))) or ""


def _module(path: Path) -> ModuleType:
    """The module at `path`. Raises InputError: it is not Python, or may not be read."""
    _find_imports_of(path)
    module = sys.modules["config_file"] = ModuleType("config_file")
    module.__file__ = str(path)
    try:
        code = compile(path.read_bytes(), str(path), "exec")
    except OSError as error:
        raise InputError(f"{error.strerror}") from error
    except (SyntaxError, ValueError) as error:  # ValueError: zero bytes
        where = f"line {error.lineno}: " if isinstance(error, SyntaxError) and error.lineno else ""
        raise InputError(f"not Python: {where}{getattr(error, 'msg', None) or error}") from error
    exec(code, module.__dict__)
    return module


def _call(module: ModuleType, *arguments: str) -> ConfigDict:
    get_config = getattr(module, "get_config", None)
    if not callable(get_config):
        raise InputError("the file has no function get_config")
    parameters = inspect.signature(get_config).parameters
    if arguments and not parameters:
        raise InputError("its get_config takes no arguments; leave out what is behind the colon")
    if not arguments and any(p.default is p.empty and p.kind not in _OPTIONAL for p in parameters.values()):
        raise InputError("its get_config needs an argument; give it behind a colon")
    config = get_config(*arguments)
    if not isinstance(config, ConfigDict):
        raise InputError(f"its get_config returns {type(config).__name__}; it must return a ConfigDict")
    return config


def _find_imports_of(path: Path) -> None:
    """Lets a config import what stands beside it and, from any folder, `from configs import common`."""
    if "configs" not in sys.modules:
        spec = importlib.machinery.ModuleSpec("configs", None, is_package=True)
        spec.submodule_search_locations = [str(FOLDER)]
        sys.modules["configs"] = importlib.util.module_from_spec(spec)
    folder = path.parent
    places = sys.modules["configs"].__path__
    if folder.name == "configs" and str(folder) not in places:
        places.insert(0, str(folder))  # another copy of the repository, or a project that keeps its configs as we do
    sys.path += [str(place) for place in (folder, folder.parent) if str(place) not in sys.path]


def _place(error: Exception, path: Path) -> str:
    """Where a config went wrong: the last line that stands in the file itself or in what comes with jstr."""
    frames = traceback.extract_tb(error.__traceback__)
    ours = [frame for frame in frames if Path(frame.filename).parent in (path.parent, FOLDER)]
    frame = (ours or list(frames))[-1]
    return f'File "{frame.filename}", line {frame.lineno}, in {frame.name}'


def _one_line(error: Exception) -> str:
    """The message of an error; that of a KeyError comes quoted."""
    message = error.args[0] if isinstance(error, KeyError) and error.args else error
    return " ".join(str(message).split())
