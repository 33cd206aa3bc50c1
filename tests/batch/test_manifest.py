"""Rows of a manifest in each of its formats, and rows that cannot be used."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow
import pytest
from pyarrow import parquet

from auralsam2.batch.manifest import Manifest, ManifestRow, default_id
from auralsam2.errors import InputError

ROWS = [
    {"uri": "a.mp4", "id": "first", "start": 1.5, "end": 4.0, "text": "the dog", "prompts": "p.json", "audio": "s.wav"},
    {"uri": "https://example.org/sub/b%20c.mp4?x=1", "audio": "none"},
    {"uri": "/data/d.tar.mkv"},
]


def write(folder: Path, kind: str) -> Path:
    path = folder / f"list.{kind}"
    if kind == "csv":
        lines = ["uri,id,start,end,text,prompts,audio"]
        names = lines[0].split(",")
        lines += [",".join(str(row.get(name, "")) for name in names) for row in ROWS]
        path.write_text("\ufeff" + "\r\n".join(lines), encoding="utf-8")
    elif kind == "jsonl":
        path.write_text("\n".join(map(json.dumps, ROWS)) + "\n\n", encoding="utf-8")
    else:
        parquet.write_table(pyarrow.Table.from_pylist(ROWS), path)
    return path


@pytest.mark.parametrize("kind", ["csv", "jsonl", "parquet"])
def test_each_format_gives_the_same_rows(tmp_path: Path, kind: str) -> None:
    first, second, third = Manifest(write(tmp_path, kind))
    assert (first.number, first.id, first.start, first.end, first.text) == (1, "first", 1.5, 4.0, "the dog")
    assert (first.uri, first.prompts, first.audio) == tuple(
        str(tmp_path / name) for name in ("a.mp4", "p.json", "s.wav")
    )
    assert (second.uri, second.id, second.audio) == (ROWS[1]["uri"], "b c", "none")
    assert (third.uri, third.id, third.start, third.text) == ("/data/d.tar.mkv", "d.tar", None, None)
    assert not any(row.error for row in (first, second, third))


def rows_of(folder: Path, text: str, name: str = "list.csv") -> list[ManifestRow]:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return list(Manifest(path))


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (",x,,", "column uri is empty"),
        ("a.mp4,x,-1,", "column start is '-1', expected a number of seconds"),
        ("a.mp4,x,nan,", "column start is 'nan'"),
        ("a.mp4,x,5,5", "end 5 is not after start 5"),
        ("a.mp4,../x,,", "id is not a plain name"),
        ("a.mp4,x,,,,,", "row 2 has more cells than the header"),
        ("b.mp4,ok,,", "id 'ok' is the id of row 1 too"),
    ],
)
def test_a_faulty_row_is_reported_and_the_others_remain(tmp_path: Path, line: str, reason: str) -> None:
    good, faulty, last = rows_of(tmp_path, f"uri,id,start,end\nz.mp4,ok,,\n{line}\ny.mp4,last,,\n")
    assert faulty.error is not None
    assert faulty.error.startswith(reason)
    assert (good.error, last.error, last.number) == (None, None, 3)


def test_lines_that_are_not_json_objects(tmp_path: Path) -> None:
    rows = rows_of(
        tmp_path, '{"uri": "a.mp4"}\n{\n[1]\n{"uri": ["b"]}\n{"uri": "c.mp4", "start": true}\n', "list.jsonl"
    )
    reasons = ("is not JSON", "is not a JSON object", "column uri is ['b'], expected text", "column start is True")
    assert rows[0].error is None
    for row, reason in zip(rows[1:], reasons, strict=True):
        assert reason in (row.error or "")


@pytest.mark.parametrize(
    ("name", "text", "reason"),
    [
        ("list.csv", "video,id\na.mp4,a\n", "no column uri; it has 'video, id'"),
        ("list.csv", "", "no column uri"),
        ("list.jsonl", '{"video": 1}\n', "no column uri"),
        ("list.txt", "a.mp4\n", "a manifest ends in .csv, .jsonl, .ndjson, .parquet"),
        ("list.csv", 'uri\n"a.mp4\n', "cannot be read"),
    ],
)
def test_a_file_that_is_no_manifest_is_refused(tmp_path: Path, name: str, text: str, reason: str) -> None:
    with pytest.raises(InputError, match=reason):
        rows_of(tmp_path, text, name)


def test_a_missing_file_is_an_input_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="No such file"):
        list(Manifest(tmp_path / "none.csv"))


def test_columns_without_meaning_are_named(tmp_path: Path) -> None:
    path = tmp_path / "list.csv"
    path.write_text("uri,strat,error\na.mp4,3,no space\n", encoding="utf-8")
    manifest = Manifest(path)
    (row,) = manifest
    assert manifest.unused == ("strat",)
    assert row.error is None


def test_names_of_results() -> None:
    assert [default_id(uri) for uri in ("s3://b/x/y.mp4", "C:\\v\\clip.mov", "dir/name")] == ["y", "clip", "name"]
