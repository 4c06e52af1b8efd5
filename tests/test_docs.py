"""The documentation is complete, and its command lines are ones that the product takes."""

from __future__ import annotations

import argparse
import contextlib
import importlib
import io
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import pytest
import typer
from pydantic import BaseModel
from typer._click import exceptions as click_exceptions
from typer.testing import CliRunner

from core import errors
from docs import hooks, reference, release, walks
from edge.__main__ import _parser as edge_parser
from edge.__main__ import main as edge_main
from pipeline.__main__ import app
from serving import flags
from serving.__main__ import main as serving_main
from tests.support import fake_run

ROOT = Path(__file__).resolve().parents[1]
PAGES = sorted(
    [ROOT / "README.md", *ROOT.glob("docs/*.md"), *ROOT.glob("*/README.md"), ROOT / "CONTRIBUTING.md"]
)
FENCE = re.compile(r"(?ms)^```[a-z]*\n(.*?)^```")
INLINE = re.compile(r"`([^`\n]+)`")
OURS = re.compile(r"^(?:\$ )?(?:\.venv/bin/)?(melanosizer(?:-serve|-edge)?|make)\s+(.*)$")


def lines() -> Iterator[tuple[str, str, str]]:
    """Every command line in a code block, indented or fenced, or in backquotes: (page, program, rest)."""
    for page in PAGES:
        text = page.read_text(encoding="utf-8").replace("\\\n", " ")
        blocks = [line for block in FENCE.findall(text) for line in block.splitlines()]
        blocks += [line.strip() for line in text.splitlines() if line.startswith("    ")]
        blocks += INLINE.findall(FENCE.sub("", text))
        for line in blocks:
            found = OURS.match(re.sub(r"\s+#.*$", "", line.strip()))
            if found and "..." not in found[2] and "|" not in found[2]:
                yield page.relative_to(ROOT).as_posix(), found[1], found[2]


LINES = sorted(set(lines()))
ROOMS = ("core", "serving", "components", "pipeline", "studies", "dashboard", "edge")
# What files of settings are called.
SETTINGS = (
    "config.py",
    "settings.py",
    "options.py",
    "sections.py",
    "kubeflow/cluster.py",
    "versions/traffic.py",
)


def test_there_are_command_lines_to_check() -> None:
    assert len(LINES) > 40
    assert {program for _, program, _ in LINES} == {
        "melanosizer",
        "melanosizer-serve",
        "melanosizer-edge",
        "make",
    }


@pytest.mark.parametrize(("page", "program", "rest"), LINES, ids=lambda text: text[:60])
def test_a_command_line_of_the_documentation_is_one_that_the_product_takes(
    page: str, program: str, rest: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    arguments = shlex.split(re.sub(r"[\[\]](?=\s|-|$)", "", rest))
    try:
        {"melanosizer": parse, "melanosizer-serve": serve, "melanosizer-edge": device, "make": make}[program](
            arguments
        )
    except (Exception, SystemExit) as error:
        pytest.fail(f"{page}: `{program} {rest}`: {type(error).__name__}: {error}")


# Folders of these options and variables hold patients' images, or what was made of them.
HELD = re.compile(
    r"(?:--(?:data|workspace|out)[ =]|--camera folder:|--source [a-z0-9-]+:|\b(?:DATA|WORKSPACE)=)([^\s,\]]+)"
)


def test_no_folder_of_images_that_a_first_reader_makes_is_committed(tmp_path: Path) -> None:
    """`git add -A` in the clone, after every command of the README and of the first hour was followed."""
    pages = {"README.md", "docs/start.md"}
    folders = {
        folder
        for page, _, rest in LINES
        if page in pages
        for folder in HELD.findall(rest)
        if folder.islower()
    }
    assert {"../mine", "../mine/melanoma", "../isic", "workspace", "workspace-own", "data/isic"} <= folders
    clone = tmp_path / "clone"
    clone.mkdir()
    shutil.copy(ROOT / ".gitignore", clone)
    subprocess.run(["git", "init", "-q"], cwd=clone, check=True)
    for folder in folders - {"folder", "folder-or-table"}:  # a reader's own
        (clone / folder).mkdir(parents=True, exist_ok=True)
        (clone / folder / "lesion.jpg").touch()
    done = subprocess.run(
        ["git", "add", "-A", "--dry-run"], cwd=clone, check=True, capture_output=True, text=True
    )
    assert done.stdout.split() == ["add", "'.gitignore'"]


# What ends within a second or two; all but --help and the like look at a workspace.
SHORT = re.compile(r"^(?:report|runs|models list)\b|^--version|(?:^|\s)--(?:help|print-completion)\b")


@pytest.fixture(scope="module")
def finished_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with what the documentation's examples are about: a workspace with a run that pushed a version."""
    folder = tmp_path_factory.mktemp("documented")
    fake_run.write(folder, images=60)
    run = folder / "workspace" / "runs" / fake_run.RUN_ID
    shutil.copytree(run, run.with_name("20261121-234835"))
    return folder


@pytest.mark.parametrize(
    ("page", "program", "rest"),
    [line for line in LINES if line[1] != "make" and SHORT.search(line[2])],
    ids=lambda text: text[:60],
)
def test_a_short_command_line_of_the_documentation_does_what_it_says(
    page: str,
    program: str,
    rest: str,
    finished_run: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(finished_run)
    arguments = shlex.split(rest)
    if program == "melanosizer":
        done = CliRunner().invoke(app, arguments)
        assert (done.exit_code, done.exception) == (0, None), (page, done.output)
        assert done.output.strip()
        return
    main = {"melanosizer-serve": serving_main, "melanosizer-edge": edge_main}[program]
    with contextlib.suppress(SystemExit):
        assert main(arguments) == 0, page
    assert capsys.readouterr().out.strip()


def parse(arguments: list[str]) -> None:
    """Parse as the command line does, up to where a command would begin its work."""
    command: Any = typer.main.get_command(app)
    context = None
    while getattr(command, "commands", None):
        while arguments and arguments[0] in ("--help", "-h", "--version"):
            return
        name = arguments.pop(0)
        context = command.make_context(command.name, [], resilient_parsing=True, parent=context)
        command = command.commands[name]
    if {"--help", "-h"} & set(arguments):
        return
    try:
        command.make_context(command.name, arguments, parent=context)
    except click_exceptions.UsageError as error:
        # A text may name an option of a command without the others.
        shorthand = "Missing " in str(error) or "requires an argument" in str(error)
        known = {name for one in command.params for name in (*one.opts, *one.secondary_opts)}
        if (
            not shorthand
            or not {text.partition("=")[0] for text in arguments if text.startswith("--")} <= known
        ):
            raise
    except errors.UsageError as error:
        # The example's files are not here; everything else about it was parsed.
        if "does not exist" not in str(error):
            raise


def serve(arguments: list[str]) -> None:
    if arguments != ["--help"]:
        flags.parse(arguments)


def device(arguments: list[str]) -> None:
    if len(arguments) == 1:
        # A text that names a command without its options.
        arguments = [*arguments, "--help"] if not arguments[0].startswith("-") else arguments
    with contextlib.redirect_stdout(io.StringIO()):
        try:
            edge_parser().parse_args(arguments)
        except SystemExit as end:
            if end.code != 0:
                raise


TARGETS = set(re.findall(r"(?m)^([a-z][a-z-]*):", (ROOT / "Makefile").read_text(encoding="utf-8")))


def make(arguments: list[str]) -> None:
    unknown = [text for text in arguments if "=" not in text and text not in TARGETS]
    assert not unknown, f"no such target: {', '.join(unknown)}"


# Models of settings that are no file of their own: the options of a command fill them.
OF_A_COMMAND = {"IngestConfig", "Fractions", "SynthConfig"}


def described(model: type[BaseModel]) -> set[type[BaseModel]]:
    """Return a model and every model in it."""
    inner = {one for field in model.model_fields.values() for one in reference.models_in(field.annotation)}
    return {model}.union(*map(described, inner - {model}))


def test_every_model_of_settings_is_on_the_page() -> None:
    on_the_page = {one for _, model in reference.models().values() for one in described(model)}
    files = [
        path for room in ROOMS for path in (ROOT / room).rglob("*.py") if path.as_posix().endswith(SETTINGS)
    ]
    assert len(files) > 15
    for path in files:
        module = importlib.import_module(".".join(path.relative_to(ROOT).with_suffix("").parts))
        own = {
            one
            for one in vars(module).values()
            if isinstance(one, type) and issubclass(one, BaseModel) and one.__module__ == module.__name__
        }
        missing = {one.__name__ for one in own - on_the_page if one.model_fields} - OF_A_COMMAND
        assert missing == set(), f"{path}: add it to docs/reference.py:models"


@pytest.mark.parametrize("title", reference.models())
def test_every_setting_says_what_it_means(title: str) -> None:
    _, model = reference.models()[title]
    settings = list(reference.fields(model))
    assert settings
    assert [key for key, _, _, about in settings if not about.strip()] == []


def test_settings_of_lists_and_tables_are_on_the_page() -> None:
    page = reference.settings()
    for key in ("trainer.stages[].size", "tuner.space.NAME.low", "steps.NAME.cpu_limit", "camera.source"):
        assert f"| `{key}` |" in page


def test_every_command_and_option_is_on_its_page() -> None:
    page = reference.commands()
    for path, command in reference.typer_commands():
        assert f"## {path}\n" in page
        assert (command.help or "").strip(), f"{path} does not say what it does"
        assert [one.opts for one in command.params if one.param_type_name == "option" and not one.help] == []
        assert all(f"`{', '.join([*one.opts, *one.secondary_opts])}`" in page for one in command.params), path
    for path, parser in reference.edge_commands():
        assert f"## {path}\n" in page
        assert (parser.description or "").strip(), f"{path} does not say what it does"
        assert [a.dest for a in parser._actions if not a.help and a.help != argparse.SUPPRESS] == []


def test_every_exit_code_is_told() -> None:
    codes = {value for name, value in vars(errors).items() if name.isupper() and isinstance(value, int)}
    assert codes | {0, 130} == set(reference.exit_codes())
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert all(f"| {code} |" in readme for code in codes | {0})


def test_every_metric_says_what_it_counts() -> None:
    found = reference.all_metrics()
    assert all(found.values())
    assert [name for metrics in found.values() for name, _, _, about in metrics if not about.strip()] == []


@pytest.mark.parametrize(("found", "several"), [(reference.routes(), 40), (reference.device_routes(), 20)])
def test_every_route_says_what_it_does(found: list[tuple[str, str, str]], several: int) -> None:
    assert len(found) > several
    assert [f"{method} {path}" for method, path, about in found if not about.strip()] == []


def test_every_address_of_the_model_server_is_on_its_page() -> None:
    code = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "serving" / "api").glob("*.py"))
    addresses = {found.rstrip("/") for found in re.findall(r"\"(/[a-z][a-z0-9/]*)", code)}
    assert {"/healthz", "/readyz"} <= addresses
    page = (ROOT / "docs" / "serving.md").read_text(encoding="utf-8")
    assert sorted(one for one in addresses if f"`{one}`" not in page and f"`{one}/" not in page) == []


FOLDERS = (*ROOMS, "docker", "k8s", "schemas", "tests", "benchmarks", "docs")
# A module by its name alone, or what lies in one of the repository's folders.
_ENDING = r"\.(?:json|md|pbtxt|service|sh|toml|ya?ml)"
PLACE = re.compile(
    rf"`((?:[\w*-]+/)*[\w*-]+\.py|(?:{'|'.join(FOLDERS)})/(?:[\w*-]+/)*(?:[\w*.-]+{_ENDING}|[\w*-]*))`"
)


def test_every_file_that_a_page_names_is_there() -> None:
    there = [
        path.relative_to(ROOT).as_posix() for folder in FOLDERS for path in (ROOT / folder).rglob("*")
    ] + list(FOLDERS)
    missing = [
        f"{page.name}: {place}"
        for page in PAGES
        for place in sorted(set(PLACE.findall(page.read_text(encoding="utf-8"))))
        if "NAME" not in place  # stands for one that a reader writes
        and not any(
            fnmatch(path, pattern)
            for path in there
            for pattern in (place.rstrip("/"), f"*/{place.rstrip('/')}")
        )
    ]
    assert missing == []


def test_every_page_is_in_the_navigation() -> None:
    navigation = (ROOT / "mkdocs.yml").read_text(encoding="utf-8")
    written = [path.relative_to(ROOT / "docs").as_posix() for path in (ROOT / "docs").rglob("*.md")]
    pages = {*written, *reference.PAGES, *hooks.FROM_THE_ROOT}
    assert [page for page in sorted(pages) if f" {page}\n" not in navigation] == []


@pytest.mark.slow  # `make docs` builds it, too
def test_the_site_is_built_strictly_and_asks_no_other_site(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(tmp_path / "site")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-3000:]
    pages = list((tmp_path / "site").rglob("*.html"))
    assert len(pages) > 20
    loads = re.compile(r"<(?:script|img|link)\b[^>]*?\b(?:src|href)=[\"']?(https?://[^\"'\s>]+)")
    foreign = {
        (page.name, address) for page in pages for address in loads.findall(page.read_text(encoding="utf-8"))
    }
    assert foreign == set()


def test_the_pages_speak_as_the_style_says() -> None:
    found = [
        page.name
        for page in PAGES
        if re.search(r"\b(?:is no (?:approved )?medical|anew\b)", page.read_text(encoding="utf-8"))
    ]
    assert found == [], "write 'is not a medical device' and 'again'"


@pytest.mark.parametrize(
    "stop", [stop for walk in walks.WALKS for stop in walk.stops], ids=lambda stop: stop.place
)
def test_a_stop_of_a_walk_through_the_house_exists(stop: walks.Stop) -> None:
    path, _, symbol = stop.place.partition(":")
    assert re.search(rf"(?m)^(?:async )?(?:def|class) {symbol}\b", (ROOT / path).read_text(encoding="utf-8"))


def test_the_picture_of_the_walks_is_the_one_that_is_drawn() -> None:
    assert walks.PICTURE.read_text(encoding="utf-8") == walks.draw(), "run: python -m docs.walks"


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    (tmp_path / "pyproject.toml").write_text('[project]\nversion = "1.2.0"\n')
    (tmp_path / "CHANGELOG.md").write_text("# Changelog\n\n## 1.2.0\n\n- Told.\n\n## 1.1.0\n\n- Older.\n")
    git = ["git", "-c", "user.name=t", "-c", "user.email=t@example.org"]
    for arguments in (["init", "-q"], ["add", "."], ["commit", "-q", "-m", "first"]):
        subprocess.run([*git, *arguments], cwd=tmp_path, check=True)
    return tmp_path


def test_a_release_is_checked_before_it_is_tagged(tree: Path) -> None:
    release.check("1.2.0", tree)
    assert release.notes("1.2.0", tree) == "- Told.\n"
    for version, message in (("1.2", "write it as"), ("1.3.0", "says version 1.2.0")):
        with pytest.raises(release.NotReadyError, match=message):
            release.check(version, tree)
    (tree / "new").touch()
    with pytest.raises(release.NotReadyError, match="not committed"):
        release.check("1.2.0", tree)
    (tree / "new").unlink()
    subprocess.run(["git", "tag", "v1.2.0"], cwd=tree, check=True)
    with pytest.raises(release.NotReadyError, match=r"a tag v1\.2\.0 already"):
        release.check("1.2.0", tree)
    with pytest.raises(release.NotReadyError, match="no text below"):
        release.notes("2.0.0", tree)
