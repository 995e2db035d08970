import pytest
from testing import consistency_config

from jstr.training import loop


@pytest.fixture(scope="session")
def trained_with_teacher(tmp_path_factory):
    """The workdir of an unbroken run of four steps with a teacher and validation, which keeps its best."""
    workdir = tmp_path_factory.mktemp("teacher")
    loop.run(consistency_config(watched=True), str(workdir))
    return workdir
