"""Freed memory goes back to the system, and large models get few items at once."""

import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from edgeconv.preprocess import Preprocess
from edgeconv.types import SourceModel

#: Blocks of 4 MB, every second one freed: holes that the C library would keep.
HOLES = """
import numpy as np
from pathlib import Path
from edgeconv.memory import blocks_apart, give_memory_back

def held():
    text = Path("/proc/self/status").read_text()
    return int(next(l for l in text.splitlines() if l.startswith("VmRSS")).split()[1]) // 1024

def holes():
    blocks = [np.ones(2**22, np.uint8) for _ in range(40)]
    full = held()
    del blocks[::2]
    return full - held()

big = np.ones(2**25 - 2**13, np.uint8)
del big  # from here on the C library keeps blocks of this size for itself
usual = holes()
with blocks_apart():
    apart = holes()
print(usual, apart, holes())
"""


@pytest.mark.skipif(sys.platform != "linux", reason="/proc and the GNU C library")
def test_holes_go_back_to_the_system_while_blocks_are_apart_and_not_after():
    run = subprocess.run([sys.executable, "-c", HOLES], capture_output=True, text=True, check=True)
    usual, apart, after = map(int, re.findall(r"-?\d+", run.stdout))
    assert apart >= 50
    assert usual < 20 and after < 20


def test_a_model_with_large_activations_gets_fewer_items_at_once():
    nothing = Path()
    arrays = Preprocess(kind="array")
    source = SourceModel("m", nothing, (), (), "linear", "raw", arrays, (), (), {})
    counts = 0, 10**6, 2 * 10**7, 10**9
    assert [replace(source, activation_count=n).at_once(8) for n in counts] == [8, 8, 3, 1]
