"""The slow golden check: frames and sound to masks at the released size, against the authors' public code.

    python benchmarks/golden_1024.py GOLDEN_DIR

GOLDEN_DIR holds tracking_avs_1024.npz and tracking_ref_1024.npz, which are too large for the repository; it takes a few
minutes and 6 GB of memory. The same check at 256 pixels is part of the default tests. Prints the largest difference
of each array beside its tolerance, and exits with 1 where one is exceeded.

A memory is made from a mask of zeros and ones. Of a million pixels, a few have a logit so near to 0 that another
machine or version of torch rounds it to the other side, and around each of them the memory jumps. Memories are
therefore compared as made from the golden masks; how far those from our own masks are is told beside it, and each
pixel that differs must have a logit within the tolerance of logits.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from auralsam2.config import Modality
from auralsam2.inference.clip import ClipOutput, segment_clip
from auralsam2.inference.tracker import full_size, processing_order
from auralsam2.modeling.image_encoder import FramePyramid, encode_pyramid
from auralsam2.modeling.log_mel import log_mel_examples
from auralsam2.modeling.network import AuralNetwork
from golden_rule import samples, tensor, wave
from make_rule_model import rule_network

SIZE, FRAMES = 1024, 2
VARIANTS: dict[str, Modality] = {"avs": "audio", "ref": "audio+text"}
PIXELS = 64
"""Pixels of a mask of 1024 x 1024 that may lie within rounding of 0."""
LOGITS = 5e-4
"""Tolerance of logits."""
SAMPLING = (32, 16, 8)
"""The golden files keep one of so many positions of the maps at strides 4, 8 and 16."""


@dataclass(frozen=True)
class Check:
    """One array beside its golden counterpart.

    Attributes:
        name: in the golden file.
        worst: largest difference; of labels, how many differ.
        tolerance: what it may be; None for a difference that is only told.
    """

    name: str
    worst: float
    tolerance: float | None

    @property
    def passed(self) -> bool:
        """Whether the difference is tolerated; one that is not a number is not."""
        return self.tolerance is None or self.worst <= self.tolerance

    def __str__(self) -> str:
        limit = "(told only)" if self.tolerance is None else f"of {self.tolerance:g}"
        return f"{self.name:34} {self.worst:9.2g}  {limit}{'' if self.passed else '  EXCEEDED'}"


def compare(
    archive: dict[str, np.ndarray], network: AuralNetwork, pyramid: FramePyramid, output: ClipOutput
) -> Iterator[Check]:
    """Each array of a golden file beside what the network gives.

    Args:
        archive: the golden file.
        network: filled by the number rule.
        pyramid: of the golden frames.
        output: of the golden frames and sound.
    """

    def close(name: str, actual: torch.Tensor, tolerance: float | None, label: str = "") -> Check:
        expected = torch.from_numpy(archive[name].astype(np.float64))
        assert actual.shape == expected.shape, f"{name}: {tuple(actual.shape)} instead of {tuple(expected.shape)}"
        return Check(name + label, float((actual.double() - expected).abs().max()), tolerance)

    def every(what: str) -> torch.Tensor:
        return torch.cat([getattr(frame.decoded, what) for frame in output.frames])

    for level, (maps, step) in enumerate(zip(pyramid.maps, SAMPLING, strict=True)):
        yield close(f"fpn{level}", maps[:, ::8, step // 2 :: step, step // 2 :: step], 2e-4)
    for level in range(3):
        yield close(f"visual_prompt{level}", output.fuser.prompts.visual_prompts[level][:, 3::301], 2e-4)
        yield close(f"audio_prompt{level}", output.fuser.tokens[level], 2e-4)
    yield close("pix_feat", torch.cat([frame.conditioned for frame in output.frames])[:, ::8, ::4, ::4], 5e-4)
    yield close("low_res_multimasks", every("logits"), 1e-2)
    yield close("ious", every("ious"), 1e-4)
    yield close("object_scores", every("object_score"), 1e-4)
    yield close("obj_ptr", torch.cat([frame.entry.pointer for frame in output.frames]), 1e-4)

    best = torch.tensor([frame.best for frame in output.frames])
    yield close("best_mask", best, 0)
    order = processing_order(FRAMES, network.config.clip.conditioning)
    yield close("cond_frame", torch.tensor(order[0]), 0)
    logits = torch.stack([frame.logits for frame in output.frames])
    yield close("final_logits_iou_select", logits[:, ::8, ::8], LOGITS)
    bits = np.unpackbits(archive["final_mask_iou_select_bits"], axis=1).reshape(logits.shape)
    golden_masks = torch.from_numpy(bits.astype(bool))
    differing = golden_masks != (logits > 0)
    yield Check("final_mask, differing pixels", int(differing.sum((1, 2)).max()), PIXELS)
    yield Check("final_mask, their largest logit", float((logits.abs() * differing).max()), LOGITS)
    areas = (full_size(every("logits"), SIZE) > 0).sum((2, 3))
    yield close("mask_area", areas, PIXELS)
    yield close("first_mask_area", areas[:, 0], PIXELS)
    chosen = (logits > 0).sum((1, 2)) * (every("object_score")[:, 0] >= 0)
    yield close("iou_occ_select_area", chosen, PIXELS)

    def sampled(memories: list[torch.Tensor]) -> torch.Tensor:
        return torch.cat(memories)[:, ::4, ::4, ::4]

    from_golden = [
        network.memory.encode(features.embedding, mask[None, None].float(), frame.decoded.object_score)
        for features, mask, frame in zip(output.features, golden_masks, output.frames, strict=True)
    ]
    yield close("maskmem_features", sampled(from_golden), 5e-4, " of golden masks")
    own = [frame.entry.memory for frame in output.frames]
    yield close("maskmem_features", sampled(own), None if differing.any() else 5e-4, " of own masks")


def run(variant: str, folder: Path) -> list[Check]:
    """Compute one golden file and compare.

    Args:
        variant: avs or ref.
        folder: holds the golden file.
    """
    with np.load(folder / f"tracking_{variant}_{SIZE}.npz") as archive:
        golden = dict(archive)
    network = rule_network(VARIANTS[variant], SIZE)
    frames = tensor(f"frames_{SIZE}", (FRAMES, 3, SIZE, SIZE))
    log_mel = log_mel_examples(samples(wave(5, "wave_5s")))[:FRAMES]
    text = tensor("text_features", (1, 25, 768))[0] if variant == "ref" else None
    with torch.inference_mode():
        return list(
            compare(golden, network, encode_pyramid(network.sam2, frames), segment_clip(network, frames, log_mel, text))
        )


def main() -> int:
    """The command line; returns the exit code."""
    parser = argparse.ArgumentParser(description="Compare with the golden files at 1024 pixels.")
    parser.add_argument("golden_dir", type=Path, help="folder of tracking_avs_1024.npz and tracking_ref_1024.npz")
    folder = parser.parse_args().golden_dir
    if missing := [v for v in VARIANTS if not (folder / f"tracking_{v}_{SIZE}.npz").is_file()]:
        parser.error(f"{folder}: no tracking_{missing[0]}_{SIZE}.npz")
    failed = 0
    for variant in VARIANTS:
        print(f"tracking_{variant}_{SIZE}")
        for check in run(variant, folder):
            failed += not check.passed
            print(f"  {check}")
    print(f"{failed} arrays beyond their tolerance" if failed else "all within tolerance")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
