"""Known vulnerabilities of the pinned versions, for `make check`: python -m tests.vulnerabilities FOLDER

pip-audit, in an environment of its own in FOLDER, asks the package index. Where none answers, that is said and is no
failure: everything else `make check` does works without a network.
"""

from __future__ import annotations

import json
import subprocess
import sys
import venv
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
TOOL = "pip-audit>=2.10,<3"
PATIENCE_SECONDS = "10"
ASK = ["-r", "constraints.txt", "--no-deps", "--disable-pip", "--progress-spinner", "off", "--format", "json"]


def main(folder: Path) -> int:
    """1 for a known vulnerability, 0 otherwise; one sentence, and a line for each find."""
    python = folder.resolve() / "bin" / "python"
    if not _installed(python):
        venv.create(folder, with_pip=True)
        quick = ["--quiet", "--disable-pip-version-check", "--retries", "1", "--timeout", PATIENCE_SECONDS]
        if _run(python, "-m", "pip", "install", *quick, TOOL).returncode:
            print(_unknown("pip-audit cannot be installed"))
            return 0
    answer = _run(python, "-m", "pip_audit", *ASK, "--timeout", PATIENCE_SECONDS)
    complaints = answer.stderr.strip().splitlines()
    code, told = verdict(answer.stdout, complaints[-1].partition(":")[0] if complaints else "")
    print(told)
    return code


def verdict(report: str, complaint: str = "") -> tuple[int, str]:
    """Exit code and words for pip-audit's JSON; without an answer from the index it writes a complaint instead."""
    try:
        packages: list[dict[str, Any]] = json.loads(report)["dependencies"]
    except (json.JSONDecodeError, KeyError, TypeError):
        return 0, _unknown("the package index does not answer" + (f" ({complaint})" if complaint else ""))
    known = [package for package in packages if "skip_reason" not in package]
    if not known:
        return 0, _unknown("the package index that answers has no record of them")
    found = [f"{p['name']} {p['version']}: {_words(entry)}" for p in known for entry in p["vulns"]]
    looked = f"{len(known)} of {len(packages)} pinned packages were looked up"
    told = f"{looked}, {len(found)} known vulnerabilities." if found else f"{looked}, no known vulnerability."
    return bool(found), "\n".join([told, *found])


def _words(entry: dict[str, Any]) -> str:
    mended = ", ".join(entry["fix_versions"])
    return entry["id"] + (f", mended in {mended}" if mended else ", not mended yet")


def _unknown(reason: str) -> str:
    return f"Known vulnerabilities were NOT looked up: {reason}. Run `make check` again with a network."


def _installed(python: Path) -> bool:
    return python.exists() and not _run(python, "-c", "import pip_audit").returncode


def _run(*words: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([str(word) for word in words], cwd=ROOT, check=False, capture_output=True, text=True)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
