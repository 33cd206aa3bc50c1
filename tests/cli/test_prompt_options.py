"""Prompts of several objects: on the command line, in a JSON file, and in one run with what sounds."""

from __future__ import annotations

import json

import jsonschema
import pytest

from auralsam2.cli.prompt_options import join_prompts, read_prompts
from auralsam2.errors import UsageError
from auralsam2.outputs.result_json import SCHEMA_FILE
from auralsam2.types import Box, Point, Prompts
from helpers.media_files import tone, write_clip


def masks_of(folder):
    """`result.json` of a folder, and the run lengths of each object."""
    result = json.loads((folder / "result.json").read_text())
    masks: dict[int, list] = {}
    for row in result["frames"]:
        masks.setdefault(row["object_id"], []).append(row["rle"])
    return result, masks


def test_several_objects_and_what_sounds_in_one_run(segment, tmp_path):
    clip = write_clip(tmp_path / "dog.mkv", 3.0, sound=tone(1.0))
    one, two = ("--point", "30,20@1.5"), ("--box", "8,8,40,30", "--point", "5,5,-")
    for name, prompts in {"none": (), "one": ("--audio", "none", *one), "two": ("--audio", "none", *two)}.items():
        assert segment(clip, "--save", "json", "--out", tmp_path / name, *prompts).code == 0
    outcome = segment(clip, "--save", "json,masks,overlay,coco", "--object", 1, *one, "--object", "2", *two)
    assert outcome.code == 0, outcome.err
    result, masks = masks_of(tmp_path / "out" / "dog")
    plain = masks_of(tmp_path / "none" / "dog")[0]
    assert result["intervals"] == plain["intervals"] != masks_of(tmp_path / "one" / "dog")[0]["intervals"]
    alone = {name: masks_of(tmp_path / name / "dog")[1][0] for name in ("none", "one", "two")}
    assert masks == {0: alone["none"], 1: alone["one"], 2: alone["two"]}
    assert set(result["prompts"]["objects"]) == {"1", "2"}
    assert result["objects"] == [{"object_id": number} for number in range(3)]
    jsonschema.validate(result, json.loads(SCHEMA_FILE.read_text()))
    coco = json.loads((tmp_path / "out" / "dog" / "coco.json").read_text())
    assert [category["name"] for category in coco["categories"]] == ["sounding object", "object 1", "object 2"]
    entries = {
        "objects": {
            "1": {"points": [{"x": 30, "y": 20, "time": 1.5}]},
            "2": {"boxes": [{"x0": 8, "y0": 8, "x1": 40, "y1": 30}], "points": [{"x": 5, "y": 5, "positive": False}]},
        }
    }
    (tmp_path / "prompts.json").write_text(json.dumps(entries))
    outcome = segment(clip, "--save", "json,masks,overlay,coco", "--prompts", tmp_path / "prompts.json", "--resume")
    assert "results are complete, skipped" in outcome.err, "the same request"


def test_order_of_the_options_groups_them(segment, tmp_path):
    clip = write_clip(tmp_path / "dog.mkv", 1.0, sound=None)
    options = ("--point", "9,9", "--object", "7", "--point", "3,3", "--object", "2", "--point", "4,4", "--object", "7")
    assert segment(clip, "--save", "json", *options, "--point", "5,5,-").code == 0
    prompts = masks_of(tmp_path / "out" / "dog")[0]["prompts"]
    assert [point["x"] for point in prompts["points"]] == [9]
    assert {number: [point["x"] for point in one["points"]] for number, one in prompts["objects"].items()} == {
        "2": [4],
        "7": [3, 5],
    }


def test_refusals(segment, tmp_path):
    clip = write_clip(tmp_path / "dog.mkv", 1.0)
    (tmp_path / "prompts.json").write_text('{"objects": {"0": {"text": "a dog"}}}')
    for options, sentence in (
        (("--object", "1"), "object 1: give it points, a box, a mask or text"),
        (("--object", "0", "--point", "3,3"), "--object"),
        (("--object", "1", "--point", "99,3"), "outside the frame"),
        (("--point", "0.4,0.5"), "0.4,0.5 looks like fractions of the frame: give pixels, up to 64,48"),
        (("--box", "0.1,0.1,0.4,0.9"), "0.4,0.9 looks like fractions of the frame: give pixels, up to 64,48"),
        (("--object", "1", "--text", "a dog"), "reads no text"),
        (("--model", "v1m", "--text", "a dog"), "model v1m reads no text: omit --text, or use a model such as ref-avs"),
        (("--object", "1", "--text", "a", "--text", "b"), "two texts for object 1: give one --text for each --object"),
        (("--separate", "--object", "1", "--point", "3,3"), "--separate tells sounding objects apart"),
        (("--prompts", tmp_path / "prompts.json"), "object 0: give each object a number of its own, from 1"),
        (("--prompts", tmp_path / "none.json"), "cannot be read as prompts"),
    ):
        outcome = segment(clip, *options)
        assert outcome.code == 2
        assert sentence in outcome.error


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ('{"objects": []}', "expected prompts by number"),
        ('{"objects": {"one": {}}}', "expected prompts by number"),
        ('{"objects": {"1": {"objects": {}}}}', "unknown key objects"),
        ('{"objects": {"1": {"points": 3}}}', "expected a list of objects"),
        ('{"objects": {"1": {}}}', "object 1: give it points"),
    ],
)
def test_files_of_another_form(tmp_path, text, sentence):
    (tmp_path / "prompts.json").write_text(text)
    with pytest.raises(UsageError, match=sentence):
        read_prompts(tmp_path / "prompts.json")


def test_prompts_of_two_sources_are_joined():
    point, box = Point(x=1, y=2), Box(x0=1, y0=1, x1=2, y1=2)
    first = Prompts(points=(point,), objects={2: Prompts(boxes=(box,))})
    second = Prompts(text="a dog", objects={2: Prompts(points=(point,)), 1: Prompts(text="a cat")})
    assert join_prompts(first, second) == Prompts(
        points=(point,),
        text="a dog",
        objects={1: Prompts(text="a cat"), 2: Prompts(points=(point,), boxes=(box,))},
    )
    assert join_prompts(first, second).texts == ("a dog", "a cat")
    for objects in ({1: 3}, [(1,)], 5, [(1, Prompts(text="a")), (1, Prompts(text="b"))]):
        with pytest.raises(UsageError):
            Prompts(objects=objects)
