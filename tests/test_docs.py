"""The documentation is complete, and its command lines are ones that the product takes."""

from __future__ import annotations

import argparse
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer
from typer._click import exceptions as click_exceptions

from core import errors
from docs import hooks, reference, release, walks
from edge.__main__ import _parser as edge_parser
from pipeline.__main__ import app
from serving import flags

ROOT = Path(__file__).resolve().parents[1]
PAGES = sorted(
    [ROOT / "README.md", *ROOT.glob("docs/*.md"), *ROOT.glob("*/README.md"), ROOT / "CONTRIBUTING.md"]
)
FENCE = re.compile(r"(?ms)^```[a-z]*\n(.*?)^```")
INLINE = re.compile(r"`([^`\n]+)`")
OURS = re.compile(r"^(?:\$ )?(?:\.venv/bin/)?(melanosizer(?:-serve|-edge)?|make)\s+(.*)$")


def lines() -> Iterator[tuple[str, str, str]]:
    """Every command line in a code block, indented or fenced, or in backquotes with an option: (page, program, rest)."""
    for page in PAGES:
        text = page.read_text(encoding="utf-8").replace("\\\n", " ")
        blocks = [line for block in FENCE.findall(text) for line in block.splitlines()]
        blocks += [line.strip() for line in text.splitlines() if line.startswith("    ")]
        blocks += [
            code for code in INLINE.findall(FENCE.sub("", text)) if " --" in code or code.startswith("make ")
        ]
        for line in blocks:
            found = OURS.match(re.sub(r"\s+#.*$", "", line.strip()))
            if found and "..." not in found[2] and "|" not in found[2]:
                yield page.relative_to(ROOT).as_posix(), found[1], found[2]


LINES = sorted(set(lines()))


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
    if not {"--help", "--version", "--print-completion"} & set(arguments):
        edge_parser().parse_args(arguments)


TARGETS = set(re.findall(r"(?m)^([a-z][a-z-]*):", (ROOT / "Makefile").read_text(encoding="utf-8")))


def make(arguments: list[str]) -> None:
    unknown = [text for text in arguments if "=" not in text and text not in TARGETS]
    assert not unknown, f"no such target: {', '.join(unknown)}"


@pytest.mark.parametrize("title", reference.models())
def test_every_setting_says_what_it_means(title: str) -> None:
    _, model = reference.models()[title]
    settings = list(reference.fields(model))
    assert settings
    assert [key for key, _, _, about in settings if not about.strip()] == []


def test_every_command_and_option_is_on_its_page() -> None:
    page = reference.commands()
    for path, command in reference.typer_commands():
        assert f"## {path}\n" in page
        assert [one.opts for one in command.params if one.param_type_name == "option" and not one.help] == []
        assert all(f"`{', '.join([*one.opts, *one.secondary_opts])}`" in page for one in command.params), path
    for path, parser in reference.edge_commands():
        assert f"## {path}\n" in page
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


def test_every_route_says_what_it_does() -> None:
    found = reference.routes()
    assert len(found) > 40
    assert [f"{method} {path}" for method, path, about in found if not about.strip()] == []


def test_every_page_is_in_the_navigation() -> None:
    navigation = (ROOT / "mkdocs.yml").read_text(encoding="utf-8")
    written = [path.relative_to(ROOT / "docs").as_posix() for path in (ROOT / "docs").rglob("*.md")]
    pages = {*written, *reference.PAGES, *hooks.FROM_THE_ROOT}
    assert [page for page in sorted(pages) if f" {page}\n" not in navigation] == []


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
