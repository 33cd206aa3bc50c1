"""Opening and closing of sessions."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from auralsam2.model import AuralSAM2
from auralsam2.studio import session_manager
from auralsam2.studio.storage import SessionFolder
from helpers.studio_pages import TICKS, Page, Studio, wait_for

CLICK = {"object": 1, "tick": 2, "points": [[20, 12, 1]]}


def opened(studio: Studio) -> list[str]:
    return [row["id"] for row in studio.client.get("/api/sessions").json() if row["open"]]


def test_closed_page_closes_its_session_without_loss(start_studio: Callable[..., Studio], clip: Path) -> None:
    studio = start_studio(grace=0.1)
    name = studio.upload(clip)
    with studio.page(name) as socket:
        page = Page(socket)
        page.ask("points", **CLICK)
        page.listen()
        page.ask("points", object=0, tick=4, points=[[40, 30, 0]])
        session = studio.manager.get_open(name)
        assert session._replay is not None
        before = page.state
        corrected = page.masks[-1][1]
    wait_for(lambda: not studio.manager._subscribers)
    assert opened(studio) == []
    assert session._replay is None
    assert not session._thread.is_alive()
    state = studio.get(name)
    assert {key: state[key] for key in ("objects", "prompts", "undo")} == {
        key: before[key] for key in ("objects", "prompts", "undo")
    }
    assert studio.client.get(f"/api/sessions/{name}/mask/0/5.bin").status_code == 200
    # Asked again, it opens; nothing is encoded before. What was said is said again, on what was shown then.
    with studio.page(name) as socket:
        page = Page(socket)
        page.take()
        assert page.state["objects"] == before["objects"]
        assert studio.manager.get_open(name)._replay is None
        assert page.ask("look", object=0, tick=4)["ok"]
        assert ((page.masks[-1][1] > 0) != (corrected > 0)).mean() < 0.05
        for remaining in (2, 1, 0):
            assert page.ask("undo")["ok"]
            assert len(studio.log(name)) == remaining


def test_two_pages_share_a_session(start_studio: Callable[..., Studio], clip: Path) -> None:
    """One of them goes: the session stays open for the other."""
    studio = start_studio(grace=0.1)
    name = studio.upload(clip)
    with studio.page(name) as first:
        Page(first).take()
        with studio.page(name) as other:
            Page(other).take()
        studio.upload(clip)  # takes longer than the moment of grace
        assert opened(studio) == [name]


def test_number_of_open_sessions_is_limited(start_studio: Callable[..., Studio], clip: Path) -> None:
    studio = start_studio(sessions=2)
    names = [studio.upload(clip) for _ in range(3)]
    with studio.page(names[0]) as a, studio.page(names[1]) as b:
        pages = [Page(a), Page(b)]
        for page in pages:
            assert page.ask("points", **CLICK)["ok"]
        with studio.page(names[2]) as c:
            assert Page(c).ask("points", **CLICK)["ok"]
            assert sorted(opened(studio)) == sorted(names[1:])
            # The first page does not notice: its session opens again, in place of the next.
            assert pages[0].ask("points", **CLICK)["ok"]
            assert pages[0].state["prompts"][0]["points"] == [[20, 12, 1], [20, 12, 1]]
            assert sorted(opened(studio)) == sorted([names[0], names[2]])


def test_busy_session_is_not_closed_for_another(start_studio: Callable[..., Studio], clip: Path) -> None:
    studio = start_studio(sessions=1)
    names = [studio.upload(clip) for _ in range(2)]
    with studio.page(names[0]) as a:
        page = Page(a)
        page.ask("hear", object=0, on=True)
        studio.gate.let_through(2)
        page.ask("run")
        with studio.page(names[1]) as b:
            answer = Page(b).ask("points", **CLICK)
            assert "--sessions" in answer["error"]
        studio.gate.let_through(None)
        page.until("done", "run")
        assert {header.tick for header, _ in page.masks} == set(range(TICKS))


def test_idle_sessions_are_closed_and_open_again(start_studio: Callable[..., Studio], clip: Path) -> None:
    studio = start_studio(idle=0.4)
    name = studio.upload(clip)
    with studio.page(name) as socket:
        page = Page(socket)
        assert page.ask("points", **CLICK)["ok"]
        wait_for(lambda: opened(studio) == [])
        assert page.ask("points", **CLICK)["ok"]


def test_open_sessions_return_freed_memory(
    start_studio: Callable[..., Studio], clip: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    studio = start_studio(idle=1.0)
    trim, trimmed = session_manager._trim_memory, []

    def trim_memory() -> None:
        trimmed.extend(studio.manager._open)
        trim()

    monkeypatch.setattr(session_manager, "_trim_memory", trim_memory)
    name = studio.upload(clip)
    with studio.page(name) as socket:
        assert Page(socket).ask("points", **CLICK)["ok"]
        wait_for(lambda: name in trimmed)


def test_another_model_leaves_busy_sessions_alone(studio: Studio, clip: Path, model: AuralSAM2) -> None:
    studio.manager._load = lambda name: AuralSAM2(model.network, name)
    busy, idle = (studio.upload(clip) for _ in range(2))
    with studio.page(busy) as socket, studio.page(idle) as other:
        page = Page(socket)
        assert page.ask("points", **CLICK)["ok"]
        assert Page(other).ask("points", **CLICK)["ok"]
        studio.gate.let_through(2)
        assert page.ask("run")["ok"]
        assert studio.client.put("/api/model", json={"name": "mini"}).status_code == 200
        assert opened(studio) == [busy]
        assert studio.manager.model.name == "mini"
        studio.gate.let_through(None)
        page.until("done", "run")
        assert {header.tick for header, _ in page.masks} == set(range(TICKS))
    answers = [studio.client.put("/api/model", json={"name": name}).status_code for name in ("v9", "mini")]
    assert answers == [404, 200]


def test_deleting_an_open_session(studio: Studio, clip: Path) -> None:
    name = studio.upload(clip)
    with studio.page(name) as socket:
        page = Page(socket)
        page.ask("points", **CLICK)
        assert studio.client.delete(f"/api/sessions/{name}").status_code == 200
        assert studio.folders() == []
        assert "deleted" in page.ask("points", **CLICK)["error"]


def test_unfinished_files_of_a_killed_server_are_removed(start_studio: Callable[..., Studio], tmp_path: Path) -> None:
    for name in (".new-aaaaaaaaaaaaaaaaaaaaaa", ".gone-aaaaaaaaaaaaaaaaaaaaaa"):
        (tmp_path / "home" / "sessions" / name).mkdir(parents=True)
    assert start_studio().folders() == []


def test_damaged_session_is_not_listed(studio: Studio, clip: Path) -> None:
    good, bad = studio.upload(clip), studio.upload(clip)
    file = studio.home / "sessions" / bad / "session.json"
    unnamed = file.read_text().replace('"name": "clip.mp4"', '"name": []')
    for text in ("", "[]", '{"schema": 1}', '{"schema": 99}', unnamed):
        file.write_text(text)
        assert [row["id"] for row in studio.client.get("/api/sessions").json()] == [good]
        answer = studio.client.get(f"/api/sessions/{bad}")
        assert answer.status_code == 422
        assert str(studio.home) not in answer.text


def test_foreign_files_among_the_masks_are_skipped(studio: Studio, clip: Path) -> None:
    name = studio.upload(clip)
    with studio.page(name) as socket:
        Page(socket).ask("points", **CLICK)
    folder = studio.home / "sessions" / name / "masks" / "1"
    (folder / "000003.bin").write_bytes(b"AUM1")
    (folder / "000004.bin").write_bytes((folder / "000002.bin").read_bytes())  # another frame's
    (folder / "notes.bin").write_bytes(bytes(40))
    headers = list(SessionFolder(folder.parents[1]).masks())
    assert [(header.object_id, header.tick) for header in headers] == [(1, 2)]
