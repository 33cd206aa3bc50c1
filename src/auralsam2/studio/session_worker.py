"""Worker of an open session: one thread that executes commands and, between them, continues the propagation."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from queue import Empty, SimpleQueue
from typing import Any

from auralsam2.errors import AuralError, UsageError
from auralsam2.inference.video_source import VideoSource
from auralsam2.model_context import open_session
from auralsam2.studio.commands import (
    NEW_OBJECT,
    CancelCommand,
    ChangeCommand,
    ClearCommand,
    CopyCommand,
    ExportCommand,
    ImportOrder,
    LoggedCommand,
    Order,
    PredictCommand,
    PropagateCommand,
    RedoCommand,
    SeparateCommand,
    SettingsCommand,
    Sliders,
    SplitCommand,
    StyleCommand,
    TextCommand,
    UndoCommand,
    VisualCommand,
)
from auralsam2.studio.exports import KINDS, ExportOrder
from auralsam2.studio.jobs import ExportJob, PropagationJob
from auralsam2.studio.mask_import import import_masks
from auralsam2.studio.mask_sender import MaskSender
from auralsam2.studio.prompt_summary import is_unchanged
from auralsam2.studio.session_replay import SessionReplay, shown_mask
from auralsam2.studio.session_state import SessionState, changed_objects
from auralsam2.studio.shared_model import SharedModel
from auralsam2.studio.source_separation import SeparationJob
from auralsam2.studio.storage import public_message
from auralsam2.studio.subscribers import Subscribers
from auralsam2.types import Prompts

_log = logging.getLogger(__name__)

Reply = Callable[[dict[str, Any]], None]
_MAX_QUEUED = 200
"""Maximum number of queued commands."""
_STATE_PERIOD = 1.0
"""Seconds between two state messages during a propagation."""


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
        self._masks = MaskSender(state, subscribers)
        self._replay: SessionReplay | None = None
        self._propagation: PropagationJob | SeparationJob | None = None
        self._export: ExportJob | None = None
        self._sent_warnings: set[str] = set()
        self._stop, self._cancel = threading.Event(), threading.Event()
        self._lock = threading.Lock()
        self._state_sent, self._unanswered = 0.0, 0
        self._queue: SimpleQueue[tuple[Order, Reply] | None] = SimpleQueue()
        self.used = time.monotonic()
        self._snapshot = state.full_state()
        self._thread = threading.Thread(target=self._loop, name="studio-session", daemon=True)
        self._thread.start()

    @property
    def snapshot(self) -> dict[str, Any]:
        """State for the page, as of the last change."""
        return self._snapshot | {"open": True} | self._progress()

    @property
    def busy(self) -> bool:
        """True while a job runs, or a command waits or is executed."""
        export = self._export
        return self._unanswered > 0 or self._propagation is not None or (export is not None and export.running)

    def submit(self, command: Order, reply: Reply) -> None:
        """Queue a command; the reply may come from another thread.

        Args:
            command: the command.
            reply: called with `{"ok": True, …}` or `{"error": …}`.
        """
        self.used = time.monotonic()
        if isinstance(command, CancelCommand):
            self._cancel_job(command.what)
            reply({"ok": True})
            return
        with self._lock:
            if self._stop.is_set():
                refusal = "the session was closed just now: try again"
            elif self._unanswered >= _MAX_QUEUED:
                refusal = "too many commands are queued: wait a moment"
            else:
                refusal = None
                self._unanswered += 1
                if isinstance(command, PropagateCommand | SeparateCommand):
                    self._cancel.clear()
                self._queue.put((command, reply))
        if refusal is not None:
            reply({"error": refusal})

    def request(self, command: Order) -> Future[dict[str, Any]]:
        """Queue a command and return its reply as a future."""
        future: Future[dict[str, Any]] = Future()
        self.submit(command, future.set_result)
        return future

    def close(self) -> None:
        """Stop all jobs, tell the pages, and release the memory; prompts and masks are on disk."""
        with self._lock:
            self._stop.set()
        if self._export is not None:
            self._export.cancel()
        self._queue.put(None)
        self._thread.join()
        if self._export is not None:
            self._export.join()
        self._subscribers.publish({"is": "closed"})

    def _cancel_job(self, what: str) -> None:
        export = self._export
        if what == "run":
            self._cancel.set()
        elif export is not None:
            export.cancel()

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
        if self._propagation is not None:
            self._end_propagation("cancelled", error="the session was closed: open it again and press Track")
        if self._replay is not None:
            self._replay.session.close()
            self._replay = None
        while not self._queue.empty():
            if (item := self._queue.get()) is not None:
                self._answer(item[1], {"error": "the session was closed just now: try again"})

    def _reply(self, command: Order, reply: Reply) -> None:
        try:
            answer = {"ok": True} | self._execute(command)
        except AuralError as error:
            answer = {"error": public_message(error, self._state.folder, self._state.name)}
        except Exception:
            _log.exception("%s", type(command).__name__)
            answer = {"error": "this failed: see the server's log; undo it, or reload the page"}
        self._answer(reply, answer)

    def _answer(self, reply: Reply, answer: dict[str, Any]) -> None:
        with self._lock:
            self._unanswered -= 1
        reply(answer)

    def _execute(self, command: Order) -> dict[str, Any]:
        state = self._state
        match command:
            case SettingsCommand():
                state.apply_settings(command)
            case ExportCommand():
                return self._start_export(command)
            case PredictCommand():
                with self._shared.lock:
                    segmentation = self._open_replay().predict(command.object, command.tick)
                self._masks.send(segmentation)
                return {}
            case UndoCommand() | RedoCommand():
                return self._undo_or_redo(command)
            case CopyCommand():
                with self._shared.lock:
                    painted = self._open_replay().copied(command)
                return self._change_prompts(painted)
            case PropagateCommand():
                return self._start_propagation(command)
            case SeparateCommand():
                return self._start_separation(command)
            case ImportOrder():
                import_masks(command.file, state)
            case CancelCommand():  # handled by `submit`
                return {}
            case _:
                return self._change_prompts(command)
        self._save()
        return {}

    def _change_prompts(self, entry: ChangeCommand) -> dict[str, Any]:
        state = self._state
        if isinstance(entry, StyleCommand):
            if entry.object not in state.objects:
                raise UsageError(f"no object {entry.object}: it was removed")
            state.log.check_capacity()
            state.add(entry)
            self._save()
            return {"object": entry.object}
        if isinstance(entry, TextCommand):
            entry = entry.model_copy(update={"text": (entry.text or "").strip() or None})
        if is_unchanged(state.objects, entry):
            return {}
        state.log.check_capacity()
        with self._shared.lock:
            replay = self._open_replay()
            if not isinstance(entry, SplitCommand) and entry.object == NEW_OBJECT:
                entry = entry.model_copy(update={"object": state.new_number()})
            entry = replay.apply(entry)
            if isinstance(entry, SplitCommand) and not entry.made:
                return {"made": ()}
            try:
                new = state.add(entry)
            except AuralError:
                replay.follow(entry)
                raise
            segmentations = replay.masks_after(entry)
        self._mark_outdated(entry, new)
        self._masks.clear_absent(entry)
        for segmentation in segmentations:
            self._masks.send(segmentation)
        self._save()
        return {"made": entry.made} if isinstance(entry, SplitCommand) else {"object": entry.object}

    def _undo_or_redo(self, command: UndoCommand | RedoCommand) -> dict[str, Any]:
        state, undo = self._state, isinstance(command, UndoCommand)
        if not (state.log.entries if undo else state.log.undone):
            raise UsageError(f"nothing to {command.do}")
        before = set(state.objects)
        entry = state.undo() if undo else state.redo()
        if not isinstance(entry, StyleCommand):
            with self._shared.lock:
                if self._replay is not None:
                    self._replay.follow(entry)
                self._mark_outdated(entry)
                self._masks.clear_absent(entry, undone=undo)
                self._restore_mask(entry, undone=undo)
        self._save()
        changed = changed_objects(entry)
        created = (state.objects.keys() - before) & changed
        remaining = created or (changed & state.objects.keys())
        return {"object": min(remaining, default=None)}

    def _restore_mask(self, entry: LoggedCommand, *, undone: bool) -> None:
        """Send the mask that a frame has after the undo or redo of a command."""
        state = self._state
        if not isinstance(entry, VisualCommand | ClearCommand) or entry.object not in state.objects:
            return
        number, tick = entry.object, entry.tick
        try:
            shown = shown_mask(entry, self._shared.model.network.image_size) if undone else None
            if tick in state.objects[number].prompts or isinstance(entry, ClearCommand):
                self._masks.send(self._open_replay().predict(number, tick))
            elif shown is not None:
                self._masks.send_logits(*shown)
            else:
                self._masks.delete(number, tick)
        except AuralError as error:
            self._masks.delete(number, tick)
            text = public_message(error, state.folder, state.name)
            self._subscribers.publish({"is": "note", "text": text})

    def _mark_outdated(self, entry: LoggedCommand, new: set[int] = frozenset()) -> None:  # type: ignore[assignment]
        """Mark masks of a propagation, past and future, as outdated by a command."""
        state, changed = self._state, changed_objects(entry)
        state.mark_stale(entry)
        if self._propagation is not None:
            self._propagation.changed |= changed
            if (tick := getattr(entry, "tick", None)) is not None:
                self._propagation.outdated |= {(number, tick) for number in changed}
            self._propagation.removed |= new | (changed - state.objects.keys())

    def _start_propagation(self, command: PropagateCommand) -> dict[str, Any]:
        state, ticks = self._state, len(self._state.clip.times)
        if self._propagation is not None:
            raise UsageError("a propagation is running: wait for it or cancel it")
        if not state.objects:
            raise UsageError("nothing to propagate: press Listen, or click on an object first")
        numbers = set(command.objects or state.objects)
        if missing := numbers - state.objects.keys():
            raise UsageError(f"no object {min(missing)}: it was removed")
        last = ticks - 1 if command.last is None else command.last
        if not (command.first or 0) <= last < ticks:
            raise UsageError(f"frames {command.first or 0} to {last}: the clip has frames 0 to {ticks - 1}")
        with self._shared.lock:
            replay = self._open_replay()
        self._propagation = PropagationJob(replay, state, command)
        self._send_state()
        return {}

    def _start_separation(self, command: SeparateCommand) -> dict[str, Any]:
        if self._propagation is not None:
            raise UsageError("a propagation is running: wait for it or cancel it")
        self._state.log.check_capacity()
        with self._shared.lock:
            replay = self._open_replay()
        self._propagation = SeparationJob(
            replay.session, self._state, command, self._shared.namer, self._subscribers.publish
        )
        self._send_state()
        return {}

    def _compute_mask(self, run: PropagationJob | SeparationJob) -> None:
        if self._cancel.is_set():
            self._end_propagation("cancelled")
            return
        try:
            with self._shared.lock:
                finished, segmentation = run.step()
        except AuralError as error:
            self._end_propagation("cancelled", error=public_message(error, self._state.folder, self._state.name))
            return
        except Exception:
            _log.exception("run")
            self._end_propagation("cancelled", error="the propagation failed: see the server's log")
            return
        if finished:
            self._state.stale -= run.complete - run.changed
            self._end_propagation("done")
            return
        if segmentation is not None and run.is_current(segmentation):
            self._masks.send_present(segmentation)
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
        state.apply_settings(SettingsCommand(**command.model_dump(include=set(Sliders.model_fields))))
        self._save()
        self._export = ExportJob(ExportOrder.of(state, command), self._subscribers.publish)
        self._send_state()
        return {}

    def _open_replay(self) -> SessionReplay:
        """Return the video session, opened on first use; its prompts are decoded when they are needed."""
        if self._replay is None:
            state, shared = self._state, self._shared
            video = state.folder.path / state.clip.video
            source = VideoSource.open(video, Prompts(), fps=state.clip.rate, prompts_later=True)
            session = open_session(shared.model, source, memory=shared.memory, disk=shared.disk)
            self._replay = SessionReplay(session, state, self._shared.model.network.image_size)
        return self._replay

    def _progress(self) -> dict[str, Any]:
        """Return the progress of the running jobs, None for each that does not run."""
        run, export = self._propagation, self._export
        return {
            "run": None if run is None else run.progress,
            "export": export.progress if export is not None and export.running else None,
        }

    def _save(self) -> None:
        self._send_state()
        self._state.save()

    def _send_state(self) -> None:
        self._state_sent = time.monotonic()
        self._snapshot = self._state.full_state()
        constant = ("times", "sound")
        self._subscribers.publish({"is": "state"} | {k: v for k, v in self.snapshot.items() if k not in constant})
        if self._replay is not None:
            for warning in set(self._replay.session.warnings) - self._sent_warnings:
                self._sent_warnings.add(warning)
                self._subscribers.publish({"is": "note", "text": warning})
