"""From a video to masks of what sounds, without training: tag, propose, select, follow, gate.

After AL-Ref-SAM2 (Huang et al., AAAI 2025), with rules in the place of its language model. Tagging, proposing and
selecting are roles that anything can play; following by SAM 2, and the gate that shows a mask in the seconds in which
its label sounds, are fixed.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from auralsam2.inference.results import NOTHING
from auralsam2.media.audio_track import SoundTrack
from auralsam2.media.frame_reader import FrameReader
from auralsam2.model import AuralSAM2
from auralsam2.types import AUDIO_RATE, Frame, Segmentation
from auralsam2.utils import strict_json
from auralsam2.utils.atomic_io import writing
from auralsam2.zero_shot.interfaces import Detection, Detector, Selector, Tag, Tagger


class ResponseCache:
    """Answers by question; a file that only grows, and may be removed at any time.

    A last line that was cut short is dropped: its question is asked again.

    Args:
        path: the file, made where missing; None keeps nothing.

    Raises:
        OutputError: the file cannot be written.
    """

    def __init__(self, path: Path | None) -> None:
        self.path = path
        self._known: dict[str, Any] = {}
        if path is None or not path.exists():
            return
        for line in path.read_text(encoding="utf-8").splitlines():
            try:
                entry = strict_json.parse_json(line)
                self._known[entry["question"]] = entry["answer"]
            except (ValueError, KeyError, TypeError):
                continue

    def get(self, question: str, ask: Callable[[], Any]) -> Any:
        """The answer that is known, or that of `ask`, which is kept: plain values.

        Raises:
            OutputError: the file cannot be written.
        """
        if question not in self._known:
            self._known[question] = answer = ask()
            if self.path is not None:
                line = json.dumps({"question": question, "answer": answer})
                with writing(self.path):
                    self.path.parent.mkdir(parents=True, exist_ok=True)
                    with self.path.open("a", encoding="utf-8") as file:
                        # On a line of its own, whatever a killed run has left.
                        file.write(f"\n{line}\n")
        return self._known[question]


FPS = 1.0


@dataclass(frozen=True, kw_only=True, slots=True)
class TaggedDetection:
    """From where SAM 2 follows a label.

    Attributes:
        tag: the label, and when it sounds.
        proposal: the frame and the box.
    """

    tag: Tag
    proposal: Detection

    def sounds(self, second: int) -> bool:
        """Whether the label sounds then; sound that ends before the pictures is silent."""
        return second < len(self.tag.active) and self.tag.active[second]


class ZeroShotPipeline:
    """Segments what sounds in a clip, one frame a second.

    Args:
        model: any AuralSAM2; of it SAM 2 alone is used.
        tagger, proposer, selector: the three roles.
        cache: folder for what tagger and proposer said, `tagger.jsonl` and `proposer.jsonl`, for the selector to be
            studied without them; None keeps nothing.
    """

    def __init__(
        self, model: AuralSAM2, tagger: Tagger, proposer: Detector, selector: Selector, cache: Path | None = None
    ) -> None:
        self.model, self.tagger, self.proposer, self.selector = model, tagger, proposer, selector
        self._tags = ResponseCache(None if cache is None else cache / "tagger.jsonl")
        self._proposals = ResponseCache(None if cache is None else cache / "proposer.jsonl")

    def starts(self, video: Path) -> list[TaggedDetection]:
        """What sounds in a video, and from which frame and box to follow each.

        Raises:
            InputError: the video cannot be used, or has no sound.
        """
        with FrameReader(video, fps=FPS, start=0.0, end=None) as frames:
            return self.choose(_identity(video), frames, lambda: _seconds(video))

    def choose(self, clip: str, frames: Iterable[Frame], seconds: Callable[[], np.ndarray]) -> list[TaggedDetection]:
        """At most one start a label, the surest label first.

        Args:
            clip: tells apart clips, for the cache.
            frames: one a second; read only where something sounds.
            seconds: gives the sound, (T, 16000) float32, one channel at 16 kHz, if it is needed.
        """

        def ask() -> list[dict[str, object]]:
            return [dataclasses.asdict(tag) for tag in self.tagger.tag(seconds())]

        said = self._tags.get(f"{clip} {self.tagger.name}", ask)
        tags = [Tag(label=tag["label"], score=tag["score"], active=tuple(tag["active"])) for tag in said]
        if not tags:
            return []
        proposals: list[list[Detection]] = [[] for _ in tags]
        before: np.ndarray | None = None
        for frame in frames:
            for tag, found in zip(tags, proposals, strict=True):
                found += self._look(clip, frame, tag.label, before)
            before = frame.image
        chosen = zip(tags, map(self.selector.select, proposals), strict=True)
        return [TaggedDetection(tag=tag, proposal=proposal) for tag, proposal in chosen if proposal is not None]

    def segment(self, video: Path) -> Iterator[Segmentation]:
        """The masks, in the order of time; objects whose labels sound in the same second are one mask.

        Raises:
            InputError: the video cannot be used, or has no sound.
        """
        starts = self.starts(video)
        masks: dict[tuple[int, int], Segmentation] = {}
        if starts:
            with self.model.open(video, audio="none", fps=FPS) as session:
                for number, start in enumerate(starts, 1):
                    session.add_box(start.proposal.box, start.proposal.time, number)
                for found in session.propagate(direction="both"):
                    masks[found.index, found.object_id] = _packed(found)
        with FrameReader(video, fps=FPS, start=0.0, end=None) as frames:
            for frame in frames:
                sounding = [
                    masks[frame.index, number]
                    for number, start in enumerate(starts, 1)
                    if (frame.index, number) in masks and start.sounds(frame.index)
                ]
                yield self._gated(frame, sounding)

    def _look(self, clip: str, frame: Frame, label: str, before: np.ndarray | None) -> list[Detection]:
        """What the proposer says of a label in a frame."""
        question = f"{clip} {frame.index} {label} {self.proposer.name}"
        said = self._proposals.get(question, lambda: self.proposer.propose(frame.image, label))
        height, width = frame.image.shape[:2]
        found = []
        for box, score in said:
            x0, y0, x1, y1 = box
            found.append(
                Detection(
                    index=frame.index,
                    time=frame.instant,
                    box=(x0, y0, x1, y1),
                    score=score,
                    area=(x1 - x0) * (y1 - y0) / (height * width),
                    motion=_motion(frame.image, before, (x0, y0, x1, y1)),
                )
            )
        return found

    def _gated(self, frame: Frame, sounding: list[Segmentation]) -> Segmentation:
        """One frame: the union of what sounds, or nothing."""
        height, width = frame.image.shape[:2]
        size = self.model.network.image_size
        mask = np.zeros((height, width), bool)
        for found in sounding:
            mask |= np.unpackbits(found.mask, count=height * width).reshape(height, width).astype(bool)
        scores = [found.object_score for found in sounding]
        return Segmentation(
            index=frame.index,
            time=frame.time,
            mask=mask,
            logits=np.maximum.reduce([found.logits for found in sounding])
            if sounding
            else np.full((size, size), NOTHING, np.float32),
            iou=max((found.iou for found in sounding), default=0.0),
            object_score=max(scores, default=NOTHING),
            sounding=any(score > 0 for score in scores),
            image=frame.image,
        )


def _packed(found: Segmentation) -> Segmentation:
    """The same without its picture, its mask at a bit a pixel: a clip's masks wait for the backward pass."""
    return dataclasses.replace(found, mask=np.packbits(found.mask), image=np.empty((0, 0, 3), np.uint8))


def _motion(image: np.ndarray, before: np.ndarray | None, box: tuple[float, float, float, float]) -> float:
    """Mean difference of two frames inside a box, in [0, 1]."""
    if before is None:
        return 0.0
    x0, y0, x1, y1 = (int(value) for value in (box[0], box[1], np.ceil(box[2]), np.ceil(box[3])))
    here, there = (picture[y0:y1, x0:x1].astype(np.int16) for picture in (image, before))
    return float(np.abs(here - there).mean() / 255) if here.size else 0.0


def _seconds(video: Path) -> np.ndarray:
    """(T, 16000) float32: the sound of each second of a video that was begun, left and right averaged."""
    rows = []
    with SoundTrack(video) as sound:
        while not sound.ends_before(len(rows)):
            rows.append(sound.read(len(rows), len(rows) + 1).mean(1))
    return np.stack(rows) if rows else np.zeros((0, AUDIO_RATE), np.float32)


def _identity(video: Path) -> str:
    """Tells apart files, and states of one file."""
    state = video.stat()
    return f"{video.resolve()} {state.st_size} {state.st_mtime_ns}"
