"""What may import what, what is imported when, and a few things that no file may do."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import auralsam2

PACKAGE = Path(auralsam2.__file__).parent
REPOSITORY = Path(__file__).parents[1]

# From the bottom up. A module may import its own room and those above it in this list; modules of one line do not
# import each other. A longer name wins over the room it lies in.
ORDER = (
    ("errors", "version", "clock", "pipe", "strict_json"),
    ("strict_config",),
    ("types", "config", "samples"),
    ("pretrained",),
    ("media",),
    ("audio", "text", "vision"),
    ("release", "registry", "weights"),
    ("checkpoint",),
    ("snapshots",),
    ("hub",),
    ("fuser",),
    ("decoder",),
    # The tracker of tensors lies below the network, which hands one out; the rest of its room, which knows files and
    # windows, above.
    ("tracker.memory",),
    ("tracker.tracker",),
    ("network",),
    # Networks of the same kind, which the model holds as it holds AuralSAM2's.
    ("baselines",),
    ("tracker",),
    ("outputs",),
    ("model_folder", "devices"),
    ("model",),
    # These use the model; the model never uses them.
    ("data",),
    ("evaluation",),
    ("training",),
    # A pipeline around whole models.
    ("baselines.external",),
    ("apps",),
)
BASE = {"errors", "version", "clock", "pipe", "strict_json", "strict_config", "types", "config"}
# The package itself hands out lazily what lies in `model`; `python -m auralsam2` is a command.
TOP = {"": "model", "__main__": "apps"}

FROM_THE_HUB = {"release", "registry", "weights", "checkpoint", "snapshots", "hub"}
MOST_LINES = 400
# Unpickles its own file, to prove that the refusal it tests was needed.
UNSAFE_ON_PURPOSE = {"tests/test_checkpoint.py": 1}

LIGHT = (
    "types",
    "errors",
    "config",
    "strict_config",
    "apps.cli",
    "apps.parse",
    "data.registry",
    "hub",
    "samples",
    "checkpoint",
    "release",
    "pretrained",
    "media.probe",
)


def module_name(path: Path) -> str:
    """`tracker.session` of `…/tracker/session.py`, `tracker` of `…/tracker/__init__.py`, "" of the package's own."""
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


FILES = {module_name(path): path for path in sorted(PACKAGE.rglob("*.py"))}
PYTHON = [
    path
    for folder in (PACKAGE, REPOSITORY / "tests", REPOSITORY / "benchmarks", REPOSITORY / "dev")
    for path in sorted(folder.rglob("*.py"))
]


def room(module: str) -> str:
    """The entry of `ORDER` that a module belongs to.

    Raises:
        LookupError: it has none.
    """
    module = TOP.get(module, module)
    entries = [entry for line in ORDER for entry in line if module == entry or module.startswith(f"{entry}.")]
    if not entries:
        raise LookupError(
            f"module {module} has no place in the order of the rooms: give it one in {Path(__file__).name}"
        )
    return max(entries, key=len)


def level(entry: str) -> int:
    return next(number for number, line in enumerate(ORDER) if entry in line)


def imports(tree: ast.AST) -> Iterator[str]:
    """Full names of all that is imported, wherever in the file; of `from a import b` both `a` and `a.b`."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"line {node.lineno}: import by full name"
            yield node.module or ""
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def own_imports(tree: ast.AST) -> set[str]:
    """Modules of the package that are imported, without its name."""
    names = {name.removeprefix("auralsam2.") for name in imports(tree) if name.startswith("auralsam2.")}
    return {name for name in names if name in FILES}


def complaints(module: str, tree: ast.AST) -> list[str]:
    """Imports that go against the order."""
    here = room(module)
    found = []
    for other in sorted(own_imports(tree) - {module}):
        there = room(other)
        if there != here and level(there) >= level(here):
            found.append(f"{module} ({here}) imports {other} ({there})")
        if here in FROM_THE_HUB and there not in BASE | FROM_THE_HUB | {"pretrained", "vision"}:
            found.append(f"{module} imports {other}: it may know configurations and SAM 2, nothing else")
    return found


def parse(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), str(path))


def unsafe_loads(tree: ast.AST) -> list[int]:
    """Lines that call `torch.load` without `weights_only=True`, or import something that unpickles."""
    lines = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "torch.load":
            only = [keyword.value for keyword in node.keywords if keyword.arg == "weights_only"]
            if not (only and isinstance(only[0], ast.Constant) and only[0].value is True):
                lines.append(node.lineno)
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        # The error alone is harmless.
        unsafe = {"pickle", "cPickle", "dill", "joblib", "cloudpickle", "shelve"}
        if any(
            (name.split(".")[0] in unsafe and name != "pickle.UnpicklingError") or name == "torch.load"
            for name in names
        ):
            lines.append(node.lineno)
    return lines


def star_imports(tree: ast.AST) -> list[int]:
    return [
        node.lineno
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and any(alias.name == "*" for alias in node.names)
    ]


@pytest.mark.parametrize("module", FILES)
def test_imports_follow_the_order_of_the_rooms(module):
    assert not complaints(module, parse(FILES[module]))


def test_modules_of_the_base_import_only_each_other():
    for module in BASE:
        assert own_imports(parse(FILES[module])) <= BASE


def test_only_commands_import_commands():
    for module, path in FILES.items():
        if room(module) != "apps":
            assert not any(room(other) == "apps" for other in own_imports(parse(path))), module


@pytest.mark.parametrize(
    ("module", "line"),
    [
        ("media.probe", "from auralsam2.vision.sam2 import freeze"),
        ("audio.logmel", "from auralsam2.vision.preprocess import to_square"),
        ("tracker.tracker", "from auralsam2.tracker.session import Session"),
        ("network", "def late():\n    from auralsam2.tracker import session"),
        ("model", "import auralsam2.apps.cli"),
        ("hub", "from auralsam2.media.probe import probe"),
        ("", "from auralsam2.apps import cli"),
    ],
)
def test_an_import_against_the_order_is_found(module, line):
    assert complaints(module, ast.parse(line))


def test_a_module_without_a_place_is_found():
    with pytest.raises(LookupError, match="attic"):
        room("attic.box")


@pytest.mark.parametrize("library", ["timm", "torchvision", "torchaudio", "cv2"])
def test_libraries_that_are_not_for_us(library):
    """Timm comes in through transformers; the others are not needed at all."""
    users = [
        module
        for module, path in FILES.items()
        if any(name == library or name.startswith(f"{library}.") for name in imports(parse(path)))
    ]
    assert not users


@pytest.mark.parametrize("module", LIGHT)
def test_imported_without_torch(module, start):
    out, err = start(
        "-c", f"import sys, auralsam2.{module}; print(sorted({{'torch', 'transformers'}} & sys.modules.keys()))"
    ).communicate(timeout=60)
    assert out.strip() == "[]", err


def test_what_is_imported_with_torch_is_seen(start):
    """The check above can fail."""
    out, err = start("-c", "import sys, auralsam2.model; print('torch' in sys.modules)").communicate(timeout=120)
    assert out.strip() == "True", err


def test_files_are_short():
    lines = {str(path.relative_to(PACKAGE)): len(path.read_text().splitlines()) for path in FILES.values()}
    assert {name: count for name, count in lines.items() if count > MOST_LINES} == {}


@pytest.mark.parametrize("path", PYTHON, ids=lambda path: str(path.relative_to(REPOSITORY)))
def test_nothing_is_unpickled_and_nothing_is_imported_by_star(path):
    tree = parse(path)
    assert not star_imports(tree)
    assert len(unsafe_loads(tree)) == UNSAFE_ON_PURPOSE.get(str(path.relative_to(REPOSITORY)), 0)


@pytest.mark.parametrize(
    "line",
    [
        "torch.load(path)",
        "torch.load(path, weights_only=False)",
        "torch.load(path, weights_only=safe)",
        "import pickle",
        "from pickle import load",
        "from torch import load",
    ],
)
def test_an_unsafe_load_is_found(line):
    assert unsafe_loads(ast.parse(line)) == [1]


def test_a_safe_load_and_a_star_are_told():
    assert not unsafe_loads(ast.parse("torch.load(path, weights_only=True)\nfrom pickle import UnpicklingError"))
    assert star_imports(ast.parse("from torch.nn import *")) == [1]
