"""The documents name only what exists: files, headings, make targets, commands, buttons, messages."""

from __future__ import annotations

import ast
import importlib.util
import re
import shlex
from functools import cache
from pathlib import Path

import pytest

from studio import cli
from studio.settings import flag_parser

ROOT = Path(__file__).parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *ROOT.glob("models/*/README.md")])
LINK = re.compile(r"\]\(([^)\s]+)\)")
BLOCK, SPAN = re.compile(r"^```\w*\n(.*?)^```$", re.MULTILINE | re.DOTALL), re.compile(r"`([^`]+)`")
INDENTED = re.compile(r"^ {4}(\S.*)$", re.MULTILINE)
SWITCHES = re.compile(r"[\w./]* *\[.*?\]| {2,}.*$")  # [--optional WORDS]; columns of explanation
PATH = re.compile(r"(?:`|\[)((?:studio|models|tests|presets|docs)/[\w./*-]+)(?=[`\]<:])")
OUTER = re.compile(r"^(?:[A-Z_]+=\S+ )*")  # NAME=value before a command


def words_of(page: Path) -> list[str]:
    """Every line of code: in blocks, indented, or in a sentence."""
    text = page.read_text(encoding="utf-8")
    blocks = [block.replace("\\\n", " ") for block in BLOCK.findall(text)]
    rest = BLOCK.sub("", text)
    spans = [" ".join(span.split()) for span in SPAN.findall(rest)]
    return [line.strip() for block in blocks for line in block.splitlines()] + INDENTED.findall(rest) + spans


def commands(page: Path, start: str) -> list[str]:
    lines = (OUTER.sub("", line.partition("  #")[0]) for line in words_of(page))
    return [SWITCHES.sub("", line).strip() for line in lines if line.startswith(start)]


def slug(heading: str) -> str:
    """As GitHub makes the anchor of a heading."""
    return re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-")


@cache
def strings() -> str:
    """Every constant text of the code, one a line, parts of f-strings apart; scripts and Makefile as they are."""
    found = []
    for file in [*ROOT.glob("studio/**/*.py"), *ROOT.glob("models/**/*.py"), ROOT / "app.py"]:
        nodes = ast.walk(ast.parse(file.read_text(encoding="utf-8")))
        found += [node.value for node in nodes if isinstance(node, ast.Constant) and isinstance(node.value, str)]
    others = [*ROOT.glob("studio/ui/**/*.js"), ROOT / "Makefile"]
    return "\n".join(found + [file.read_text(encoding="utf-8") for file in others])


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page):
    for address in LINK.findall(page.read_text(encoding="utf-8")):
        if address.startswith(("https://", "http://")):
            continue
        path, _, anchor = address.partition("#")
        target = page.parent / path if path else page
        assert target.exists(), f"{address} leads nowhere"
        if anchor:
            headings = re.findall(r"^#+ (.*)$", target.read_text(encoding="utf-8"), re.MULTILINE)
            assert anchor in map(slug, headings), f"{address}: there is no such heading"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_named_files_and_folders_exist(page):
    for path in PATH.findall(page.read_text(encoding="utf-8")):
        made_up = "/interval" in path  # the method that docs/adding_a_method.md adds
        assert made_up or any(ROOT.glob(path.rstrip("/"))), f"there is no {path}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_make_targets_exist(page):
    targets = set(re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    for line in commands(page, "make "):
        named = [word for word in shlex.split(line)[1:] if "=" not in word]
        assert set(named) <= targets, f"{line}: there is {', '.join(sorted(targets))}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_commands_are_understood(page):
    for line in commands(page, "python -m "):
        module, words = shlex.split(line)[2], shlex.split(line)[3:]
        if module.startswith(("studio", "models", "tests")):
            assert importlib.util.find_spec(module), f"{line}: there is no module {module}"
        if module == "studio" and words and words[0] != "COMMAND":
            _, rest = cli._parser().parse_known_args(words)
            _, unknown = flag_parser().parse_known_args(rest)
            assert not unknown, f"{line}: {unknown} is not known"


def test_the_quick_start_uses_the_words_of_the_page():
    text = (ROOT / "docs" / "quickstart.md").read_text(encoding="utf-8")
    bold = re.findall(r"\*\*(.+?)\*\*", text.partition("## 1.")[2])
    assert len(bold) > 20
    assert [words for words in bold if words not in strings()] == []


def test_the_messages_of_the_troubleshooting_page_are_those_of_the_code():
    text = (ROOT / "docs" / "troubleshooting.md").read_text(encoding="utf-8")
    causes = [row.split(" | ")[0] for row in text.splitlines() if row.startswith("| ") and "(from Python)" not in row]
    told = [span for cause in causes for span in SPAN.findall(cause)]
    parts = [part.strip(" .(") for span in told for part in span.split("…") if len(part.strip(" .(")) > 2]
    assert len(parts) > 60
    assert [part for part in parts if part not in strings()] == []
