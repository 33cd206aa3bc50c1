"""Workers on a Ray cluster: a cluster of two nodes, the actors, and their share of the nodes."""

from __future__ import annotations

import json
import os
import socket
import sys
from functools import partial
from pathlib import Path
from types import ModuleType

import pytest

from auralsam2.batch.ray_engine import RayWorker, share_nodes
from auralsam2.batch.worker_pool import Completion
from auralsam2.errors import AuralError, UsageError
from batch.test_worker_pool import refuse
from batch.test_worker_pool import start as start_worker
from helpers.forked_process import checkout_environment
from helpers.media_files import write_clip
from helpers.ray_cluster import COMMAND
from helpers.result_files import records, results

TESTS = Path(__file__).parents[1]


def test_two_nodes_give_what_one_process_gives(segment, start, small_model: Path, tmp_path: Path) -> None:
    """An actor ends meanwhile; a file is no video, and a row has no URI. The results are copied to an address."""
    for number in range(2):
        write_clip(tmp_path / f"{number}.mp4", 1.0)
    (tmp_path / "broken.mp4").write_bytes(b"not a video")
    manifest = tmp_path / "list.csv"
    manifest.write_text("uri,id\n0.mp4,first\nbroken.mp4,\n,empty\n1.mp4,second\n")
    options = ("--manifest", manifest, "--save", "masks,json", "--quiet")
    assert segment(*options).code == 1
    environment = checkout_environment()
    environment["PYTHONPATH"] += os.pathsep + str(TESTS)
    command = (
        "segment",
        *options,
        "--model",
        small_model,
        "--out",
        f"file://{tmp_path}/ray",
        "--engine",
        "ray",
        "--jobs",
        "2",
    )
    cluster = start(TESTS / "helpers" / "ray_cluster.py", tmp_path, *command, env=environment)
    out, err = cluster.communicate(timeout=900)
    assert (cluster.returncode, bool(out)) == (1, True), err
    outcomes = json.loads(out)
    assert sorted(outcomes) == ["0", "1", "2", "3", "4", "end the actor"]
    assert len({value.split()[0] for value in outcomes.values()}) == 2
    assert {value.split()[1] for value in outcomes.values()} == {"1"}
    assert (tmp_path / "ended").exists()
    lines = err.partition(COMMAND)[2].strip().splitlines()
    assert [line for line in lines if not line.startswith("auralsam2: error: ")] == []
    local, ray = (
        sorted(({**line, "seconds": 0, "output": ""} for line in records(folder, "results.jsonl")), key=str)
        for folder in (tmp_path / "out", tmp_path / "ray")
    )
    assert ray == local
    assert [line["status"] for line in ray] == ["failed", "failed", "done", "done"]
    assert results(tmp_path / "ray") == results(tmp_path / "out")


def test_an_actor_outlives_its_process(tmp_path: Path) -> None:
    worker = RayWorker(partial(start_worker, tmp_path), timeout=None)

    def process(item: str) -> Completion[str, str]:
        (outcome,) = worker({"item": [item]})["outcome"]  # type: ignore[dict-item]
        return outcome

    assert "SIGKILL" in str(process("crash").error)
    assert process("error").error == "not a video"
    assert str(process("clip").value).startswith("clip by ")


def test_an_actor_passes_on_why_it_cannot_start() -> None:
    (outcome,) = RayWorker(refuse, timeout=None)({"item": ["clip"]})["outcome"]  # type: ignore[dict-item]
    assert isinstance(outcome, AuralError)
    assert str(outcome) == "no model"


@pytest.mark.parametrize(
    ("nodes", "jobs", "threads", "shares"),
    [
        ([(8, 0)], 2, None, (4, 0)),
        ([(8, 0)], 3, None, (2, 0)),
        ([(4, 0), (4, 0), (4, 0)], 4, None, (2, 0)),  # three threads would leave room for three
        ([(4, 0), (16, 0)], 1, None, (16, 0)),
        ([(4, 0), (16, 0)], 5, 4, (4, 0)),
        ([(64, 0), (8, 4), (8, 4)], 8, None, (2, 1)),  # the node without a GPU is not used
        ([(8, 1)], 2, None, (4, 0.5)),
    ],
)
def test_actors_share_the_nodes(nodes, jobs, threads, shares) -> None:
    resources = [{"CPU": float(cpus)} | ({"GPU": float(gpus)} if gpus else {}) for cpus, gpus in nodes]
    assert share_nodes(resources, jobs, threads, gpus=True) == shares


def test_gpus_are_left_alone() -> None:
    assert share_nodes([{"CPU": 4.0}, {"CPU": 4.0, "GPU": 1.0}], 2, None, gpus=False) == (4, 0)


@pytest.mark.parametrize(
    ("jobs", "threads", "reason"), [(9, None, "room for 8 workers of 1 threads"), (3, 4, "room for 2 workers of 4")]
)
def test_too_many_actors(jobs, threads, reason) -> None:
    with pytest.raises(UsageError, match=reason):
        share_nodes([{"CPU": 4.0}, {"CPU": 4.0}], jobs, threads, gpus=True)


def test_ray_is_missing(segment, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    write_clip(tmp_path / "a.mp4", 1.0)
    outcome = segment(tmp_path / "a.mp4", "--engine", "ray")
    assert outcome.code == 3
    assert outcome.error == "--engine ray needs Ray: pip install 'auralsam2[ray]'"


class BusyRay(ModuleType):
    """Ray on a machine too busy to start it: its exception is of no narrower class."""

    data = ModuleType("ray.data")

    def init(self, *_arguments: object, **_options: object) -> None:
        raise Exception("The current node timed out during startup. This could happen because of load.\nMore lines.")


@pytest.fixture
def busy_ray(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", BusyRay("ray"))
    monkeypatch.setitem(sys.modules, "ray.data", BusyRay.data)


@pytest.mark.usefixtures("busy_ray")
def test_ray_does_not_start_in_time(segment, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    outcome = segment(write_clip(tmp_path / "a.mp4", 1.0), "--engine", "ray")
    assert outcome.code == 3
    assert outcome.error == (
        "Ray did not start on this machine (The current node timed out during startup. This could happen because of "
        "load.): try again when the machine is less busy, or use --engine local"
    )


@pytest.mark.usefixtures("busy_ray")
def test_no_cluster_answers(segment, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))  # the port is taken, but nothing listens there
        address = f"127.0.0.1:{silent.getsockname()[1]}"
        monkeypatch.setenv("RAY_ADDRESS", address)
        outcome = segment(write_clip(tmp_path / "a.mp4", 1.0), "--engine", "ray")
    assert outcome.code == 3
    assert outcome.error.startswith(f"no Ray cluster answers at RAY_ADDRESS={address} ([Errno ")
    assert outcome.error.endswith(
        "start one there with `ray start --head`, correct RAY_ADDRESS, or unset it to start Ray on this machine"
    )
