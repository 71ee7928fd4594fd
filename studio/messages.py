"""Words for people who may be strangers: of a path of this machine they learn the last name."""

from __future__ import annotations

import re

# Two names deep or more, from the root, the home folder or a drive: not the slashes of an address or of METHOD/PRESET.
PATH = re.compile(r"""(?<![\w:/.~-])(?:~|[A-Za-z]:)?(?:[/\\][^\s/\\'":;,<>|()]+){2,}""")


def without_paths(words: str) -> str:
    """The same words with every absolute path cut to its last name. The log keeps the whole."""
    return PATH.sub(lambda found: re.split(r"[/\\]", found[0])[-1], words)
