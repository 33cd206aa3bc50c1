"""Snapshots of repositories of the Hugging Face hub: cached, or downloaded and verified."""

from __future__ import annotations

import errno
import logging
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
from huggingface_hub.utils import get_session

from auralsam2.errors import OutputError, UnavailableError
from auralsam2.hub.access import endpoint, hub_options, offline_reason
from auralsam2.hub.convert import HUB_ID
from auralsam2.utils.weights import verify_blob

logger = logging.getLogger(__name__)

CONNECTION_SECONDS = 10.0

Needs = tuple[tuple[str, ...], ...]
"""Files that a folder must contain; of each group one suffices."""

# huggingface_hub raises its own errors (mostly OSError) and those of the transport (HTTPError).
DOWNLOAD_ERRORS = (HTTPError, EntryNotFoundError, OSError, RuntimeError, ValueError)


def snapshot(hub_id: str, needs: Needs, files: list[str], remedy: str) -> Path:
    """Return a folder with the needed files of a hub repository, from the cache if possible, else downloaded.

    Args:
        hub_id: `owner/name[@revision]`.
        needs: files that the folder must contain.
        files: patterns of the files to download.
        remedy: remedy for the user if the download fails.

    Raises:
        UnavailableError: the files are neither on this machine nor downloadable, or arrived damaged.
        OutputError: the cache cannot be written.
    """
    match = HUB_ID.fullmatch(hub_id)
    assert match is not None
    repo, revision = match["repo"], match["revision"]
    folder = cached_snapshot(repo, revision, files)
    if folder is not None and not missing_file(folder, needs):
        return folder
    subject = f"{' and '.join(' or '.join(names) for names in needs)} of {repo}"
    url = f"{endpoint() or 'https://huggingface.co'}/{repo}"
    remedy = f"download it elsewhere (hf download {repo}) and {remedy}"
    try:
        check_connection()
        folder = Path(snapshot_download(repo, revision=revision, allow_patterns=files, **hub_options()))
    except DOWNLOAD_ERRORS as error:
        raise unavailable(subject, url, error, remedy) from error
    damage: list[UnavailableError] = []
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        try:
            verify_blob(path)
        except UnavailableError as error:
            damage.append(error)
    if damage:
        raise damage[0]
    return checked(folder, needs, f"{url} is incomplete; {remedy}")


def check_connection() -> None:
    """Make one request to the hub, if requests are allowed; huggingface_hub would repeat a hopeless one for 30 s.

    Raises:
        HTTPError: there is no connection. An answer of any status is one.
    """
    if offline_reason() is None:
        get_session().head(endpoint() or "https://huggingface.co", timeout=CONNECTION_SECONDS)


def cached_snapshot(repo: str, revision: str | None, files: list[str]) -> Path | None:
    """Return the snapshot of a repository in the hub's cache, named by its commit, or None."""
    options: dict[str, Any] = hub_options() | {"local_files_only": True}
    try:
        return Path(snapshot_download(repo, revision=revision, allow_patterns=files, **options))
    except (LocalEntryNotFoundError, HTTPError, ValueError) as error:
        logger.debug("%s is not in the hub's cache: %s", repo, error)
        return None


def unavailable(subject: str, url: str, error: Exception, remedy: str) -> UnavailableError | OutputError:
    """Return the error for a failed download of `subject` from `url`; the message ends with the remedy."""
    cause = error
    while isinstance(cause.__cause__, Exception) and not isinstance(cause, HfHubHTTPError):
        cause = cause.__cause__
    if getattr(cause, "errno", None) in (errno.ENOSPC, errno.EDQUOT, errno.EACCES, errno.EROFS):
        return OutputError(f"{subject} cannot be stored ({cause}); free space or set HF_HUB_CACHE to another folder")
    reason = offline_reason()
    if reason is not None:
        remedy = f"unset it, or {remedy}"
    else:
        reason = hub_reason(cause)
    return UnavailableError(f"{subject} is not on this machine and cannot be fetched from {url} ({reason}); {remedy}")


def hub_reason(error: Exception) -> str:
    """Describe an error of huggingface_hub in a few words."""
    if isinstance(error, GatedRepoError | RepositoryNotFoundError):
        return "no such repository, or not open to everyone: give `token` or set HF_TOKEN"
    if isinstance(error, RevisionNotFoundError):
        return "no such revision"
    if isinstance(error, HfHubHTTPError):
        return f"the server answered {error.response.status_code}"
    return (str(error).strip() or type(error).__name__).splitlines()[0]


def missing_file(folder: Path, needs: Needs) -> str | None:
    """Return the first needed file that a folder lacks, or None."""
    return next((names[0] for names in needs if not any((folder / name).is_file() for name in names)), None)


def checked(folder: Path, needs: Needs, remedy: str) -> Path:
    """Return the folder if it contains all needed files, else raise UnavailableError."""
    missing = missing_file(folder, needs)
    if missing:
        raise UnavailableError(f"{folder}: {missing} is missing; {remedy}")
    return folder
