"""Evaluate SAM 2's visual prompts on held-out stamps or photographs.

`python -m projects.mini.evaluate_sam2 MODEL [--size S] [--clips N] [--photographs FOLDER] [--frames T]` prints the
figures of a model.
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
from auralsam2.evaluation.metrics import mask_iou
from auralsam2.hub.download import fetch_sam2
from auralsam2.inference.tracker import ObjectTracker, full_size
from auralsam2.modeling.image_encoder import FrameFeatures, encode_pyramid, frame_features, sine_position
from auralsam2.modeling.mask_decoder import MaskDecoder
from auralsam2.modeling.memory import MemoryNetwork
from auralsam2.modeling.prompt_encoder import POSITIVE, VisualPrompts, embed_prompts
from auralsam2.modeling.sam2 import input_side, load_sam2
from auralsam2.utils.mask_geometry import interior_point
from projects.mini.photograph_scenes import PhotographStream, read_photographs
from projects.mini.sam2_data import Scenes, SceneStream, as_pixels, bounding_box, visible_objects
from projects.mini.stage_loop import exit_code


@dataclass(frozen=True, kw_only=True)
class PromptFigures:
    """Means over objects.

    Attributes:
        objects: number of objects.
        box: IoU of the mask for the true box, in a clip's first frame.
        point: IoU of the mask for a click on the interior point.
        filled: IoU of the filled true box, a baseline.
        followed: IoU over the later frames, prompted with the true mask in the first; None without followed clips.
        stayed: IoU of the first frame's true mask in the later frames, a baseline.
    """

    objects: int
    box: float
    point: float
    filled: float
    followed: float | None = None
    stayed: float | None = None


class PromptEvaluation:
    """Fixed set of `clips` clips of held-out stamps, or of held-out photographs of all categories.

    In the first `followed` of them, objects are followed through T frames.
    """

    def __init__(
        self,
        clips: int,
        followed: int,
        *,
        size: int,
        frames: int = 5,
        stamps: Path | None = None,
        photographs: Path | None = None,
    ) -> None:
        self.clips, self.followed = clips, followed
        self.scenes: Scenes
        if photographs is None:
            self.scenes = SceneStream("held-out", size=size, frames=frames, seed=0, stamps=stamps)
        else:
            sources = read_photographs(photographs, "held-out")
            self.scenes = PhotographStream("held-out", size=size, frames=frames, seed=0, sources=sources)

    @torch.no_grad()
    def measure(self, sam2: Sam2VideoModel) -> PromptFigures:
        """Evaluate a model of image size S in evaluation mode."""
        predictor = _Predictor(sam2)
        boxes, points, filled, followed, stayed = [], [], [], [], []
        for number in range(self.clips):
            clip = self.scenes[number]
            follow = number < self.followed
            frames = predictor.encode(clip.frames if follow else clip.frames[:1])
            for item in visible_objects(clip.objects[0]):
                masks = clip.objects == item
                first = masks[0]
                corners = bounding_box(first)
                boxes.append(_iou(predictor.mask(frames[0], _box_prompt(corners)), first))
                points.append(_iou(predictor.mask(frames[0], _click_prompt(*interior_point(first))), first))
                (x0, y0), (x1, y1) = corners.astype(int)
                box = np.zeros_like(first)
                box[y0 : y1 + 1, x0 : x1 + 1] = True
                filled.append(_iou(box, first))
                if follow:
                    followed.append(fmean(map(_iou, predictor.track(frames, first), masks[1:])))
                    stayed.append(fmean(_iou(first, mask) for mask in masks[1:]))
        return PromptFigures(
            objects=len(boxes),
            box=fmean(boxes),
            point=fmean(points),
            filled=fmean(filled),
            followed=fmean(followed) if followed else None,
            stayed=fmean(stayed) if stayed else None,
        )


class _Predictor:
    """SAM 2 as the package runs it."""

    def __init__(self, sam2: Sam2VideoModel) -> None:
        self.sam2, self.side = sam2, input_side(sam2)
        self.decoder, self.memory = MaskDecoder(sam2, PromptingConfig()), MemoryNetwork(sam2)
        grid = self.side // 16
        self.position = sine_position(sam2.hidden_dim, (grid, grid), sam2.no_memory_embedding)

    def encode(self, frames: np.ndarray) -> tuple[FrameFeatures, ...]:
        return frame_features(self.sam2, encode_pyramid(self.sam2, as_pixels(frames)))

    def mask(self, frame: FrameFeatures, prompts: VisualPrompts) -> np.ndarray:
        """Return the (S, S) bool mask of a frame."""
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
        """Return the masks of all frames after the first, which is prompted with a mask."""
        tracker = ObjectTracker(self.sam2, self.decoder, self.memory, self.position, len(frames))
        mask = VisualPrompts(torch.zeros(0, 2), torch.zeros(0, dtype=torch.int32), mask=torch.from_numpy(first))
        _, *later = tracker.track_sequence(frames, None, "first", {0: mask})
        return [(frame.logits > 0).numpy() for frame in later]


def _iou(mask: np.ndarray, target: np.ndarray) -> float:
    return float(mask_iou(mask, target))


def _box_prompt(corners: np.ndarray) -> VisualPrompts:
    no_points = torch.zeros(0, 2), torch.zeros(0, dtype=torch.int32)
    return VisualPrompts(*no_points, box=torch.from_numpy(corners.ravel()).float())


def _click_prompt(row: int, column: int) -> VisualPrompts:
    return VisualPrompts(torch.tensor([[column, row]]).float(), torch.tensor([POSITIVE], dtype=torch.int32))


def main(arguments: list[str] | None = None) -> int:
    """Run the command line and return its exit code."""
    parser = argparse.ArgumentParser(prog="python -m projects.mini.evaluate_sam2")
    parser.add_argument("model", help="SAM 2 in transformers' format: a folder, a hub id, or mini for the bundled one")
    parser.add_argument("--size", type=int, help="side of the images in pixels (default: the model's own)")
    parser.add_argument("--clips", type=int, default=100)
    parser.add_argument("--stamps", type=Path, help="folder of stamps (default: the Debian package's)")
    parser.add_argument("--photographs", type=Path, help="folder in the layout of RealAVS, in place of stamps")
    parser.add_argument("--frames", type=int, default=5, help="length of the clips in which objects are followed")
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)

    def evaluate() -> None:
        sam2 = load_sam2(fetch_sam2(options.model), options.size)
        held_out = PromptEvaluation(
            options.clips,
            options.clips,
            size=input_side(sam2),
            frames=options.frames,
            stamps=options.stamps,
            photographs=options.photographs,
        )
        print(json.dumps(asdict(held_out.measure(sam2))))

    return exit_code(evaluate)


if __name__ == "__main__":
    sys.exit(main())
