"""Keeps the objects of a video session in step with the log of commands.

A session that was opened again has no decoded prompts. They are decoded from the log when a command needs them, one
frame of one object at a time; the masks on disk remain valid meanwhile.
"""

from __future__ import annotations

import base64
from collections.abc import Collection, Iterable, Iterator

import numpy as np
import torch
import torch.nn.functional as F

from auralsam2.errors import UsageError
from auralsam2.inference.feature_prompts import Condition
from auralsam2.inference.object_state import UNCONDITIONED, MaskPrediction
from auralsam2.inference.prompt_mapping import is_negative_only
from auralsam2.inference.prompt_replay import (
    Round,
    Step,
    add_round,
    decoded_frames,
    map_round,
    replay_frame,
    retain_frames,
)
from auralsam2.inference.video_session import MIN_AREA, VideoSession, latest_mask
from auralsam2.modeling.prompt_encoder import MAX_MASK_LOGIT, VisualPrompts
from auralsam2.studio import mask_codec
from auralsam2.studio.brush_png import read_png, write_png
from auralsam2.studio.commands import (
    MAX_OBJECTS,
    AbsentCommand,
    AddedObjects,
    AudioCommand,
    BoxCommand,
    BrushCommand,
    ChangeCommand,
    ClearCommand,
    CopyCommand,
    LoggedCommand,
    PointsCommand,
    PromptCommand,
    RemoveCommand,
    SplitCommand,
    StyleCommand,
    TextCommand,
    VisualCommand,
)
from auralsam2.studio.prompt_summary import ObjectPrompts
from auralsam2.studio.session_state import SessionState, changed_objects
from auralsam2.studio.stored_masks import StoredMasks
from auralsam2.types import Segmentation
from auralsam2.utils.mask_geometry import connected_components

_STRIDE = 4
"""Pixels of the model's square for each pixel of a decoded mask."""


class SessionReplay:
    """Video session whose objects follow the log of a state.

    Args:
        session: session of the clip, without prompts.
        state: state of the session. Its owner logs the commands, and calls `follow` after an undo or redo.
        size: side of the model's square in pixels.
    """

    def __init__(self, session: VideoSession, state: SessionState, size: int) -> None:
        self.session, self._state, self._size = session, state, size

    def pending(self, numbers: Iterable[int]) -> int:
        """Return the number of prompted frames of some objects that are not decoded."""
        return sum(len(self._missing(number)) for number in numbers)

    def decode(self, number: int, ticks: Collection[int] | None = None) -> Iterator[None]:
        """Decode prompts of an object that are not decoded, one frame a step.

        Args:
            number: of the object.
            ticks: frames to decode; None for all. Frames without prompts are ignored.

        Raises:
            UsageError: a logged command is invalid for this model or clip.
        """
        missing = self._missing(number)
        wanted = sorted(missing if ticks is None else missing & set(ticks))
        history = self._history(number) if wanted else []
        for tick in wanted:
            replay_frame(self.session, number, self._time(tick), list(self._steps(history, tick)))
            yield
        prompts = self._state.objects.get(number)
        if prompts is not None and number not in self.session.objects:
            if prompts.use_audio:
                self.session.hear(object_id=number)
            if prompts.text is not None:
                self.session.say(prompts.text, object_id=number)

    def predict(self, number: int, tick: int) -> Segmentation:
        """Predict the mask of an object on one frame.

        Raises:
            UsageError: there is no such object or frame.
        """
        time, prompts = self._time(tick), self._object(number)
        self._decode_now(number, [tick] if tick in prompts.prompts else None)
        return self.session.predict(time, number)

    def apply(self, entry: ChangeCommand) -> ChangeCommand:
        """Apply a command that is not logged yet, as far as it can fail.

        Returns:
            the entry for the log, with all that a replay needs.

        Raises:
            UsageError: the command is invalid in this state.
        """
        match entry:
            case PointsCommand() | BoxCommand() | BrushCommand():
                return self._prompt(entry)
            case AudioCommand() | TextCommand():
                self._change_condition(entry)
            case RemoveCommand() | StyleCommand():
                self._object(entry.object)
            case ClearCommand():
                self._time(entry.tick)
                if entry.tick not in self._object(entry.object).prompts:
                    raise UsageError(f"object {entry.object} has no prompts on frame {entry.tick}")
            case SplitCommand():
                return self._split(entry)
            case AbsentCommand():
                self._object(entry.object)
                if self._time(entry.last) < self._time(entry.tick):
                    raise UsageError(f"frames {entry.tick} to {entry.last}: give the first one first")
        return entry

    def masks_after(self, entry: LoggedCommand) -> list[Segmentation]:
        """Return the masks that a command changed at once, after it was logged."""
        if isinstance(entry, ClearCommand | RemoveCommand | AbsentCommand):
            self.follow(entry)
        if not isinstance(entry, VisualCommand | ClearCommand | SplitCommand):
            return []
        return [
            self.predict(number, entry.tick) for number in sorted(changed_objects(entry) & self._state.objects.keys())
        ]

    def follow(self, entry: LoggedCommand) -> None:
        """Forget the decoded prompts that a command changed, after it was undone or redone."""
        if isinstance(entry, StyleCommand):
            return
        objects, tick = self._state.objects, getattr(entry, "tick", None)
        frames = {number: set(prompts.prompts) for number, prompts in objects.items()}
        changed = set(_cleared(entry)) if isinstance(entry, AbsentCommand) else {tick}
        for number in changed_objects(entry) & objects.keys():
            frames[number] = set() if tick is None else frames[number] - changed
        conditions = {number: Condition(item.use_audio, item.text) for number, item in objects.items()}
        retain_frames(self.session, conditions, frames)

    def _missing(self, number: int) -> set[int]:
        prompts = self._state.objects.get(number)
        return set() if prompts is None else prompts.prompts.keys() - decoded_frames(self.session, number)

    def _decode_now(self, number: int, ticks: Collection[int] | None) -> None:
        for _ in self.decode(number, ticks):
            pass

    def _object(self, number: int) -> ObjectPrompts:
        if number not in self._state.objects:
            raise UsageError(f"no object {number}: it was removed")
        return self._state.objects[number]

    def _time(self, tick: int) -> float:
        clip = self._state.clip
        if tick >= len(clip.times):
            raise UsageError(f"frame {tick}: the clip has frames 0 to {len(clip.times) - 1}")
        return clip.instant(tick)

    def _history(self, number: int) -> list[LoggedCommand]:
        """Return the commands of an object since it was created."""
        history: list[LoggedCommand] = []
        for entry in self._state.log.entries:
            if number not in changed_objects(entry) or isinstance(entry, StyleCommand):
                continue
            if isinstance(entry, RemoveCommand | SplitCommand | AddedObjects):
                history.clear()
            if isinstance(entry, SplitCommand | AddedObjects):
                if len(entry.masks) != len(entry.made):
                    raise UsageError("an earlier version split this object: undo that step and split it again")
                at = entry.made.index(number)
                tick = entry.tick if isinstance(entry, SplitCommand) else entry.ticks[at]
                history.append(BrushCommand(do="brush", object=number, tick=tick, png=entry.masks[at]))
            elif not isinstance(entry, RemoveCommand):
                history.append(entry)
        return history

    def _steps(self, history: Iterable[LoggedCommand], tick: int) -> Iterator[Step]:
        condition = UNCONDITIONED
        for entry in history:
            if isinstance(entry, AudioCommand):
                condition = Condition(entry.on, condition.text)
                yield condition
            elif isinstance(entry, TextCommand):
                condition = Condition(condition.use_audio, entry.text)
                yield condition
            elif isinstance(entry, ClearCommand | AbsentCommand) and tick in _cleared(entry):
                yield None
            elif isinstance(entry, VisualCommand) and entry.tick == tick:
                yield Round(visual=self._visual(entry), corrected=_corrected(entry))

    def _visual(self, entry: PromptCommand) -> VisualPrompts:
        clip, time = self._state.clip, self._time(entry.tick)
        match entry:
            case PointsCommand():
                places = [(x, y) for x, y, _ in entry.points]
                return map_round(self.session, time, points=places, labels=[label for *_, label in entry.points])
            case BoxCommand():
                return map_round(self.session, time, box=entry.box)
            case BrushCommand():
                return map_round(self.session, time, mask=read_png(entry.png, clip.width, clip.height))

    def _prompt(self, entry: PromptCommand) -> PromptCommand:
        number, visual = entry.object, self._visual(entry)
        prompts = self._state.objects.get(number)
        if prompts is not None:
            first = entry.tick not in prompts.prompts
            self._decode_now(number, () if first else [entry.tick])
            if first and (shown := self._shown(entry, needed=is_negative_only(visual))) is not None:
                entry = entry.model_copy(update={"shown": shown})
        add_round(self.session, number, self._time(entry.tick), Round(visual=visual, corrected=_corrected(entry)))
        return entry

    def _shown(self, entry: PromptCommand, *, needed: bool) -> str | None:
        """Return the mask of a frame before its first prompt, as base64; a `needed` one is predicted if missing."""
        number, tick = entry.object, entry.tick
        time, sounding = self._time(tick), self._state.marks[number].get(tick, False)
        latest = latest_mask(self.session, time, number) if number in self.session.objects else None
        if latest is None and (stored := self._state.read_mask(number, tick)) is not None:
            header, logits = stored
            latest = MaskPrediction(_low_res(logits, self._size // _STRIDE), header.iou, header.object_score)
        if latest is None and needed:
            self.predict(number, tick)
            latest = latest_mask(self.session, time, number)
        if latest is None:
            return None
        data = mask_codec.pack_mask(
            latest.low_res.float().cpu().numpy(),
            object_id=number,
            tick=tick,
            iou=latest.iou,
            object_score=latest.object_score,
            sounding=sounding,
            limit=MAX_MASK_LOGIT,
        )
        return base64.b64encode(data).decode()

    def _change_condition(self, entry: AudioCommand | TextCommand) -> None:
        number = entry.object
        if number in self._state.objects:
            # With the new condition, the prompts are decoded when they are needed.
            self.follow(entry)
            self._decode_now(number, ())
        if isinstance(entry, AudioCommand):
            self.session.hear(entry.on, object_id=number)
        else:
            self.session.say(entry.text, object_id=number)

    def copied(self, command: CopyCommand) -> BrushCommand:
        """Return the displayed mask of a frame as a painted mask of another one.

        Raises:
            UsageError: there is no mask on the frame, or it is empty.
        """
        mask = self._displayed(command.object, command.tick)
        if not mask.any():
            raise UsageError("the mask on this frame is empty: there is nothing to copy")
        return BrushCommand(do="brush", object=command.object, tick=command.to, png=write_png(mask))

    def _displayed(self, number: int, tick: int) -> np.ndarray:
        """Return the (H, W) bool mask that the page shows, at its threshold and score."""
        state = self._state
        self._object(number)
        self._time(tick)
        masks = StoredMasks(folder=state.folder, clip=state.clip, threshold=state.threshold, score=state.score)
        stored = masks.segmentation(number, tick)
        if stored is None:
            raise UsageError("there is no mask on this frame: press Track first")
        return stored.mask

    def _split(self, entry: SplitCommand) -> SplitCommand:
        """Find the components that the page shows."""
        clip = self._state.clip
        least = max(1, round(MIN_AREA * clip.width * clip.height))
        parts = connected_components(self._displayed(entry.object, entry.tick), least)
        if len(parts) < 2:
            return entry
        first = self._state.new_number()
        if first + len(parts) > MAX_OBJECTS:
            raise UsageError(f"this mask has {len(parts)} parts: a session has at most {MAX_OBJECTS} objects")
        made = tuple(range(first, first + len(parts)))
        return entry.model_copy(update={"made": made, "masks": tuple(write_png(part) for part in parts)})


def shown_mask(entry: LoggedCommand, size: int) -> tuple[mask_codec.MaskHeader, np.ndarray] | None:
    """Return the mask that a frame had before the prompt of a log entry, None without one.

    Args:
        entry: the log entry.
        size: side of the model's square.

    Returns:
        header and (size, size) float32 logits.

    Raises:
        InputError: the mask is damaged.
    """
    if not isinstance(entry, VisualCommand) or entry.shown is None:
        return None
    header, logits = mask_codec.unpack_mask(_decode(entry.shown))
    full = F.interpolate(torch.from_numpy(logits)[None, None], (size, size), mode="bilinear", align_corners=False)
    return header, full[0, 0].numpy()


def _cleared(entry: ClearCommand | AbsentCommand) -> range:
    """Return the frames whose prompts a command removes."""
    return range(entry.tick, (entry.last if isinstance(entry, AbsentCommand) else entry.tick) + 1)


def _low_res(logits: np.ndarray, side: int) -> torch.Tensor:
    """Return stored logits as (side, side): those at the centres of the cells, which resizing blurs least."""
    full = torch.from_numpy(logits)[None, None]
    if full.shape[-2:] != (_STRIDE * side, _STRIDE * side):  # the masks of another model
        full = F.interpolate(full, (_STRIDE * side, _STRIDE * side), mode="bilinear", align_corners=False)
    return F.avg_pool2d(full[..., 1:-1, 1:-1], 2, _STRIDE)[0, 0]


def _corrected(entry: PromptCommand) -> MaskPrediction | None:
    """Return the mask that clicks correct; boxes and painted masks correct none."""
    if entry.shown is None or not isinstance(entry, PointsCommand):
        return None
    header, logits = mask_codec.unpack_mask(_decode(entry.shown))
    return MaskPrediction(torch.from_numpy(logits), header.iou, header.object_score)


def _decode(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except ValueError as error:
        raise UsageError("the session has a damaged mask: restore it from an export, or delete it") from error
