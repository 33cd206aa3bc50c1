"""A studio in this process, with a small model and a clip of three seconds.

What needs torch is imported inside: pytest may read this file before the environment of the tests is set.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from starlette.testclient import TestClient

from helpers.media_files import write_clip
from helpers.studio_pages import HOST, SECONDS, TOKEN, Studio

if TYPE_CHECKING:
    from auralsam2.model import AuralSAM2


@pytest.fixture(scope="session")
def model(small_model: Path) -> AuralSAM2:
    from auralsam2.model import AuralSAM2

    return AuralSAM2.from_pretrained(small_model)


@pytest.fixture(scope="session")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_clip(tmp_path_factory.mktemp("clips") / "clip.mp4", SECONDS)


@pytest.fixture
def start_studio(model: AuralSAM2, tmp_path: Path) -> Iterator[Callable[..., Studio]]:
    """Starts a studio; what is given are limits, or `home`."""
    from auralsam2.studio.routes import create_app
    from auralsam2.studio.settings import Limits, Settings
    from auralsam2.studio.storage import SessionStore

    with ExitStack() as stack:

        def start(home: Path | None = None, **limits: Any) -> Studio:
            web = tmp_path / "web"
            web.mkdir(exist_ok=True)
            (web / "index.html").write_text("<!doctype html><title>Studio</title>")
            (web / "secret.txt").write_text("not for the page")
            home = home or tmp_path / "home"
            bounds = dataclasses.replace(Limits(memory=1 << 28, disk=1 << 28), **limits)
            settings = Settings(token=TOKEN, home=home, web=web, limits=bounds)
            store = stack.enter_context(SessionStore(home))
            client = TestClient(
                create_app(settings, model, store), base_url=f"http://{HOST}", headers={"x-token": TOKEN}
            )
            return Studio(stack.enter_context(client), home)

        yield start


@pytest.fixture
def studio(start_studio: Callable[..., Studio]) -> Studio:
    return start_studio()
