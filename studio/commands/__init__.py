"""The commands of `python -m studio`: one file each, with `add` for its words and a function that runs it.

`COMMANDS` is their order in the help.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from studio.presets import Preset
    from studio.settings import StudioSettings

BAD_INPUT, FAILED, INTERRUPTED = 2, 1, 130  # exit codes
SETTINGS_ARE_FLAGS = "Every setting of the studio is a flag too, for example --device cpu."


def load(argv: list[str]) -> tuple[StudioSettings, dict[str, Preset]]:
    """Settings from flags, environment and studio.yaml, and the presets they name. ValueError says what is wrong."""
    from studio.presets import load_presets
    from studio.settings import load_settings

    settings = load_settings(argv)
    return settings, load_presets(settings.preset_dir, settings.method_packages)
