"""Messages for exceptions outside the family of errors."""

from __future__ import annotations

import errno
from collections.abc import Callable
from pathlib import Path

import av
import numpy as np
import pytest
import torch

from auralsam2.errors import (
    AuralError,
    DiskFullError,
    InputError,
    OutOfMemoryError,
    OutputError,
    UnexpectedError,
    as_aural,
)
from auralsam2.utils.atomic_io import writing


def caught(cause: Callable[[], object]) -> Exception:
    try:
        cause()
    except Exception as error:
        return error
    raise AssertionError("nothing was raised")


def av_without_memory() -> None:
    av.error.err_check(-errno.ENOMEM)


def wrapped() -> None:
    try:
        av_without_memory()
    except av.error.FFmpegError as error:
        raise OutputError("dog/overlay.mp4: cannot be written") from error


@pytest.mark.parametrize(
    ("cause", "reason"),
    [
        (lambda: np.zeros(2**58, np.uint8), " (allocating 256. PiB failed)"),
        (lambda: torch.zeros(2**58, dtype=torch.uint8), " (allocating 288230376151711744 bytes failed)"),
        (av_without_memory, ""),
        (wrapped, ""),
        (lambda: bytearray(2**62), ""),
    ],
)
def test_memory(cause: Callable[[], object], reason: str) -> None:
    failure = as_aural(caught(cause), "dog.mp4")
    assert isinstance(failure, OutOfMemoryError)
    assert str(failure) == f"dog.mp4: not enough memory{reason}: use a smaller `fps`, fewer pixels or more memory"


def test_memory_of_an_accelerator() -> None:
    text = "CUDA out of memory. Tried to allocate 20.00 MiB. GPU 0 has a total capacity of 79.11 GiB"
    failure = as_aural(torch.OutOfMemoryError(text), memory="use a smaller model")
    assert str(failure) == "not enough memory (allocating 20.00 MiB failed): use a smaller model"


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no device that is always full")
def test_full_disk() -> None:
    def write() -> None:
        Path("/dev/full").write_text("x")

    def write_result() -> None:
        with writing(Path("out/dog")):
            write()

    assert str(as_aural(caught(write_result))).startswith("out/dog: cannot be written (No space left on device)")
    for cause in (write, write_result):
        assert isinstance(as_aural(caught(cause)), DiskFullError)


@pytest.mark.parametrize(
    ("error", "kind", "text"),
    [
        (OSError(errno.EIO, "Input/output error"), OutputError, "dog.mp4: Input/output error"),
        (OSError(errno.EIO, "Input/output error", "dog.mp4"), OutputError, "dog.mp4: Input/output error"),
        (OSError(errno.EIO, "Input/output error", "x.wav"), OutputError, "dog.mp4: x.wav: Input/output error"),
        (
            IndexError("list index out of range"),
            UnexpectedError,
            "dog.mp4: IndexError: list index out of range: a bug, please report it with the traceback",
        ),
        (InputError("dog.mp4: the file is empty"), InputError, "dog.mp4: the file is empty"),
    ],
)
def test_other_errors(error: Exception, kind: type[AuralError], text: str) -> None:
    failure = as_aural(error, "dog.mp4")
    assert type(failure) is kind
    assert str(failure) == text


@pytest.mark.parametrize("kind", [AuralError, InputError, OutOfMemoryError])
def test_message_is_one_line(kind):
    assert str(kind("a\nb\r\nc.mp4: damaged")) == "a b c.mp4: damaged"
