"""Summary of the prompts of a log."""

from __future__ import annotations

from typing import Any

import pytest

from auralsam2.errors import UsageError
from auralsam2.studio.commands import parse_command, read_logged
from auralsam2.studio.prompt_summary import as_json, summarise_prompts


def after(*entries: dict[str, Any]) -> list[dict[str, Any]]:
    return as_json(summarise_prompts(read_logged(entry) for entry in entries))


CLICK = {"do": "points", "object": 1, "tick": 2, "points": [[3, 4, 1]]}
BOX = {"do": "box", "object": 1, "tick": 2, "box": [1, 2, 3, 4]}


def test_clicks_accumulate_and_a_box_replaces_them() -> None:
    (prompt,) = after(CLICK, CLICK | {"points": [[5, 6, 0]]})
    assert prompt == {"object": 1, "tick": 2, "kind": "points", "points": [(3.0, 4.0, 1), (5.0, 6.0, 0)]}
    (prompt,) = after(CLICK, BOX, CLICK)
    assert prompt == {"object": 1, "tick": 2, "kind": "box", "points": [(3.0, 4.0, 1)], "box": (1.0, 2.0, 3.0, 4.0)}
    (prompt,) = after(BOX, {"do": "brush", "object": 1, "tick": 2, "png": "AA=="})
    assert prompt["kind"] == "mask"


def test_object_without_prompts_is_removed() -> None:
    hear = {"do": "hear", "object": 0, "on": True}
    assert list(summarise_prompts([read_logged(hear)])) == [0]
    assert not summarise_prompts(map(read_logged, (hear, hear | {"on": False})))
    assert not after(CLICK, {"do": "clear", "object": 1, "tick": 2})
    assert not after(CLICK, BOX, {"do": "remove", "object": 1})
    split = {"do": "split", "object": 0, "tick": 3, "made": [1, 2]}
    assert [row["object"] for row in after(hear, split)] == [1, 2]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{}",
        "[" * 5000,
        '{"do": "fly"}',
        '{"do": "points", "object": -1, "tick": 0, "points": [[1, 1, 1]]}',
        '{"do": "points", "object": 255, "tick": 0, "points": [[1, 1, 1]]}',
        '{"do": "points", "object": 1, "tick": 0, "points": []}',
        '{"do": "points", "object": 1, "tick": 0, "points": [[1, 1, 2]]}',
        '{"do": "points", "object": 1, "tick": 0, "points": [[NaN, 1, 1]]}',
        '{"do": "points", "object": "../1", "tick": 0, "points": [[1, 1, 1]]}',
        '{"do": "style", "object": 1, "colour": "red"}',
        '{"do": "style", "object": 1, "name": ""}',
        '{"do": "sliders", "threshold": 9}',
    ],
)
def test_invalid_commands_are_refused(text: str) -> None:
    with pytest.raises(UsageError, match="reload the page"):
        parse_command(text)


def test_page_cannot_set_log_fields() -> None:
    number, command = parse_command(
        '{"n": 7, "do": "points", "object": 1, "tick": 0, "points": [[1, 1, 1]], "shown": "AAAA"}'
    )
    assert number == 7
    assert command.shown is None
    assert parse_command('{"do": "split", "tick": 0, "made": [4]}')[1].made == ()
    assert parse_command('{"do": "separate", "made": [4], "ticks": [0], "masks": ["A"], "names": [""]}')[1].made == ()


@pytest.mark.parametrize("changes", [{"ticks": [0]}, {"names": ["a", "b", "c"]}, {"made": [4, 4]}])
def test_added_objects_have_one_frame_mask_and_name_each(changes: dict[str, Any]) -> None:
    values = {"do": "import", "made": [4, 5], "ticks": [0, 1], "masks": ["A", "B"], "names": ["", "dog"]}
    rows = summarise_prompts([read_logged(values)])
    assert [(number, row.style.name, list(row.prompts)) for number, row in rows.items()] == [
        (4, "Object 4", [0]),
        (5, "dog", [1]),
    ]
    with pytest.raises(UsageError, match="different lengths"):
        read_logged(values | changes)
