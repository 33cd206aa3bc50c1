"""Errors: one line with the value and the remedy, the exit code, no unfinished files."""

from __future__ import annotations

import json
import signal
import socket
import time

import numpy as np
import pytest
from PIL import Image

from helpers.media_files import numbered, tone, write_clip, write_media

NOWHERE = "no-such-model"


@pytest.fixture
def clip(tmp_path):
    return write_clip(tmp_path / "dog.mp4", 2.0)


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["--fps", "0"], "--fps 0: give a positive number, or all"),
        (["--fps", "fast"], "--fps fast: give a positive number, or all"),
        (["--start", "-1"], "--start -1: give 0 or more seconds"),
        (["--start", "soon"], "--start soon: give 0 or more seconds such as 75.5, or a time such as 1:15.5"),
        (["--start", "1", "--end", "0.5"], "--end 0.5: must be after --start 1"),
        (["--start", "5"], "dog.mp4: --start 5 is after the end of the video at 2.00 s"),
        (["--save", "video"], "--save video: choose from overlay,masks,frames,"),
        (["--save", "masks", "--resume"], "--resume needs json in --save"),
        (["--device", "gpu"], "--device gpu: choose from auto, cpu, cuda, mps"),
        (["--dtype", "int8"], "--dtype int8: choose from auto, fp32, bf16, fp16"),
        (["--threads", "0"], "--threads"),
        (["--text", ""], "--text is empty"),
        (["--audio", "gone.wav"], "--audio gone.wav: no file gone.wav"),
        (["--audio", "none"], "--audio none needs another prompt: --text, --point, --box or --mask"),
        (["--point", "1"], "--point 1: the form is X,Y[,+|-][@SECONDS]"),
        (["--point", "65,10"], "dog.mp4: prompt at 65,10 lies outside the frame of 64x48 pixels"),
        (["--point", "10,-1"], "dog.mp4: prompt at 10,-1 lies outside the frame of 64x48 pixels"),
        (["--point", "1,1@2.5"], "dog.mp4: prompt at 2.5 s lies outside the processed part, 0 to 2 s"),
        (["--point", "1,1@0.5", "--start", "1"], "prompt at 0.5 s lies outside the processed part, 1 to 2 s"),
        (["--point", "1,1@1.5", "--end", "1"], "prompt at 1.5 s lies outside the processed part, 0 to 1 s"),
        (["--box", "0,0,64,49"], "dog.mp4: prompt at 64,49 lies outside the frame of 64x48 pixels"),
        (["--box", "5,5,5,9"], "box 5,5,5,9 is empty"),
        (["--mask", "gone.png"], "--mask gone.png: no file gone.png"),
        (["--mask", "{dog}"], "dog.mp4: cannot be read as a mask: give an 8-bit PNG"),
        (["--mask", "{wide}"], "wide.png: mask of 65x48 pixels, the video has 64x48"),
        (["--mask", "{cut}"], "cut.png: cannot be read as a mask: give an 8-bit PNG"),
        (["--bogus"], "No such option: --bogus"),
    ],
)
def test_arguments_are_checked_before_loading_a_model(command, clip, tmp_path, arguments, named):
    """The model does not exist, which would be error 3."""
    noise = np.random.default_rng(0).integers(0, 255, (48, 64), dtype=np.uint8)
    Image.fromarray(noise).save(tmp_path / "cut.png")
    (tmp_path / "cut.png").write_bytes((tmp_path / "cut.png").read_bytes()[:1000])
    Image.new("L", (65, 48)).save(tmp_path / "wide.png")
    places = {"dog": clip, "wide": tmp_path / "wide.png", "cut": tmp_path / "cut.png"}
    filled = [places.get(argument.strip("{}"), argument) for argument in arguments]
    outcome = command("segment", clip, "--model", NOWHERE, "--out", tmp_path / "out", *filled)
    assert outcome.code == 2
    assert named in outcome.error
    assert outcome.out == ""
    assert not (tmp_path / "out").exists()


def test_bad_arguments_import_no_torch(start, clip, tmp_path):
    attempts = [
        ["segment", str(clip), "--fps", "0"],
        ["segment", str(clip), "--point", "65,10"],
        ["segment", str(clip), "--mask", str(clip)],
        ["segment", "missing.mp4"],
        ["segment", str(clip), "--model", NOWHERE],
        ["segment", str(clip), "--model", str(tmp_path)],
        ["segment"],
        ["models"],
    ]
    code = (
        "import json, sys\n"
        "from auralsam2.cli.main import run\n"
        f"codes = [run(arguments) for arguments in {attempts!r}]\n"
        "print(json.dumps([codes, 'torch' in sys.modules]))\n"
    )
    out, err = start("-c", code).communicate(timeout=60)
    assert json.loads(out.splitlines()[-1]) == [[2, 2, 2, 2, 3, 3, 2, 0], False], err


@pytest.mark.parametrize(
    ("model", "named"),
    [
        (NOWHERE, f"no model '{NOWHERE}'; give one of mini, v1s"),
        ("v1m", "auralsam2_avs_v1m.pth"),
        ("somebody/something", "somebody/something"),
    ],
)
def test_missing_model_exits_with_3(command, clip, tmp_path, model, named):
    outcome = command("segment", clip, "--model", model, "--out", tmp_path / "out")
    assert outcome.code == 3
    assert named in outcome.error
    assert not (tmp_path / "out").exists()


def test_text_for_a_model_without_text(segment, clip, tmp_path):
    outcome = segment(clip, "--text", "the dog")
    assert outcome.code == 2
    assert outcome.error.endswith("reads no text: omit --text, or use a model such as ref-avs")
    assert not (tmp_path / "out").exists()


def test_failing_inputs_do_not_stop_others(segment, clip, tmp_path):
    broken = tmp_path / "broken.mp4"
    broken.write_bytes(b"no video" * 100)
    mute = write_clip(tmp_path / "mute.mp4", 1.0, sound=None)
    outcome = segment(broken, clip, tmp_path / "gone.mp4", mute, "--json")
    assert outcome.code == 1
    assert len(outcome.errors) == 3
    for name, error in zip(("broken.mp4", "gone.mp4", "mute.mp4"), outcome.errors, strict=True):
        assert name in error
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"dog"}
    message = {line["input"]: line for line in outcome.lines}
    assert {path: line["status"] for path, line in message.items()} == {
        str(broken): "failed",
        str(clip): "done",
        str(tmp_path / "gone.mp4"): "failed",
        str(mute): "failed",
    }
    assert message[str(mute)]["error"] == outcome.errors[2]
    assert message[str(clip)]["output"] == str(tmp_path / "out" / "dog")
    assert message[str(clip)]["frames"] == 2


def test_single_failing_input_has_a_json_line(segment, tmp_path):
    outcome = segment(tmp_path / "gone.mp4", "--json")
    assert outcome.code == 2
    assert outcome.lines == [
        {"input": str(tmp_path / "gone.mp4"), "status": "failed", "error": f"{tmp_path}/gone.mp4: no such file"}
    ]
    assert outcome.error == f"{tmp_path}/gone.mp4: no such file"


@pytest.mark.parametrize("name", ["out", "out/dog", "out/dog/overlay.mp4", "out/dog/masks"])
def test_file_with_the_name_of_the_output(segment, clip, tmp_path, name):
    """A file where a folder must go, or a folder where a file must."""
    way = tmp_path / name
    way.parent.mkdir(parents=True, exist_ok=True)
    if name.endswith(".mp4"):
        way.mkdir()
    else:
        way.write_text("mine")
    before = sorted(tmp_path.rglob("*"))
    outcome = segment(clip)
    assert outcome.code == 2
    assert str(way) in outcome.error
    assert "--out" in outcome.error
    assert sorted(tmp_path.rglob("*")) == before


def test_foreign_files_are_not_replaced(segment, clip, tmp_path):
    holiday = tmp_path / "out" / "dog" / "masks" / "holiday.png"
    holiday.parent.mkdir(parents=True)
    holiday.write_text("mine")
    outcome = segment(clip)
    assert outcome.code == 2
    assert "holiday.png" in outcome.error
    assert [path for path in (tmp_path / "out").rglob("*") if path.is_file()] == [holiday]


@pytest.mark.parametrize("limit", [0, 300, 6000])
def test_full_disk(fork, small_model, tmp_path, limit):
    """No file may grow beyond the limit, as on a disk that is full at that point."""
    pictures = [np.random.default_rng(number).integers(0, 255, (96, 128, 3), dtype=np.uint8) for number in range(30)]
    write_clip(tmp_path / "dog.mp4", 3.0, pictures=pictures)
    code = (
        "import resource, sys\n"
        "from auralsam2.cli.main import run\n"
        f"resource.setrlimit(resource.RLIMIT_FSIZE, ({limit}, {limit}))\n"
        f"sys.exit(run(['segment', 'dog.mp4', '--model', {str(small_model)!r}, '--fps', 'all']))\n"
    )
    process = fork("-c", code)
    _, err = process.communicate(timeout=120)
    assert process.returncode == 2, err
    (line,) = [line for line in err.splitlines() if not line.startswith("auralsam2: loading")]
    assert line.startswith("auralsam2: error: out/dog")
    assert "cannot be written" in line
    assert not (tmp_path / "out" / "dog").exists()


def test_traceback_only_with_debug(command, clip, monkeypatch):
    from auralsam2.cli import segment

    def broken(*_, **__):
        raise RuntimeError("two\nlines")

    monkeypatch.setattr(segment, "segment_inputs", broken)
    outcome = command("segment", clip)
    assert outcome.code == 2
    assert outcome.error == "RuntimeError: two lines: a bug, please report it with the traceback, shown by --debug"


@pytest.mark.parametrize("arguments", [["--debug", "segment", "gone.mp4"], ["segment", "gone.mp4", "--debug"]])
def test_debug_may_follow_the_command(capsys, arguments):
    from auralsam2.cli import main

    assert main.run(arguments) == 2
    err = capsys.readouterr().err
    assert "Traceback" in err
    assert err.endswith("auralsam2: error: gone.mp4: no such file\n")


def test_interrupt_keeps_finished_results(fork, small_model, tmp_path):
    """Ctrl-C while the second of two inputs is being segmented."""
    write_clip(tmp_path / "first.mp4", 1.0)
    write_media(tmp_path / "second.mp4", [numbered(n % 100) for n in range(120)], fps=2, sound=tone(60.0))
    command = ("-m", "auralsam2", "segment", "first.mp4", "second.mp4", "--model", small_model, "--fps", "2")
    process = fork(*command)
    second = tmp_path / "out" / "second"
    deadline = time.monotonic() + 60
    while not any(second.glob(".*/masks/000003.png")):
        assert time.monotonic() < deadline
        assert process.poll() is None, process.stderr.read()
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert err.splitlines()[-1] == "auralsam2: interrupted; finished files stay"
    assert "Traceback" not in err
    assert not second.exists()
    assert sorted(path.name for path in (tmp_path / "out" / "first").iterdir()) == [
        "masks",
        "overlay.mp4",
        "result.json",
    ]


@pytest.mark.parametrize(
    "ask", [lambda: socket.create_connection(("192.0.2.1", 80)), lambda: socket.getaddrinfo("x.org", 80)]
)
def test_no_test_reaches_the_network(ask):
    """The guard of all tests; 192.0.2.1 is an address kept for documentation."""
    with pytest.raises(pytest.fail.Exception, match="a test asked the network"):
        ask()
