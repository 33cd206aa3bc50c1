"""Run a command of auralsam2 on a Ray cluster of two nodes on this machine: `ray_cluster.py FOLDER ARGUMENT...`.

Before it, six items of `ray_workers` are processed; their outcomes are printed as JSON.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import tempfile
from functools import partial
from pathlib import Path

from helpers.ray_workers import start_on

COMMAND = "the output of the command:"
"""Line on stderr before those of the command."""
NODE = {"num_cpus": 1, "object_store_memory": 80 * 2**20, "include_dashboard": False}


def main(folder: Path, arguments: list[str]) -> int:
    """Return the exit code of the command."""
    sessions = tempfile.mkdtemp(prefix="ray-", dir="/tmp")  # a short name, as names of sockets have a limit
    os.environ |= {"RAY_USAGE_STATS_ENABLED": "0", "RAY_worker_niceness": "0", "RAY_TMPDIR": sessions}
    from ray.cluster_utils import Cluster

    from auralsam2.batch.ray_engine import process_on_ray
    from auralsam2.cli.main import run

    cluster = Cluster(initialize_head=True, head_node_args=NODE)
    try:
        cluster.add_node(**NODE)
        os.environ["RAY_ADDRESS"] = cluster.address
        items = [*map(str, range(5)), "end the actor"]
        outcomes = list(process_on_ray(items, partial(start_on, folder), jobs=2))
        print(json.dumps({outcome.item: outcome.value or outcome.error for outcome in outcomes}), flush=True)
        print(COMMAND, file=sys.stderr, flush=True)
        return run(arguments)
    finally:
        cluster.shutdown()
        shutil.rmtree(sessions, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), sys.argv[2:]))
