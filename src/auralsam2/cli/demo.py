"""`auralsam2 demo`: the bundled clip through a model, and how well its masks meet the truth."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from auralsam2.errors import ConfigError, UnavailableError
from auralsam2.hub import download
from auralsam2.types import Segmentation

CLIP, TRUTH = "demo.mp4", "demo.json"


@dataclass(frozen=True, kw_only=True)
class DemoResult:
    """What the demo made.

    Attributes:
        overlay: the video with the masks painted in.
        score: M_J, the mean over the frames of the IoU of mask and truth, in [0, 1].
        frames: how many frames were compared.
    """

    overlay: Path
    score: float
    frames: int


def print_demo(out: Path, model: str) -> None:
    """Run the demo and print where the overlay is and the clip's M_J."""
    outcome = run_demo(out, model)
    print(f"overlay: {outcome.overlay}")
    print(f"M_J: {outcome.score:.3f} (mean IoU of {outcome.frames} frames)")


def run_demo(out: Path, model: str, bundle: Path | None = None) -> DemoResult:
    """Segment the bundled clip.

    Args:
        out: folder for the results, which go to `out/demo/`.
        model: name, folder or hub id.
        bundle: folder with the clip, `demo.mp4`, and its truth, `demo.json`; None for the one in the package.

    Raises:
        UnavailableError: this version has no clip, or the model is out of reach.
        ConfigError: the truth cannot be read, or does not belong to the clip.
        OutputError: a result cannot be written.
    """
    bundle = bundle or download.BUNDLED
    if not all((bundle / name).is_file() for name in (CLIP, TRUTH)):
        raise UnavailableError(
            "the bundled model and clip come with a later version; "
            "meanwhile, with a video of yours: auralsam2 segment VIDEO --model v1m"
        )
    truth = read_truth(bundle / TRUTH)
    download.check(model)
    from auralsam2.cli.progress import frame_progress
    from auralsam2.model import load

    result = load(model).segment(bundle / CLIP)
    scores: dict[int, float] = {}

    with frame_progress(CLIP, len(truth), shown=True) as advance:

        def compare(found: Segmentation) -> None:
            known = truth.get(found.index)
            if known is None or known.shape != found.mask.shape:
                raise _mismatch(bundle / TRUTH, found.index)
            scores[found.index] = mask_iou(found.mask, known)
            advance(found)

        folder = result.save(out, on_frame=compare)
    for index in truth.keys() - scores.keys():
        raise _mismatch(bundle / TRUTH, index)
    return DemoResult(overlay=folder / "overlay.mp4", score=sum(scores.values()) / len(scores), frames=len(scores))


def read_truth(path: Path) -> dict[int, np.ndarray]:
    """The true masks of a clip.

    Args:
        path: JSON with `frames`: a list of `index`, from 0, and `rle`, the mask in COCO's compressed run lengths.

    Returns:
        By index of the frame: (H, W) bool.

    Raises:
        ConfigError: the file is something else.
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


def mask_iou(mask: np.ndarray, truth: np.ndarray) -> float:
    """Intersection over union of two (H, W) bool masks, in [0, 1]; 1 where both are empty."""
    union = np.count_nonzero(mask | truth)
    return np.count_nonzero(mask & truth) / union if union else 1.0


def _mismatch(path: Path, index: int) -> ConfigError:
    return ConfigError(f"{path}: frame {index} of clip and truth do not match; install the package again")
