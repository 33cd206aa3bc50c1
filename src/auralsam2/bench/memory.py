"""Peak memory of a process for two videos of different length.

`python -m auralsam2.bench.memory MODEL VIDEO OUT` is the measured process: it segments the video with all outputs and
prints one JSON object. It needs a Unix system.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import auralsam2
from auralsam2.errors import AuralError

LIMIT = 1.05
"""Largest ratio of the peaks of the longer and the shorter video."""
OUTPUTS = frozenset({"overlay", "masks", "json", "coco", "frames"})


@dataclass(frozen=True, kw_only=True)
class MemoryPeak:
    """Memory of one process.

    Attributes:
        video_seconds: length of the video.
        frames: processed frames.
        loaded_bytes: peak resident memory after loading the model, before the first frame.
        peak_bytes: peak resident memory of the whole run.
    """

    video_seconds: float
    frames: int
    loaded_bytes: int
    peak_bytes: int


@dataclass(frozen=True, kw_only=True)
class MemoryComparison:
    """The same model on a short and on a long video."""

    short: MemoryPeak
    long: MemoryPeak

    @property
    def ratio(self) -> float:
        """Peak of the long video divided by that of the short one."""
        return self.long.peak_bytes / self.short.peak_bytes

    @property
    def passed(self) -> bool:
        """True if memory does not grow with the length, within `LIMIT`."""
        return self.ratio <= LIMIT

    def summary(self) -> dict[str, Any]:
        """All numbers, ready for JSON."""
        return {
            "short": asdict(self.short),
            "long": asdict(self.long),
            "ratio": self.ratio,
            "limit": LIMIT,
            "passed": self.passed,
        }


def measure_memory(model: str, video: Path, seconds: float, out: Path) -> MemoryPeak:
    """Segment a video of `seconds` in a separate process, one frame per second, with all outputs.

    Raises:
        AuralError: the process failed; its message is on stderr.
    """
    source = str(Path(auralsam2.__file__).parents[1])
    search = os.pathsep.join(filter(None, [source, os.environ.get("PYTHONPATH")]))
    done = subprocess.run(  # noqa: S603 - our own module
        [sys.executable, "-m", "auralsam2.bench.memory", model, str(video), str(out)],
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": search},
        check=False,
    )
    if done.returncode:
        raise AuralError(f"{video}: the measured process ended with code {done.returncode}; see its message above")
    return MemoryPeak(video_seconds=seconds, **json.loads(done.stdout))


def peak_bytes() -> int:
    """Return the peak resident memory of this process so far.

    Raises:
        AuralError: the system does not provide it.
    """
    try:
        # On Linux, getrusage includes the memory of the parent process before exec.
        with Path("/proc/self/status").open(encoding="utf-8") as status:
            return next(int(line.split()[1]) * 1024 for line in status if line.startswith("VmHWM:"))
    except (OSError, StopIteration):
        pass
    try:
        import resource
    except ImportError as error:
        raise AuralError(
            "bench memory: this system does not provide the peak memory of a process; use Linux or macOS"
        ) from error
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def _segment(model_name: str, video: str, out: str) -> dict[str, int]:
    """Segment the video in the measured process."""
    from auralsam2.model import AuralSAM2

    model = AuralSAM2.from_pretrained(model_name)
    loaded = peak_bytes()
    frames = 0

    def count(_segmentation: object) -> None:
        nonlocal frames
        frames += 1

    model.segment(video).save(out, save=OUTPUTS, on_frame=count)
    return {"frames": frames, "loaded_bytes": loaded, "peak_bytes": peak_bytes()}


if __name__ == "__main__":
    print(json.dumps(_segment(*sys.argv[1:])))
