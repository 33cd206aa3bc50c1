"""Errors for users, their exit codes, and the conversion of any other exception into one of them.

Each message is one line and names the wrong value and the remedy. Any other exception is a bug.
"""

from __future__ import annotations

import errno
import re
from collections.abc import Iterator

EXIT_DONE = 0
EXIT_SOME_FAILED = 1
EXIT_UNUSABLE = 2
EXIT_UNAVAILABLE = 3
EXIT_INTERRUPTED = 130
_QUOTED = 80
"""Maximum length of a quoted value in a message, in characters."""

_DISK_FULL = {errno.ENOSPC, errno.EDQUOT}
_OUT_OF_MEMORY = re.compile(
    r"out of memory|not enough memory|(?:can't|cannot) allocate memory|ALLOC_FAILED|can't start new thread",
    re.IGNORECASE,
)
_ALLOCATION = re.compile(r"(?:tried|unable) to allocate ([0-9.]+ ?[a-z]+)", re.IGNORECASE)


class AuralError(Exception):
    """Base of all errors that carry a message for the user.

    Args:
        arguments: the message; its line breaks, such as those of a file's name or header, become spaces.
    """

    exit_code = EXIT_UNUSABLE

    def __init__(self, *arguments: object) -> None:
        super().__init__(*(" ".join(text.splitlines()) if isinstance(text, str) else text for text in arguments))


class UsageError(AuralError):
    """Invalid argument or prompt; raised before a model is loaded."""


class InputError(AuralError):
    """Unusable media file: missing, empty, not a video, without audio, damaged beyond repair."""


class OutputError(AuralError):
    """Result that cannot be written: no permission, no space, a file of that name."""


class DiskFullError(OutputError):
    """Full disk: every further result would fail too."""


class ConfigError(AuralError):
    """Configuration that contradicts itself or does not match the weights."""


class UnavailableError(AuralError):
    """Model or data set that is neither on this machine nor downloadable."""

    exit_code = EXIT_UNAVAILABLE


class OutOfMemoryError(AuralError):
    """Not enough memory of the machine or of the accelerator."""


class UnexpectedError(AuralError):
    """Exception that this package does not expect: a bug."""


def as_aural(
    error: Exception, subject: object = None, *, memory: str = "use a smaller `fps`, fewer pixels or more memory"
) -> AuralError:
    """Convert an exception to an error for the user.

    Args:
        error: any exception. An AuralError is returned unchanged, unless a lack of memory or of disk space caused it.
        subject: the processed input, for the message; None for none.
        memory: remedy for a lack of memory.
    """
    name = "" if subject is None else f"{subject}: "
    causes = list(_causes(error))
    shortage = next((cause for cause in causes if is_out_of_memory(cause)), None)
    if shortage is not None:
        size = _ALLOCATION.search(str(shortage))
        reason = f" (allocating {size[1]} failed)" if size else ""
        # FFmpeg also reports a lack of memory for a damaged file that announces absurd sizes.
        damaged = ", unless the file is damaged" if isinstance(error, InputError) else ""
        return OutOfMemoryError(f"{name}not enough memory{reason}: {memory}{damaged}")
    if isinstance(error, DiskFullError):
        return error
    full = any(isinstance(cause, OSError) and cause.errno in _DISK_FULL for cause in causes)
    if isinstance(error, AuralError):
        return DiskFullError(str(error)) if full else error
    if isinstance(error, OSError):
        place = "" if error.filename is None or str(error.filename) == str(subject) else f"{error.filename}: "
        text = f"{name}{place}" or "system: "
        return (DiskFullError if full else OutputError)(f"{text}{error.strerror or error or type(error).__name__}")
    return UnexpectedError(f"{name}{type(error).__name__}: {error}: a bug, please report it with the traceback")


def is_out_of_memory(error: BaseException) -> bool:
    """Return whether an exception of Python, NumPy, PyTorch or PyAV reports a lack of memory."""
    if isinstance(error, MemoryError):
        return True
    if isinstance(error, OSError):
        return error.errno == errno.ENOMEM
    return isinstance(error, RuntimeError) and _OUT_OF_MEMORY.search(str(error)) is not None


def _causes(error: BaseException) -> Iterator[BaseException]:
    """Yield the exception and the exceptions that it was raised from."""
    cause: BaseException | None = error
    while cause is not None:
        yield cause
        cause = cause.__cause__


def message_line(kind: str, message: object) -> str:
    """Format a message for stderr on one line; line breaks become spaces.

    Args:
        kind: `error`, `warning`, or an empty string for information.
        message: text of the message.
    """
    return ": ".join(part for part in ("auralsam2", kind, " ".join(str(message).split())) if part)


def quoted(value: object) -> str:
    """Return a wrong value for a message, shortened if it is long."""
    try:
        text = repr(value)
    except (ValueError, RecursionError):  # an integer of thousands of digits, or deep nesting
        return f"a {type(value).__name__} too long to show"
    return text if len(text) <= _QUOTED else f"{text[:_QUOTED]}…"
