"""Values of options."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from auralsam2.apps import parse
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
    assert parse.point(text) == point


@given(NUMBERS, NUMBERS, st.booleans(), TIMES)
def test_any_point_comes_through(x, y, positive, time):
    text = f"{x!r},{y!r},{'+' if positive else '-'}@{time!r}"
    assert parse.point(text) == Point(x=x, y=y, positive=positive, time=time)


@given(st.text(alphabet="0123456789.,+-@einfax ", max_size=20))
def test_other_text_is_a_point_or_refused_on_one_line(text):
    for read in (parse.point, parse.box, parse.rate, parse.saves):
        value, told = None, ""
        try:
            value = read(text)
        except UsageError as error:
            told = str(error)
        assert "\n" not in told
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
        ("1,2@-1", "seconds count from 0"),
    ],
)
def test_bad_points(text, named):
    with pytest.raises(UsageError) as error:
        parse.point(text)
    assert str(error.value).startswith(f"--point {text}")
    assert named in str(error.value)


def test_boxes():
    assert parse.box("1,2,3,4") == Box(x0=1, y0=2, x1=3, y1=4)
    assert parse.box("1,2,3.5,4@0.5") == Box(x0=1, y0=2, x1=3.5, y1=4, time=0.5)
    with pytest.raises(UsageError, match="--box 1,2,3: the form is X0,Y0,X1,Y1"):
        parse.box("1,2,3")
    with pytest.raises(UsageError, match="box 3,2,1,4 is empty"):
        parse.box("3,2,1,4")


def test_masks(tmp_path):
    path = tmp_path / "mask.png"
    path.touch()
    at = tmp_path / "mask@2.png"
    at.touch()
    assert parse.mask(str(path)) == Mask(path=path)
    assert parse.mask(f"{path}@1.5") == Mask(path=path, time=1.5)
    assert parse.mask(str(at)) == Mask(path=at)
    assert parse.mask(f"{at}@3") == Mask(path=at, time=3)
    with pytest.raises(UsageError, match=r"no file nothing\.png"):
        parse.mask("nothing.png")
    with pytest.raises(UsageError, match="the form is PNG"):
        parse.mask(f"{path}@soon")


def test_rates():
    assert parse.rate("all") is None
    assert parse.rate("0.5") == 0.5
    for text in ("0", "-1", "nan", "inf", "some", ""):
        with pytest.raises(UsageError, match=f"--fps {text}: give a positive number, or all"):
            parse.rate(text)


def test_spans():
    assert parse.span("0", None) == (0.0, None)
    assert parse.span("1.5", "2") == (1.5, 2.0)
    for start, end, named in [
        ("-1", None, "--start -1: seconds count from 0"),
        ("soon", None, "--start soon: the form is a number of seconds"),
        ("0", "late", "--end late: the form is a number of seconds"),
        ("2", "2", "--end 2: must lie after --start 2"),
        ("0", "nan", "--end nan: the form is"),
    ]:
        with pytest.raises(UsageError, match=named):
            parse.span(start, end)


def test_saves():
    assert parse.saves("overlay") == {"overlay"}
    assert parse.saves(" masks, json ,") == {"masks", "json"}
    for text in ("", ",", "video", "masks,video"):
        with pytest.raises(UsageError, match="choose from overlay,masks,json,coco,frames"):
            parse.saves(text)


def test_what_can_be_saved_is_what_the_folder_knows():
    from auralsam2.outputs.folder import NAMES

    assert set(parse.SAVES) == set(NAMES)


def test_sound_and_words(tmp_path):
    assert parse.audio(None) == "track"
    assert parse.audio("none") == "none"
    path = tmp_path / "sound.wav"
    path.touch()
    assert parse.audio(str(path)) == Path(path)
    with pytest.raises(UsageError, match=r"--audio gone.wav: no file gone.wav; give a file with sound, or none"):
        parse.audio("gone.wav")
    assert parse.expression(None) is None
    assert parse.expression("the dog") == "the dog"
    with pytest.raises(UsageError, match="--text is empty"):
        parse.expression(" ")


def test_choices():
    assert parse.choice("--device", "cpu", ("auto", "cpu")) == "cpu"
    with pytest.raises(UsageError, match="--device gpu: choose from auto, cpu"):
        parse.choice("--device", "gpu", ("auto", "cpu"))
