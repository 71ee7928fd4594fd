"""The collector rests inside, and runs afterwards as before."""

import gc
import importlib

import pytest

from studio.uncollected import uncollected


def test_no_cycles_are_looked_for_inside():
    with uncollected():
        assert not gc.isenabled()
        with uncollected():
            pass
        assert not gc.isenabled(), "an inner one lets the outer one's rest end"
    assert gc.isenabled()


def test_a_failed_import_leaves_the_collector_running():
    with pytest.raises(ImportError), uncollected():
        importlib.import_module("no_such_module")
    assert gc.isenabled()
