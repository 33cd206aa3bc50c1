"""SIGTERM and SIGHUP end every command as Ctrl-C does."""

from __future__ import annotations

import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from helpers.dataset_trees import write_stampavs
from helpers.forked_process import ForkedProcess
from helpers.media_files import numbered, tone, write_clip, write_media
from helpers.small_training import values, write_parts
from helpers.toy_stamps import write_stamps

Process = subprocess.Popen[str] | ForkedProcess
ENDS = [(signal.SIGTERM, 143), (signal.SIGHUP, 129)]
INTERRUPTED = "auralsam2: interrupted; finished files stay"


def wait_for(happened: Callable[[], object], process: Process, seconds: float = 120.0) -> None:
    end = time.monotonic() + seconds
    while not happened():
        assert time.monotonic() < end
        assert process.poll() is None, process.communicate()
        time.sleep(0.01)


def end(process: Process, number: int) -> tuple[int, str]:
    """Send a signal; returns the exit code and the text on stderr."""
    process.send_signal(number)
    _, err = process.communicate(timeout=180)
    assert "Traceback" not in err
    return process.returncode, err


def children(process: Process) -> set[int]:
    """The processes that a process has started and that still run."""
    actual = set()
    for status in Path("/proc").glob("[0-9]*/stat"):
        try:
            text = status.read_text()
        except OSError:
            continue
        if int(text.rpartition(")")[2].split()[1]) == process.pid:
            actual.add(int(status.parent.name))
    return actual


def alive(number: int) -> bool:
    """Whether a process still runs; a zombie does not."""
    try:
        return Path(f"/proc/{number}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def all_end(numbers: set[int], seconds: float = 30.0) -> bool:
    """Whether processes end soon; some end only when they notice that their parent has."""
    end = time.monotonic() + seconds
    while any(map(alive, numbers)) and time.monotonic() < end:
        time.sleep(0.02)
    return not any(map(alive, numbers))


SEGMENT = ("-m", "auralsam2", "segment")


@pytest.fixture(scope="module")
def clips(tmp_path_factory) -> tuple[Path, Path]:
    """A clip of a second, and one of a minute."""
    folder = tmp_path_factory.mktemp("clips")
    first = write_clip(folder / "first.mp4", 1.0)
    pictures = [numbered(n % 100) for n in range(120)]
    return first, write_media(folder / "second.mp4", pictures, fps=2, sound=tone(60.0))


@pytest.fixture
def segmenting(fork, small_model, clips, tmp_path) -> Callable[..., ForkedProcess]:
    """Starts a run; returns it in the middle of the second of two inputs."""

    def run(program: tuple[str, ...] = SEGMENT) -> ForkedProcess:
        process = fork(*program, *clips, "--model", small_model, "--fps", "2")
        wait_for(lambda: any((tmp_path / "out" / "second").glob(".*/masks/000003.png")), process)
        return process

    return run


@pytest.mark.parametrize(("number", "code"), ENDS)
def test_segment(segmenting, tmp_path, number, code):
    process = segmenting()
    got, err = end(process, number)
    assert got == code
    assert err.splitlines()[-1] == INTERRUPTED
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["first"]
    assert sorted(path.name for path in (tmp_path / "out" / "first").iterdir()) == [
        "masks",
        "overlay.mp4",
        "result.json",
    ]


def test_repeated_signals_do_not_interrupt_the_clean_up(segmenting, tmp_path):
    process = segmenting()
    for _ in range(20):
        process.send_signal(signal.SIGHUP)
    got, err = end(process, signal.SIGTERM)
    assert got == 129
    assert err.splitlines()[-1] == INTERRUPTED
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["first"]


def test_ignored_sighup_does_not_stop_the_run(segmenting, tmp_path):
    """As under nohup."""
    code = (
        "import signal, sys\n"
        "from auralsam2.cli.main import main\n"
        "signal.signal(signal.SIGHUP, signal.SIG_IGN)\n"
        "main(sys.argv[1:])\n"
    )
    process = segmenting(("-c", code, "segment"))
    process.send_signal(signal.SIGHUP)
    wait_for(lambda: any((tmp_path / "out" / "second").glob(".*/masks/000010.png")), process)
    assert end(process, signal.SIGTERM)[0] == 143


@pytest.mark.parametrize(("number", "code"), ENDS)
def test_train_with_workers(fork, tmp_path, number, code):
    from auralsam2.training.recipe import TrainingRecipe

    result = values(write_parts(tmp_path), max_steps=100_000, validate_every=100_000)
    result["data"]["workers"] = 1
    (tmp_path / "run.yaml").write_text(TrainingRecipe.from_dict(result).to_yaml(), encoding="utf-8")
    process = fork("-m", "auralsam2", "train", "run.yaml")
    wait_for((tmp_path / "runs" / "run" / "last.ckpt").exists, process)
    workers = children(process)
    assert workers
    assert end(process, number)[0] == code
    assert all_end(workers)
    assert not list((tmp_path / "runs").rglob("*.part"))


@pytest.fixture(scope="module")
def many_scenes(tmp_path_factory) -> Path:
    """A StampAVS that takes longer to evaluate than a signal to arrive."""
    scenes = [(f"val_{n:05d}", "val", "standard", "single", 5) for n in range(300)]
    return write_stampavs(tmp_path_factory.mktemp("stamp"), scenes)


@pytest.mark.parametrize(("number", "code"), ENDS)
def test_evaluate(fork, small_model, many_scenes, tmp_path, number, code):
    options = ("--dataset", "stampavs", "--root", many_scenes, "--split", "val", "--model", small_model)
    process = fork("-m", "auralsam2", "evaluate", *options, "--report", "report.json", "--save-masks", "masks")
    partial = tmp_path / "report.json.partial.jsonl"
    wait_for(lambda: partial.exists() and partial.read_bytes().count(b"\n") > 3, process)
    got, err = end(process, number)
    assert (got, err.splitlines()[-1]) == (code, INTERRUPTED)
    assert partial.read_bytes().endswith(b"\n")
    assert not (tmp_path / "report.json").exists()
    assert not [path for path in tmp_path.rglob(".*") if path.name.endswith(".part")]


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize(("number", "code"), ENDS)
def test_build_stampavs(start, tmp_path, number, code, workers):
    stamps = write_stamps(tmp_path / "stamps")
    options = ("--stamps", stamps, "--size", "48", "--clips", "2000", "--workers", str(workers))
    process = start("-m", "auralsam2", "data", "build-stampavs", "out", *options)
    wait_for(lambda: len(list((tmp_path / "out" / "media").glob("*"))) > 5, process)
    started = children(process)
    assert end(process, number)[0] == code
    assert all_end(started)
    names = {path.name for path in (tmp_path / "out").iterdir()}
    assert names == {"media", "gt_mask", "unfinished.json"}
    for media in (tmp_path / "out" / "media").iterdir():
        assert (media / "scene.json").exists()


@pytest.mark.parametrize(("number", "code"), ENDS)
def test_studio(fork, small_model, tmp_path, number, code):
    process = fork("-m", "auralsam2", "studio", "--model", small_model, "--home", "home", "--no-open", "--port", "0")
    assert process.stdout.readline().startswith("http://")
    time.sleep(1.0)  # the server starts after the address is printed
    got, err = end(process, number)
    assert got == code
    assert err.splitlines()[-1] == "auralsam2: stopped; the sessions are saved"


def test_signal_during_an_import_of_the_studio_leaves_no_files(fork, small_model, tmp_path):
    sound = tone(200.0, 8000, channels=1)
    write_media(tmp_path / "long.mp4", [numbered(n % 100) for n in range(2000)], sound=sound, rate=8000)
    options = ("--model", small_model, "--home", "home", "--no-open", "--port", "0")
    process = fork("-m", "auralsam2", "studio", "long.mp4", *options)
    sessions = tmp_path / "home" / "sessions"
    wait_for(lambda: any(sessions.glob(".new-*/frames/*.jpg")), process)
    assert end(process, signal.SIGTERM)[0] == 143
    assert list(sessions.iterdir()) == []
