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

from auralsam2.apps.studio import payload, speaker
from auralsam2.apps.studio.audience import Audience
from auralsam2.apps.studio.commands import (
    Asked,
    Cancel,
    Hear,
    Logged,
    Look,
    Make,
    Points,
    Propagate,
    Redo,
    Restyle,
    Say,
    Settle,
    Split,
    Undo,
)
from auralsam2.apps.studio.exports import KINDS, Order
from auralsam2.apps.studio.run import Run
from auralsam2.apps.studio.state import State
from auralsam2.apps.studio.store import plainly
from auralsam2.apps.studio.work import Export
from auralsam2.errors import AuralError, UsageError
from auralsam2.model import AuralSAM2
from auralsam2.tracker.converse.conversation import Conversation
from auralsam2.tracker.source import Source
from auralsam2.types import Prompts, Segmentation

_log = logging.getLogger(__name__)

Reply = Callable[[dict[str, Any]], None]
_WAITING = 200
"""Commands that may wait."""
_STATE_PERIOD = 1.0
"""Seconds between two messages of the state while a run goes on."""


@dataclass(frozen=True)
class Network:
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


class Session:
    """A session that is worked on. All but the constructor is safe to call from any thread.

    Args:
        state: as it was saved; the session's own from now on.
        audience: gets masks, states and progress.
        network: computes.

    Attributes:
        used: when it was last asked for something, by `time.monotonic`.
    """

    def __init__(self, state: State, audience: Audience, network: Network) -> None:
        self._state, self._audience, self._network = state, audience, network
        self._conversation: Conversation | None = None
        self._run: Run | None = None
        self._export: Export | None = None
        self._told_warnings: set[str] = set()
        self._told_state = 0.0
        self._stop, self._cancel = threading.Event(), threading.Event()
        self._asked: SimpleQueue[tuple[Asked | Make, Reply] | None] = SimpleQueue()
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

    def ask(self, command: Asked | Make, reply: Reply) -> None:
        """Ask for something; the answer may come from another thread.

        Args:
            command: what to do.
            reply: gets `{"ok": True, …}` or `{"error": …}`.
        """
        self.used = time.monotonic()
        if isinstance(command, Cancel):
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
            if isinstance(command, Propagate):
                self._cancel.clear()
            self._asked.put((command, reply))

    def answer(self, command: Asked | Make) -> Future[dict[str, Any]]:
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

    def _answer(self, command: Asked | Make, reply: Reply) -> None:
        try:
            answer = {"ok": True} | self._do(command)
        except AuralError as error:
            answer = {"error": plainly(error, self._state.folder, self._state.name)}
        except Exception:
            _log.exception("%s", type(command).__name__)
            answer = {"error": "this failed: the server's log says why; undo it, or reload the page"}
        reply(answer)

    def _do(self, command: Asked | Make) -> dict[str, Any]:
        state = self._state
        match command:
            case Restyle():
                if command.object not in state.objects:
                    raise UsageError(f"no object {command.object}: it was removed")
                state.restyle(command)
            case Settle():
                state.settle(command)
            case Make():
                return self._make(command)
            case Look():
                with self._network.lock:
                    found = speaker.look(self._talk(), state.clip, command.object, command.tick)
                self._show(found)
            case Undo() | Redo():
                self._go_back(command)
            case Propagate():
                return self._propagate(command)
            case Cancel():  # answered before it gets here
                return {}
            case _:
                return self._say(command)
        self._changed()
        return {}

    def _say(self, entry: Logged) -> dict[str, Any]:
        """Something new about the objects."""
        state = self._state
        known = state.objects.get(entry.object)
        if isinstance(entry, Say):
            entry = entry.model_copy(update={"text": (entry.text or "").strip() or None})
        # A conversation takes no note of what it knows.
        if isinstance(entry, Hear) and entry.on == (known is not None and known.hears):
            return {}
        if isinstance(entry, Say) and entry.text == (known.text if known else None):
            return {}
        state.check_room()
        first = isinstance(entry, Points) and not (known and entry.tick in known.prompts)
        with self._network.lock:
            conversation = self._talk()
            entry, found = speaker.speak(conversation, state.clip, entry, first=first)
            if isinstance(entry, Hear | Say) and entry.object in conversation.objects:
                # What is heard or named changes the masks where it is pointed at, too.
                ticks = known.prompts if known else ()
                found = [speaker.look(conversation, state.clip, entry.object, tick) for tick in ticks]
        if isinstance(entry, Split) and not entry.made:
            return {"made": ()}
        self._note(entry, state.add(entry))
        for one in found:
            self._show(one)
        self._changed()
        return {"made": entry.made} if isinstance(entry, Split) else {}

    def _go_back(self, command: Undo | Redo) -> None:
        """Undo or redo, and what is on display then."""
        state = self._state
        if isinstance(command, Undo) and not state.can_undo:
            raise UsageError("nothing to undo")
        if isinstance(command, Redo) and not state.undone:
            raise UsageError("nothing to redo")
        with self._network.lock:
            conversation = self._talk()
            if isinstance(command, Undo):
                conversation.undo()
                entry = state.undo()
            else:
                conversation.redo()
                entry = state.redo()
            self._note(entry)
            tick = getattr(entry, "tick", None)
            if tick is None or entry.object not in state.objects or isinstance(entry, Split):
                found = None
            else:
                found = speaker.on_display(conversation, state.clip, entry.object, tick)
                if found is None:
                    state.forget(entry.object, tick)
                    self._audience.tell({"is": "gone", "object": entry.object, "tick": tick})
        if found is not None:
            self._show(found)

    def _note(self, entry: Logged, new: set[int] = frozenset()) -> None:  # type: ignore[assignment]
        """Masks that a run has still to give, or gave before, are older than what was said now."""
        state = self._state
        touched = {entry.object} if not isinstance(entry, Split) else set(entry.made)
        state.age(touched)
        if self._run is not None:
            if (tick := getattr(entry, "tick", None)) is not None:
                self._run.overtaken |= {(number, tick) for number in touched}
            self._run.gone |= new | (touched - state.objects.keys())

    def _propagate(self, command: Propagate) -> dict[str, Any]:
        state, clip = self._state, self._state.clip
        if self._run is not None:
            raise UsageError("a run is going on: wait for its end, or cancel it")
        if not state.objects:
            raise UsageError("nothing to follow: press Listen, or click on an object first")
        start = None if command.start is None else speaker.start_time(clip, command.start)
        with self._network.lock:
            masks = self._talk().propagate(start, both=command.both)
        self._run = Run(masks, len(state.objects), len(clip.times), both=command.both)
        state.stale -= state.objects.keys()
        self._tell_state()
        return {}

    def _step(self, run: Run) -> None:
        """One more mask of a run."""
        if self._cancel.is_set():
            self._end("cancelled")
            return
        try:
            with self._network.lock:
                found = run.next()
        except AuralError as error:
            self._end("cancelled", error=plainly(error, self._state.folder, self._state.name))
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

    def _make(self, wish: Make) -> dict[str, Any]:
        state = self._state
        if wish.kind not in KINDS:
            raise UsageError(f"export: choose from {', '.join(KINDS)}")
        if self._export is not None and self._export.going:
            raise UsageError("an export is going on: wait for its end, or cancel it")
        state.settle(Settle(threshold=wish.threshold, score=wish.score))
        self._changed()
        shown = {number: state.style(number) for number in state.objects}
        if wish.kind != "session":
            shown = {number: style for number, style in shown.items() if not style.hidden}
        order = Order(
            kind=wish.kind,
            folder=state.folder,
            clip=state.clip,
            name=state.name,
            objects=shown,
            ticks=tuple(sorted(set().union(*(state.marks[number] for number in shown)))),
            threshold=state.threshold,
            score=state.score,
        )
        self._export = Export(order, self._audience.tell)
        self._tell_state()
        return {}

    def _talk(self) -> Conversation:
        """The conversation, opened when it is first needed; what was said in earlier ones is said again."""
        if self._conversation is None:
            state, network = self._state, self._network
            if state.log:
                self._audience.tell({"is": "note", "text": "Going through what was said before …"})
            video = state.folder.path / state.clip.video
            source = Source.open(video, Prompts(), fps=state.clip.fps, asked_later=True)
            model = network.model
            conversation = Conversation(
                model.streaming(), source, model.compute, memory=network.memory, disk=network.disk
            )
            try:
                for entry in state.log:
                    shown = isinstance(entry, Points) and entry.shown is not None
                    speaker.speak(conversation, state.clip, entry, first=shown)
            except BaseException:
                conversation.close()
                raise
            self._conversation = conversation
        return self._conversation

    def _show(self, found: Segmentation) -> None:
        """Send a mask to the page, and keep it."""
        data = payload.pack(
            found.logits,
            object=found.object,
            tick=found.index,
            iou=found.iou,
            object_score=found.object_score,
            sounding=found.sounding,
        )
        self._audience.tell(data)
        self._state.mark(found.object, found.index, data, sounding=found.sounding)

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
