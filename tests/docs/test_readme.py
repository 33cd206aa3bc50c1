"""The README: its shell lines and its Python run from an installed wheel in an empty folder, and its links exist."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from helpers.small_networks import save_small_model, save_small_text_model

REPOSITORY = Path(__file__).parents[2]
GENERATED = {REPOSITORY / "docs" / "reference" / name for name in ("cli.md", "config.md")}
"""Pages that the build of the site writes."""
README = (REPOSITORY / "README.md").read_text(encoding="utf-8")
LINES = [
    line
    for block in re.findall(r"^```sh\n(.*?)^```", README, re.DOTALL | re.MULTILINE)
    for line in block.splitlines()
    if line and not line.startswith(("make ", "pip install "))
]
COMMANDS = [line for line in LINES if line.startswith("auralsam2 ")]
PYTHON = re.findall(r"^```python\n(.*?)^```", README, re.DOTALL | re.MULTILINE)
ADDRESSES = (
    "https://raw.githubusercontent.com/auralsam2/auralsam2/main/",
    "https://github.com/auralsam2/auralsam2/blob/main/",
)
# Commands that need what the package does not hold: the file or folder that the error must name.
NEEDS = {
    "auralsam2 convert": "auralsam2_avs_v1m.pth",
    "auralsam2 data check": "data/stamp",
    "auralsam2 evaluate --dataset stampavs": "data/stamp",
    "auralsam2 evaluate --dataset v1m": "AVSBench",
    "auralsam2 train recipes/stampavs-mini-fuser.yaml": "stamp",
    "auralsam2 train recipes/v1m-large-paper.yaml": "facebook/sam2-hiera-large",
}
# Commands that compute for minutes, or until they are stopped: their options alone are checked here.
LONG = ("auralsam2 bench speed", "auralsam2 data build-stampavs", "auralsam2 studio")


def shortened(line: str) -> str:
    """The line, with `--help` in place of the arguments of a command that computes for long."""
    return next((f"{start} --help" for start in LONG if line.startswith(start)), line)


@pytest.fixture(scope="session")
def environment(installed, tmp_path_factory):
    """Environment variables with the installed package, and small models in the cache under the released names."""
    cache = tmp_path_factory.mktemp("cache")
    save_small_model(cache / "models" / "v1m", 64)
    save_small_text_model(cache / "models" / "ref-avs", 64)
    path = os.pathsep.join([str(installed / "bin"), os.environ["PATH"]])
    return os.environ | {"PYTHONPATH": str(installed), "PATH": path, "AURALSAM2_CACHE": str(cache)}


@pytest.fixture(scope="session")
def desk(environment, tmp_path_factory):
    """An empty folder, and in it what the README's lines of plain shell make there."""
    folder = tmp_path_factory.mktemp("desk")
    script = "set -e\n" + "\n".join(line for line in LINES if not line.startswith("auralsam2 "))
    subprocess.run(["bash", "-c", script], cwd=folder, env=environment, check=True)
    return folder


@pytest.fixture(scope="session")
def results(environment, desk, installed):
    """By line or block of code: exit code, stdout and stderr."""
    items = [*(("sh", shortened(line)) for line in COMMANDS), *(("py", code) for code in PYTHON)]
    (desk / "items.json").write_text(json.dumps(items), encoding="utf-8")
    runner = [sys.executable, Path(__file__).parents[1] / "helpers" / "readme_runner.py", "items.json", "results.json"]
    done = subprocess.run(runner, cwd=desk, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    found = json.loads((desk / "results.json").read_text(encoding="utf-8"))
    assert Path(found["package"]).is_relative_to(installed)
    return dict(zip([*COMMANDS, *PYTHON], found["results"], strict=True))


@pytest.mark.parametrize("line", COMMANDS)
def test_command(line, results, desk):
    code, out, err = results[line]
    needed = next((name for start, name in NEEDS.items() if line.startswith(start)), None)
    if needed is not None:
        assert code in (2, 3), err
        assert needed in err
        assert err.count("auralsam2: error: ") == 1
        return
    assert code == 0, err
    if " segment " in line:
        folder = desk / ("results" if "--out results" in line else "out") / "demo"
        assert (folder / "overlay.mp4").stat().st_size > 1000
        assert json.loads((folder / "result.json").read_text(encoding="utf-8"))["frames"]
        assert len(list((folder / "masks").glob("*.png"))) >= 10
    if line.startswith(LONG):
        options = [word for word in line.partition("#")[0].split() if word.startswith("--")]
        assert all(option in out for option in options)
    if line.startswith("auralsam2 models"):
        assert re.search(r"^v1m .*yes", out, re.MULTILINE)
    if line.startswith("auralsam2 samples"):
        assert {"demo.mp4", "examples/interactive.py", "recipes/v1m-large-paper.yaml"} <= set(out.split())


@pytest.mark.parametrize("code", PYTHON)
def test_python(code, results, desk):
    exit_code, out, err = results[code]
    assert exit_code == 0, err
    if "result.save" in code:
        assert (desk / "results" / "demo" / "overlay.mp4").is_file()
    elif "session" in code:
        frames, objects = 10, 2
        assert len(out.splitlines()) == frames * objects
    else:
        assert out.count("of the picture sounds") == 10


def test_the_studio_prints_its_address(environment, desk):
    (line,) = (line for line in COMMANDS if line.startswith("auralsam2 studio"))
    command = line.partition("#")[0]
    with subprocess.Popen(
        ["bash", "-c", f"exec {command} --port 0 --no-open"],
        cwd=desk,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as server:
        printed = server.stdout.readline()
        server.terminate()
        server.communicate(timeout=60)
    assert re.search(r"http://127\.0\.0\.1:\d+/", printed)


def test_blocks_are_found():
    assert len(COMMANDS) == 19
    assert len(PYTHON) == 3
    assert all("demo_clip()" in code for code in PYTHON)


def test_links_lead_somewhere():
    documents = [REPOSITORY / "README.md", *(REPOSITORY / "docs").rglob("*.md")]
    for document in documents:
        text = document.read_text(encoding="utf-8")
        for target in re.findall(r"\]\((?!https?:|#)([^)#]+)", text):
            generated = (document.parent / target).resolve() in GENERATED
            assert generated or (document.parent / target).exists(), f"{document.name}: {target}"
        for address in ADDRESSES:
            for target in re.findall(re.escape(address) + r"([^)#\s]+)", text):
                assert (REPOSITORY / target).is_file(), f"{document.name}: {target}"


def test_the_index_can_show_every_link_and_picture():
    """The package index shows the README without the repository's files: a relative link leads nowhere there."""
    targets = re.findall(r"\]\(([^)]+)\)", README)
    assert [target for target in targets if not target.startswith("https://")] == []
    pictures = re.findall(r"!\[[^\]]*\]\(([^)]+)\)", README)
    assert len(pictures) == 2
    assert all(picture.startswith(ADDRESSES[0]) for picture in pictures)
