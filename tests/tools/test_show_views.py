"""The contact sheet of training views."""

import cv2
from testing import call


def test_sheet_of_a_config(tmp_path):
    out = tmp_path / "views.png"
    command = ["tools/show_views.py", "--config=configs/seqclr.py:runlocal", f"--out={out}", "--words=6"]
    status, said, err = call(*command)
    assert status == 0, err
    assert "original, view0, view1 of 6 words" in said and cv2.imread(str(out)).shape[0] == 3 * 68
    status, _, err = call("tools/show_views.py", "--config=configs/crnn.py:runlocal", f"--out={out}")
    assert status == 2 and "streams with views: none" in err
