"""Public functions with the types that users of NumPy, PyTorch and pathlib pass: taken, or refused in one sentence."""

from __future__ import annotations

import dataclasses
from decimal import Decimal
from fractions import Fraction
from pathlib import PurePosixPath

import numpy as np
import pytest
import torch
from PIL import Image

import auralsam2
from auralsam2 import Box, Mask, Point, Prompts, arguments
from auralsam2.errors import InputError, UnavailableError, UsageError
from auralsam2.outputs.overlay import draw_overlay
from helpers.media_files import numbered, tone, write_media

SIZE = (48, 64)


class Name:
    """A path of another library."""

    def __init__(self, name: object) -> None:
        self.name = str(name)

    def __fspath__(self) -> str:
        return self.name


@pytest.fixture(scope="module")
def model(small_model):
    return auralsam2.load(Name(small_model), device=torch.device("cpu"), dtype=torch.float32)


@pytest.fixture(scope="module")
def video(tmp_path_factory):
    return write_media(
        tmp_path_factory.mktemp("types") / "clip.mp4", [numbered(n) for n in range(8)], fps=4, sound=tone(2.0)
    )


@pytest.fixture(scope="module")
def label():
    mask = np.zeros(SIZE, bool)
    mask[10:30, 20:40] = True
    return mask


@pytest.fixture
def session(model, video):
    with model.open(str(video), audio="none") as session:
        yield session


@pytest.mark.parametrize("device", [torch.device("cpu"), "cpu", np.str_("cpu")])
@pytest.mark.parametrize("dtype", [torch.float32, "fp32", "float32", "auto"])
def test_load(small_model, device, dtype):
    assert auralsam2.load(str(small_model), device=device, dtype=dtype).dtype == "fp32"


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"device": "cuda:1"}, "device=cuda:1"),
        ({"device": torch.device("meta")}, "device=meta"),
        ({"device": None}, "device=None"),
        ({"dtype": torch.int8}, "dtype=int8"),
        ({"dtype": np.float32}, "dtype="),
    ],
)
def test_load_refuses_devices_and_dtypes_that_are_not_here(small_model, options, text):
    with pytest.raises(UsageError, match=text):
        auralsam2.load(small_model, **options)


@pytest.mark.parametrize("name", [None, 3, b"mini", np.zeros(2)])
def test_load_refuses_other_names(name):
    with pytest.raises(UsageError, match="model"):
        auralsam2.load(name)


NUMBERS = [1, 1.0, np.float32(1), np.int64(1), np.array(1.0), torch.tensor(1.0), Fraction(1), Decimal(1)]


@pytest.mark.parametrize("number", NUMBERS, ids=lambda number: type(number).__name__)
def test_numbers_of_segment_and_open(model, video, number):
    result = model.segment(video, fps=number, start=number, end=2 * number, audio_track=np.int64(0))
    source = result.source
    assert (source.fps, source.start, source.end, source.audio_track) == (1.0, 1.0, 2.0, 0)
    assert all(type(value) is float for value in (source.fps, source.start, source.end))
    with model.open(video, fps=number, start=number) as session:
        assert session.source == dataclasses.replace(source, end=None, audio_track=None)


@pytest.mark.parametrize("function", ["segment", "open"])
def test_texts_of_segment_and_open(model, video, function):
    call = getattr(model, function)
    for path in (str(video), Name(video), PurePosixPath(video), np.str_(video)):
        assert call(path, fps="all").source.fps is None
    source = call(video, start="0:00.5", end="00:00:01.75", audio=str(video), audio_track="0").source
    assert (source.start, source.end, source.sound, source.audio_track) == (0.5, 1.75, video, 0)
    assert call(video, audio=Name(video)).source.sound == video
    with pytest.raises(InputError, match="no such file"):
        call(video, audio="no-such-file.wav")


@pytest.mark.parametrize(
    "options",
    [
        {"fps": "fast"},
        {"fps": 0},
        {"fps": True},
        {"fps": np.array([1.0, 2.0])},
        {"start": "1:75"},
        {"start": "soon"},
        {"start": None},
        {"start": float("nan")},
        {"end": torch.zeros(2)},
        {"end": -1},
        {"audio": None},
        {"audio": 3},
        {"audio": True},
        {"audio_track": 1.5},
        {"audio_track": -1},
        {"path": 5},
        {"path": b"clip.mp4"},
        {"path": ""},
    ],
    ids=str,
)
@pytest.mark.parametrize("function", ["segment", "open"])
def test_segment_and_open_refuse_other_types(model, video, function, options):
    call = getattr(model, function)
    (name,) = options
    with pytest.raises(UsageError, match=f"`{name}"):
        call(**({"path": video} | options))


@pytest.mark.parametrize("prompts", ["click", (Point(x=1, y=1),), {"points": []}])
def test_segment_and_add_refuse_other_prompts(model, video, session, prompts):
    for call in (lambda: model.segment(video, prompts=prompts), lambda: session.add(prompts)):
        with pytest.raises(UsageError, match="`prompts="):
            call()
    with pytest.raises(UsageError, match="`text=3`"):
        model.segment(video, text=3)


@pytest.mark.parametrize("save", [["json"], ("json",), {"json"}, "json", "json,", np.array(["json"])], ids=repr)
def test_save(model, video, tmp_path, save):
    folder = model.segment(video, start=1).save(str(tmp_path), save=save if save != "json," else "json", overlay=None)
    assert [path.name for path in folder.iterdir()] == ["result.json"]


def test_save_refuses_other_types(model, video, tmp_path):
    for options, text in (({"save": 3}, "`save=3`"), ({"save": [1]}, "`save="), ({"out": 3}, "`out=3`")):
        with pytest.raises(UsageError, match=text):
            model.segment(video).save(**({"out": tmp_path} | options))
    with pytest.raises(UsageError, match="`folder=None`"):
        model.save_pretrained(None)


def test_save_pretrained(model, tmp_path):
    assert model.save_pretrained(str(tmp_path / "a")) == tmp_path / "a"
    assert model.save_pretrained(Name(tmp_path / "b")) == tmp_path / "b"


ARRAYS = {"list": list, "tuple": tuple, "array": np.array, "float32": np.float32, "tensor": torch.tensor}


@pytest.mark.parametrize("form", ARRAYS)
def test_points_and_boxes(session, form):
    convert = ARRAYS[form]
    expected = session.add_points([(30, 20)], [1], 0.5, box=(10, 5, 50, 40))
    for time in (0.5, np.float32(0.5), torch.tensor(0.5), "0:00.5"):
        session.undo()
        labels = convert([1]) if form != "float32" else np.array([True])
        actual = session.add_points(convert([[30, 20]]), labels, time, np.int64(1), box=convert([10, 5, 50, 40]))
        assert np.array_equal(actual.logits, expected.logits)
    boxed = session.add_box((10, 5, 50, 40), 0.5, 2)
    assert np.array_equal(session.add_box(convert([10, 5, 50, 40]), 0.5, torch.tensor(3)).logits, boxed.logits)
    assert session.objects == (1, 2, 3)
    assert np.array_equal(session.predict(np.float64(0.5), np.int8(2)).mask, boxed.mask)
    session.clear(np.int64(2), torch.tensor(0.5))
    session.remove(np.uint8(3))
    assert session.objects == (1,)
    assert all(type(number) is int for number in session.objects)
    assert len(list(session.propagate(np.float32(0.5), direction=np.str_("both")))) == 2
    assert session.split_components(np.float32(0.5), object_id=np.int64(1), min_area=np.float32(0.9)) == ()


def test_masks(session, label, tmp_path):
    Image.fromarray(label).save(tmp_path / "mask.png")
    expected = session.add_mask(label, 0.5)
    forms = (
        label.astype(np.float32),
        label.tolist(),
        torch.from_numpy(label),
        Image.fromarray(label),
        str(tmp_path / "mask.png"),
        Name(tmp_path / "mask.png"),
    )
    for form in forms:
        assert np.array_equal(session.add_mask(form, 0.5).mask, expected.mask)


@pytest.mark.parametrize(
    "call",
    [
        lambda s: s.add_points([30, 20], [1], 0.5),
        lambda s: s.add_points(np.zeros((1, 1, 2)), [1], 0.5),
        lambda s: s.add_points([(30, 20)], 1, 0.5),
        lambda s: s.add_points("30,20", [1], 0.5),
        lambda s: s.add_points([(30, "a")], [1], 0.5),
        lambda s: s.add_points([(30, 20)], [1], None),
        lambda s: s.add_points([(30, 20)], [1], 0.5, "dog"),
        lambda s: s.add_points([(30, 20)], [1], 0.5, -1),
        lambda s: s.add_points([(float("nan"), 20)], [1], 0.5),
        lambda s: s.add_box([1, 2, 3], 0.5),
        lambda s: s.add_box(None, 0.5),
        lambda s: s.add_mask(None, 0.5),
        lambda s: s.add_mask(np.zeros((3, 3)), 0.5),
        lambda s: s.predict(0.5, None),
        lambda s: s.predict("then"),
        lambda s: s.say(3),
        lambda s: s.hear(object_id=0.5),
        lambda s: s.remove("dog"),
        lambda s: s.clear(1.5, 0.5),
    ],
)
def test_session_refuses_other_types(session, call):
    with pytest.raises(UsageError) as caught:
        call(session)
    assert "\n" not in str(caught.value)
    assert session.objects == ()


def test_direction_and_merging(model, video, session):
    session.add_points([(30, 20)], [1], 0.5)
    with pytest.raises(UsageError, match="`direction=3`"):
        session.propagate(direction=3)
    with pytest.raises(UsageError, match="`time=then`"):
        session.propagate("then")
    for name in ("combine", "merge"):
        with pytest.raises(UsageError, match=f"`{name}="):
            model.open(video, **{name: np.zeros(2)})


def test_prompt_types(tmp_path):
    point = Point(x=np.float32(3), y=torch.tensor(4), positive=np.bool_(False), time="1:30")
    assert point == Point(x=3.0, y=4.0, positive=False, time=90.0)
    assert Mask(path="a.png", time=np.int64(2)) == Mask(path=tmp_path.__class__("a.png"), time=2.0)
    box = Box(x0=np.int64(1), y0=2, x1=np.float16(3), y1=4)
    assert Prompts(points=point, boxes=[box]) == Prompts(points=(point,), boxes=(box,))
    for call in (
        lambda: Point(x="3", y=4),
        lambda: Point(x=3, y=None),
        lambda: Box(x0=0, y0=0, x1=np.inf, y1=1),
        lambda: Mask(path=np.zeros((2, 2))),
        lambda: Prompts(points=[(1, 2)]),
        lambda: Prompts(boxes=3),
        lambda: Prompts(text=" "),
    ):
        with pytest.raises(UsageError):
            call()


def test_draw_overlay(label):
    image = np.zeros((*SIZE, 3), np.uint8)
    expected = draw_overlay(image, label, (1, 2, 3))
    for mask in (label.astype(np.uint8) * 255, torch.from_numpy(label), label.tolist()):
        for colour in ([1, 2, 3], np.array([1, 2, 3]), torch.tensor([1, 2, 3])):
            assert np.array_equal(draw_overlay(torch.from_numpy(image), mask, colour), expected)
    for arguments_ in ((image.astype(float), label), (image, label[:5]), (image, "mask"), (image, label, "red")):
        with pytest.raises(UsageError):
            draw_overlay(*arguments_)


@pytest.mark.parametrize(
    ("text", "seconds"), [("75.5", 75.5), ("1:15.5", 75.5), ("01:01:15", 3675), ("90:00", 5400), ("0", 0)]
)
def test_clock_times(text, seconds):
    assert arguments.as_seconds("start", text) == seconds


@pytest.mark.parametrize("text", ["", "1:", ":5", "1:60", "1:2:3:4", "-1", "1:-2", "1.5:00", "nan", "inf", "1h"])
def test_other_clock_times_are_refused(text):
    with pytest.raises(UsageError, match="`start="):
        arguments.as_seconds("start", text)


def test_model_names_of_other_types():
    with pytest.raises(UnavailableError):
        auralsam2.load(PurePosixPath("/no/such/model"))
