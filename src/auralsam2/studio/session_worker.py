"""Worker of an open session: one thread that executes commands and, between them, continues the propagation."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from typing import Any

from auralsam2.errors import AuralError, UsageError
from auralsam2.inference.video_session import VideoSession
from auralsam2.inference.video_source import VideoSource
from auralsam2.model import AuralSAM2, open_session
from auralsam2.studio import apply_command, mask_codec
from auralsam2.studio.commands import (
    AudioCommand,
    CancelCommand,
    ExportCommand,
    LoggedCommand,
    PageCommand,
    PointsCommand,
    PredictCommand,
    PropagateCommand,
    RedoCommand,
    SettingsCommand,
    SplitCommand,
    StyleCommand,
    TextCommand,
    UndoCommand,
)
from auralsam2.studio.exports import KINDS, ExportOrder
from auralsam2.studio.jobs import ExportJob, PropagationJob
from auralsam2.studio.session_state import SessionState
from auralsam2.studio.storage import public_message
from auralsam2.studio.subscribers import Subscribers
from auralsam2.types import Prompts, Segmentation

_log = logging.getLogger(__name__)

Reply = Callable[[dict[str, Any]], None]
_MAX_QUEUED = 200
"""Maximum number of queued commands."""
_STATE_PERIOD = 1.0
"""Seconds between two state messages during a propagation."""


@dataclass(frozen=True)
class SharedModel:
    """Model that all sessions share, used by one at a time.

    Attributes:
        model: loaded model.
        lock: lock held while the model is in use.
        memory, disk: bytes of encoded frames of one session in memory and in temporary files.
    """

    model: AuralSAM2
    lock: threading.Lock
    memory: int
    disk: int


class SessionWorker:
    """Worker of a session; all methods are thread-safe.

    Args:
        state: loaded state, owned by the worker.
        subscribers: subscribers of masks, states and progress.
        shared: shared model.

    Attributes:
        used: time of the last command, by `time.monotonic`.
    """

    def __init__(self, state: SessionState, subscribers: Subscribers, shared: SharedModel) -> None:
        self._state, self._subscribers, self._shared = state, subscribers, shared
        self._session: VideoSession | None = None
        self._propagation: PropagationJob | None = None
        self._export: ExportJob | None = None
        self._sent_warnings: set[str] = set()
        self._state_sent = 0.0
        self._stop, self._cancel = threading.Event(), threading.Event()
        self._queue: SimpleQueue[tuple[PageCommand | ExportCommand, Reply] | None] = SimpleQueue()
        self.used = time.monotonic()
        self._snapshot = state.full_state()
        self._thread = threading.Thread(target=self._loop, name="studio-session", daemon=True)
        self._thread.start()

    @property
    def snapshot(self) -> dict[str, Any]:
        """State for the page, as of the last change."""
        return self._snapshot | {"open": True, "busy": self._progress()}

    @property
    def busy(self) -> bool:
        """True while a job or a queued command is pending."""
        export = self._export
        return self._propagation is not None or not self._queue.empty() or (export is not None and export.running)

    def submit(self, command: PageCommand | ExportCommand, reply: Reply) -> None:
        """Queue a command; the reply may come from another thread.

        Args:
            command: the command.
            reply: called with `{"ok": True, …}` or `{"error": …}`.
        """
        self.used = time.monotonic()
        if isinstance(command, CancelCommand):
            self._cancel.set()
            export = self._export
            if export is not None:
                export.cancel()
            reply({"ok": True})
        elif self._stop.is_set():
            reply({"error": "the session was closed just now: try again"})
        elif self._queue.qsize() >= _MAX_QUEUED:
            reply({"error": "too many commands are queued: wait a moment"})
        else:
            if isinstance(command, PropagateCommand):
                self._cancel.clear()
            self._queue.put((command, reply))

    def request(self, command: PageCommand | ExportCommand) -> Future[dict[str, Any]]:
        """Queue a command and return its reply as a future."""
        future: Future[dict[str, Any]] = Future()
        self.submit(command, future.set_result)
        return future

    def close(self) -> None:
        """Stop all jobs and release the memory; prompts and masks are on disk."""
        self._stop.set()
        if self._export is not None:
            self._export.cancel()
        self._queue.put(None)
        self._thread.join()
        if self._export is not None:
            self._export.join()

    def _loop(self) -> None:
        while not self._stop.is_set():
            try:
                item = self._queue.get(block=self._propagation is None)
            except Empty:
                item = None
            if item is not None:
                self._reply(*item)
            elif self._propagation is not None:
                self._compute_mask(self._propagation)
        self._propagation = None
        if self._session is not None:
            self._session.close()
            self._session = None
        while not self._queue.empty():
            if (item := self._queue.get()) is not None:
                item[1]({"error": "the session was closed just now: try again"})

    def _reply(self, command: PageCommand | ExportCommand, reply: Reply) -> None:
        try:
            answer = {"ok": True} | self._execute(command)
        except AuralError as error:
            answer = {"error": public_message(error, self._state.folder, self._state.name)}
        except Exception:
            _log.exception("%s", type(command).__name__)
            answer = {"error": "this failed: see the server's log; undo it, or reload the page"}
        reply(answer)

    def _execute(self, command: PageCommand | ExportCommand) -> dict[str, Any]:
        state = self._state
        match command:
            case StyleCommand():
                if command.object not in state.objects:
                    raise UsageError(f"no object {command.object}: it was removed")
                state.change_style(command)
            case SettingsCommand():
                state.apply_settings(command)
            case ExportCommand():
                return self._start_export(command)
            case PredictCommand():
                with self._shared.lock:
                    session = self._open_session()
                    segmentation = apply_command.predict_mask(session, state.clip, command.object, command.tick)
                self._send_mask(segmentation)
            case UndoCommand() | RedoCommand():
                self._undo_or_redo(command)
            case PropagateCommand():
                return self._start_propagation(command)
            case CancelCommand():  # handled by `submit`
                return {}
            case _:
                return self._change_prompts(command)
        self._save()
        return {}

    def _change_prompts(self, entry: LoggedCommand) -> dict[str, Any]:
        state = self._state
        prompts = state.objects.get(entry.object)
        if isinstance(entry, TextCommand):
            entry = entry.model_copy(update={"text": (entry.text or "").strip() or None})
        # VideoSession records no undo step for a value that does not change.
        if isinstance(entry, AudioCommand) and entry.on == (prompts is not None and prompts.use_audio):
            return {}
        if isinstance(entry, TextCommand) and entry.text == (prompts.text if prompts else None):
            return {}
        state.check_capacity()
        first = isinstance(entry, PointsCommand) and not (prompts and entry.tick in prompts.prompts)
        with self._shared.lock:
            session = self._open_session()
            entry, segmentations = apply_command.apply_command(session, state.clip, entry, first=first)
            if isinstance(entry, AudioCommand | TextCommand) and entry.object in session.objects:
                # Audio and text also change the masks on frames with visual prompts.
                ticks = prompts.prompts if prompts else ()
                segmentations = [apply_command.predict_mask(session, state.clip, entry.object, tick) for tick in ticks]
        if isinstance(entry, SplitCommand) and not entry.made:
            return {"made": ()}
        self._mark_outdated(entry, state.add(entry))
        for segmentation in segmentations:
            self._send_mask(segmentation)
        self._save()
        return {"made": entry.made} if isinstance(entry, SplitCommand) else {}

    def _undo_or_redo(self, command: UndoCommand | RedoCommand) -> None:
        state = self._state
        if isinstance(command, UndoCommand) and not state.can_undo:
            raise UsageError("nothing to undo")
        if isinstance(command, RedoCommand) and not state.undone:
            raise UsageError("nothing to redo")
        with self._shared.lock:
            session = self._open_session()
            if isinstance(command, UndoCommand):
                session.undo()
                entry = state.undo()
            else:
                session.redo()
                entry = state.redo()
            self._mark_outdated(entry)
            tick = getattr(entry, "tick", None)
            if tick is None or entry.object not in state.objects or isinstance(entry, SplitCommand):
                segmentation = None
            else:
                segmentation = apply_command.displayed_mask(session, state.clip, entry.object, tick)
                if segmentation is None:
                    state.delete_mask(entry.object, tick)
                    self._subscribers.publish({"is": "gone", "object": entry.object, "tick": tick})
        if segmentation is not None:
            self._send_mask(segmentation)

    def _mark_outdated(self, entry: LoggedCommand, new: set[int] = frozenset()) -> None:  # type: ignore[assignment]
        """Mark masks of a propagation, past and future, as outdated by a command."""
        state = self._state
        changed = {entry.object} if not isinstance(entry, SplitCommand) else set(entry.made)
        state.mark_stale(changed)
        if self._propagation is not None:
            if (tick := getattr(entry, "tick", None)) is not None:
                self._propagation.outdated |= {(number, tick) for number in changed}
            self._propagation.removed |= new | (changed - state.objects.keys())

    def _start_propagation(self, command: PropagateCommand) -> dict[str, Any]:
        state, clip = self._state, self._state.clip
        if self._propagation is not None:
            raise UsageError("a propagation is running: wait for it or cancel it")
        if not state.objects:
            raise UsageError("nothing to propagate: press Listen, or click on an object first")
        start = None if command.start is None else apply_command.start_time(clip, command.start)
        with self._shared.lock:
            masks = self._open_session().propagate(start, direction="both" if command.both else "forward")
        self._propagation = PropagationJob(masks, len(state.objects), len(clip.times), both=command.both)
        state.stale -= state.objects.keys()
        self._send_state()
        return {}

    def _compute_mask(self, run: PropagationJob) -> None:
        if self._cancel.is_set():
            self._end_propagation("cancelled")
            return
        try:
            with self._shared.lock:
                segmentation = run.next_mask()
        except AuralError as error:
            self._end_propagation("cancelled", error=public_message(error, self._state.folder, self._state.name))
            return
        except Exception:
            _log.exception("run")
            self._end_propagation("cancelled", error="the propagation failed: see the server's log")
            return
        if segmentation is None:
            self._end_propagation("done")
            return
        if run.is_current(segmentation):
            self._send_mask(segmentation)
        if run.report_due:
            self._subscribers.publish({"is": "progress"} | run.progress)
        if time.monotonic() - self._state_sent > _STATE_PERIOD:
            self._send_state()

    def _end_propagation(self, outcome: str, **details: str) -> None:
        self._propagation = None
        self.used = time.monotonic()
        self._subscribers.publish({"is": outcome, "what": "run"} | details)
        self._save()

    def _start_export(self, command: ExportCommand) -> dict[str, Any]:
        state = self._state
        if command.kind not in KINDS:
            raise UsageError(f"export: choose from {', '.join(KINDS)}")
        if self._export is not None and self._export.running:
            raise UsageError("an export is running: wait for it or cancel it")
        state.apply_settings(SettingsCommand(threshold=command.threshold, score=command.score))
        self._save()
        styles = {number: state.style(number) for number in state.objects}
        if command.kind != "session":
            styles = {number: style for number, style in styles.items() if not style.hidden}
        order = ExportOrder(
            kind=command.kind,
            folder=state.folder,
            clip=state.clip,
            name=state.name,
            objects=styles,
            ticks=tuple(sorted(set().union(*(state.marks[number] for number in styles)))),
            threshold=state.threshold,
            score=state.score,
        )
        self._export = ExportJob(order, self._subscribers.publish)
        self._send_state()
        return {}

    def _open_session(self) -> VideoSession:
        """Return the video session, opened on first use by a replay of the log."""
        if self._session is None:
            state, shared = self._state, self._shared
            if state.log:
                self._subscribers.publish({"is": "note", "text": "Restoring the prompts of the session …"})
            video = state.folder.path / state.clip.video
            source = VideoSource.open(video, Prompts(), fps=state.clip.fps, prompts_later=True)
            session = open_session(shared.model, source, memory=shared.memory, disk=shared.disk)
            try:
                for entry in state.log:
                    shown = isinstance(entry, PointsCommand) and entry.shown is not None
                    apply_command.apply_command(session, state.clip, entry, first=shown)
            except BaseException:
                session.close()
                raise
            self._session = session
        return self._session

    def _send_mask(self, segmentation: Segmentation) -> None:
        data = mask_codec.pack_mask(
            segmentation.logits,
            object_id=segmentation.object_id,
            tick=segmentation.index,
            iou=segmentation.iou,
            object_score=segmentation.object_score,
            sounding=segmentation.sounding,
        )
        self._subscribers.publish(data)
        self._state.store_mask(segmentation.object_id, segmentation.index, data, sounding=segmentation.sounding)

    def _progress(self) -> dict[str, Any] | None:
        """Return the progress of the running job, for pages that connect later."""
        run, export = self._propagation, self._export
        if run is not None:
            return run.progress
        return export.progress if export is not None and export.running else None

    def _save(self) -> None:
        self._send_state()
        self._state.save()

    def _send_state(self) -> None:
        self._state_sent = time.monotonic()
        self._snapshot = self._state.full_state()
        constant = ("times", "sound")
        self._subscribers.publish({"is": "state"} | {k: v for k, v in self.snapshot.items() if k not in constant})
        if self._session is not None:
            for warning in set(self._session.warnings) - self._sent_warnings:
                self._sent_warnings.add(warning)
                self._subscribers.publish({"is": "note", "text": warning})
