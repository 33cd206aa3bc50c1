"""The tracker: masks of one target from frame to frame. It knows time and holds no layers."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from transformers import Sam2VideoModel

from auralsam2.config import Conditioning
from auralsam2.inference.memory_bank import MemoryBank, MemoryEntry
from auralsam2.modeling.image_encoder import FrameFeatures
from auralsam2.modeling.mask_decoder import DecoderOutput, MaskDecoder
from auralsam2.modeling.memory import MemoryNetwork
from auralsam2.modeling.prompt_encoder import VisualPrompts, embed_prompts
from auralsam2.modeling.sam2 import input_side
from auralsam2.types import FeaturePrompts
from auralsam2.utils.timing import StageTimer


@dataclass(frozen=True, slots=True)
class TrackedFrame:
    """What the tracker found in frame t.

    Attributes:
        t: the frame.
        decoded: of B = 1.
        best: index of the chosen mask among the decoded ones.
        logits: (S, S) float32, the chosen mask, bilinear from the decoder's size.
        conditioned: (1, C, h, w), the stride-16 map with memory in it.
        remembered: what goes into the memory bank.
    """

    t: int
    decoded: DecoderOutput
    best: int
    logits: torch.Tensor
    conditioned: torch.Tensor
    remembered: MemoryEntry

    @property
    def iou(self) -> float:
        """Predicted IoU of the chosen mask."""
        return float(self.decoded.ious[0, self.best])

    @property
    def object_score(self) -> float:
        """Logit of "the object is in the frame"."""
        return float(self.decoded.object_score[0, 0])


def full_size(logits: torch.Tensor, size: int) -> torch.Tensor:
    """(B, M, 4h, 4w) to (B, M, S, S), bilinear in float32."""
    return F.interpolate(logits.float(), size=(size, size), mode="bilinear", align_corners=False)


def processing_order(frames: int, conditioning: Conditioning) -> list[int]:
    """The conditioning frame of a clip, then all others in ascending order."""
    first = frames // 2 if conditioning == "middle" else 0
    return [first, *(t for t in range(frames) if t != first)]


class ObjectTracker:
    """One target's memory, frame by frame.

    Args:
        sam2: frozen; its prompt encoder is used.
        decoder: the prompted decoder.
        memory: the memory network.
        position: (1, C, h, w) sine position map.
        frames: length of the clip if it is known and short; bounds the reach of the pointers.
        clock: counts the time of decoder and memory.
    """

    def __init__(
        self,
        sam2: Sam2VideoModel,
        decoder: MaskDecoder,
        memory: MemoryNetwork,
        position: torch.Tensor,
        frames: int | None = None,
        clock: StageTimer | None = None,
    ) -> None:
        self.sam2, self.decoder, self.memory, self.position = sam2, decoder, memory, position
        self.clock = clock or StageTimer()
        pointers = memory.pointers if frames is None else min(memory.pointers, frames)
        self.reach = pointers - 1
        self.bank = MemoryBank(memory.slots, memory.pointers)

    def step(
        self,
        t: int,
        features: FrameFeatures,
        prompts: FeaturePrompts | None = None,
        visual: VisualPrompts | None = None,
        *,
        conditioning: bool = False,
    ) -> TrackedFrame:
        """Find the target in frame t and remember the frame.

        Args:
            t: its number; numbers ascend, but for a conditioning frame, which may come first.
            features: of the frame.
            prompts: the fuser's, T = 1; None where nothing is heard or read. Their rough mask is for frames where none
                is given.
            visual: points, box, mask of the user.
            conditioning: start from this frame: it attends to no memory, and all others attend to it.

        Raises:
            ValueError: no conditioning frame came before.
        """
        if prompts is not None and visual is not None and visual.masked:
            prompts = dataclasses.replace(prompts, coarse_mask=None)
        with self.clock.stage("memory"):
            conditioned = self._condition(t, features, conditioning=conditioning)
        with self.clock.stage("decoder"):
            decoded = self.decoder(
                conditioned,
                features.fine,
                features.middle,
                embed_prompts(self.sam2, visual, padded=prompts is None),
                prompts,
                multimask=visual is None or visual.ambiguous,
            )
            if self.decoder.extensions.empty_when_absent:
                decoded = decoded.gated()
            best = int(decoded.best[0])
            chosen = full_size(decoded.logits[:, best : best + 1], input_side(self.sam2))
        with self.clock.stage("memory"):
            token = decoded.tokens[:, min(best, decoded.tokens.shape[1] - 1)]
            remembered = MemoryEntry(
                self.memory.encode(features.embedding, chosen.to(features.embedding.dtype), decoded.object_score),
                self.memory.object_pointer(token, decoded.object_score),
            )
        self.bank.add(t, remembered, conditioning=conditioning)
        return TrackedFrame(t, decoded, best, chosen[0, 0], conditioned, remembered)

    def _condition(self, t: int, features: FrameFeatures, *, conditioning: bool) -> torch.Tensor:
        """The stride-16 map with what the bank holds for frame t."""
        if conditioning:
            return self.memory.without_memory(features.embedding)
        if self.bank.empty:
            raise ValueError(f"frame {t} has nothing to remember: the first frame of a clip is a conditioning one")
        return self.memory.attend(
            features.embedding, self.position, self.bank.memories(t), self.bank.pointers(t, self.reach), self.reach
        )

    def track(
        self,
        features: Sequence[FrameFeatures],
        prompts: FeaturePrompts | None,
        conditioning: Conditioning,
        visual: Mapping[int, VisualPrompts] | None = None,
    ) -> Iterator[TrackedFrame]:
        """A whole clip in processing order.

        Args:
            features: of its T frames.
            prompts: the fuser's, of T frames.
            conditioning: which frame starts, where there are no visual prompts.
            visual: by frame; the prompted frames start, in ascending order, and all others follow.
        """
        given = visual or {}
        order = processing_order(len(features), conditioning)
        first = sorted(given) or (order if conditioning == "each" else order[:1])
        for t in (*first, *(t for t in range(len(features)) if t not in first)):
            frame = None if prompts is None else prompts.frame(t)
            yield self.step(t, features[t], frame, given.get(t), conditioning=t in first)
