from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from auralsam2.types import Point, Prompts
from auralsam2.utils.json_stream import plain, read_object, write_object

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)


@settings(max_examples=50, deadline=None)
@given(
    st.dictionaries(
        st.text(max_size=6), st.tuples(st.just("value"), VALUES) | st.tuples(st.just("stream"), st.lists(VALUES))
    )
)
def test_any_object_is_valid_json_and_reads_back(tmp_path_factory: pytest.TempPathFactory, members: dict) -> None:
    path = tmp_path_factory.mktemp("json") / "object.json"
    write_object(path, ((name, iter(value) if how == "stream" else value) for name, (how, value) in members.items()))
    assert json.loads(path.read_text()) == {name: value for name, (_, value) in members.items()}
    pairs = []
    for name, (how, value) in members.items():
        pairs += [(name, item) for item in value] if how == "stream" else [(name, value)]
    assert list(read_object(path)) == pairs


def test_file_cut_anywhere_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "object.json"
    write_object(path, [("a", 1), ("rows", iter([{"x": 1}, {"x": 2}])), ("none", iter(())), ("b", [1, 2])])
    text = path.read_text()
    assert list(read_object(path)) == [("a", 1), ("rows", {"x": 1}), ("rows", {"x": 2}), ("b", [1, 2])]
    for length in range(len(text) - 1):  # the last character is the line break
        path.write_text(text[:length])
        with pytest.raises(ValueError, match=r".+"):
            list(read_object(path))


def test_plain_equals_a_round_trip_through_json() -> None:
    prompts = Prompts(points=(Point(x=1, y=2.5),))
    value = plain({"path": Path("a/b"), "set": frozenset({"b", "a"}), "tuple": (1, 2), "prompts": prompts})
    assert value == {
        "path": "a/b",
        "set": ["a", "b"],
        "tuple": [1, 2],
        "prompts": {
            "points": [{"x": 1, "y": 2.5, "positive": True, "time": 0.0}],
            "boxes": [],
            "masks": [],
            "text": None,
            "objects": [],
        },
    }


def test_values_without_json_form_are_refused() -> None:
    with pytest.raises(TypeError, match="no JSON form"):
        plain(object())
    with pytest.raises(ValueError, match="JSON"):
        plain(float("nan"))


@pytest.mark.parametrize(
    "text",
    [
        "{\n[1]: [\n  1\n]\n}\n",
        "{\n" + '"a": ' + "[" * 100_000 + "\n}\n",
        "{\n" + '"a": ' + "[" * 50 + "]" * 50 + "\n}\n",
        "{\n" + '"a": 1' + "0" * 5000 + "\n}\n",
        '{\n"a": NaN\n}\n',
        '{\n"a": 1e999\n}\n',
        '{\n"a": [\n  [[[[\n]\n}\n',
        "{\n" + " " * 40_000_000,
    ],
)
def test_damaged_files_raise_value_error(tmp_path, text):
    path = tmp_path / "result.json"
    path.write_text(text)
    with pytest.raises(ValueError):  # noqa: PT011 - of any kind
        list(read_object(path))
