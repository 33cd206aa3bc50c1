"""Rows of csv files, with their line numbers, and names that stay where they belong."""

from __future__ import annotations

import pytest

from auralsam2.data.csv_table import Table, plain_name
from auralsam2.errors import InputError


@pytest.fixture
def table(tmp_path):
    def make(content, **columns):
        path = tmp_path / "metadata.csv"
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return Table(path, columns or {"uid": None, "split": None})

    return make


@pytest.mark.parametrize("ending", ["\n", "\r\n", "\r"])
def test_any_line_ends(table, ending):
    rows = list(table(ending.join(["uid,x,split", "a,1,train", "b,2,test", ""])).rows())
    assert [(row.line, row.text("uid"), row.text("split")) for row in rows] == [(2, "a", "train"), (3, "b", "test")]


def test_a_byte_order_mark_is_no_part_of_the_first_name(table):
    (row,) = table(b"\xef\xbb\xbfuid,split\na,train\n").rows()
    assert row.text("uid") == "a"


def test_lines_are_counted_through_blank_ones_and_quoted_line_breaks(table):
    rows = list(table('uid,split\n\na,"tr\nain"\n\nb,"x, ""y"""\n').rows())
    assert [(row.line, row.text("split")) for row in rows] == [(3, "tr\nain"), (6, 'x, "y"')]


def test_a_column_is_found_by_name_before_its_position(table):
    (row,) = table("split,uid\ntrain,a\n", uid=0, split=1).rows()
    assert (row.text("uid"), row.text("split")) == ("a", "train")
    (row,) = table("video,part\na,train\n", uid=0, split=1).rows()
    assert (row.text("uid"), row.text("split")) == ("a", "train")


def test_a_row_that_is_cut_short(table):
    (row,) = table("uid,split\na\n").rows()
    assert row.text("split") == ""
    with pytest.raises(InputError, match="column split is empty"):
        row.need("split")


@pytest.mark.parametrize(
    ("content", "told"), [("a,b\n", "no column uid in the header, which has a, b"), ("", "nothing")]
)
def test_a_header_without_the_column(table, content, told):
    with pytest.raises(InputError, match=told):
        table(content)


def test_no_file(tmp_path):
    with pytest.raises(InputError, match=r"metadata\.csv: cannot be read"):
        Table(tmp_path / "metadata.csv", {})


def test_a_quote_that_is_never_closed_is_told_with_its_line(table):
    with pytest.raises(InputError, match=r"metadata\.csv:3: not a row"):
        list(table('uid,split\na,train\n"b,train\n').rows())


def test_text_that_is_not_utf_8_is_told_where_it_matters(table):
    rows = list(table(b"uid,split\na,tr\xffain\nb,test\n").rows())
    assert rows[1].need("split") == "test"
    with pytest.raises(InputError, match="column split is not UTF-8"):
        rows[0].need("split")


@pytest.mark.parametrize("name", ["..", ".", "../x", "/etc", "a/b", "a\\b", "a\0b"])
def test_names_that_lead_elsewhere(table, name):
    (row,) = table(f"uid,split\n{name},train\n").rows()
    with pytest.raises(InputError, match="column uid is not a plain name"):
        row.name("uid")


@pytest.mark.parametrize("name", ["-_bbbbbb", "...", "a b", "é", "h-orse_1"])
def test_strange_names_that_stay(name):
    assert plain_name(name, "here") == name


@pytest.mark.parametrize("text", ["-1", "1.5", "x", "²", "1" * 5000])
def test_no_numbers(table, text):
    (row,) = table(f"uid,split\n{text},train\n").rows()
    with pytest.raises(InputError, match="column uid is not a number"):
        row.number("uid")


def test_a_name_that_no_file_can_have(tmp_path):
    path = tmp_path / "long.csv"
    path.write_text("uid\n" + "x" * 300 + "\n", encoding="utf-8")
    (row,) = Table(path, {"uid": None}).rows()
    with pytest.raises(InputError, match="longer than 240 bytes"):
        row.name("uid")
