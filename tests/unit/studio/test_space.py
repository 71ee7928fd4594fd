"""A checkout as a Space: every check finds its fault, every mode has what it needs, an upload sends just that."""

from __future__ import annotations

import inspect
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from huggingface_hub import HfApi
from packaging.requirements import Requirement

from studio import cli
from studio.events import StudioError
from studio.space import checks, files, front_matter, push, trial, versions
from studio.space.modes import MODES, ZEROGPU_TORCH, mode_named
from studio.space.switches import table

pytestmark = pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed")
ROOT = Path(__file__).parents[3]
SMALL = ("README.md", "LICENSE", "app.py", "requirements.txt", "constraints.txt", "docs/pocket.png")


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A checkout with the files that are read, without weights or code."""
    root = tmp_path / "checkout"
    files.copy(ROOT, SMALL, root)
    subprocess.run(["git", "init", "-q", str(root)], check=True)
    return root


def track(root: Path) -> list[str]:
    subprocess.run(["git", "-C", str(root), "add", "."], check=True)
    return files.tracked(root)


def edited(root: Path, name: str, old: str, new: str) -> None:
    text = (root / name).read_text(encoding="utf-8")
    assert old in text
    (root / name).write_text(text.replace(old, new, 1), encoding="utf-8")


def problems(root: Path) -> dict[str, str]:
    names = track(root)
    found = {
        "sizes": files.size_problems(root, names),
        "secrets": files.secret_problems(root, names),
        "front matter": checks.front_matter_problems(root, names),
        "versions": checks.version_problems(root),
        "packages.txt": checks.package_problems(root),
    }
    return {name: " / ".join(sentences) for name, sentences in found.items() if sentences}


def large(root: Path) -> None:
    (root / "weights.bin").write_bytes(bytes(files.LARGEST_FILE + 1))


def token(root: Path) -> None:
    (root / "notes.txt").write_text("hf_" + "a" * 34, encoding="utf-8")


def private_key(root: Path) -> None:
    (root / "notes.txt").write_text("-----BEGIN " + "PRIVATE KEY-----\n" + "A" * 64, encoding="utf-8")


def environment(root: Path) -> None:
    (root / ".env").write_text("A=1", encoding="utf-8")


def packages(root: Path) -> None:
    (root / "packages.txt").write_text("ffmpeg\nlib gl\n", encoding="utf-8")


def edit(name: str, old: str, new: str) -> Callable[[Path], None]:
    return lambda root: edited(root, name, old, new)


def test_this_checkout_passes_every_check_that_starts_nothing(capsys):
    if not (ROOT / ".git").exists():
        pytest.skip("this is no checkout of git")
    assert cli.main(["space", "--check", "--no-trials"]) == 0
    said = capsys.readouterr().out.splitlines()
    assert len(said) == 6 and all(line.startswith("ok ") for line in said)


def test_the_small_checkout_has_no_fault(checkout):
    assert problems(checkout) == {}


@pytest.mark.parametrize(
    ("spoil", "check", "sentence"),
    [
        (large, "sizes", "weights.bin has 10.0 MB"),
        (token, "secrets", "notes.txt seems to hold an access token of the Hub"),
        (private_key, "secrets", "notes.txt seems to hold a private key"),
        (environment, "secrets", ".env is tracked"),
        (packages, "packages.txt", "'lib gl' is no name of a package"),
        (edit("README.md", "sdk_version: 6.31.0", "sdk_version: 6.30.0"), "versions", "constraints.txt has gradio"),
        (edit("README.md", "sdk_version: 6.31.0", "sdk_version: 6.3"), "front matter", "sdk_version must be a str"),
        (edit("README.md", 'python_version: "3.12"', 'python_version: "3.10"'), "versions", "runs on 3.11 and 3.12"),
        (edit("README.md", 'python_version: "3.12"', "python_version: 3.12"), "front matter", "put it in quotes"),
        (edit("README.md", "app_file: app.py", "app_file: main.py"), "front matter", "app_file is main.py"),
        (edit("README.md", "docs/pocket.png", "docs/none.png"), "front matter", "which git does not track"),
        (edit("README.md", "colorFrom: green", "colorFrom: mint"), "front matter", "colorFrom must be one of red"),
        (edit("README.md", "compared side", "compared " + "x" * 20), "front matter", "at most 60 fit"),
        (edit("README.md", "license: apache-2.0", "license: mit"), "front matter", "which LICENSE is not"),
        (edit("README.md", "header: mini", "heeder: mini"), "front matter", "Did you mean 'header'"),
        (edit("README.md", "Vchitect/RepVideo", "RepVideo"), "front matter", "not of the form owner/name"),
        (edit("constraints.txt", "diffusers==0.42.1", "diffusers==0.41.0"), "versions", "diffusers 0.41.0"),
        (edit("constraints.txt", "torch==2.13.0", ""), "versions", "no version of torch"),
        (edit("requirements.txt", "torch>=2.8,<2.14", "torch>=2.12"), "versions", "no torch for ZeroGPU"),
    ],
)  # fmt: skip
def test_every_fault_is_told_in_a_sentence(checkout, spoil, check, sentence):
    spoil(checkout)
    assert sentence in problems(checkout)[check]


def test_a_readme_without_front_matter_is_told(checkout):
    _, text = front_matter.read(checkout)
    (checkout / "README.md").write_text(text, encoding="utf-8")
    found = {check.name: check.problems for check in checks.check_space(checkout, trials=False) if not check.passed}
    assert "does not begin with the lines" in found["front matter"][0]


def test_a_folder_that_git_does_not_know_is_told(tmp_path):
    with pytest.raises(ValueError, match="no checkout of git"):
        files.tracked(tmp_path)


def test_a_failing_check_is_exit_code_1(checkout, monkeypatch, capsys):
    monkeypatch.setattr("studio.commands.space.REPOSITORY", checkout)
    token(checkout)
    track(checkout)
    assert cli.main(["space", "--check", "--no-trials"]) == 1
    said = capsys.readouterr().out
    assert "FAILED  secrets: notes.txt seems to hold an access token of the Hub." in said.splitlines()


def test_versions_for_a_space_are_exact_and_leave_gradio_to_it():
    for mode in MODES.values():
        lines = [Requirement(line) for line in versions.pinned(ROOT, mode).splitlines() if not line.startswith("#")]
        named = {line.name: str(line.specifier) for line in lines}
        assert "gradio" not in named and all(pin.startswith("==") for pin in named.values())
        ranges = {wanted.name: wanted.specifier for wanted in versions.requirements(ROOT)}
        assert all(ranges[name].contains(pin.removeprefix("==")) for name, pin in named.items())
        torch = named["torch"].removeprefix("==")
        assert torch in ZEROGPU_TORCH if mode.name == "zerogpu" else torch == versions.exact_versions(ROOT)["torch"]


class Hub:
    """HfApi's methods that an upload uses; keeps what was sent, refuses arguments that the real ones lack."""

    def __init__(self, error: Exception | None = None) -> None:
        self.calls: list[str] = []
        self.created: dict[str, Any] = {}
        self.variables: dict[str, str] = {}
        self.uploaded: dict[str, bytes] = {}
        self.error = error

    def __getattr__(self, name: str) -> Callable[..., None]:
        signature = inspect.signature(getattr(HfApi, name))

        def call(*arguments: Any, **named: Any) -> None:
            asked = signature.bind(self, *arguments, **named).arguments
            self.calls.append(name)
            if self.error:
                raise self.error
            if name == "create_repo":
                self.created = asked
            elif name == "add_space_variable":
                self.variables[asked["key"]] = asked["value"]
            elif name == "upload_folder":
                folder = Path(asked["folder_path"])
                found = (path for path in folder.rglob("*") if path.is_file())
                self.uploaded = {path.relative_to(folder).as_posix(): path.read_bytes() for path in found}

        return call


def test_an_upload_has_the_mode_s_hardware_versions_and_variables(checkout):
    (checkout / "tests").mkdir()
    (checkout / "tests" / "test_it.py").touch()
    (checkout / "untracked.txt").write_text("mine", encoding="utf-8")
    track(checkout)
    subprocess.run(["git", "-C", str(checkout), "rm", "-q", "--cached", "untracked.txt"], check=True)
    hub = Hub()
    address = push.push(checkout, mode_named("zerogpu"), "me/quintet", variables={"QUINTET_MAX_STEPS": "9"}, api=hub)
    assert address == "https://huggingface.co/spaces/me/quintet"
    assert hub.calls[0] == "create_repo" and hub.calls[-1] == "upload_folder"
    assert (hub.created["space_sdk"], hub.created["space_hardware"]) == ("gradio", "zero-a10g")
    assert hub.variables == {"QUINTET_EXECUTOR": "zerogpu", "QUINTET_MAX_STEPS": "9"}
    assert set(hub.uploaded) == set(SMALL)
    assert b"torch==2.11.0" in hub.uploaded["requirements.txt"]
    fields, text = front_matter.split(hub.uploaded["README.md"].decode())
    assert fields["python_version"] == "3.12.12" and text.startswith("# Quintet")
    assert fields["thumbnail"].endswith("/spaces/me/quintet/resolve/main/docs/pocket.png")


def test_a_static_space_is_a_saved_comparison(checkout, tmp_path):
    bundle = tmp_path / "saved.zip"
    with zipfile.ZipFile(bundle, "w") as archive:
        archive.writestr("index.html", "<h1>a square</h1>")
    hub = Hub()
    push.push(checkout, mode_named("static"), "me/quintet", bundle=bundle, api=hub)
    assert set(hub.uploaded) == {"index.html", "README.md"} and hub.variables == {}
    fields, _ = front_matter.split(hub.uploaded["README.md"].decode())
    assert (fields["sdk"], fields["app_file"]) == ("static", "index.html") and "sdk_version" not in fields
    bundle.write_bytes(b"no zip")
    with pytest.raises(ValueError, match="not a bundle"):
        push.push(checkout, mode_named("static"), "me/quintet", bundle=bundle, api=hub)


def test_without_a_bundle_a_static_space_is_the_recorded_atlas(checkout, tmp_path):
    target = tmp_path / "space"
    target.mkdir()
    with pytest.raises(ValueError, match="make atlas"):
        push.assemble(checkout, mode_named("static"), "me/quintet", target)
    clip = checkout / "docs" / "atlas" / "one.mp4"
    clip.parent.mkdir(parents=True)
    clip.write_bytes(b"a clip")
    (checkout / "docs" / "index.html").write_text("recorded", encoding="utf-8")
    push.assemble(checkout, mode_named("static"), "me/quintet", target)
    assert (target / "index.html").read_text(encoding="utf-8") == "recorded"
    assert (target / "atlas" / "one.mp4").read_bytes() == b"a clip"


def test_what_the_hub_refuses_is_told(checkout):
    track(checkout)
    with pytest.raises(StudioError, match="The Hub refused me/quintet: no way"):
        push.push(checkout, mode_named("cpu"), "me/quintet", api=Hub(OSError("no way\nmore")))


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--push", "quintet"], "--push wants OWNER/NAME"),
        (["--push", "me/quintet"], "There is no token"),
        (["--push", "me/quintet", "--mode", "zerogpus"], "Did you mean 'zerogpu'?"),
        (["--push", "me/quintet", "--variable", "A"], "NAME=VALUE"),
        (["--check", "--push", "me/quintet"], "not allowed with"),
        ([], "required"),
    ],
)
def test_what_cannot_be_pushed_is_one_sentence(words, sentence, capsys, monkeypatch, checkout):
    for name in push.TOKENS:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("studio.commands.space.REPOSITORY", checkout)
    monkeypatch.setattr(checks, "model_problems", lambda root: [])
    track(checkout)
    assert cli.main(["space", *words]) == 2
    said = capsys.readouterr().err
    assert sentence in said and said.count("\n") == 1


def test_the_table_of_switches_is_the_settings():
    document = (ROOT / "docs" / "spaces.md").read_text(encoding="utf-8")
    assert table() in document, "renew the table of docs/spaces.md: python -m studio space --switches"


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["page", "zerogpu"])
def test_a_copy_of_the_tracked_files_starts(kind, tmp_path):
    if not (ROOT / ".git").exists():
        pytest.skip("this is no checkout of git")
    files.copy(ROOT, files.for_space(files.tracked(ROOT)), tmp_path)
    found = checks.trial(tmp_path, kind, kind)
    assert found.passed, found.problems


def test_a_copy_that_lacks_a_file_does_not_start(tmp_path):
    files.copy(ROOT, ["app.py", "models/__init__.py", "studio/__init__.py"], tmp_path)
    found = checks.trial(tmp_path, "page", "opens without GPU")
    assert not found.passed and "studio.space" in found.problems[0]


def test_a_trial_finds_no_library_spaces():
    code = (
        "import sys; sys.argv = ['trial', 'none']; from studio.space import trial; trial.try_zerogpu = lambda f: 0\n"
    )
    code += "trial.main()\ntry:\n    import spaces\nexcept ImportError:\n    sys.exit(0)\nsys.exit(1)"
    assert trial.main and subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0
