from __future__ import annotations

import hashlib
import json
import re
import shutil
import socket
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from auralsam2.config import FuserConfig, ModelConfig
from auralsam2.errors import ConfigError, UnavailableError
from auralsam2.hub import download
from auralsam2.hub.convert import fuser_shapes
from auralsam2.hub.download import available, fetch_release, fetch_sam2, fetch_text, resolve, weights_hash
from auralsam2.hub.registry import REGISTRY, ModelEntry
from helpers.local_hub import NEW, OLD, LocalHub
from helpers.small_networks import save_small_model


@pytest.fixture
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """huggingface_hub waits up to 23 s between its attempts; the attempts stay."""
    monkeypatch.setattr("time.sleep", lambda seconds: None)


ENTRY = ModelEntry(
    name="tiny",
    task="tests",
    modalities=("audio",),
    licence="none",
    size_mb=1,
    repo="some/weights",
    filename="ckpts/a.pth",
)
CONTENT = bytes(range(256)) * 400
SAM2 = {"config.json": b"{}", "model.safetensors": b"weights", "pytorch_model.bin": b"pickle", "README.md": b"words"}


# --- one file: a released checkpoint ----------------------------------------------------------------------------------


def test_first_download_is_verified_and_pinned(server: LocalHub, tmp_path: Path) -> None:
    server.add("some/weights", {"ckpts/a.pth": CONTENT})
    assert fetch_release(ENTRY).read_bytes() == CONTENT
    assert json.loads((tmp_path / "cache" / "pins" / "tiny.json").read_text()) == {
        "repo": "some/weights",
        "filename": "ckpts/a.pth",
        "commit": OLD,
        "sha256": hashlib.sha256(CONTENT).hexdigest(),
    }
    assert any(line.startswith("GET /some/weights/resolve/") for line in server.requests)


def test_pinned_checkpoint_in_the_cache_needs_no_request(server: LocalHub) -> None:
    server.add("some/weights", {"ckpts/a.pth": CONTENT})
    first = fetch_release(ENTRY)
    server.requests.clear()
    assert fetch_release(ENTRY) == first
    assert server.requests == []


def test_later_download_requests_the_pinned_commit(
    server: LocalHub, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    server.add("some/weights", {"ckpts/a.pth": CONTENT})
    fetch_release(ENTRY)
    server.add("some/weights", {"ckpts/a.pth": b"newer"}, NEW)
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "other"))
    assert fetch_release(ENTRY).read_bytes() == CONTENT
    (tmp_path / "cache" / "pins" / "tiny.json").unlink()
    assert fetch_release(ENTRY).read_bytes() == b"newer"


def test_different_bytes_than_pinned_are_an_error(
    server: LocalHub, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    server.add("some/weights", {"ckpts/a.pth": CONTENT})
    fetch_release(ENTRY)
    server.files["some/weights", OLD, "ckpts/a.pth"] = b"history was rewritten"
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "other"))
    with pytest.raises(UnavailableError, match=r"was recorded at the first download; delete the file, or .*tiny\.json"):
        fetch_release(ENTRY)


def test_pin_of_another_file_or_damaged_pin(server: LocalHub, tmp_path: Path) -> None:
    server.add("some/weights", {"ckpts/a.pth": CONTENT})
    pin = tmp_path / "cache" / "pins" / "tiny.json"
    pin.parent.mkdir(parents=True)
    pin.write_text(json.dumps({"repo": "old/place", "filename": "a.pth", "commit": NEW, "sha256": "0"}))
    assert fetch_release(ENTRY).read_bytes() == CONTENT
    assert json.loads(pin.read_text())["commit"] == OLD
    pin.write_text("{")
    with pytest.raises(UnavailableError, match=r"tiny\.json: not a pin .*; delete it and run again"):
        fetch_release(ENTRY)


def test_damaged_download_is_refused_and_repeated(server: LocalHub) -> None:
    server.add("some/weights", {"ckpts/a.pth": CONTENT})
    server.lie = True
    with pytest.raises(UnavailableError, match=r"damaged in transfer, .* it was removed: run again"):
        fetch_release(ENTRY)
    server.lie = False
    assert fetch_release(ENTRY).read_bytes() == CONTENT


def test_cache_without_hashed_names_is_accepted(server: LocalHub, tmp_path: Path) -> None:
    server.add("some/weights", {"ckpts/a.pth": CONTENT})
    path = fetch_release(ENTRY)
    blob = path.resolve()
    store = blob.rename(tmp_path / ("c" * 64))
    blob.symlink_to(store)
    assert fetch_release(ENTRY).read_bytes() == CONTENT
    store.write_bytes(b"rotten")
    with pytest.raises(UnavailableError, match="it was removed"):
        fetch_release(ENTRY)
    assert fetch_release(ENTRY).read_bytes() == CONTENT


@pytest.mark.usefixtures("no_pauses")
def test_interrupted_download_is_resumed(server: LocalHub, monkeypatch: pytest.MonkeyPatch) -> None:
    # What was received is kept in whole pieces of this size, 10 MB otherwise.
    monkeypatch.setattr("huggingface_hub.constants.DOWNLOAD_CHUNK_SIZE", 10_000)
    server.add("some/weights", {"ckpts/a.pth": CONTENT})
    server.cut = 70_000
    assert fetch_release(ENTRY).read_bytes() == CONTENT
    gets = [line for line in server.requests if line.startswith("GET /some/weights/resolve/")]
    assert len(gets) == 2
    assert gets[1].endswith("bytes=70000-")


def test_fixed_revision_is_requested(server: LocalHub) -> None:
    server.add("some/weights", {"ckpts/a.pth": CONTENT})
    server.add("some/weights", {"ckpts/a.pth": b"newer"}, NEW)
    assert fetch_release(ModelEntry(**{**vars(ENTRY), "revision": OLD})).read_bytes() == CONTENT


def one_line(error: pytest.ExceptionInfo[UnavailableError]) -> str:
    message = str(error.value)
    assert "\n" not in message
    assert error.value.exit_code == 3
    return message


def test_offline(server: LocalHub, monkeypatch: pytest.MonkeyPatch) -> None:
    server.add("some/weights", {"ckpts/a.pth": CONTENT})
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(UnavailableError) as error:
        fetch_release(ENTRY)
    message = one_line(error)
    for part in (
        "ckpts/a.pth of some/weights",
        f"{server.url}/some/weights/resolve/main/ckpts/a.pth",
        "HF_HUB_OFFLINE",
    ):
        assert part in message
    assert "auralsam2 convert FILE.pth DIR" in message
    assert server.requests == []

    monkeypatch.delenv("HF_HUB_OFFLINE")
    fetch_release(ENTRY)
    server.requests.clear()
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    assert fetch_release(ENTRY).read_bytes() == CONTENT
    assert server.requests == []


def test_endpoint_down(server: LocalHub, monkeypatch: pytest.MonkeyPatch) -> None:
    server.close()
    attempts: list[object] = []
    connect = socket.socket.connect

    def counted(self: socket.socket, address: object) -> None:
        attempts.append(address)
        connect(self, address)  # type: ignore[arg-type]

    monkeypatch.setattr(socket.socket, "connect", counted)
    for ask in (lambda: fetch_release(ENTRY), lambda: fetch_sam2("some/sam2"), lambda: resolve("some/model")):
        attempts.clear()
        with pytest.raises(UnavailableError) as error:
            ask()
        assert len(attempts) == 1, "one attempt, without pauses"
        message = one_line(error)
        assert server.url in message
        assert "refused" in message
        assert "elsewhere" in message


@pytest.mark.parametrize(
    ("entry", "reason"),
    [
        (ModelEntry(**{**vars(ENTRY), "repo": "no/such"}), "set HF_TOKEN"),
        (ModelEntry(**{**vars(ENTRY), "filename": "b.pth"}), "the server answered 404"),
    ],
)
def test_missing_model_is_an_error(server: LocalHub, entry: ModelEntry, reason: str) -> None:
    server.add("some/weights", {"ckpts/a.pth": CONTENT})
    with pytest.raises(UnavailableError) as error:
        fetch_release(entry)
    assert reason in one_line(error)


# --- repositories: SAM 2, the text encoder, a converted model ---------------------------------------------------------


def names(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def test_snapshot_contains_needed_files_and_no_pickle(server: LocalHub, monkeypatch: pytest.MonkeyPatch) -> None:
    server.add("some/sam2", SAM2)
    folder = fetch_sam2("some/sam2")
    assert names(folder) == ["config.json", "model.safetensors"]
    server.requests.clear()
    assert fetch_sam2("some/sam2") == folder
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    assert fetch_sam2("some/sam2") == folder
    assert server.requests == []
    with pytest.raises(UnavailableError, match=r"some/other .*HF_HUB_OFFLINE is set.*--sam2 DIR"):
        fetch_sam2("some/other")


def test_snapshot_of_a_revision(server: LocalHub) -> None:
    server.add("some/sam2", SAM2)
    server.add("some/sam2", SAM2 | {"config.json": b'{"new": 1}'}, NEW)
    assert (fetch_sam2(f"some/sam2@{OLD}") / "config.json").read_bytes() == b"{}"
    assert (fetch_sam2("some/sam2") / "config.json").read_bytes() == b'{"new": 1}'


def test_damaged_or_incomplete_snapshot_is_an_error(server: LocalHub) -> None:
    server.add("some/sam2", SAM2)
    server.lie = True
    with pytest.raises(UnavailableError, match="damaged in transfer"):
        fetch_sam2("some/sam2")
    server.lie = False
    assert (fetch_sam2("some/sam2") / "model.safetensors").read_bytes() == b"weights"
    server.add("some/pickles", {"config.json": b"{}", "pytorch_model.bin": b"pickle"})
    with pytest.raises(UnavailableError, match=r"model\.safetensors is missing; .*/some/pickles is incomplete"):
        fetch_sam2("some/pickles")


def test_text_encoder_comes_with_its_tokeniser(server: LocalHub) -> None:
    tokens = {"vocab.json": b"{}", "merges.txt": b"", "tokenizer.json": b"{}", "tokenizer_config.json": b"{}"}
    server.add("some/text", SAM2 | tokens)
    assert names(fetch_text("some/text")) == sorted(["config.json", "model.safetensors", *tokens])
    with pytest.raises(UnavailableError, match=r"tokenizer\.json"):
        fetch_text("some/sam2")


def test_model_of_the_hub(server: LocalHub) -> None:
    parts = {f"{part}/{name}": b"{}" for part in ("namer", "sam2") for name in ("config.json", "model.safetensors")}
    server.add("some/model", SAM2 | parts)
    folder = resolve("some/model")
    assert names(folder) == sorted(["config.json", "model.safetensors", *parts])
    assert fetch_sam2("sam2", folder) == (folder / "sam2").resolve()


# --- folders ----------------------------------------------------------------------------------------------------------


def write(folder: Path, *files: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name in files:
        (folder / name).write_bytes(b"{}")
    return folder


def test_folder_is_resolved_to_itself(tmp_path: Path) -> None:
    folder = write(tmp_path / "model", "config.json")
    with pytest.raises(UnavailableError, match=r"model: model\.safetensors is missing"):
        resolve(str(folder))
    write(folder, "model.safetensors")
    assert resolve(str(folder)) == folder
    with pytest.raises(
        UnavailableError, match=r"a file, not a model folder; run: auralsam2 convert .*config\.json DIR"
    ):
        resolve(str(folder / "config.json"))


@pytest.mark.parametrize("name", ["nothing", "./nothing", "/no/such/place", "a/b/c", "../x/y", "", "a" * 5000])
def test_unknown_name_lists_known_names(
    server: LocalHub, tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(write(tmp_path / "empty"))
    with pytest.raises(UnavailableError) as error:
        resolve(name)
    assert "mini" in one_line(error) or not name
    assert server.requests == []


def test_parts_inside_the_model_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    base = write(tmp_path / "model", "config.json", "model.safetensors")
    inside = write(base / "sam2", "config.json", "model.safetensors")
    outside = write(tmp_path / "other", "config.json", "model.safetensors")
    assert fetch_sam2("sam2", base) == inside
    assert fetch_sam2(str(outside), base) == outside
    monkeypatch.chdir(tmp_path)
    assert fetch_sam2("other").samefile(outside)
    for path in ("../other", "sam2/../../other"):
        with pytest.raises(ConfigError, match="leads out of the model folder"):
            fetch_sam2(path, base)
    with pytest.raises(UnavailableError, match="no such folder, which the model names as its text"):
        fetch_text("words", base)
    with pytest.raises(UnavailableError, match=r"tokenizer\.json is missing"):
        fetch_text("sam2", base)


# --- names ------------------------------------------------------------------------------------------------------------


def test_registry_lists_the_released_checkpoints() -> None:
    assert list(REGISTRY) == ["mini", "v1s", "v1m", "v2", "ref-avs"]
    files = {name: entry.filename for name, entry in REGISTRY.items() if entry.repo == "yyliu01/AuralSAM2"}
    assert files == {
        "v1s": "ckpts/auralsam2_avs_v1s.pth",
        "v1m": "ckpts/auralsam2_avs_v1m.pth",
        "v2": "ckpts/auralsam2_avs_v2.pth",
        "ref-avs": "ckpts/auralsam2_refavs_best.pth",
    }
    assert [entry.frames for entry in REGISTRY.values()] == [None, 5, 5, 10, 10], "the clips of the training"
    assert {entry.sam2 for entry in REGISTRY.values()} == {"facebook/sam2-hiera-large"}


def test_bundled_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(download, "BUNDLED", tmp_path)
    with pytest.raises(UnavailableError, match="'mini' is not part of this version yet"):
        resolve("mini")
    folder = write(tmp_path / "mini", "config.json", "model.safetensors")
    assert resolve("mini") == folder
    for modality, text in (("audio", None), ("audio+text", "text")):
        ModelConfig(text=text, fuser=FuserConfig(modality=modality)).save(folder)
        assert available()[0]["cached"] is True
        assert available()[0]["modalities"] == modality.split("+")


def test_released_model_is_downloaded_and_converted_once(
    server: LocalHub, tmp_path: Path, narrow_release: Callable[..., bytes], caplog: pytest.LogCaptureFixture
) -> None:
    narrow_release()
    caplog.set_level("INFO", "auralsam2.hub.download")
    assert [row["cached"] for row in available()[1:]] == [False] * 4
    leftover = write(tmp_path / "cache" / "models" / ".v1s.0123.tmp", "model.safetensors")
    with ThreadPoolExecutor(4) as pool:
        folders = set(pool.map(resolve, ["v1s"] * 4))
    assert folders == {tmp_path / "cache" / "models" / "v1s"}
    assert not leftover.exists()
    assert sum(line.startswith("GET") for line in server.requests) == 1
    assert sum(message.startswith("converting") for message in caplog.messages) == 1

    folder = folders.pop()
    assert ModelConfig.load(folder).sam2 == "facebook/sam2-hiera-large"
    saved, published = load_file(folder / "model.safetensors"), torch.load(tmp_path / "release.pth", weights_only=True)
    assert torch.equal(saved["fuser.f_blocks.0.0.attn.q.weight"], published["f_blocks.0.0.attn.q.weight"])

    server.requests.clear()
    assert resolve("v1s") == folder
    assert server.requests == []
    row = next(row for row in available() if row["name"] == "v1s")
    assert row["cached"] is True
    assert row["size_mb"] == round((folder / "model.safetensors").stat().st_size / 1e6, 1)


def test_released_model_with_another_checkpoint(server: LocalHub, tmp_path: Path) -> None:
    server.add("yyliu01/AuralSAM2", {"ckpts/auralsam2_avs_v2.pth": b"<html>"})
    with pytest.raises(ConfigError, match=r"auralsam2_avs_v2\.pth: no PyTorch checkpoint"):
        resolve("v2")
    assert not (tmp_path / "cache" / "models" / "v2").exists()


def test_listing_has_plain_values_and_file_sizes(server: LocalHub) -> None:
    rows = available()
    assert json.loads(json.dumps(rows)) == rows
    assert [row["name"] for row in rows] == list(REGISTRY)
    for row in rows:
        assert row.keys() == {"name", "task", "modalities", "size_mb", "cached", "licence", "source"}
    unused = re.compile(r"\.g\.|align_channel_back|a_blocks.*(sr|attn\.norm|dwconv)\.")
    for row, modality in zip(rows[1:], ["audio", "audio", "audio", "audio+text"], strict=True):
        shapes = fuser_shapes(ModelConfig.released(modality))  # type: ignore[arg-type]
        values = sum(torch.Size(shape).numel() for name, shape in shapes.items() if not unused.search(name))
        assert row["size_mb"] == round(4 * values / 1e6)
    assert server.requests == []


def test_weights_hash_depends_on_files_not_on_the_path(tmp_path: Path) -> None:
    first = save_small_model(tmp_path / "first")
    second = Path(shutil.copytree(first, tmp_path / "second"))
    full = weights_hash(first)
    assert re.fullmatch("[0-9a-f]{16}", full)
    assert weights_hash(second) == full
    for name in ("model.safetensors", "config.json", "sam2/model.safetensors", "sam2/config.json"):
        path = second / name
        content = path.read_bytes()
        path.write_bytes(content[:-1] + b"\n" if name.endswith("safetensors") else content + b"\n")
        assert weights_hash(second) != full, name
        path.write_bytes(content)
        assert weights_hash(second) == full, name


def test_weights_hash_with_a_part_of_the_hub(tmp_path: Path, server: LocalHub) -> None:
    folder = save_small_model(tmp_path / "model")
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"sam2": "some/sam2"}))
    server.add("some/sam2", {"config.json": b"{}", "model.safetensors": b"weights"})
    before, asked = weights_hash(folder), list(server.requests)
    assert server.requests == asked, "nothing is downloaded"
    fetch_sam2("some/sam2", folder)
    assert weights_hash(folder) != before
    (folder / "config.json").write_text(json.dumps(config | {"sam2": "nowhere"}))
    with pytest.raises(UnavailableError, match="no such folder"):
        weights_hash(folder)
