"""The family of errors that users can meet, the exit code of each, and the error of the family for any other exception.

Every message names the value that is wrong and the remedy, on one line. Any other exception is a bug.
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
"""Characters of a wrong value that a message quotes."""

_DISK_FULL = {errno.ENOSPC, errno.EDQUOT}
_OUT_OF_MEMORY = re.compile(
    r"out of memory|not enough memory|(?:can't|cannot) allocate memory|ALLOC_FAILED|can't start new thread",
    re.IGNORECASE,
)
_ALLOCATION = re.compile(r"(?:tried|unable) to allocate ([0-9.]+ ?[a-z]+)", re.IGNORECASE)


class AuralError(Exception):
    """Base of all errors that carry a message for the user."""

    exit_code = EXIT_UNUSABLE


class UsageError(AuralError):
    """An argument or a prompt makes no sense; raised before any model is loaded."""


class InputError(AuralError):
    """A media file cannot be used: missing, empty, not a video, without sound, beyond repair."""


class OutputError(AuralError):
    """A result cannot be written: no permission, no space, a file in the way."""


class DiskFullError(OutputError):
    """A disk is full, so that every further result would fail too."""


class ConfigError(AuralError):
    """A configuration contradicts itself or does not fit the weights."""


class UnavailableError(AuralError):
    """A model or data set is not on this machine and cannot be fetched."""

    exit_code = EXIT_UNAVAILABLE


class OutOfMemoryError(AuralError):
    """The memory of the machine, or of the accelerator, does not suffice."""


class UnexpectedError(AuralError):
    """An exception that this program does not expect: a bug."""


def as_aural(
    error: Exception, subject: object = None, *, memory: str = "use a smaller `fps`, fewer pixels or more memory"
) -> AuralError:
    """Return the error of the family that tells the user about an exception.

    Args:
        error: any exception. An AuralError comes back unchanged, unless a lack of memory or of disk space caused it.
        subject: the input that was processed, to be named in the message; None for none.
        memory: the remedy for a lack of memory.
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
    """Whether an exception of Python, NumPy, PyTorch or PyAV reports that memory cannot be allocated."""
    if isinstance(error, MemoryError):
        return True
    if isinstance(error, OSError):
        return error.errno == errno.ENOMEM
    return isinstance(error, RuntimeError) and _OUT_OF_MEMORY.search(str(error)) is not None


def _causes(error: BaseException) -> Iterator[BaseException]:
    """The exception and, in turn, the exceptions that it was raised from."""
    cause: BaseException | None = error
    while cause is not None:
        yield cause
        cause = cause.__cause__


def message_line(kind: str, message: object) -> str:
    """A line for stderr; a name with a line break in it stays on that line.

    Args:
        kind: `error`, `warning`, or nothing for a piece of news.
        message: what to say.
    """
    return ": ".join(part for part in ("auralsam2", kind, " ".join(str(message).split())) if part)


def quoted(value: object) -> str:
    """A wrong value for a message, shortened where it is long."""
    try:
        text = repr(value)
    except (ValueError, RecursionError):  # an integer of thousands of digits, or nested too deep
        return f"a {type(value).__name__} too long to show"
    return text if len(text) <= _QUOTED else f"{text[:_QUOTED]}…"
