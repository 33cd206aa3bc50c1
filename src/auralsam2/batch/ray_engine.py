"""Workers on the nodes of a Ray cluster, fed and collected by Ray Data."""

from __future__ import annotations

import io
import logging
import math
import os
import signal
import socket
import sys
import threading
import warnings
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, redirect_stdout
from pathlib import Path
from typing import Any, TextIO, TypeVar

import numpy as np

from auralsam2.batch.worker_pool import Completion, WorkerPool
from auralsam2.errors import AuralError, UnavailableError, UsageError, as_aural

Item = TypeVar("Item")
Value = TypeVar("Value")
_OBJECT_STORE_BYTES = 100 * 2**20
"""Shared memory of a Ray instance of this process; rows and results are small."""
_QUEUED = 2
"""Number of items that an actor has at a time, so that it does not wait for the next one."""
_ENVIRONMENT = {
    "RAY_BACKEND_LOG_LEVEL": "fatal",
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_worker_niceness": "0",  # as the processes of the local engine; Ray's default is 15
    "RAY_DATA_DISABLE_PROGRESS_BARS": "1",
}
"""Settings of a Ray instance that this process starts, where the user has set none."""
_LOCAL = "local"
"""Address for which Ray starts on this machine."""
_ANSWER_SECONDS = 10
"""Maximum time for a connection to the address of a cluster."""


def process_on_ray(
    items: Iterable[Item],
    start: Callable[[int], Callable[[int], Callable[[Item], Value]]],
    *,
    jobs: int,
    threads: int | None = None,
    timeout: float | None = None,
    gpus: bool = True,
) -> Iterator[Completion[Item, Value]]:
    """Yield the outcome of each item, from actors of a Ray cluster.

    A task of Ray Data on the node of this process reads the items, one in a block. An actor pool maps them; each actor
    has a `WorkerPool` of one process, so that a crash, or an item that takes too long, costs this item alone. Ray
    replaces an actor that ends, and sends its items to another one: an item may be processed twice.

    The cluster is that of the environment variable RAY_ADDRESS (`auto`: the one running on this machine). Without it,
    a new one is started on this machine, without statistics and dashboard, and ends with this process.

    Args:
        items: picklable iterable of picklable items; it is read on another process of this node.
        start: returns, for a number of CPU threads, the function that starts a worker; see `WorkerPool`.
        jobs: number of actors.
        threads: CPUs of an actor; None for an equal share of the cluster.
        timeout: maximum seconds for an item; None for no limit.
        gpus: give the actors the GPUs of the cluster, if it has any.

    Raises:
        UnavailableError: Ray is not installed, does not start, cannot be reached, or fails meanwhile.
        UsageError: the cluster has too few CPUs.
        AuralError: a worker cannot be started.
    """
    with _connected() as ray, warnings.catch_warnings():
        warnings.filterwarnings("ignore", module=r"ray\.")
        nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
        cpus, share = share_nodes(nodes, jobs, threads, gpus=gpus)
        # One item a block, so that a long one delays no other.
        context = ray.data.DataContext.get_current()
        context.target_min_block_size = context.target_max_block_size = 1
        context.enable_progress_bars = context.print_on_execution_start = False
        here = {f"node:{ray.util.get_node_ip_address()}": 0.001}
        dataset = ray.data.from_items([0]).map_batches(_Reader(items), num_cpus=0, resources=here)
        dataset = dataset.map_batches(
            RayWorker,
            fn_constructor_args=(start(cpus), timeout),
            batch_size=1,
            compute=ray.data.ActorPoolStrategy(size=jobs, max_tasks_in_flight_per_actor=_QUEUED),
            num_cpus=cpus,
            num_gpus=share,
        )
        try:
            for batch in dataset.iter_batches(batch_size=None, prefetch_batches=0, batch_format="numpy"):
                for outcome in batch["outcome"]:
                    if isinstance(outcome, AuralError):
                        raise outcome
                    yield outcome
        except ray.exceptions.RayError as error:
            raise UnavailableError(
                f"the Ray cluster failed ({_first_line(error)}): look into the logs of its nodes, and process the rest "
                "with `resume`"
            ) from error


class RayWorker:
    """Actor of Ray Data with a pool of one worker process.

    Args:
        start: see `WorkerPool`.
        timeout: maximum seconds for an item; None for no limit.
    """

    def __init__(self, start: Callable[[int], Callable[[Any], Any]], timeout: float | None) -> None:
        self._items: deque[Any] = deque()
        pool: WorkerPool[Any, Any] = WorkerPool(start, jobs=1, timeout=timeout)
        self._outcomes = pool.process(iter(self._items.popleft, None))

    def __call__(self, batch: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Process the one item of a batch; the outcome is a `Completion`, or the error that ends the run."""
        self._items.extend(batch["item"])
        try:
            outcome: Completion[Any, Any] | AuralError = next(self._outcomes)
        except Exception as error:
            outcome = as_aural(error)
        return {"outcome": _column(outcome)}


class _Reader:
    """Generator of batches of one item each, for a task of Ray Data."""

    def __init__(self, items: Iterable[Any]) -> None:
        self._items = items

    def __call__(self, _batch: Any) -> Iterator[dict[str, np.ndarray]]:
        for item in self._items:
            yield {"item": _column(item)}


def _column(value: Any) -> np.ndarray:
    """Return a column of one row with any object."""
    column = np.empty(1, dtype=object)
    column[0] = value
    return column


@contextmanager
def _connected() -> Iterator[Any]:
    """Connect to a Ray cluster, and disconnect at the end; yields the module.

    Raises:
        UnavailableError: Ray is not installed, does not start, or cannot be reached.
    """
    for name, value in _ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    try:
        import ray
        import ray.data
    except ImportError as error:
        raise UnavailableError("`engine=ray` needs Ray: pip install 'auralsam2[ray]'") from error
    logging.getLogger("ray").setLevel(logging.ERROR)
    logging.getLogger("ray.data").setLevel(logging.ERROR)
    address = os.environ.get("RAY_ADDRESS") or _LOCAL
    own = {"object_store_memory": _OBJECT_STORE_BYTES, "include_dashboard": False} if address == _LOCAL else {}
    try:
        _check_port(address)
        with _signals_unchanged(), _stderr_discarded():
            ray.init(address, log_to_driver=False, logging_level=logging.ERROR, **own)
    except Exception as error:  # Ray raises Exception itself for a node that does not start in time
        raise UnavailableError(_unavailable(address, error)) from error
    try:
        with redirect_stdout(_OneThread(sys.stdout)):  # a thread of Ray prints messages on stdout
            yield ray
    finally:
        ray.shutdown()


def _check_port(address: str) -> None:
    """Raise OSError unless a process listens at an address such as `10.0.0.1:6379`; Ray tries this for minutes."""
    host, colon, port = address.rpartition(":")
    if colon and "/" not in host and port.isdecimal():
        socket.create_connection((host.strip("[]"), int(port)), timeout=_ANSWER_SECONDS).close()


def _unavailable(address: str, error: Exception) -> str:
    """Return the message for an instance that does not start, or a cluster that does not answer."""
    if address == _LOCAL:
        return (
            f"Ray did not start on this machine ({_first_line(error)}): try again when the machine is less busy, or "
            "use `engine=local`"
        )
    return (
        f"no Ray cluster answers at RAY_ADDRESS={address} ({_first_line(error)}): start one there with "
        "`ray start --head`, correct RAY_ADDRESS, or unset it to start Ray on this machine"
    )


class _OneThread(io.TextIOBase):
    """Stream that writes the text of the current thread to another stream, and discards that of other threads."""

    def __init__(self, stream: TextIO) -> None:
        self._stream, self._thread = stream, threading.get_ident()

    def write(self, text: str) -> int:
        return self._stream.write(text) if threading.get_ident() == self._thread else len(text)

    def flush(self) -> None:
        self._stream.flush()


@contextmanager
def _signals_unchanged() -> Iterator[None]:
    """Restore the handler of SIGTERM, which Ray replaces."""
    handler = signal.getsignal(signal.SIGTERM)
    try:
        yield
    finally:
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, handler)


@contextmanager
def _stderr_discarded() -> Iterator[None]:
    """Discard the lines that Ray's C++ code writes to stderr; its errors are exceptions too."""
    sys.stderr.flush()
    copy = os.dup(2)
    try:
        with Path(os.devnull).open("w") as nothing:
            os.dup2(nothing.fileno(), 2)
        yield
    finally:
        os.dup2(copy, 2)
        os.close(copy)


def share_nodes(
    nodes: Iterable[Mapping[str, float]], jobs: int, threads: int | None, *, gpus: bool
) -> tuple[int, float]:
    """Return CPUs and GPUs of each actor, so that all actors fit on the nodes at once.

    Args:
        nodes: resources `CPU` and `GPU` of each node.
        jobs: number of actors.
        threads: CPUs of an actor; None for as many as fit.
        gpus: use the nodes with GPUs alone, if there are any. Actors share a GPU where there are more of them.

    Raises:
        UsageError: the actors do not fit.
    """
    found = list(nodes)
    share = 0.0
    if gpus and (count := int(sum(node.get("GPU", 0) for node in found))):
        found = [node for node in found if node.get("GPU", 0)]
        share = 1 / math.ceil(jobs / count)
    cpus = [int(node.get("CPU", 0)) for node in found]
    for each in [threads] if threads else range(max(cpus, default=0), 0, -1):
        if sum(count // each for count in cpus) >= jobs:
            return each, share
    each = threads or 1
    raise UsageError(
        f"`jobs={jobs}`: the nodes of the Ray cluster have room for {sum(count // each for count in cpus)} workers of "
        f"{each} threads: give fewer jobs or threads"
    )


def _first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
