"""Quintet's front door: `python app.py [--port 7860 ...]`. Also what a Space runs."""

from __future__ import annotations

import sys


def main() -> int:
    """Serve the page until interrupted; 2 for a setting that cannot be used."""
    # Imported here because a worker process imports this file again, and needs no page.
    from studio.events import StudioError
    from studio.settings import load_settings
    from studio.ui.serve import serve

    try:
        serve(load_settings(sys.argv[1:]))
    except (ValueError, StudioError) as error:
        print(error, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
