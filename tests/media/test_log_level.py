"""Reading and writing do not block when another library has set the log level of PyAV."""

import subprocess
import sys

import pytest

from helpers.media_files import numbered, write_clip

# A clip whose decoder has pictures in flight when it is closed, and logs errors: the reference frames are damaged.
START = """
import sys
import av
av.logging.set_level(av.logging.ERROR)
from auralsam2.media.probe import probe
from auralsam2.media.frame_reader import read_frames
from auralsam2.media.audio_track import SoundTrack
from auralsam2.media.video_writer import VideoWriter
clip = sys.argv[1]
"""
WAYS = {
    "probe": "probe(clip)",
    "reader closed": "with read_frames(clip) as reader: next(reader)",
    "reader dropped": "next(read_frames(clip))",
    "sound": "with SoundTrack(clip) as track: track.read(0.0, 0.1)",
    "overlay abandoned": """
try:
    with read_frames(clip) as reader, VideoWriter(sys.argv[2], audio_from=None) as writer:
        for frame in reader:
            writer.write(frame.image, frame.time)
        raise KeyError
except KeyError:
    pass
""",
}


@pytest.mark.slow
@pytest.mark.parametrize("way", WAYS)
def test_no_deadlock(tmp_path, way):
    clip = write_clip(tmp_path / "clip.mp4", 4.0, pictures=[numbered(n, 640, 480) for n in range(40)])
    data = bytearray(clip.read_bytes())
    begin = data.index(b"mdat")
    for at in range(begin + 1500, begin + 40_000, 97):
        data[at] ^= 0x55
    clip.write_bytes(data)
    repeated = "for _ in range(15):\n" + "\n".join("    " + line for line in WAYS[way].splitlines())
    subprocess.run(
        [sys.executable, "-c", START + repeated, clip, tmp_path / "overlay.mp4"],
        check=True,
        timeout=120,
        stderr=subprocess.DEVNULL,
    )
