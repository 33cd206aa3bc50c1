"""Arguments of huggingface_hub: token, cache, revision, offline use; uploads."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

import auralsam2
from auralsam2.errors import UnavailableError, UsageError
from auralsam2.hub.access import HubAccess, hub_access, hub_options, parse_access
from auralsam2.hub.download import check_text, fetch_sam2, resolve
from auralsam2.hub.upload import push_folder
from helpers.local_hub import NEW, OLD, LocalHub


@pytest.fixture
def model(small_model: Path) -> auralsam2.AuralSAM2:
    return auralsam2.load(small_model)


def test_pushed_model_is_loaded_again(
    server: LocalHub, model: auralsam2.AuralSAM2, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = model.push_to_hub("me/dogs", token="hf_secret", commit_message="first")
    assert url == f"{server.url}/me/dogs/commit/{NEW}"
    assert set(server.tokens) == {"Bearer hf_secret"}
    card = server.files["me/dogs", NEW, "README.md"].decode()
    assert card.startswith("---\nlicense: other\n")
    assert "auralsam2 segment video.mp4 --model me/dogs" in card
    assert "$" not in card
    for options in ({}, {"revision": NEW}, {"cache_dir": tmp_path / "mine"}):
        loaded = auralsam2.load("me/dogs", **options)
        ours, theirs = model.network.state_dict(), loaded.network.state_dict()
        assert ours.keys() == theirs.keys()
        assert all(torch.equal(ours[name], theirs[name]) for name in ours)
    assert (tmp_path / "mine" / "models--me--dogs").is_dir()
    server.requests.clear()
    auralsam2.load("me/dogs", local_files_only=True)
    assert server.requests == []


def test_local_files_only_makes_no_request(server: LocalHub, tmp_path: Path) -> None:
    server.add("some/model", {"config.json": b"{}", "model.safetensors": b""})
    with pytest.raises(UnavailableError, match=r"\(`local_files_only` is set\); unset it, or download it elsewhere"):
        auralsam2.load("some/model", local_files_only=True)
    with hub_access(HubAccess(local_files_only=True)), pytest.raises(UnavailableError):
        fetch_sam2("some/model")
    assert server.requests == []
    assert not hub_options()["local_files_only"]


def test_revision_is_for_hub_ids(server: LocalHub, small_model: Path) -> None:
    server.add("some/model", {"config.json": b"{}", "model.safetensors": b"old"}, OLD)
    server.add("some/model", {"config.json": b"{}", "model.safetensors": b"new"}, NEW)
    assert (resolve("some/model", OLD) / "model.safetensors").read_bytes() == b"old"
    assert resolve(f"some/model@{OLD}") == resolve("some/model", OLD)
    for name in (str(small_model), "mini", "v1m"):
        with pytest.raises(UsageError, match="`revision=main` belongs to hub ids"):
            resolve(name, "main")
    for name, revision in ((f"some/model@{OLD}", "main"), ("some/model", "a b")):
        with pytest.raises(UsageError, match="give one branch, tag or commit"):
            resolve(name, revision)


def test_arguments_of_other_types_are_refused(tmp_path: Path) -> None:
    assert parse_access({"cache_dir": str(tmp_path), "token": None}) == HubAccess(cache_dir=tmp_path)
    for values, message in (
        ({"force_download": True}, "no argument `force_download`: choose from `revision`, `token`"),
        ({"local_files_only": "yes"}, "`local_files_only=.*give True or False"),
        ({"token": 5}, "`token`: give an access token"),
    ):
        with pytest.raises(UsageError, match=message):
            parse_access(values)


def test_uploads_that_fail(server: LocalHub, model: auralsam2.AuralSAM2, small_model: Path, tmp_path: Path) -> None:
    for name in ("dogs", "me/dogs@main", "me/dogs/more"):
        with pytest.raises(UsageError, match="give OWNER/NAME"):
            model.push_to_hub(name)
    folder = model.save_pretrained(tmp_path / "model")
    (folder / "README.md").write_text("mine")
    push_folder(folder, "me/dogs", revision="next", token="hf_secret")
    assert server.files["me/dogs", NEW, "README.md"] == b"mine"
    assert "POST /api/models/me/dogs/branch/next" in server.requests
    config = (folder / "config.json").read_text()
    (folder / "config.json").write_text(config.replace('"sam2"', '"sam2"', 1).replace(': "sam2"', ': "/home/me/sam2"'))
    with pytest.raises(UsageError, match=r"sam2 of the model is /home/me/sam2"):
        push_folder(folder, "me/dogs", token="hf_secret")
    (folder / "config.json").write_text(config)
    server.close()
    with pytest.raises(UnavailableError, match=r"me/dogs: the upload failed .*check `repo_id` and `token`"):
        push_folder(folder, "me/dogs", token="hf_secret")


def test_text_is_refused_before_the_weights_are_downloaded(server: LocalHub, small_model: Path) -> None:
    config = (small_model / "config.json").read_bytes()
    server.add("some/model", {"config.json": config, "model.safetensors": b"weights"})
    with pytest.raises(UsageError, match="model some/model reads no text: omit `text`"):
        check_text("some/model", ("the dog",))
    assert any(path.endswith("/config.json") for path in server.requests)
    assert not any("model.safetensors" in path for path in server.requests)
    server.requests.clear()
    check_text("some/model", ())
    assert server.requests == []
