from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from auralsam2.errors import OutputError
from auralsam2.utils.atomic_io import Staging, write_file, writing


def contents(folder: Path) -> dict[str, str | None]:
    """Return all names in a folder, including hidden ones, with the text of the files."""
    return {str(path.relative_to(folder)): path.read_text() if path.is_file() else None for path in folder.rglob("*")}


def test_published_files_remain_and_the_hidden_folder_is_removed(tmp_path: Path) -> None:
    folder = tmp_path / "new" / "dog"
    with Staging(folder) as staging:
        assert staging.path.parent == folder
        assert staging.path.name.startswith(".")
        (staging.path / "a").write_text("1")
        (staging.path / "forgotten").write_text("2")
        staging.publish(["a"])
    assert contents(folder) == {"a": "1"}


def test_new_folders_without_results_are_removed(tmp_path: Path) -> None:
    with Staging(tmp_path / "new" / "dog"):
        pass
    assert contents(tmp_path) == {}


def test_existing_folder_remains(tmp_path: Path) -> None:
    with Staging(tmp_path):
        pass
    assert contents(tmp_path) == {}


def test_files_and_folders_are_replaced_and_withdrawn(tmp_path: Path) -> None:
    (tmp_path / "masks").mkdir()
    for name in ("masks/old", "file", "mark", "other"):
        (tmp_path / name).write_text("old")
    with Staging(tmp_path) as staging:
        (staging.path / "masks").mkdir()
        for name in ("masks/new", "file"):
            (staging.path / name).write_text("new")
        staging.publish(["masks", "file"], withdrawn=["mark"])
    assert contents(tmp_path) == {"masks": None, "masks/new": "new", "file": "new", "other": "old"}


def test_failed_publication_is_undone(tmp_path: Path) -> None:
    for name in ("a", "b", "mark"):
        (tmp_path / name).write_text("old")
    with Staging(tmp_path) as staging:
        (staging.path / "a").write_text("new")
        with pytest.raises(FileNotFoundError):
            staging.publish(["a", "b"], withdrawn=["mark"])
        assert (staging.path / "a").read_text() == "new"
    assert contents(tmp_path) == {"a": "old", "b": "old", "mark": "old"}


def test_files_of_killed_runs_alone_are_removed(tmp_path: Path) -> None:
    leftover = tmp_path / ".auralsam2-abcd_123.part"
    (leftover / "masks").mkdir(parents=True)
    (leftover / "masks" / "000000.png").write_text("")
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "precious").write_text("")
    unrelated = [
        ".auralsam2-notes",
        ".auralsam2-abcd_123.part.bak",
        ".auralsam2-ABCD1234.part",
        "auralsam2-abcd_123.part",
    ]
    for name in unrelated:
        (tmp_path / name).mkdir()
    (tmp_path / ".auralsam2-aaaaaaaa.part").write_text("a file")
    (tmp_path / ".auralsam2-bbbbbbbb.part").symlink_to(elsewhere, target_is_directory=True)
    with Staging(tmp_path):
        pass
    assert not leftover.exists()
    remaining = {path.name for path in tmp_path.iterdir()}
    assert remaining == {"elsewhere", *unrelated, ".auralsam2-aaaaaaaa.part", ".auralsam2-bbbbbbbb.part"}
    assert (elsewhere / "precious").exists()


HOLD = """
import sys, time
from pathlib import Path
from auralsam2.utils.atomic_io import Staging
with Staging(Path("dog")) as staging:
    (staging.path / "half").write_text("1")
    print("ready", flush=True)
    time.sleep(60)
"""


@pytest.mark.skipif(os.name != "posix", reason="no locks of this kind")
def test_folder_is_locked_until_its_process_ends(tmp_path: Path, start: Callable) -> None:
    folder = tmp_path / "dog"
    process = start("-c", HOLD)
    assert process.stdout.readline() == "ready\n"
    assert len(list(folder.glob(".auralsam2-*/half"))) == 1
    with pytest.raises(OutputError, match=r"dog: another run is writing here"), Staging(folder):
        pass
    assert len(list(folder.glob(".auralsam2-*/half"))) == 1
    process.send_signal(signal.SIGKILL)
    process.wait()
    with Staging(folder):
        pass
    assert contents(folder) == {}


@pytest.mark.parametrize("path", ["file", "file/below"])
def test_file_instead_of_the_folder_is_an_error(tmp_path: Path, path: str) -> None:
    (tmp_path / "file").write_text("text")
    with pytest.raises(OutputError, match=rf"{path}: cannot be written .*move what is in the way"):
        Staging(tmp_path / path).__enter__()
    assert contents(tmp_path) == {"file": "text"}


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="permissions bind no one here")
def test_folder_without_permission(tmp_path: Path) -> None:
    tmp_path.chmod(0o555)
    try:
        with pytest.raises(OutputError, match="check its permissions"):
            Staging(tmp_path / "dog").__enter__()
    finally:
        tmp_path.chmod(0o755)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no device that is always full")
def test_full_disk() -> None:
    with (
        pytest.raises(OutputError, match=r"dog/result.json: .*No space.*free some space") as caught,
        writing(Path("dog/result.json")),
    ):
        Path("/dev/full").write_text("x")
    assert "\n" not in str(caught.value)


def test_file_is_replaced_as_a_whole(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    write_file(path, b"old")
    write_file(path, b"new")
    assert contents(tmp_path) == {"a.json": "new"}
    with pytest.raises(OutputError, match=r"missing/a\.json: cannot be written"):
        write_file(tmp_path / "missing" / "a.json", b"new")
