"""Pictures and times by the `ffmpeg` command."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import numpy as np


def ffmpeg_frames(path: Path, *filters: str) -> tuple[list[float], np.ndarray]:
    """Decode a video by the command `ffmpeg`, its sound too, since both share the clock.

    Args:
        path: the video.
        filters: filters before the conversion to RGB.

    Returns:
        times in seconds, and pictures (N, H, W, 3) uint8 RGB.

    Raises:
        CalledProcessError: ffmpeg failed.
    """
    # The chroma samples of MPEG-4, H.264 and HEVC are on the left; the filter assumes the centre.
    rgb = "scale=in_h_chr_pos=0:in_v_chr_pos=128:flags=bicubic+accurate_rnd+full_chroma_int,format=rgb24"
    chain = ",".join((*filters, "showinfo", rgb))
    command = ["ffmpeg", "-nostdin", "-hide_banner", "-threads", "1", "-i", str(path)]
    command += ["-map", "0:a?", "-f", "null", "-"]
    command += ["-map", "0:v:0", "-vf", chain, "-fps_mode", "passthrough", "-f", "rawvideo", "pipe:1"]
    done = subprocess.run(command, capture_output=True, check=True)
    text = done.stderr.decode(errors="replace")
    times = [float(time) for time in re.findall(r" n: *\d+ pts: *-?\d+ +pts_time:(\S+)", text)]
    width, height = (int(size) for size in re.findall(r" s:(\d+)x(\d+) ", text)[0])
    return times, np.frombuffer(done.stdout, np.uint8).reshape(-1, height, width, 3)
