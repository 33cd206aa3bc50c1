"""Zero-shot segmentation of sounding objects: tag, detect, select, propagate, gate.

After AL-Ref-SAM2 (Huang et al., AAAI 2025), with rules instead of its language model. Tagger, detector and selector are
interchangeable. SAM 2 propagates the selected box, and the mask is shown in the seconds in which its label sounds.
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
    """Cache of responses by question, in memory and in a file of JSON lines that is only appended to.

    A truncated last line is dropped: its question is asked again.

    Args:
        path: the file, created if missing; None for memory only.

    Raises:
        OutputError: the file cannot be written.
    """

    def __init__(self, path: Path | None) -> None:
        self.path = path
        self._responses: dict[str, Any] = {}
        if path is None or not path.exists():
            return
        for line in path.read_text(encoding="utf-8").splitlines():
            try:
                entry = strict_json.parse_json(line)
                self._responses[entry["question"]] = entry["answer"]
            except (ValueError, KeyError, TypeError):
                continue

    def get(self, question: str, ask: Callable[[], Any]) -> Any:
        """Return the cached response, or cache and return that of `ask`, a plain value.

        Raises:
            OutputError: the file cannot be written.
        """
        if question not in self._responses:
            self._responses[question] = answer = ask()
            if self.path is not None:
                line = json.dumps({"question": question, "answer": answer})
                with writing(self.path):
                    self.path.parent.mkdir(parents=True, exist_ok=True)
                    with self.path.open("a", encoding="utf-8") as file:
                        # On its own line, since a killed run may have left an incomplete one.
                        file.write(f"\n{line}\n")
        return self._responses[question]


FPS = 1.0


@dataclass(frozen=True, kw_only=True, slots=True)
class TaggedDetection:
    """Detection that prompts SAM 2 for a tag.

    Attributes:
        tag: label and its active seconds.
        detection: frame and box.
    """

    tag: Tag
    detection: Detection

    def sounds(self, second: int) -> bool:
        """Return whether the label sounds in a second; audio that ends before the video is silent."""
        return second < len(self.tag.active) and self.tag.active[second]


class ZeroShotPipeline:
    """Segment the sounding objects of a clip, one frame per second.

    Args:
        model: AuralSAM2, of which only SAM 2 is used.
        tagger, detector, selector: audio tagger, object detector, and selector of a detection.
        cache: folder for the responses of tagger and detector, `tagger.jsonl` and `detector.jsonl`, for experiments
            with the selector; None for none.
    """

    def __init__(
        self, model: AuralSAM2, tagger: Tagger, detector: Detector, selector: Selector, cache: Path | None = None
    ) -> None:
        self.model, self.tagger, self.detector, self.selector = model, tagger, detector, selector
        self._tags = ResponseCache(None if cache is None else cache / "tagger.jsonl")
        self._detections = ResponseCache(None if cache is None else cache / "detector.jsonl")

    def starts(self, video: Path) -> list[TaggedDetection]:
        """Return the selected detection for each sounding label of a video.

        Raises:
            InputError: the video cannot be used, or has no audio.
        """
        with FrameReader(video, fps=FPS, start=0.0, end=None) as frames:
            return self.choose(_identity(video), frames, lambda: _seconds(video))

    def choose(self, clip: str, frames: Iterable[Frame], seconds: Callable[[], np.ndarray]) -> list[TaggedDetection]:
        """Return at most one detection per label, the most probable label first.

        Args:
            clip: identifier of the clip, for the cache.
            frames: one per second; read only if a label is active.
            seconds: returns the audio, (T, 16000) float32, one channel at 16 kHz; called if it is needed.
        """

        def tag_clip() -> list[dict[str, object]]:
            return [dataclasses.asdict(tag) for tag in self.tagger.tag(seconds())]

        entries = self._tags.get(f"{clip} {self.tagger.name}", tag_clip)
        tags = [Tag(label=tag["label"], score=tag["score"], active=tuple(tag["active"])) for tag in entries]
        if not tags:
            return []
        by_tag: list[list[Detection]] = [[] for _ in tags]
        previous: np.ndarray | None = None
        for frame in frames:
            for tag, detections in zip(tags, by_tag, strict=True):
                detections += self._detect(clip, frame, tag.label, previous)
            previous = frame.image
        selected = zip(tags, map(self.selector.select, by_tag), strict=True)
        return [TaggedDetection(tag=tag, detection=detection) for tag, detection in selected if detection is not None]

    def segment(self, video: Path) -> Iterator[Segmentation]:
        """Yield the masks in the order of time; objects with labels in the same second share one mask.

        Raises:
            InputError: the video cannot be used, or has no audio.
        """
        starts = self.starts(video)
        masks: dict[tuple[int, int], Segmentation] = {}
        if starts:
            with self.model.open(video, audio="none", fps=FPS) as session:
                for number, start in enumerate(starts, 1):
                    session.add_box(start.detection.box, start.detection.time, number)
                for segmentation in session.propagate(direction="both"):
                    masks[segmentation.index, segmentation.object_id] = _packed(segmentation)
        with FrameReader(video, fps=FPS, start=0.0, end=None) as frames:
            for frame in frames:
                sounding = [
                    masks[frame.index, number]
                    for number, start in enumerate(starts, 1)
                    if (frame.index, number) in masks and start.sounds(frame.index)
                ]
                yield self._merge(frame, sounding)

    def _detect(self, clip: str, frame: Frame, label: str, previous: np.ndarray | None) -> list[Detection]:
        question = f"{clip} {frame.index} {label} {self.detector.name}"
        boxes = self._detections.get(question, lambda: self.detector.detect(frame.image, label))
        height, width = frame.image.shape[:2]
        detections = []
        for box, score in boxes:
            x0, y0, x1, y1 = box
            detections.append(
                Detection(
                    index=frame.index,
                    time=frame.instant,
                    box=(x0, y0, x1, y1),
                    score=score,
                    area=(x1 - x0) * (y1 - y0) / (height * width),
                    motion=_motion(frame.image, previous, (x0, y0, x1, y1)),
                )
            )
        return detections

    def _merge(self, frame: Frame, sounding: list[Segmentation]) -> Segmentation:
        """Merge the masks of the sounding objects of a frame; without any, the mask is empty."""
        height, width = frame.image.shape[:2]
        size = self.model.network.image_size
        mask = np.zeros((height, width), bool)
        for segmentation in sounding:
            mask |= np.unpackbits(segmentation.mask, count=height * width).reshape(height, width).astype(bool)
        scores = [segmentation.object_score for segmentation in sounding]
        return Segmentation(
            index=frame.index,
            time=frame.time,
            slot=frame.slot,
            mask=mask,
            logits=np.maximum.reduce([segmentation.logits for segmentation in sounding])
            if sounding
            else np.full((size, size), NOTHING, np.float32),
            iou=max((segmentation.iou for segmentation in sounding), default=0.0),
            object_score=max(scores, default=NOTHING),
            sounding=any(score > 0 for score in scores),
            image=frame.image,
            source_index=frame.source_index,
            pts=frame.pts,
        )


def _packed(segmentation: Segmentation) -> Segmentation:
    """Drop the image and pack the mask to bits, to hold all masks of a clip."""
    return dataclasses.replace(segmentation, mask=np.packbits(segmentation.mask), image=np.empty((0, 0, 3), np.uint8))


def _motion(image: np.ndarray, previous: np.ndarray | None, box: tuple[float, float, float, float]) -> float:
    """Return the mean absolute difference of two frames inside a box, in [0, 1]."""
    if previous is None:
        return 0.0
    x0, y0, x1, y1 = (int(value) for value in (box[0], box[1], np.ceil(box[2]), np.ceil(box[3])))
    current, earlier = (picture[y0:y1, x0:x1].astype(np.int16) for picture in (image, previous))
    return float(np.abs(current - earlier).mean() / 255) if current.size else 0.0


def _seconds(video: Path) -> np.ndarray:
    """Return the audio of each second of a video, the mean of left and right: (T, 16000) float32."""
    rows = []
    with SoundTrack(video) as sound:
        while not sound.ends_before(len(rows)):
            rows.append(sound.read(len(rows), len(rows) + 1).mean(1))
    return np.stack(rows) if rows else np.zeros((0, AUDIO_RATE), np.float32)


def _identity(video: Path) -> str:
    state = video.stat()
    return f"{video.resolve()} {state.st_size} {state.st_mtime_ns}"
