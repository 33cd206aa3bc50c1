"""`auralsam2 demo`: segment the bundled clips and score their masks against the ground truth."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from auralsam2.cli.options import ModelOption
from auralsam2.errors import ConfigError, UnavailableError

if TYPE_CHECKING:
    import numpy as np

    from auralsam2.model import AuralSAM2
    from auralsam2.types import Segmentation

CLIPS = ("demo-photograph", "demo")
"""Names of the clips NAME.mp4 and their ground truth NAME.json: over a photograph, and over a plain ground."""


@dataclass(frozen=True, kw_only=True)
class DemoResult:
    """Result of one clip.

    Attributes:
        overlay: path of the video with the masks drawn over it.
        score: M_J, mean IoU of mask and ground truth over the frames, in [0, 1].
        frames: number of compared frames.
    """

    overlay: Path
    score: float
    frames: int


def demo(
    out: Annotated[Path, typer.Option("--out", "-o", metavar="DIR", help="Folder for the results.")] = Path("out"),
    model: ModelOption = "mini",
) -> None:
    """Segment the bundled clips; print the paths of the overlays and the scores against the ground truth."""
    for result in run_demo(out, model):
        print(f"overlay: {result.overlay}")
        print(f"M_J: {result.score:.3f} (mean IoU of {result.frames} frames)")


def run_demo(out: Path, model: str, bundle: Path | None = None) -> Iterator[DemoResult]:
    """Segment the bundled clips one after another.

    Args:
        out: parent of the result folders, which have the names of the clips.
        model: name, folder or hub id.
        bundle: folder of the clips and their ground truth; None for the one in the package.

    Raises:
        UnavailableError: a clip is not installed, or the model cannot be fetched.
        ConfigError: a ground truth cannot be read, or does not match its clip.
        OutputError: a result cannot be written.
    """
    from auralsam2.hub import download

    bundle = bundle or download.BUNDLED
    if not all((bundle / f"{name}{ending}").is_file() for name in CLIPS for ending in (".mp4", ".json")):
        raise UnavailableError(
            "the bundled model and clips come with a later version; "
            "meanwhile, with a video of yours: auralsam2 segment VIDEO --model v1m"
        )
    truths = {name: read_truth(bundle / f"{name}.json") for name in CLIPS}
    download.check_available(model)
    from auralsam2.model import load

    network = load(model)
    for name, truth in truths.items():
        yield _segment_clip(network, bundle / f"{name}.mp4", truth, out)


def _segment_clip(network: AuralSAM2, clip: Path, truth: dict[int, np.ndarray], out: Path) -> DemoResult:
    """Segment a clip into a folder of its name in `out`, and score it; errors as of `run_demo`."""
    from auralsam2.cli.progress import frame_progress
    from auralsam2.evaluation.metrics import mask_iou

    scores: dict[int, float] = {}
    with frame_progress(clip.name, len(truth), shown=True) as advance:

        def compare(frame: Segmentation) -> None:
            target = truth.get(frame.index)
            if target is None or target.shape != frame.mask.shape:
                raise _mismatch(clip.with_suffix(".json"), frame.index)
            scores[frame.index] = float(mask_iou(frame.mask, target))
            advance(frame)

        folder = network.segment(clip).save(out, on_frame=compare)
    for index in truth.keys() - scores.keys():
        raise _mismatch(clip.with_suffix(".json"), index)
    return DemoResult(overlay=folder / "overlay.mp4", score=sum(scores.values()) / len(scores), frames=len(scores))


def read_truth(path: Path) -> dict[int, np.ndarray]:
    """Read the ground-truth masks of a clip.

    Args:
        path: JSON file with `frames`: a list of `index`, from 0, and `rle`, the mask in COCO's compressed run-length
            encoding.

    Returns:
        (H, W) bool masks by frame index.

    Raises:
        ConfigError: the file has another content.
    """
    from auralsam2.outputs import rle

    try:
        frames = json.loads(path.read_text(encoding="utf-8"))["frames"]
        truth = {frame["index"]: rle.decode_rle(frame["rle"]) for frame in frames}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ConfigError(f"{path}: not the truth of a clip ({error}); install the package again") from error
    if not truth:
        raise ConfigError(f"{path}: has no frames; install the package again")
    return truth


def _mismatch(path: Path, index: int) -> ConfigError:
    return ConfigError(f"{path}: frame {index} of clip and truth do not match; install the package again")
