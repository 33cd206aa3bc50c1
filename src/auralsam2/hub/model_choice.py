"""Parts of released models on this machine, and the model of `auralsam2 segment` without `--model`."""

from __future__ import annotations

from collections.abc import Callable

from auralsam2.config import ModelConfig
from auralsam2.errors import AuralError
from auralsam2.hub import download
from auralsam2.hub.access import HubAccess, hub_access

BUNDLED = "mini"
PREFERRED, WITH_TEXT = ("v2", "v1m"), ("ref-avs",)
"""Released models for sound and for text, the first choice first."""


def fetch_parts(name: str, begin: Callable[[str], None] = lambda _: None) -> None:
    """Download a model, its SAM 2 and its text encoder; `begin` is called before each of the latter two."""
    folder = download.resolve(name)
    config = ModelConfig.load(folder)
    begin("SAM 2")
    download.fetch_sam2(config.sam2, folder)
    if config.text is not None:
        begin("text encoder")
        download.fetch_text(config.text, folder)


def has_parts(name: str) -> bool:
    """Return whether all parts of a model are on this machine, without a request."""
    try:
        with hub_access(HubAccess(local_files_only=True)):
            fetch_parts(name)
    except AuralError:
        return False
    return True


def choose_model(*, text: bool = False, names: bool = False) -> str:
    """Return the first of the preferred models that is whole on this machine, else the bundled one.

    Args:
        text: the model must read text.
        names: the model must have a namer, which released models lack.
    """
    cached = {row["name"] for row in download.available() if row["cached"]}
    wanted = () if names else WITH_TEXT if text else PREFERRED
    return next((name for name in wanted if name in cached and has_parts(name)), BUNDLED)
