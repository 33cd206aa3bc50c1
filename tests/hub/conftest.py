"""A local hub for every test of this folder that asks for it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from huggingface_hub import utils as hub_utils

from helpers.local_hub import LocalHub


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[LocalHub]:
    """A local hub, and empty caches."""
    local = LocalHub()
    for name in ("HF_HUB_OFFLINE", "HF_TOKEN", "HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    # Recent releases ask the hub which coding agents there are, once a day.
    monkeypatch.setattr("huggingface_hub.utils._headers.detect_agent", lambda: None, raising=False)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.setenv("HF_ENDPOINT", local.url + "/")
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setenv("AURALSAM2_CACHE", str(tmp_path / "cache"))
    hub_utils.close_session()
    yield local
    local.close()
    hub_utils.close_session()
