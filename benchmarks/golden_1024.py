"""Compare frames, audio and masks at the released size with golden numbers of the authors' public code.

    python benchmarks/golden_1024.py GOLDEN_DIR

GOLDEN_DIR holds tracking_avs_1024.npz and tracking_ref_1024.npz, which are too large for the repository. The script
takes a few minutes and 6 GB of memory. The tests contain the same check at 256 pixels. The script prints the largest
difference of each array and its tolerance; the exit code is 1 if a tolerance is exceeded.

A memory is encoded from a binary mask. A few of a million pixels have a logit so near to 0 that another machine or
version of torch rounds it to the other side, which changes the memory around them. Memories are therefore compared with
those of the golden masks. The difference to memories of the computed masks is printed without a tolerance, and each
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
"""Maximum number of pixels of a mask of 1024 x 1024 that may differ by rounding."""
LOGITS = 5e-4
"""Tolerance of logits."""
SAMPLING = (32, 16, 8)
"""Steps at which the golden files sample the maps of strides 4, 8 and 16."""


@dataclass(frozen=True)
class Check:
    """Comparison of one array with its golden counterpart.

    Attributes:
        name: name in the golden file.
        worst: largest difference; for labels, the number of differences.
        tolerance: maximum of `worst`; None for a difference that is only printed.
    """

    name: str
    worst: float
    tolerance: float | None

    @property
    def passed(self) -> bool:
        """True if the difference is within the tolerance; false for NaN."""
        return self.tolerance is None or self.worst <= self.tolerance

    def __str__(self) -> str:
        limit = "(no tolerance)" if self.tolerance is None else f"of {self.tolerance:g}"
        return f"{self.name:34} {self.worst:9.2g}  {limit}{'' if self.passed else '  EXCEEDED'}"


def compare(
    archive: dict[str, np.ndarray], network: AuralNetwork, pyramid: FramePyramid, output: ClipOutput
) -> Iterator[Check]:
    """Compare each array of a golden file with the network's output for the golden frames and audio."""

    def close(name: str, actual: torch.Tensor, tolerance: float | None, label: str = "") -> Check:
        expected = torch.from_numpy(archive[name].astype(np.float64))
        assert actual.shape == expected.shape, f"{name}: {tuple(actual.shape)} instead of {tuple(expected.shape)}"
        return Check(name + label, float((actual.double() - expected).abs().max()), tolerance)

    def concat_frames(name: str) -> torch.Tensor:
        return torch.cat([getattr(frame.decoded, name) for frame in output.frames])

    for level, (maps, step) in enumerate(zip(pyramid.maps, SAMPLING, strict=True)):
        yield close(f"fpn{level}", maps[:, ::8, step // 2 :: step, step // 2 :: step], 2e-4)
    for level in range(3):
        yield close(f"visual_prompt{level}", output.fuser.prompts.visual_prompts[level][:, 3::301], 2e-4)
        yield close(f"audio_prompt{level}", output.fuser.tokens[level], 2e-4)
    yield close("pix_feat", torch.cat([frame.conditioned for frame in output.frames])[:, ::8, ::4, ::4], 5e-4)
    yield close("low_res_multimasks", concat_frames("logits"), 1e-2)
    yield close("ious", concat_frames("ious"), 1e-4)
    yield close("object_scores", concat_frames("object_score"), 1e-4)
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
    areas = (full_size(concat_frames("logits"), SIZE) > 0).sum((2, 3))
    yield close("mask_area", areas, PIXELS)
    yield close("first_mask_area", areas[:, 0], PIXELS)
    chosen = (logits > 0).sum((1, 2)) * (concat_frames("object_score")[:, 0] >= 0)
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
    """Compare the golden file of a variant, `avs` or `ref`, in a folder."""
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
    """Run the command line."""
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
