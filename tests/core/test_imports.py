import subprocess
import sys

# In a process of its own: the tests' has frozen what they share.
SUCCEEDS = """
import gc
from core.process import uncollected
with uncollected():
    assert not gc.isenabled()
    kept = []
    kept.append(kept)  # what only a collection would free
    with uncollected():
        assert not gc.isenabled()
assert gc.isenabled()
assert all(one is not kept for one in gc.get_objects()), "it is looked through again"
with uncollected():
    assert gc.isenabled(), "a second time would freeze garbage"
"""
FAILS = """
import gc
from core.process import uncollected
try:
    with uncollected():
        raise ImportError
except ImportError:
    pass
assert gc.isenabled()
assert gc.get_freeze_count() == 0
"""


def test_imports_are_left_out_of_every_collection():
    subprocess.run([sys.executable, "-c", SUCCEEDS], check=True)


def test_a_failed_import_turns_collection_on_again():
    subprocess.run([sys.executable, "-c", FAILS], check=True)
