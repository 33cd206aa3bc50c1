"""Parsing of option values."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from auralsam2.cli import options
from auralsam2.errors import UsageError
from auralsam2.types import Box, Mask, Point

NUMBERS = st.floats(allow_nan=False, allow_infinity=False, width=32)
TIMES = st.floats(min_value=0, max_value=1e6)


@pytest.mark.parametrize(
    ("text", "point"),
    [
        ("320,180", Point(x=320, y=180)),
        ("320,180,+", Point(x=320, y=180)),
        ("320,180,-", Point(x=320, y=180, positive=False)),
        ("320,180@2.5", Point(x=320, y=180, time=2.5)),
        ("320.5,180,-@2.5", Point(x=320.5, y=180, positive=False, time=2.5)),
        (" 3 , 4 @ 1 ", Point(x=3, y=4, time=1)),
    ],
)
def test_points(text, point):
    assert options.parse_point(text) == point


@given(NUMBERS, NUMBERS, st.booleans(), TIMES)
def test_points_are_parsed(x, y, positive, time):
    text = f"{x!r},{y!r},{'+' if positive else '-'}@{time!r}"
    assert options.parse_point(text) == Point(x=x, y=y, positive=positive, time=time)


@given(st.text(alphabet="0123456789.,+-@einfax ", max_size=20))
def test_any_text_is_a_point_or_an_error(text):
    for read in (options.parse_point, options.parse_box, options.parse_rate, options.parse_outputs):
        value, message = None, ""
        try:
            value = read(text)
        except UsageError as error:
            message = str(error)
        assert "\n" not in message
        for name in ("x", "y", "x0", "y0", "x1", "y1", "time"):
            assert math.isfinite(getattr(value, name, 0.0))


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("320", "the form is X,Y"),
        ("", "the form is X,Y"),
        ("a,b", "the form is X,Y"),
        ("1,2,3", "the third value is + or -, not '3'"),
        ("1,2,+,4", "the form is X,Y"),
        ("nan,2", "the form is X,Y"),
        ("1,2@", "the form is X,Y"),
        ("1,2@inf", "the form is X,Y"),
        ("1,2@-1", "with 0 or more SECONDS"),
    ],
)
def test_bad_points(text, named):
    with pytest.raises(UsageError) as error:
        options.parse_point(text)
    assert str(error.value).startswith(f"--point {text}")
    assert named in str(error.value)


def test_boxes():
    assert options.parse_box("1,2,3,4") == Box(x0=1, y0=2, x1=3, y1=4)
    assert options.parse_box("1,2,3.5,4@0.5") == Box(x0=1, y0=2, x1=3.5, y1=4, time=0.5)
    with pytest.raises(UsageError, match="--box 1,2,3: the form is X0,Y0,X1,Y1"):
        options.parse_box("1,2,3")
    with pytest.raises(UsageError, match="box 3,2,1,4 is empty"):
        options.parse_box("3,2,1,4")


def test_masks(tmp_path):
    path = tmp_path / "mask.png"
    path.touch()
    at = tmp_path / "mask@2.png"
    at.touch()
    assert options.parse_mask(str(path)) == Mask(path=path)
    assert options.parse_mask(f"{path}@1.5") == Mask(path=path, time=1.5)
    assert options.parse_mask(str(at)) == Mask(path=at)
    assert options.parse_mask(f"{at}@3") == Mask(path=at, time=3)
    with pytest.raises(UsageError, match=r"no file nothing\.png"):
        options.parse_mask("nothing.png")
    with pytest.raises(UsageError, match="the form is PNG"):
        options.parse_mask(f"{path}@soon")


def test_rates():
    assert options.parse_rate("all") is None
    assert options.parse_rate("0.5") == 0.5
    for text in ("0", "-1", "nan", "inf", "some", ""):
        with pytest.raises(UsageError, match=f"--fps {text}: give a positive number, or all"):
            options.parse_rate(text)


def test_spans():
    assert options.parse_span("0", None) == (0.0, None)
    assert options.parse_span("1.5", "2") == (1.5, 2.0)
    assert options.parse_span("1:30", "1:00:00.5") == (90.0, 3600.5)
    assert options.parse_point("3,4,-@1:30") == Point(x=3, y=4, positive=False, time=90)
    for start, end, named in [
        ("-1", None, "--start -1: give 0 or more seconds"),
        ("soon", None, "--start soon: give 0 or more seconds"),
        ("0", "late", "--end late: give 0 or more seconds"),
        ("2", "2", "--end 2: must be after --start 2"),
        ("0", "nan", "--end nan: give 0 or more"),
    ]:
        with pytest.raises(UsageError, match=named):
            options.parse_span(start, end)


def test_kinds_of_output():
    assert options.parse_outputs("overlay") == {"overlay"}
    assert options.parse_outputs(" masks, json ,") == {"masks", "json"}
    for text in ("", ",", "video", "masks,video"):
        with pytest.raises(UsageError, match=f"--save {text}: choose from overlay,masks,frames,cutout-prores"):
            options.parse_outputs(text)


@pytest.mark.parametrize(
    ("message", "shown"),
    [
        ("`fps=0` must be positive", "--fps 0 must be positive"),
        ("use a smaller `fps`, or `audio=FILE`", "use a smaller --fps, or --audio FILE"),
        ("prompt with `points` or `boxes`", "prompt with --point or --box"),
        ("`out` is not an option here", "`out` is not an option here"),
        ("dir/`rm`.mp4: no such file", "dir/`rm`.mp4: no such file"),
        ("`start=a b` and `fps", "--start a b and `fps"),
    ],
)
def test_messages_name_the_options_of_the_command(message, shown):
    assert options.name_options(message, {"fps", "audio", "start", "point", "box"}) == shown


def test_names_are_joined_as_a_list():
    assert options.join(["a"]) == "a"
    assert options.join(["a", "b"]) == "a or b"
    assert options.join(["a", "b", "c"]) == "a, b or c"


@pytest.mark.parametrize(
    ("arguments", "start"),
    [
        (("evaluate", "--dataset", "v3", "--root", ".", "--split", "test"), "--dataset v3: no such data set"),
        (("evaluate", "--dataset", "v2", "--root", "gone", "--split", "test"), "--root gone: no such folder"),
        (("data", "check", "--dataset", "v3", "--root", "."), "--dataset v3: no such data set"),
        (("data", "build-stampavs", "stamp", "--size", "8"), "--size 8 must be 32"),
        (("train", "v1m-large-paper", "--set", "a"), "--set a: give KEY=VALUE"),
    ],
)
def test_errors_of_the_library_name_options(command, tmp_path, monkeypatch, arguments, start):
    monkeypatch.chdir(tmp_path)
    assert command(*arguments).error.startswith(start)


def test_audio_and_text(tmp_path):
    assert options.parse_audio(None) == "track"
    assert options.parse_audio("none") == "none"
    path = tmp_path / "sound.wav"
    path.touch()
    assert options.parse_audio(str(path)) == Path(path)
    with pytest.raises(UsageError, match=r"--audio gone.wav: no file gone.wav; give a file with sound, or none"):
        options.parse_audio("gone.wav")
    assert options.parse_expression(None) is None
    assert options.parse_expression("the dog") == "the dog"
    with pytest.raises(UsageError, match="--text is empty"):
        options.parse_expression(" ")


def test_choices():
    assert options.parse_choice("--device", "cpu", ("auto", "cpu")) == "cpu"
    with pytest.raises(UsageError, match="--device gpu: choose from auto, cpu"):
        options.parse_choice("--device", "gpu", ("auto", "cpu"))
