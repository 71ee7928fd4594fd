"""Exact versions for a Space, which reads requirements.txt alone: constraints.txt is not at hand when it is built."""

from __future__ import annotations

from pathlib import Path

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

from studio.space.modes import MODES, ZEROGPU_TORCH, Mode

BY_SDK = "gradio"  # installed by the Space itself, at sdk_version, with extras that choose its dependencies' versions


def requirements(root: Path) -> list[Requirement]:
    """ValueError names a line that pip would not read."""
    lines = (line.partition("#")[0].strip() for line in (root / "requirements.txt").read_text("utf-8").splitlines())
    try:
        return [Requirement(line) for line in lines if line]
    except InvalidRequirement as error:
        raise ValueError(f"requirements.txt: {error}.") from error


def exact_versions(root: Path) -> dict[str, str]:
    """Canonical name -> version, from constraints.txt."""
    lines = (line.partition("#")[0].strip() for line in (root / "constraints.txt").read_text("utf-8").splitlines())
    pairs = (line.partition("==") for line in lines if line)
    return {canonicalize_name(name.strip()): version.strip() for name, _, version in pairs}


def pinned(root: Path, mode: Mode) -> str:
    """requirements.txt of a Space: what the studio names itself, exactly; what these bring in turn is left to pip."""
    exact = exact_versions(root) | ({"torch": mode.torch} if mode.torch else {})
    named = [wanted for wanted in requirements(root) if canonicalize_name(wanted.name) != BY_SDK]
    lines = [f"{wanted.name}=={exact[canonicalize_name(wanted.name)]}" for wanted in named]
    return f"# Made for a Space ({mode.name}) from requirements.txt and constraints.txt.\n" + "\n".join(lines) + "\n"


def problems(root: Path, sdk_version: str, python_version: str) -> list[str]:
    """A sentence for each version that does not fit another."""
    exact = exact_versions(root)
    found = []
    for wanted in requirements(root):
        version = exact.get(canonicalize_name(wanted.name))
        if version is None:
            found.append(f"constraints.txt has no version of {wanted.name}")
        elif not wanted.specifier.contains(Version(version), prereleases=True):
            found.append(f"constraints.txt has {wanted.name} {version}, requirements.txt asks for {wanted.specifier}")
    if exact.get(BY_SDK) != sdk_version:
        found.append(f"sdk_version is {sdk_version}, constraints.txt has gradio {exact.get(BY_SDK)}")
    if not any(python_version == v or python_version.startswith(v + ".") for v in ("3.11", "3.12")):
        found.append(f"python_version is {python_version}; the studio runs on 3.11 and 3.12")
    torch = next((wanted for wanted in requirements(root) if wanted.name == "torch"), None)
    if torch is None or not torch.specifier.contains(MODES["zerogpu"].torch):
        found.append(f"requirements.txt leaves no torch for ZeroGPU, which has {', '.join(ZEROGPU_TORCH)}")
    return found
