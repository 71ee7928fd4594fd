"""The recorded atlas: comparisons made once, kept in docs/atlas, shown before anything is computed.

wanted (presets/atlas.yaml) -> make, what is not there yet -> docs/atlas -> the compare tab and docs/index.html.
"""

from studio.compare.atlas.record import ATLAS, Recording, read, write
from studio.compare.atlas.wanted import WANTED, Wanted, read_wanted

__all__ = ["ATLAS", "WANTED", "Recording", "Wanted", "read", "read_wanted", "write"]
