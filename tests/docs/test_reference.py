"""The reference pages name every command, option, configuration key and public name; documented files exist."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path

import pytest
import typer

import auralsam2
import docs_pages
from auralsam2.cli.main import app
from auralsam2.outputs import result_json
from auralsam2.outputs.formats import FORMATS

REPOSITORY = Path(__file__).parents[2]
DOCS = REPOSITORY / "docs"
GENERATED = {"reference/cli.md", "reference/config.md"}


def commands(command, name="auralsam2"):
    yield name, command
    for child, subcommand in getattr(command, "commands", {}).items():
        yield from commands(subcommand, f"{name} {child}")


@pytest.fixture(scope="module")
def cli_page():
    return docs_pages.cli_page()


@pytest.mark.parametrize(("name", "command"), list(commands(typer.main.get_command(app))))
def test_cli_page_lists_every_option(name, command, cli_page):
    section = re.search(rf"^## {name}\n\n```text\n(.*?)^```", cli_page, re.DOTALL | re.MULTILINE)
    assert section is not None
    options = [option for parameter in command.params for option in parameter.opts if option.startswith("--")]
    assert [option for option in options if option not in section[1]] == []


CONFIGS = list(dict.fromkeys(kind for *_, root in docs_pages.PAGES for _, kind in docs_pages.sections(root)))


def test_config_page_reaches_every_section():
    names = {kind.__name__ for kind in CONFIGS}
    assert {"ModelConfig", "ExtensionsConfig", "SamaConfig", "TrainerConfig", "DetectorConfig"} <= names


@pytest.mark.parametrize("kind", CONFIGS, ids=lambda kind: kind.__name__)
def test_config_page_describes_every_key(kind):
    section = docs_pages.config_page().partition(f"### {kind.__name__}\n")[2].partition("\n### ")[0]
    rows = {row[0].strip(" `"): row for row in (line.strip("|").split(" | ") for line in section.splitlines())}
    missing = [field.name for field in dataclasses.fields(kind) if not rows[f"{field.name}"][-1].strip()]
    assert missing == []


def test_documented_keys_exist():
    known = {
        name.rpartition(".")[2]: {field.name for field in dataclasses.fields(kind)}
        for *_, root in docs_pages.PAGES
        for name, kind in docs_pages.sections(root)
    }
    sections = "fuser|prompting|extensions|gavs|sama|losses|contrast|optimiser|augment|distillation|trainer"
    pages = [REPOSITORY / "README.md", *DOCS.rglob("*.md")]
    keys = {key for page in pages for key in re.findall(rf"`(?:model\.)?({sections})\.(\w+)", page.read_text("utf-8"))}
    assert len(keys) > 15
    assert [key for key in keys if key[1] not in known[key[0]]] == []


def test_values_are_written_as_in_yaml():
    page = docs_pages.config_page()
    assert '| `variant` | `released`, `paper` | `"released"` |' in page
    assert "| `dropout` | number, 0 to 1 | `0.1` |" in page
    assert "| `fuser` | [FuserConfig](#fuserconfig) | its defaults |" in page
    assert "| `text` | text or `null` | `null` |" in page
    assert "| `clip_jitter` | list of 3 numbers | `[0.0, 0.0, 0.0]` |" in page


def test_attributes_with_several_names_and_lines_are_read():
    docstring = "A kind.\n\n    Attributes:\n        a, b: first\n            second: third.\n        c: last.\n    "
    expected = {"a": "first second: third.", "b": "first second: third.", "c": "last."}
    assert docs_pages.attributes(docstring) == expected


def test_api_page_names_every_export():
    page = (DOCS / "reference" / "api.md").read_text(encoding="utf-8")
    documented = {line.rpartition(".")[2] for line in page.splitlines() if line.startswith("::: ")}
    assert set(auralsam2.__all__) - {"__version__"} <= documented


def test_result_page_names_schema_and_members():
    page = (DOCS / "reference" / "result-json.md").read_text(encoding="utf-8")
    documented = set(re.findall(r"^\| `(\w+)`", page, re.MULTILINE))
    info = auralsam2.types.MediaInfo(
        path=Path("a.mp4"), width=2, height=2, fps=1.0, duration=1.0, audio_rate=None, audio_channels=0
    )
    header = dict.fromkeys(("model", "options", "device", "dtype")) | {"prompts": {}}
    members = dict(result_json.result_members(info, header, lambda: iter(()), {}, []))
    assert result_json.SCHEMA in page
    assert set(members) | set(members["input"]) <= documented


def test_export_page_has_every_format_with_a_picture():
    page = (DOCS / "guide" / "export.md").read_text(encoding="utf-8")
    rows = dict(
        re.findall(r"^\| `([\w-]+)` \| `([^`]+)` \| .* \| !\[\1\]\(\.\./images/exports/\1\.jpg\) \|$", page, re.M)
    )
    assert {name: path.rstrip("/") for name, path in rows.items()} == {
        name: entry.path for name, entry in FORMATS.items() if name != "json"
    }
    assert all((DOCS / "images" / "exports" / f"{name}.jpg").is_file() for name in rows)


ARCHITECTURE = (DOCS / "concepts" / "architecture.md").read_text(encoding="utf-8")


def test_files_of_the_architecture_page_exist():
    paths = re.findall(r"`([\w./-]+\.(?:py|json|yaml)|[\w/-]+/)`", ARCHITECTURE)
    assert len(paths) > 90
    for path in paths:
        assert any((folder / path).exists() for folder in (REPOSITORY, REPOSITORY / "src/auralsam2")), path


def test_architecture_page_has_every_package():
    packages = {path.parent.name for path in (REPOSITORY / "src" / "auralsam2").glob("*/__init__.py")}
    assert {name for name in packages if f"`{name}/`" not in ARCHITECTURE} == set()


def test_architecture_page_has_every_equation_table_and_command():
    first = [line.split("|")[1].strip() for line in ARCHITECTURE.splitlines() if line.startswith("| ")]
    equations = {int(number) for cell in first for number in re.findall(r"^Eq\. (\d+)", cell)}
    assert equations == set(range(1, 11))
    tables = {
        int(number) for cell in first if cell.startswith("Table") for number in re.findall(r"(?<!Figure )\b\d", cell)
    }
    assert tables == set(range(1, 8))
    leaves = {name for name, command in commands(typer.main.get_command(app)) if not hasattr(command, "commands")}
    assert leaves <= {cell.strip("`") for cell in first}


def test_navigation_lists_every_page():
    navigation = re.findall(r"[\w/-]+\.md$", (REPOSITORY / "mkdocs.yml").read_text(encoding="utf-8"), re.MULTILINE)
    pages = {page.relative_to(DOCS).as_posix() for page in DOCS.rglob("*.md")}
    assert sorted(navigation) == sorted(pages | GENERATED)
