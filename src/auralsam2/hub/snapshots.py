"""Snapshots of repositories on the Hugging Face hub: from its cache, else downloaded and verified."""

from __future__ import annotations

import errno
import logging
import os
from pathlib import Path
from typing import Any

from huggingface_hub import snapshot_download
from huggingface_hub.errors import (
    EntryNotFoundError,
    GatedRepoError,
    HfHubHTTPError,
    HTTPError,  # pyright: ignore[reportPrivateImportUsage] - of httpx or httpx2, whichever huggingface_hub is built on
    LocalEntryNotFoundError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)

from auralsam2.errors import OutputError, UnavailableError
from auralsam2.hub.convert import HUB_ID
from auralsam2.utils.weights import verify_blob

logger = logging.getLogger(__name__)

Needs = tuple[tuple[str, ...], ...]
"""What a folder must hold: of each entry one of the names suffices."""

# Whatever huggingface_hub lets through: its own errors are mostly OSError, the transport's are HTTPError.
DOWNLOAD_ERRORS = (HTTPError, EntryNotFoundError, OSError, RuntimeError, ValueError)


def snapshot(hub_id: str, needs: Needs, files: list[str], remedy: str) -> Path:
    """Return a folder with the needed files of a hub repository, from the cache if they are there, else downloaded.

    Args:
        hub_id: `owner/name[@revision]`.
        needs: files that the folder must hold.
        files: patterns of the files to download.
        remedy: what the user can do where they cannot be fetched.

    Raises:
        UnavailableError: they are not on this machine and cannot be fetched, or arrived damaged.
        OutputError: the cache cannot be written.
    """
    match = HUB_ID.fullmatch(hub_id)
    assert match is not None
    repo, revision = match["repo"], match["revision"]
    folder = cached_snapshot(repo, revision, files)
    if folder is not None and not missing_file(folder, needs):
        return folder
    what = f"{' and '.join(' or '.join(names) for names in needs)} of {repo}"
    url = f"{endpoint() or 'https://huggingface.co'}/{repo}"
    remedy = f"download it elsewhere (hf download {repo}) and {remedy}"
    try:
        folder = Path(snapshot_download(repo, revision=revision, allow_patterns=files, **hub_options()))
    except DOWNLOAD_ERRORS as error:
        raise unavailable(what, url, error, remedy) from error
    damage: list[UnavailableError] = []
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        try:
            verify_blob(path)
        except UnavailableError as error:
            damage.append(error)
    if damage:
        raise damage[0]
    return checked(folder, needs, f"{url} does not hold what is needed; {remedy}")


def cached_snapshot(repo: str, revision: str | None, files: list[str]) -> Path | None:
    """The snapshot of a repository in the hub's cache, its name the commit; None where there is none."""
    options: dict[str, Any] = hub_options() | {"local_files_only": True}
    try:
        return Path(snapshot_download(repo, revision=revision, allow_patterns=files, **options))
    except (LocalEntryNotFoundError, HTTPError, ValueError) as error:
        logger.debug("%s is not in the hub's cache: %s", repo, error)
        return None


def endpoint() -> str | None:
    """The hub's address, None for the usual one. huggingface_hub reads it only once, when it is imported."""
    return (os.environ.get("HF_ENDPOINT") or "").rstrip("/") or None


def offline() -> bool:
    """Whether `HF_HUB_OFFLINE` is set."""
    return os.environ.get("HF_HUB_OFFLINE", "").upper() in {"1", "ON", "YES", "TRUE"}


def hub_options() -> dict[str, Any]:
    """Arguments of all downloads, from the environment as it is now."""
    return {
        "endpoint": endpoint(),
        "cache_dir": os.environ.get("HF_HUB_CACHE") or None,
        "local_files_only": offline(),
        "library_name": "auralsam2",
    }


def unavailable(what: str, url: str, error: Exception, remedy: str) -> UnavailableError | OutputError:
    """Return the error for a failed download.

    Args:
        what: was asked for.
        url: where from.
        error: what huggingface_hub raised.
        remedy: ends the message.
    """
    root = error
    while isinstance(root.__cause__, Exception) and not isinstance(root, HfHubHTTPError):
        root = root.__cause__
    if getattr(root, "errno", None) in (errno.ENOSPC, errno.EDQUOT, errno.EACCES, errno.EROFS):
        return OutputError(f"{what} cannot be stored ({root}); free space or set HF_HUB_CACHE to another folder")
    if offline():
        reason = "HF_HUB_OFFLINE is set"
        remedy = f"unset it, or {remedy}"
    elif isinstance(root, GatedRepoError | RepositoryNotFoundError):
        reason = "no such repository, or not open to everyone: set HF_TOKEN"
    elif isinstance(root, RevisionNotFoundError):
        reason = "no such revision"
    elif isinstance(root, HfHubHTTPError):
        reason = f"the server says {root.response.status_code}"
    else:
        reason = (str(root).strip() or type(root).__name__).splitlines()[0]
    return UnavailableError(f"{what} is not on this machine and cannot be fetched from {url} ({reason}); {remedy}")


def missing_file(folder: Path, needs: Needs) -> str | None:
    """The first needed file that a folder lacks, None if it is complete."""
    return next((names[0] for names in needs if not any((folder / name).is_file() for name in names)), None)


def checked(folder: Path, needs: Needs, remedy: str) -> Path:
    """Return the folder if it holds all needed files.

    Raises:
        UnavailableError: one is missing.
    """
    missing = missing_file(folder, needs)
    if missing:
        raise UnavailableError(f"{folder}: {missing} is missing; {remedy}")
    return folder
