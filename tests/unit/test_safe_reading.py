"""Nothing in the program runs what it reads: no pickles, no code from files, no shell, no open-ended decoders."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from studio import presets

ROOT = Path(__file__).parents[2]
FILES = [ROOT / "app.py", *ROOT.glob("studio/**/*.py"), *ROOT.glob("models/**/*.py")]
FORBIDDEN = {
    "pickle.load", "pickle.loads", "eval", "exec", "yaml.unsafe_load", "yaml.full_load", "os.system",
    "marshal.loads", "shelve.open",
}  # fmt: skip
# Decoders that choose a reader by the content: strangers' files pass through these two modules alone.
READERS = {"av.open": "studio/video_files.py", "Image.open": "models/common/pictures.py"}
OWN_FILES = ("models/pocket/recipes/", "models/customvideox/dataset.py")  # run by hand on one's own files


def calls(file: Path) -> Iterator[tuple[str, ast.Call]]:
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call):
            yield ast.unparse(node.func), node


def options(call: ast.Call) -> dict[str, str]:
    return {keyword.arg: ast.unparse(keyword.value) for keyword in call.keywords if keyword.arg}


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(ROOT)))
def test_nothing_that_is_read_is_run(file):
    for name, call in calls(file):
        given = options(call)
        assert name not in FORBIDDEN, f"{file}:{call.lineno} calls {name}"
        assert given.get("trust_remote_code", "False") == "False", f"{file}:{call.lineno} runs a stranger's code"
        assert given.get("shell", "False") == "False", f"{file}:{call.lineno} runs a shell"
        assert given.get("allow_pickle", "False") == "False", f"{file}:{call.lineno} reads pickles"
        if name == "yaml.load":
            loaders = [ast.unparse(argument).split(".")[-1] for argument in call.args[1:]]
            assert loaders in (["SafeLoader"], ["CSafeLoader"]), f"{file}:{call.lineno} may make any object"
        if name == "torch.load":
            assert given.get("weights_only") == "True", f"{file}:{call.lineno} may run a checkpoint's code"


def test_presets_are_read_by_a_safe_loader_of_yaml():
    with pytest.raises(yaml.constructor.ConstructorError):
        yaml.load("!!python/object/apply:os.getcwd []", presets.SafeLoader)


@pytest.mark.parametrize("name", READERS)
def test_strangers_files_are_decoded_in_one_place(name):
    for file in FILES:
        where = file.relative_to(ROOT).as_posix()
        if where == READERS[name] or where.startswith(OWN_FILES):
            continue
        for called, call in calls(file):
            if called == name and not _writes(call):
                assert "formats" in options(call) or _own_output(where), f"{where}:{call.lineno} opens anything"


def _writes(call: ast.Call) -> bool:
    return len(call.args) > 1 and ast.unparse(call.args[1]) == "'w'"


def _own_output(where: str) -> bool:
    return where == "studio/outputs.py"  # counts the frames of the file it has just written
