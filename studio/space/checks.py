"""Everything that can be known before an upload: a name and a sentence for each, empty when all is well."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from studio.presets import load_presets
from studio.space import files, front_matter, versions
from studio.weights.hub_cache import HubSource
from studio.weights.needs import sources_of

PATIENCE = 600  # seconds for a trial on a busy machine
PACKAGE = re.compile(r"[a-z0-9][a-z0-9+.-]+")  # a name of a Debian package
LICENCES = {"apache-2.0": "Apache License", "mit": "MIT License"}


@dataclass(frozen=True)
class Check:
    """`problems` are sentences; `told` is what a check that passes found."""

    name: str
    problems: tuple[str, ...] = ()
    told: str = ""

    @property
    def passed(self) -> bool:
        return not self.problems


def check_space(root: Path, trials: bool = True) -> Iterator[Check]:
    """Check what git tracks of a checkout. `trials` start it in a copy, as a Space would; they take a minute."""
    names = files.for_space(files.tracked(root))
    total = sum((root / name).stat().st_size for name in names)
    yield _check("sizes", lambda: files.size_problems(root, names), f"{len(names)} files, {total / 1e6:.0f} MB")
    yield _check("secrets", lambda: files.secret_problems(root, names), "none found")
    yield _check("front matter", lambda: front_matter_problems(root, names))
    yield _check("versions", lambda: version_problems(root), "they agree with constraints.txt and ZeroGPU")
    yield _check("models", lambda: model_problems(root), "every repository that presets name")
    yield _check("packages.txt", lambda: package_problems(root), "no system package is needed")
    if trials:
        with tempfile.TemporaryDirectory(prefix="quintet-space-") as folder:
            files.copy(root, names, Path(folder))
            yield trial(Path(folder), "page", "opens without GPU")
            yield trial(Path(folder), "zerogpu", "runs on ZeroGPU")


def front_matter_problems(root: Path, names: list[str]) -> list[str]:
    fields, _ = front_matter.read(root)
    found = front_matter.problems(fields)
    for name in ("app_file", "thumbnail"):
        if (value := str(fields.get(name, ""))) and "://" not in value and value not in names:
            found.append(f"{name} is {value}, which git does not track")
    licence = LICENCES.get(str(fields.get("license")))
    if licence is None or licence not in (root / "LICENSE").read_text(encoding="utf-8")[:400]:
        found.append(f"license is {fields.get('license')!r}, which LICENSE is not")
    return found


def version_problems(root: Path) -> list[str]:
    fields, _ = front_matter.read(root)
    return versions.problems(root, str(fields.get("sdk_version")), str(fields.get("python_version")))


def model_problems(root: Path) -> list[str]:
    """The front matter links the models that presets can fetch, no others and all of them."""
    fields, _ = front_matter.read(root)
    sources = [source for preset in load_presets(root / "presets").values() for source in sources_of(preset)]
    sources += [
        published.source
        for preset in load_presets(root / "presets").values()
        for conversion in preset.method.conversions
        for published in conversion.sources.values()
    ]
    needed = {HubSource.parse(source).repository for source in sources if source.startswith("hub:")}
    named = set(fields.get("models") or ())
    found = [f"models lacks {name}, which a preset names" for name in sorted(needed - named)]
    return found + [f"models has {name}, which no preset names" for name in sorted(named - needed)]


def package_problems(root: Path) -> list[str]:
    file = root / "packages.txt"
    lines = file.read_text(encoding="utf-8").split("\n") if file.is_file() else []
    return [
        f"packages.txt: {line!r} is no name of a package" for line in lines if line and not PACKAGE.fullmatch(line)
    ]


def trial(folder: Path, kind: str, name: str) -> Check:
    """Run studio/space/trial.py in a copy of the tracked files, with an empty home and no GPU."""
    hidden = {"CUDA_VISIBLE_DEVICES": "", "HF_HUB_OFFLINE": "1", "GRADIO_ANALYTICS_ENABLED": "False"}
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("QUINTET_", "PYTHON"))}
    with tempfile.TemporaryDirectory(prefix="quintet-home-") as home:
        places = {"HOME": home, "GRADIO_TEMP_DIR": f"{home}/gradio", "OMP_NUM_THREADS": "2"}
        command = [sys.executable, "-B", "-m", "studio.space.trial", kind]
        try:
            done = subprocess.run(
                command, cwd=folder, env=kept | hidden | places, capture_output=True, text=True, timeout=PATIENCE,
                check=False,
            )  # fmt: skip
        except subprocess.TimeoutExpired:
            return Check(name, (f"it was not done after {PATIENCE} seconds",))
    said = (done.stdout.strip() or done.stderr.strip() or "it ended without a word").splitlines()[-1]
    return Check(name, told=said) if done.returncode == 0 else Check(name, (said,))


def _check(name: str, problems: Callable[[], list[str]], told: str = "") -> Check:
    try:
        return Check(name, tuple(problems()), told)
    except (ValueError, OSError) as error:  # a file that is missing or cannot be read
        return Check(name, (str(error),))
