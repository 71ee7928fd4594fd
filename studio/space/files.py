"""What of a checkout belongs to a Space, and what must not be in it."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterable
from pathlib import Path

LEFT_OUT = ("tests/", ".ci/")  # of no use on a Space
LARGEST_FILE = 10_000_000  # bytes; more goes through the Hub's large-file storage, which a checkout of git lacks
LARGEST_ALL = 1_000_000_000  # bytes of a Space's repository
MOST_FILES = 10_000
SECRETS = {
    "an access token of the Hub": re.compile(rb"\bhf_[A-Za-z0-9]{30,}"),
    "an access token of GitHub": re.compile(rb"\b(gh[pousr]_[A-Za-z0-9]{36,}|github_pat_[A-Za-z0-9_]{50,})"),
    "a key of AWS": re.compile(rb"\bAKIA[0-9A-Z]{16}\b"),
    "a private key": re.compile(rb"-----BEGIN (RSA |EC |OPENSSH |ENCRYPTED )?PRIVATE KEY-----\s+[A-Za-z0-9+/=]{16}"),
}
SECRET_NAMES = re.compile(r"(^|/)(\.env(\..*)?|id_(rsa|ed25519|ecdsa)|.*\.(pem|p12|pfx|key)|studio\.yaml)$")


def tracked(root: Path) -> list[str]:
    """Paths that git knows and that exist. ValueError outside a checkout."""
    try:
        found = subprocess.run(
            ["git", "-C", str(root), "ls-files", "-z"], capture_output=True, text=True, check=True, timeout=60
        )
    except (OSError, subprocess.SubprocessError) as error:
        raise ValueError(f"{root} is no checkout of git, so it cannot be told which files belong to it.") from error
    return sorted(name for name in found.stdout.split("\0") if name and (root / name).is_file())


def for_space(names: Iterable[str]) -> list[str]:
    return [name for name in names if not name.startswith(LEFT_OUT)]


def copy(root: Path, names: Iterable[str], target: Path) -> None:
    """The files as they are in the working tree."""
    for name in names:
        (target / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(root / name, target / name)


def size_problems(root: Path, names: Iterable[str]) -> list[str]:
    sizes = {name: (root / name).stat().st_size for name in names}
    found = [
        f"{name} has {size / 1e6:.1f} MB; a Space takes at most {LARGEST_FILE / 1e6:.0f} MB a file without large-file "
        "storage"
        for name, size in sizes.items()
        if size > LARGEST_FILE
    ]
    if (total := sum(sizes.values())) > LARGEST_ALL:
        found.append(f"all files together have {total / 1e6:.0f} MB; a Space holds {LARGEST_ALL / 1e6:.0f} MB")
    if len(sizes) > MOST_FILES:
        found.append(f"there are {len(sizes)} files; at most {MOST_FILES} are well kept in one repository")
    return found


def secret_problems(root: Path, names: Iterable[str]) -> list[str]:
    found = []
    for name in names:
        if SECRET_NAMES.search(name):
            found.append(f"{name} is tracked, and files of this name hold secrets or settings of one machine")
        content = (root / name).read_bytes()
        found += [f"{name} seems to hold {what}" for what, pattern in SECRETS.items() if pattern.search(content)]
    return found
