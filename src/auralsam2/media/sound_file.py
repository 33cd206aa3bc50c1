"""The sound of a video as a file of its own that every browser plays."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import av
import av.error

from auralsam2.errors import OutputError
from auralsam2.media.overlay_sound import overlay_sound


def write_sound(path: Path, video: Path, advance: Callable[[float], None]) -> None:
    """Write the first sound track of a video as M4A: AAC and MP3 as they are, anything else as AAC.

    The file appears whole or not at all. Second 0 of it is that of the pictures; gaps are silence. It ends where the
    sound does.

    Args:
        path: the file.
        video: has the sound.
        advance: told the second that was reached; what it raises stops the work.

    Raises:
        InputError: the video cannot be opened or has no sound that decodes.
        OutputError: the file cannot be written.
    """
    part = path.with_name(f".{path.name}.part")
    try:
        with av.open(f"file:{part}", mode="w", format="mp4", options={"movflags": "+faststart"}) as output:
            for second, packet in overlay_sound(output, video, 0.0, None):
                output.mux(packet)
                advance(second)
        part.replace(path)
    except (OSError, av.error.FFmpegError) as error:
        reason = error.strerror or str(error)
        raise OutputError(
            f"{path}: cannot be written ({reason}): check the folder, its permissions and its free space"
        ) from error
    finally:
        part.unlink(missing_ok=True)
