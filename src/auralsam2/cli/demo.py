"""`auralsam2 demo`: segment the bundled clip and score its masks against the ground truth."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from auralsam2.cli.options import ModelOption
from auralsam2.errors import ConfigError, UnavailableError

if TYPE_CHECKING:
    import numpy as np

    from auralsam2.types import Segmentation

CLIP, TRUTH = "demo.mp4", "demo.json"


@dataclass(frozen=True, kw_only=True)
class DemoResult:
    """Result of the demo.

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
    """Segment the bundled clip; print the path of the overlay and the score against the ground truth."""
    result = run_demo(out, model)
    print(f"overlay: {result.overlay}")
    print(f"M_J: {result.score:.3f} (mean IoU of {result.frames} frames)")


def run_demo(out: Path, model: str, bundle: Path | None = None) -> DemoResult:
    """Segment the bundled clip.

    Args:
        out: parent of the result folder `demo/`.
        model: name, folder or hub id.
        bundle: folder of the clip `demo.mp4` and its ground truth `demo.json`; None for the one in the package.

    Raises:
        UnavailableError: the clip is not installed, or the model cannot be fetched.
        ConfigError: the ground truth cannot be read, or does not match the clip.
        OutputError: a result cannot be written.
    """
    from auralsam2.hub import download

    bundle = bundle or download.BUNDLED
    if not all((bundle / name).is_file() for name in (CLIP, TRUTH)):
        raise UnavailableError(
            "the bundled model and clip come with a later version; "
            "meanwhile, with a video of yours: auralsam2 segment VIDEO --model v1m"
        )
    truth = read_truth(bundle / TRUTH)
    download.check_available(model)
    from auralsam2.cli.progress import frame_progress
    from auralsam2.evaluation.metrics import mask_iou
    from auralsam2.model import load

    result = load(model).segment(bundle / CLIP)
    scores: dict[int, float] = {}

    with frame_progress(CLIP, len(truth), shown=True) as advance:

        def compare(frame: Segmentation) -> None:
            target = truth.get(frame.index)
            if target is None or target.shape != frame.mask.shape:
                raise _mismatch(bundle / TRUTH, frame.index)
            scores[frame.index] = float(mask_iou(frame.mask, target))
            advance(frame)

        folder = result.save(out, on_frame=compare)
    for index in truth.keys() - scores.keys():
        raise _mismatch(bundle / TRUTH, index)
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
