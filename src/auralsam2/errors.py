"""The family of errors that users can meet, and the exit code of each.

Every message names the value that is wrong and the remedy, on one line. Anything else that escapes is a bug.
"""

EXIT_DONE = 0
EXIT_SOME_FAILED = 1
EXIT_UNUSABLE = 2
EXIT_UNAVAILABLE = 3
EXIT_INTERRUPTED = 130
_QUOTED = 80
"""Characters of a wrong value that a message quotes."""


class AuralError(Exception):
    """Base of all errors that carry a message for the user."""

    exit_code = EXIT_UNUSABLE


class UsageError(AuralError):
    """An argument or a prompt makes no sense; raised before any model is loaded."""


class InputError(AuralError):
    """A media file cannot be used: missing, empty, not a video, without sound, beyond repair."""


class OutputError(AuralError):
    """A result cannot be written: no permission, no space, a file in the way."""


class ConfigError(AuralError):
    """A configuration contradicts itself or does not fit the weights."""


class UnavailableError(AuralError):
    """A model or data set is not on this machine and cannot be fetched."""

    exit_code = EXIT_UNAVAILABLE


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
