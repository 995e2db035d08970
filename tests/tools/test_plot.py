"""tools/plot.py: what it reads of a run. Nothing is drawn."""

import json

import plot
import pytest

from jstr.text.messages import InputError


def write(folder, text):
    (folder / "metrics.jsonl").write_text(text)
    return str(folder)


def test_a_row_that_is_being_written_is_left_out(tmp_path):
    rows = [{"step": i, "seconds": 60.0 * i, "train/loss": 1 / i} for i in (1, 2)]
    text = "".join(json.dumps(row) + "\n" for row in rows)
    assert plot.read_rows(write(tmp_path, text)) == rows
    assert plot.read_rows(write(tmp_path, text + '{"step": 3, "sec')) == rows
    assert plot.curve(rows, "train/loss", minutes=True) == ([1.0, 2.0], [1.0, 0.5])


@pytest.mark.parametrize("line", ["{", "[]", "3", '{"step": 1}'])
def test_another_line_is_named(line, tmp_path):
    with pytest.raises(InputError, match="metrics.jsonl:1: not a row"):
        plot.read_rows(write(tmp_path, line + "\n"))


def test_no_run(tmp_path):
    with pytest.raises(InputError, match="holds no metrics.jsonl"):
        plot.read_rows(str(tmp_path))
