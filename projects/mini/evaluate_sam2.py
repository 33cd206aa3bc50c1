"""How well the model follows prompts on stamps that training never met.

`python -m projects.mini.evaluate_sam2 MODEL [--size S] [--clips N]` prints the figures of a model.
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import fmean

import numpy as np
import torch
from transformers import Sam2VideoModel

from auralsam2.config import PromptingConfig
from auralsam2.errors import AuralError, message_line
from auralsam2.hub.download import fetch_sam2
from auralsam2.inference.tracker import ObjectTracker, full_size
from auralsam2.modeling.image_encoder import FrameFeatures, encode_pyramid, frame_features, sine_position
from auralsam2.modeling.mask_decoder import MaskDecoder
from auralsam2.modeling.memory import MemoryNetwork
from auralsam2.modeling.preprocess import normalise
from auralsam2.modeling.prompt_encoder import POSITIVE, VisualPrompts, embed_prompts
from auralsam2.modeling.sam2 import input_side, load_sam2
from projects.mini.sam2_data import SMALLEST, SceneStream, box_of


@dataclass(frozen=True, kw_only=True)
class PromptFigures:
    """Means over all objects.

    Attributes:
        objects: how many.
        box: IoU of the mask for the true box, in a clip's first frame.
        point: likewise for one click on the innermost pixel.
        filled: IoU of the filled true box: what a model without eyes reaches.
        followed: J over the later frames, prompted with the true mask in the first; None where no clip was followed.
        stayed: J of the first frame's true mask left where it is: what a model without memory reaches.
    """

    objects: int
    box: float
    point: float
    filled: float
    followed: float | None = None
    stayed: float | None = None

    def to_dict(self) -> dict[str, float | int | None]:
        """Plain values."""
        return asdict(self)


def array_iou(found: np.ndarray, true: np.ndarray) -> float:
    """Of two bool masks; 1 where both are empty."""
    union = np.count_nonzero(found | true)
    return np.count_nonzero(found & true) / union if union else 1.0


def median_pixel(shape: np.ndarray) -> tuple[int, int]:
    """x, y of a pixel that is as far from the outside as any, by peeling off one rim after another."""
    rest = np.pad(shape, 1)
    while True:
        inner = rest.copy()
        for axis in (0, 1):
            for shift in (1, -1):
                inner &= np.roll(rest, shift, axis)
        if not inner.any():
            rows, columns = np.nonzero(rest)
            place = len(rows) // 2
            return int(columns[place]) - 1, int(rows[place]) - 1
        rest = inner


class PromptEvaluation:
    """A fixed set of clips of stamps that training never met.

    Args:
        clips: how many.
        followed: how many of them are followed through all their frames.
        size: S.
        frames: T.
        stamps: folder of stamps, None for the Debian package's.
    """

    def __init__(self, clips: int, followed: int, *, size: int, frames: int = 5, stamps: Path | None = None) -> None:
        self.clips, self.followed = clips, followed
        self.scenes = SceneStream("held-out", size=size, frames=frames, seed=0, stamps=stamps)

    @torch.no_grad()
    def measure(self, sam2: Sam2VideoModel) -> PromptFigures:
        """Evaluate a model in evaluation mode whose images have the same size."""
        runner = _Runner(sam2)
        boxes, points, filled, tracks, stills = [], [], [], [], []
        for number in range(self.clips):
            clip = self.scenes[number]
            follow = number < self.followed
            frames = runner.encode(clip.frames if follow else clip.frames[:1])
            for thing in np.flatnonzero(np.bincount(clip.owners[0].ravel(), minlength=2)[1:] >= SMALLEST) + 1:
                shapes = clip.owners == thing
                first = shapes[0]
                corners = box_of(first)
                boxes.append(array_iou(runner.mask(frames[0], _boxed(corners)), first))
                points.append(array_iou(runner.mask(frames[0], _clicked(median_pixel(first))), first))
                (x0, y0), (x1, y1) = corners.astype(int)
                whole = np.zeros_like(first)
                whole[y0 : y1 + 1, x0 : x1 + 1] = True
                filled.append(array_iou(whole, first))
                if follow:
                    tracks.append(fmean(map(array_iou, runner.track(frames, first), shapes[1:])))
                    stills.append(fmean(array_iou(first, shape) for shape in shapes[1:]))
        return PromptFigures(
            objects=len(boxes),
            box=fmean(boxes),
            point=fmean(points),
            filled=fmean(filled),
            followed=fmean(tracks) if tracks else None,
            stayed=fmean(stills) if stills else None,
        )


class _Runner:
    """The model as the package runs it."""

    def __init__(self, sam2: Sam2VideoModel) -> None:
        self.sam2, self.side = sam2, input_side(sam2)
        self.decoder, self.memory = MaskDecoder(sam2, PromptingConfig()), MemoryNetwork(sam2)
        grid = self.side // 16
        self.position = sine_position(sam2.hidden_dim, (grid, grid), sam2.no_memory_embedding)

    def encode(self, frames: np.ndarray) -> tuple[FrameFeatures, ...]:
        pixels = normalise(torch.from_numpy(frames).permute(0, 3, 1, 2))
        return frame_features(self.sam2, encode_pyramid(self.sam2, pixels))

    def mask(self, frame: FrameFeatures, prompts: VisualPrompts) -> np.ndarray:
        """(S, S) bool."""
        decoded = self.decoder(
            self.memory.without_memory(frame.embedding),
            frame.fine,
            frame.middle,
            embed_prompts(self.sam2, prompts),
            multimask=prompts.ambiguous,
        )
        best = int(decoded.best[0])
        return (full_size(decoded.logits[:, best, None], self.side)[0, 0] > 0).numpy()

    def track(self, frames: tuple[FrameFeatures, ...], first: np.ndarray) -> list[np.ndarray]:
        """Masks of all frames but the first, which is prompted with the given one."""
        tracker = ObjectTracker(self.sam2, self.decoder, self.memory, self.position, len(frames))
        mask = VisualPrompts(torch.zeros(0, 2), torch.zeros(0, dtype=torch.int32), mask=torch.from_numpy(first))
        _, *later = tracker.track_sequence(frames, None, "first", {0: mask})
        return [(frame.logits > 0).numpy() for frame in later]


def _boxed(corners: np.ndarray) -> VisualPrompts:
    nowhere = torch.zeros(0, 2), torch.zeros(0, dtype=torch.int32)
    return VisualPrompts(*nowhere, box=torch.from_numpy(corners.ravel()).float())


def _clicked(point: tuple[int, int]) -> VisualPrompts:
    return VisualPrompts(torch.tensor([point]).float(), torch.tensor([POSITIVE], dtype=torch.int32))


def main(arguments: list[str] | None = None) -> int:
    """The command line: `python -m projects.mini.evaluate_sam2 MODEL`; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m projects.mini.evaluate_sam2")
    parser.add_argument("model", help="SAM 2 in transformers' format: a folder, a hub id, or mini for the bundled one")
    parser.add_argument("--size", type=int, help="side of the images in pixels, by default the model's own")
    parser.add_argument("--clips", type=int, default=100)
    parser.add_argument("--stamps", type=Path, help="folder of stamps, by default the Debian package's")
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    try:
        sam2 = load_sam2(fetch_sam2(options.model), options.size)
        held_out = PromptEvaluation(options.clips, options.clips, size=input_side(sam2), stamps=options.stamps)
        print(json.dumps(held_out.measure(sam2).to_dict()))
    except AuralError as error:
        print(message_line("error", error), file=sys.stderr)
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
