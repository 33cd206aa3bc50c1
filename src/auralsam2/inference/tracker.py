"""Tracker of one object: attends to memory, decodes the mask and remembers, frame after frame."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from transformers import Sam2VideoModel

from auralsam2.config import Conditioning
from auralsam2.inference.memory_bank import MemoryBank, MemoryEntry
from auralsam2.modeling.image_encoder import FrameFeatures
from auralsam2.modeling.mask_decoder import DecoderOutput, MaskDecoder
from auralsam2.modeling.memory import MemoryNetwork
from auralsam2.modeling.prompt_encoder import VisualPrompts, embed_mask, embed_prompts, low_res_logits, mask_logits
from auralsam2.modeling.sam2 import input_side
from auralsam2.types import FeaturePrompts
from auralsam2.utils.timing import StageTimer

GIVEN_LOGIT = 10.0
"""Object score of a given mask, as in SAM 2; -10 if the mask is empty."""


@dataclass(frozen=True, slots=True)
class FrameInput:
    """Input of the tracker for one frame.

    Attributes:
        features: of the frame.
        prompts: feature prompts, T = 1; None without audio and text. A visual mask or the logits of an earlier mask
            replace their coarse mask.
        visual: points, box and mask. A mask alone is output unchanged.
    """

    features: FrameFeatures
    prompts: FeaturePrompts | None = None
    visual: VisualPrompts | None = None


@dataclass(frozen=True, slots=True)
class TrackedFrame:
    """Output of the tracker for frame t.

    Attributes:
        t: number of the frame.
        decoded: output of the mask decoder, B = 1.
        best: index of the chosen mask among the decoded ones.
        logits: (S, S) float32, the chosen mask, bilinear from the decoder's size.
        conditioned: (1, C, h, w), the stride-16 map after memory attention; without it for a given mask.
        entry: memory of the frame.
    """

    t: int
    decoded: DecoderOutput
    best: int
    logits: torch.Tensor
    conditioned: torch.Tensor
    entry: MemoryEntry

    @property
    def iou(self) -> float:
        """Predicted IoU of the chosen mask."""
        return float(self.decoded.ious[0, self.best])

    @property
    def object_score(self) -> float:
        """Logit of "the object is in the frame"."""
        return float(self.decoded.object_score[0, 0])


def full_size(logits: torch.Tensor, size: int) -> torch.Tensor:
    """Resize (B, M, 4h, 4w) to (B, M, S, S), bilinear in float32."""
    return F.interpolate(logits.float(), size=(size, size), mode="bilinear", align_corners=False)


def processing_order(frames: int, conditioning: Conditioning) -> list[int]:
    """Return the conditioning frame of a clip, then all others in ascending order."""
    first = frames // 2 if conditioning == "middle" else 0
    return [first, *(t for t in range(frames) if t != first)]


class ObjectTracker:
    """Masks of one object on successive frames.

    Args:
        sam2: frozen; its prompt encoder is used.
        decoder: the mask decoder.
        memory: the memory network.
        position: (1, C, h, w) sine position map.
        frames: length of the clip if it is known and short; limits the distance of the object pointers.
        clock: counts the time of decoder and memory.
        compute: returns the context in which each step runs.
    """

    def __init__(
        self,
        sam2: Sam2VideoModel,
        decoder: MaskDecoder,
        memory: MemoryNetwork,
        position: torch.Tensor,
        frames: int | None = None,
        clock: StageTimer | None = None,
        compute: Callable[[], AbstractContextManager[object]] = nullcontext,
    ) -> None:
        self.sam2, self.decoder, self.memory, self.position = sam2, decoder, memory, position
        self.clock = clock or StageTimer()
        self.compute = compute
        pointers = memory.pointers if frames is None else min(memory.pointers, frames)
        self.reach = pointers - 1
        self.bank = MemoryBank(memory.slots, memory.pointers)

    def track(
        self, order: Iterable[int], frame_input: Callable[[int], FrameInput], conditioning: Collection[int] = ()
    ) -> Iterator[TrackedFrame]:
        """Track the object through frames, lazily.

        Args:
            order: numbers of the frames in processing order; ascending, except that conditioning frames may come first.
            frame_input: returns the input for a frame.
            conditioning: numbers of the conditioning frames.

        Yields:
            the frames in processing order.

        Raises:
            ValueError: a frame is processed before any conditioning frame.
        """
        for t in order:
            frame = frame_input(t)
            yield self.step(t, frame.features, frame.prompts, frame.visual, conditioning=t in conditioning)

    def track_sequence(
        self,
        features: Sequence[FrameFeatures],
        prompts: FeaturePrompts | None,
        conditioning: Conditioning,
        visual: Mapping[int, VisualPrompts] | None = None,
    ) -> Iterator[TrackedFrame]:
        """Track the object through a whole clip.

        Args:
            features: of the T frames.
            prompts: feature prompts of the T frames; None without audio and text.
            conditioning: conditioning frames without visual prompts: the `first`, the `middle`, or `each`.
            visual: visual prompts by frame. These frames become the conditioning frames.

        Yields:
            the conditioning frames in ascending order, then all others.
        """
        prompted = visual or {}
        order = processing_order(len(features), conditioning)
        start = sorted(prompted) or (order if conditioning == "each" else order[:1])
        order = [*start, *(t for t in range(len(features)) if t not in start)]

        def frame_input(t: int) -> FrameInput:
            return FrameInput(features[t], None if prompts is None else prompts.frame(t), prompted.get(t))

        return self.track(order, frame_input, start)

    def step(
        self,
        t: int,
        features: FrameFeatures,
        prompts: FeaturePrompts | None = None,
        visual: VisualPrompts | None = None,
        *,
        conditioning: bool = False,
    ) -> TrackedFrame:
        """Attend to the memory, decode the mask of frame t and add the frame to the memory.

        Without feature prompts, the rules are those of SAM 2: the masks of absent objects are empty, and memories of
        frames without visual prompts take probabilities instead of a binary mask. A mask without points and box is
        output unchanged and remembered, with or without feature prompts.

        Args:
            t: number of the frame; see `track`.
            features: see `FrameInput`.
            prompts: see `FrameInput`.
            visual: see `FrameInput`.
            conditioning: process the frame without memory, and let all other frames attend to it.

        Raises:
            ValueError: the memory has no conditioning frame.
        """
        if visual is not None and (mask := visual.given_mask) is not None:
            frame = self._remember_mask(t, features, mask, present=visual.source_mask)
            self.bank.add(t, frame.entry, conditioning=conditioning)
            return frame
        if prompts is not None and visual is not None and visual.masked:
            prompts = dataclasses.replace(prompts, coarse_mask=None)
        with self.compute():
            with self.clock.stage("memory"):
                conditioned = self._attend(t, features, conditioning=conditioning)
            with self.clock.stage("decoder"):
                decoded = self.decoder(
                    conditioned,
                    features.fine,
                    features.middle,
                    embed_prompts(self.sam2, visual, padded=prompts is None),
                    prompts,
                    multimask=visual is None or visual.ambiguous,
                )
                if prompts is None or self.decoder.extensions.empty_when_absent:
                    decoded = decoded.gated()
                best = int(decoded.best[0])
                chosen = full_size(decoded.logits[:, best : best + 1], input_side(self.sam2))
            with self.clock.stage("memory"):
                token = decoded.tokens[:, min(best, decoded.tokens.shape[1] - 1)]
                remembered = self.memory.encode(
                    features.embedding,
                    chosen.to(features.embedding.dtype),
                    decoded.object_score,
                    binary=prompts is not None or visual is not None,
                )
                entry = MemoryEntry(remembered, self.memory.object_pointer(token, decoded.object_score))
        self.bank.add(t, entry, conditioning=conditioning)
        return TrackedFrame(t, decoded, best, chosen[0, 0], conditioned, entry)

    def _remember_mask(
        self, t: int, features: FrameFeatures, mask: torch.Tensor, *, present: torch.Tensor | None
    ) -> TrackedFrame:
        """Output a given mask unchanged and encode it as a memory, as SAM 2 does (`use_mask_input_as_output`).

        The object pointer is that of the decoder for the learned downsampling of the mask, on the map without the
        no-memory term.

        Args:
            t: number of the frame.
            features: of the frame.
            mask: (S, S) bool.
            present: (H, W) bool, the mask from which S × S was resized; the object is present if it is not empty.
        """
        embedding = features.embedding
        with self.compute():
            with self.clock.stage("decoder"):
                mask = mask.to(embedding.device)
                appears = bool((mask if present is None else present).any())
                score = torch.full((1, 1), GIVEN_LOGIT if appears else -GIVEN_LOGIT, device=embedding.device)
                downsampled = self.sam2.mask_downsample(mask.to(embedding.dtype)[None, None])
                decoded = self.decoder(
                    embedding, features.fine, features.middle, embed_mask(self.sam2, downsampled), multimask=True
                )
                best = int(decoded.best[0])
                low_res = low_res_logits(mask, self.sam2.prompt_encoder.mask_input_size)
            with self.clock.stage("memory"):
                pointer = self.memory.object_pointer(
                    decoded.tokens[:, best], torch.minimum(decoded.object_score, score)
                )
                logits = mask_logits(mask)
                memory = self.memory.encode(embedding, logits[None, None].to(embedding.dtype), score)
        output = DecoderOutput(low_res, torch.ones(1, 1, device=score.device), decoded.tokens[:, best, None], score)
        return TrackedFrame(t, output, 0, logits, embedding, MemoryEntry(memory, pointer))

    def _attend(self, t: int, features: FrameFeatures, *, conditioning: bool) -> torch.Tensor:
        """Return the stride-16 map of frame t after memory attention."""
        if conditioning:
            return self.memory.without_memory(features.embedding)
        if self.bank.empty:
            raise ValueError(f"frame {t} has no memory: process a conditioning frame first")
        return self.memory.attend(
            features.embedding, self.position, self.bank.memories(t), self.bank.pointers(t, self.reach), self.reach
        )
