"""The part of the benchmark of many clips that needs no model."""

import re

import archive


def test_rows_of_a_manifest_without_videos(capsys, tmp_path):
    assert archive.main([str(tmp_path), "--clips", "0", "--kills", "0", "--rows", "2000", "--ray-rows", "0"]) == 0
    text = capsys.readouterr().out
    assert "local: 2000 rows" in text
    assert float(re.search(r"memory for each row: (-?\d+) bytes", text)[1]) < 400
