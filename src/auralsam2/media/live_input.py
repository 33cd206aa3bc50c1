"""Opening of live sources: standard input, pipes, addresses, devices, and files as a substitute."""

from __future__ import annotations

import os
import re
import select
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import av
import av.error

from auralsam2.arguments import as_path
from auralsam2.errors import InputError, UsageError, quoted
from auralsam2.media.container import MAX_PIXELS, open_input

if TYPE_CHECKING:
    from av.container import InputContainer

ANSWER_SECONDS = 10.0
"""Seconds after which an address or device that sends nothing counts as ended."""
_POLL_SECONDS = 0.1
_PROTOCOLS = "crypto,data,http,httpproxy,https,rtmp,rtmps,rtmpt,rtp,rtsp,srt,srtp,tcp,tls,udp"
"""Protocols of addresses; a playlist cannot name files of this machine."""
_CREDENTIALS = re.compile(r"(?<=://)[^/@\s]*@")


def source_name(source: Any) -> str:
    """Return the name of a live source for people, without the credentials of an address."""
    if isinstance(source, str | os.PathLike):
        return _CREDENTIALS.sub("", os.fspath(source)) if source != "-" else "standard input"
    return "stream"


def is_paced(source: Any, input_format: str | None) -> bool:
    """Whether a source is a file, whose time does not pass by itself."""
    return isinstance(source, str | os.PathLike) and input_format is None and Path(source).is_file()


def open_live(
    source: Any,
    stopped: Callable[[], bool],
    *,
    input_format: str | None = None,
    input_options: Mapping[str, str] | None = None,
) -> InputContainer:
    """Open a live source.

    Args:
        source: `-` for standard input; an address such as `rtsp://…`; a device, with `input_format`; a named pipe; a
            file; or a binary file object.
        stopped: whether to stop waiting for data; the source then ends.
        input_format: FFmpeg's name of the format or device, such as `mpegts` or `v4l2`; None to detect it.
        input_options: options of FFmpeg for the format, such as `{"video_size": "640x480"}`.

    Raises:
        InputError: the source cannot be opened.
        UsageError: it is none.
    """
    options = {"max_pixels": str(MAX_PIXELS), **(input_options or {})}
    name = source_name(source)
    timeout: Any = None
    container: Any
    if isinstance(source, str) and source == "-":
        file: Any = _Pipe(sys.stdin.fileno(), stopped)
    elif hasattr(source, "read"):
        descriptor = _descriptor(source)
        file = source if descriptor is None else _Pipe(descriptor, stopped)
    elif isinstance(source, str) and "://" in source:
        file, timeout = source, (ANSWER_SECONDS, ANSWER_SECONDS)
        options.setdefault("protocol_whitelist", _PROTOCOLS)
    elif isinstance(source, str | os.PathLike):
        path = as_path("source", source)
        if input_format is not None:
            file, timeout = str(source), (ANSWER_SECONDS, ANSWER_SECONDS)
        elif path.is_fifo():
            opened = path.open("rb", buffering=0)
            file = _Pipe(opened.fileno(), stopped, opened)
        elif path.is_char_device():
            raise UsageError(f"{path}: is a device: give its `input_format`, such as v4l2")
        else:
            return open_input(path)
    else:
        raise UsageError(f"`source={quoted(source)}`: give a pipe, an address, a device, a file or a binary stream")
    try:
        container = av.open(file, mode="r", format=input_format, options=options, timeout=timeout)
    except Exception as error:  # PyAV raises FFmpegError, and ValueError or IndexError from damaged headers
        reason = " ".join(str(getattr(error, "strerror", None) or error).split())
        if isinstance(error, av.error.ExitError | av.error.TimeoutError):
            reason = f"no answer within {ANSWER_SECONDS:g} s"
        raise InputError(f"{name}: cannot be opened ({reason}): check the source and its `input_format`") from error
    return container


def _descriptor(stream: Any) -> int | None:
    """Return the file descriptor of a stream; None without one."""
    try:
        return stream.fileno()
    except (AttributeError, OSError, ValueError):
        return None


class _Pipe:
    """Binary stream of a file descriptor that ends once `stopped` returns true, even while no data come.

    Args:
        descriptor: of the open file.
        stopped: see `open_live`.
        file: is closed with this object.
    """

    def __init__(self, descriptor: int, stopped: Callable[[], bool], file: IO[bytes] | None = None) -> None:
        self._descriptor, self._stopped, self._file = descriptor, stopped, file

    def read(self, size: int) -> bytes:
        """Return up to `size` bytes; none at the end."""
        while not self._stopped():
            # `select` on Windows takes sockets only.
            if os.name == "nt" or select.select([self._descriptor], [], [], _POLL_SECONDS)[0]:
                return os.read(self._descriptor, size)
        return b""
