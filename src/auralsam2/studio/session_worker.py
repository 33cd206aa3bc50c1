"""An open session: one thread that answers what pages ask, and between two answers goes on with a run."""

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
    CancelCommand,
    ExportCommand,
    HearCommand,
    LoggedCommand,
    LookCommand,
    PageCommand,
    PointsCommand,
    PropagateCommand,
    RedoCommand,
    RestyleCommand,
    SayCommand,
    SettleCommand,
    SplitCommand,
    UndoCommand,
)
from auralsam2.studio.exports import KINDS, ExportOrder
from auralsam2.studio.jobs import ExportJob, PropagationJob
from auralsam2.studio.session_state import SessionState
from auralsam2.studio.storage import explain_os_error
from auralsam2.studio.subscribers import Subscribers
from auralsam2.types import Prompts, Segmentation

_log = logging.getLogger(__name__)

Reply = Callable[[dict[str, Any]], None]
_WAITING = 200
"""Commands that may wait."""
_STATE_PERIOD = 1.0
"""Seconds between two messages of the state while a run goes on."""


@dataclass(frozen=True)
class SharedModel:
    """The model that all sessions share, one at a time.

    Attributes:
        model: computes.
        lock: held by whoever lets it.
        memory, disk: bytes of encoded frames that one session keeps.
    """

    model: AuralSAM2
    lock: threading.Lock
    memory: int
    disk: int


class SessionWorker:
    """A session that is worked on. All but the constructor is safe to call from any thread.

    Args:
        state: as it was saved; the session's own from now on.
        audience: gets masks, states and progress.
        network: computes.

    Attributes:
        used: when it was last asked for something, by `time.monotonic`.
    """

    def __init__(self, state: SessionState, audience: Subscribers, network: SharedModel) -> None:
        self._state, self._audience, self._network = state, audience, network
        self._conversation: VideoSession | None = None
        self._run: PropagationJob | None = None
        self._export: ExportJob | None = None
        self._told_warnings: set[str] = set()
        self._told_state = 0.0
        self._stop, self._cancel = threading.Event(), threading.Event()
        self._asked: SimpleQueue[tuple[PageCommand | ExportCommand, Reply] | None] = SimpleQueue()
        self.used = time.monotonic()
        self._known = state.full()
        self._thread = threading.Thread(target=self._work, name="studio-session", daemon=True)
        self._thread.start()

    @property
    def snapshot(self) -> dict[str, Any]:
        """The state for the page, as of the last change."""
        return self._known | {"open": True, "busy": self._progress()}

    @property
    def busy(self) -> bool:
        """Whether something is going on that nobody should end without being asked."""
        export = self._export
        return self._run is not None or not self._asked.empty() or (export is not None and export.going)

    def ask(self, command: PageCommand | ExportCommand, reply: Reply) -> None:
        """Ask for something; the answer may come from another thread.

        Args:
            command: what to do.
            reply: gets `{"ok": True, …}` or `{"error": …}`.
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
        elif self._asked.qsize() >= _WAITING:
            reply({"error": "too much was asked at once: wait a moment"})
        else:
            if isinstance(command, PropagateCommand):
                self._cancel.clear()
            self._asked.put((command, reply))

    def answer(self, command: PageCommand | ExportCommand) -> Future[dict[str, Any]]:
        """The same, with the answer as a future."""
        future: Future[dict[str, Any]] = Future()
        self.ask(command, future.set_result)
        return future

    def close(self) -> None:
        """Stop everything, and let go of all memory; what was said and shown is on the disk."""
        self._stop.set()
        if self._export is not None:
            self._export.cancel()
        self._asked.put(None)
        self._thread.join()
        if self._export is not None:
            self._export.join()

    def _work(self) -> None:
        while not self._stop.is_set():
            try:
                item = self._asked.get(block=self._run is None)
            except Empty:
                item = None
            if item is not None:
                self._answer(*item)
            elif self._run is not None:
                self._step(self._run)
        self._run = None
        if self._conversation is not None:
            self._conversation.close()
            self._conversation = None
        while not self._asked.empty():
            if (item := self._asked.get()) is not None:
                item[1]({"error": "the session was closed just now: try again"})

    def _answer(self, command: PageCommand | ExportCommand, reply: Reply) -> None:
        try:
            answer = {"ok": True} | self._do(command)
        except AuralError as error:
            answer = {"error": explain_os_error(error, self._state.folder, self._state.name)}
        except Exception:
            _log.exception("%s", type(command).__name__)
            answer = {"error": "this failed: the server's log says why; undo it, or reload the page"}
        reply(answer)

    def _do(self, command: PageCommand | ExportCommand) -> dict[str, Any]:
        state = self._state
        match command:
            case RestyleCommand():
                if command.object not in state.objects:
                    raise UsageError(f"no object {command.object}: it was removed")
                state.restyle(command)
            case SettleCommand():
                state.settle(command)
            case ExportCommand():
                return self._make(command)
            case LookCommand():
                with self._network.lock:
                    found = apply_command.predict_mask(self._talk(), state.clip, command.object, command.tick)
                self._show(found)
            case UndoCommand() | RedoCommand():
                self._go_back(command)
            case PropagateCommand():
                return self._propagate(command)
            case CancelCommand():  # answered before it gets here
                return {}
            case _:
                return self._say(command)
        self._changed()
        return {}

    def _say(self, entry: LoggedCommand) -> dict[str, Any]:
        """Something new about the objects."""
        state = self._state
        known = state.objects.get(entry.object)
        if isinstance(entry, SayCommand):
            entry = entry.model_copy(update={"text": (entry.text or "").strip() or None})
        # A conversation takes no note of what it knows.
        if isinstance(entry, HearCommand) and entry.on == (known is not None and known.hears):
            return {}
        if isinstance(entry, SayCommand) and entry.text == (known.text if known else None):
            return {}
        state.check_room()
        first = isinstance(entry, PointsCommand) and not (known and entry.tick in known.prompts)
        with self._network.lock:
            conversation = self._talk()
            entry, found = apply_command.apply_command(conversation, state.clip, entry, first=first)
            if isinstance(entry, HearCommand | SayCommand) and entry.object in conversation.objects:
                # What is heard or named changes the masks where it is pointed at, too.
                ticks = known.prompts if known else ()
                found = [apply_command.predict_mask(conversation, state.clip, entry.object, tick) for tick in ticks]
        if isinstance(entry, SplitCommand) and not entry.made:
            return {"made": ()}
        self._note(entry, state.add(entry))
        for one in found:
            self._show(one)
        self._changed()
        return {"made": entry.made} if isinstance(entry, SplitCommand) else {}

    def _go_back(self, command: UndoCommand | RedoCommand) -> None:
        """Undo or redo, and what is on display then."""
        state = self._state
        if isinstance(command, UndoCommand) and not state.can_undo:
            raise UsageError("nothing to undo")
        if isinstance(command, RedoCommand) and not state.undone:
            raise UsageError("nothing to redo")
        with self._network.lock:
            conversation = self._talk()
            if isinstance(command, UndoCommand):
                conversation.undo()
                entry = state.undo()
            else:
                conversation.redo()
                entry = state.redo()
            self._note(entry)
            tick = getattr(entry, "tick", None)
            if tick is None or entry.object not in state.objects or isinstance(entry, SplitCommand):
                found = None
            else:
                found = apply_command.displayed_mask(conversation, state.clip, entry.object, tick)
                if found is None:
                    state.forget(entry.object, tick)
                    self._audience.tell({"is": "gone", "object": entry.object, "tick": tick})
        if found is not None:
            self._show(found)

    def _note(self, entry: LoggedCommand, new: set[int] = frozenset()) -> None:  # type: ignore[assignment]
        """Masks that a run has still to give, or gave before, are older than what was said now."""
        state = self._state
        touched = {entry.object} if not isinstance(entry, SplitCommand) else set(entry.made)
        state.age(touched)
        if self._run is not None:
            if (tick := getattr(entry, "tick", None)) is not None:
                self._run.overtaken |= {(number, tick) for number in touched}
            self._run.gone |= new | (touched - state.objects.keys())

    def _propagate(self, command: PropagateCommand) -> dict[str, Any]:
        state, clip = self._state, self._state.clip
        if self._run is not None:
            raise UsageError("a run is going on: wait for its end, or cancel it")
        if not state.objects:
            raise UsageError("nothing to follow: press Listen, or click on an object first")
        start = None if command.start is None else apply_command.start_time(clip, command.start)
        with self._network.lock:
            masks = self._talk().propagate(start, direction="both" if command.both else "forward")
        self._run = PropagationJob(masks, len(state.objects), len(clip.times), both=command.both)
        state.stale -= state.objects.keys()
        self._tell_state()
        return {}

    def _step(self, run: PropagationJob) -> None:
        """One more mask of a run."""
        if self._cancel.is_set():
            self._end("cancelled")
            return
        try:
            with self._network.lock:
                found = run.next()
        except AuralError as error:
            self._end("cancelled", error=explain_os_error(error, self._state.folder, self._state.name))
            return
        except Exception:
            _log.exception("run")
            self._end("cancelled", error="the run failed: the server's log says why")
            return
        if found is None:
            self._end("done")
            return
        if run.counts(found):
            self._show(found)
        if run.due:
            self._audience.tell({"is": "progress"} | run.progress)
        if time.monotonic() - self._told_state > _STATE_PERIOD:
            self._tell_state()

    def _end(self, how: str, **more: str) -> None:
        self._run = None
        self.used = time.monotonic()
        self._audience.tell({"is": how, "what": "run"} | more)
        self._changed()

    def _make(self, wish: ExportCommand) -> dict[str, Any]:
        state = self._state
        if wish.kind not in KINDS:
            raise UsageError(f"export: choose from {', '.join(KINDS)}")
        if self._export is not None and self._export.going:
            raise UsageError("an export is going on: wait for its end, or cancel it")
        state.settle(SettleCommand(threshold=wish.threshold, score=wish.score))
        self._changed()
        shown = {number: state.style(number) for number in state.objects}
        if wish.kind != "session":
            shown = {number: style for number, style in shown.items() if not style.hidden}
        order = ExportOrder(
            kind=wish.kind,
            folder=state.folder,
            clip=state.clip,
            name=state.name,
            objects=shown,
            ticks=tuple(sorted(set().union(*(state.marks[number] for number in shown)))),
            threshold=state.threshold,
            score=state.score,
        )
        self._export = ExportJob(order, self._audience.tell)
        self._tell_state()
        return {}

    def _talk(self) -> VideoSession:
        """The conversation, opened when it is first needed; what was said in earlier ones is said again."""
        if self._conversation is None:
            state, network = self._state, self._network
            if state.log:
                self._audience.tell({"is": "note", "text": "Going through what was said before …"})
            video = state.folder.path / state.clip.video
            source = VideoSource.open(video, Prompts(), fps=state.clip.fps, prompts_later=True)
            conversation = open_session(network.model, source, memory=network.memory, disk=network.disk)
            try:
                for entry in state.log:
                    shown = isinstance(entry, PointsCommand) and entry.shown is not None
                    apply_command.apply_command(conversation, state.clip, entry, first=shown)
            except BaseException:
                conversation.close()
                raise
            self._conversation = conversation
        return self._conversation

    def _show(self, found: Segmentation) -> None:
        """Send a mask to the page, and keep it."""
        data = mask_codec.pack_mask(
            found.logits,
            object=found.object_id,
            tick=found.index,
            iou=found.iou,
            object_score=found.object_score,
            sounding=found.sounding,
        )
        self._audience.tell(data)
        self._state.mark(found.object_id, found.index, data, sounding=found.sounding)

    def _progress(self) -> dict[str, Any] | None:
        """What is going on, for pages that come in the midst of it."""
        run, export = self._run, self._export
        if run is not None:
            return run.progress
        return export.progress if export is not None and export.going else None

    def _changed(self) -> None:
        self._tell_state()
        self._state.save()

    def _tell_state(self) -> None:
        self._told_state = time.monotonic()
        self._known = self._state.full()
        unchanging = ("times", "sound")
        self._audience.tell({"is": "state"} | {k: v for k, v in self.snapshot.items() if k not in unchanging})
        if self._conversation is not None:
            for warning in set(self._conversation.warnings) - self._told_warnings:
                self._told_warnings.add(warning)
                self._audience.tell({"is": "note", "text": warning})
