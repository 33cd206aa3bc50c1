"""A conversation that several threads use at once."""

from __future__ import annotations

import threading

import pytest

from auralsam2.errors import UsageError
from auralsam2.inference.video_session import VideoSession
from auralsam2.inference.video_source import VideoSource
from auralsam2.types import Prompts

SECONDS = 20.0


@pytest.fixture
def conversation(make, video):
    with VideoSession(make().network, VideoSource.open(video, Prompts(), fps=1.0, prompts_later=True)) as opened:
        yield opened


class Pause:
    """Stops the thread that calls the decoder until it is told to continue."""

    def __init__(self, conversation: VideoSession, monkeypatch: pytest.MonkeyPatch) -> None:
        self.reached, self.resume = threading.Event(), threading.Event()
        stock = conversation._network.decoder.forward

        def slow(*arguments, **options):
            self.reached.set()
            assert self.resume.wait(SECONDS)
            return stock(*arguments, **options)

        monkeypatch.setattr(conversation._network.decoder, "forward", slow)


def in_thread(work):
    """Start work in a thread; returns the thread and the list that gets its result or error."""
    outcome = []

    def run():
        try:
            outcome.append(work())
        except Exception as error:
            outcome.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    return thread, outcome


CALLS = {
    "add_points": lambda c: c.add_points([(20, 12)], [1], 0.0),
    "add_box": lambda c: c.add_box((1, 1, 30, 30), 0.0),
    "hear": lambda c: c.hear(),
    "say": lambda c: c.say(None),
    "remove": lambda c: c.remove(1),
    "undo": lambda c: c.undo(),
    "predict": lambda c: c.predict(0.0, 1),
    "propagate": lambda c: c.propagate(),
    "stream": lambda c: c.stream(),
    "split_components": lambda c: c.split_components(),
    "close": lambda c: c.close(),
}


@pytest.mark.parametrize("name", CALLS)
def test_a_call_while_another_thread_is_in_one_is_refused(conversation, monkeypatch, name):
    conversation.add_points([(20, 12)], [1], 0.0)
    pause = Pause(conversation, monkeypatch)
    thread, outcome = in_thread(lambda: conversation.add_points([(25, 14)], [1], 1.5))
    assert pause.reached.wait(SECONDS)
    with pytest.raises(UsageError, match="another thread"):
        CALLS[name](conversation)
    pause.resume.set()
    thread.join(SECONDS)
    assert outcome[0].index == 1
    assert conversation.objects == (1,)


@pytest.mark.parametrize("follow", ["propagate", "stream"])
def test_a_call_while_another_thread_advances_an_iterator_is_refused(conversation, monkeypatch, follow):
    conversation.add_points([(20, 12)], [1], 0.0)
    masks = getattr(conversation, follow)()
    next(masks)
    pause = Pause(conversation, monkeypatch)
    thread, outcome = in_thread(lambda: next(masks))
    assert pause.reached.wait(SECONDS)
    for refused in (lambda: next(masks), masks.close, lambda: conversation.undo()):
        with pytest.raises(UsageError, match="another thread"):
            refused()
    pause.resume.set()
    thread.join(SECONDS)
    assert outcome[0].index == 1
    assert [mask.index for mask in masks] == [2, 3, 4, 5, 6]


def test_threads_may_take_turns(conversation):
    conversation.add_points([(20, 12)], [1], 0.0)
    masks = conversation.propagate()
    found = [next(masks).index]
    for work in (lambda: next(masks).index, lambda: conversation.hear(), lambda: next(masks).index):
        thread, outcome = in_thread(work)
        thread.join(SECONDS)
        found += outcome
    assert found == [0, 1, None, 2]
    assert [mask.index for mask in masks] == [3, 4, 5, 6]


def test_many_threads_at_once_leave_it_whole(conversation):
    """Each call either counts in full or is refused."""
    conversation.add_points([(20, 12)], [1], 0.0)
    works = [lambda n=n: conversation.add_points([(20, 12)], [1], 0.0, object_id=n) for n in range(2, 10)]
    threads, outcomes = zip(*map(in_thread, works), strict=True)
    for thread in threads:
        thread.join(SECONDS)
    errors = [outcome[0] for outcome in outcomes if isinstance(outcome[0], Exception)]
    assert all(isinstance(error, UsageError) for error in errors)
    assert len(conversation.objects) == 9 - len(errors)
    assert len(list(conversation.propagate())) == 7 * len(conversation.objects)
