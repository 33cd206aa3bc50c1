"""What may import what, what is imported when, and a few things that no file may do."""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

import auralsam2

PACKAGE = Path(auralsam2.__file__).parent
REPOSITORY = Path(__file__).parents[1]

# From the bottom up, one line a package: a module imports its own package and those above it in this list.
ORDER = (
    "errors",
    "arguments",
    "version",
    "paths",
    "samples",
    "types",
    "utils",
    "config",
    "media",
    "modeling",
    "hub",
    "inference",
    "baselines",
    "semantics",
    "outputs",
    "data",
    "stampavs",
    "model_folder",
    "model_context",
    "live",
    "model",
    "batch",
    "evaluation",
    "training",
    "zero_shot",
    "bench",
    "studio",
    "cli",
)
# The package itself hands out lazily what lies in `model`; `python -m auralsam2` runs the command line.
TOP = {"": "model", "__main__": "cli"}

MAX_LINES = 400
# Unpickles its own file, to prove that the refusal under test is needed.
UNSAFE_ON_PURPOSE = {"tests/hub/test_convert.py": 1}

LIGHT = (
    "types",
    "errors",
    "config",
    "cli.main",
    "cli.options",
    "data.registry",
    "samples",
    "utils.configs",
    "utils.pretrained",
    "hub.download",
    "hub.convert",
    "hub.release_format",
    "media.probe",
)


def module_name(path: Path) -> str:
    """`media.probe` of `…/media/probe.py`, `media` of `…/media/__init__.py`, "" of the package itself."""
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


FILES = {module_name(path): path for path in sorted(PACKAGE.rglob("*.py"))}
PYTHON = [
    path
    for folder in (PACKAGE, *(REPOSITORY / name for name in ("tests", "benchmarks", "experiments", "projects")))
    for path in sorted(folder.rglob("*.py"))
]


def package_of(module: str) -> str:
    """The entry of `ORDER` that a module belongs to.

    Raises:
        LookupError: it has none.
    """
    name = TOP.get(module, module).partition(".")[0]
    if name not in ORDER:
        raise LookupError(
            f"module {module} has no place in the order of packages: give it one in {Path(__file__).name}"
        )
    return name


def imports(tree: ast.AST) -> Iterator[str]:
    """Full names of all imports, wherever in the file; of `from a import b` both `a` and `a.b`."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"line {node.lineno}: import by full name"
            names = [f"{node.module}.{alias.name}" for alias in node.names]
            yield from names
            if any(name.removeprefix("auralsam2.") not in FILES for name in names):  # not modules alone
                yield node.module or ""


def own_imports(tree: ast.AST) -> set[str]:
    """Imported modules of the package, without its name."""
    names = {name.removeprefix("auralsam2.") for name in imports(tree) if name.startswith("auralsam2.")}
    return {name for name in names if name in FILES}


def violations(module: str, tree: ast.AST) -> list[str]:
    """Imports against the order."""
    package = package_of(module)
    return [
        f"{module} imports {other}"
        for other in sorted(own_imports(tree) - {module})
        if package_of(other) != package and ORDER.index(package_of(other)) > ORDER.index(package)
    ]


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
def test_imports_follow_the_order_of_packages(module):
    assert not violations(module, parse(FILES[module]))


def test_modules_of_one_package_import_each_other_without_circles():
    graph = {module: own_imports(parse(path)) - {module} for module, path in FILES.items()}
    done: set[str] = set()

    def visit(module: str, path: tuple[str, ...]) -> None:
        assert module not in path, " -> ".join((*path, module))
        if module not in done:
            for other in graph[module]:
                visit(other, (*path, module))
            done.add(module)

    for module in graph:
        visit(module, ())


@pytest.mark.parametrize(
    ("module", "line"),
    [
        ("media.probe", "from auralsam2.modeling.sam2 import freeze"),
        ("modeling.network", "def late():\n    from auralsam2.inference import streaming"),
        ("inference.tracker", "from auralsam2.outputs.result_folder import ResultFolder"),
        ("model", "import auralsam2.cli.main"),
        ("hub.download", "from auralsam2.inference.video_source import VideoSource"),
        ("", "from auralsam2.cli import main"),
    ],
)
def test_an_import_against_the_order_is_found(module, line):
    assert violations(module, ast.parse(line))


def test_a_module_without_a_place_is_found():
    with pytest.raises(LookupError, match="attic"):
        package_of("attic.box")


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
    out, err = start("-c", "import sys, auralsam2.modeling.log_mel; print('torch' in sys.modules)").communicate(
        timeout=120
    )
    assert out.strip() == "True", err


def test_files_are_short():
    lines = {str(path.relative_to(PACKAGE)): len(path.read_text().splitlines()) for path in FILES.values()}
    assert {name: count for name, count in lines.items() if count > MAX_LINES} == {}


def public_names(trees: dict[str, ast.Module]) -> dict[str, list[str]]:
    """Modules by the public classes and functions that they define."""
    modules: dict[str, list[str]] = {}
    for module, tree in trees.items():
        for node in tree.body:
            kinds = ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef
            if isinstance(node, kinds) and not node.name.startswith("_"):
                modules.setdefault(node.name, []).append(module)
    return modules


def test_public_names_are_unique():
    names = public_names({module: parse(path) for module, path in FILES.items()})
    assert {name: modules for name, modules in names.items() if len(modules) > 1} == {}


def test_duplicate_public_name_is_found():
    trees = {"data.base": ast.parse("def read(): ..."), "hub.cache": ast.parse("class read: ...\ndef _read(): ...")}
    assert public_names(trees) == {"read": ["data.base", "hub.cache"]}


def test_at_most_two_modules_share_a_name():
    counts = Counter(path.stem for path in FILES.values() if path.stem != "__init__")
    assert {name: count for name, count in counts.items() if count > 2} == {}


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
