import os
import signal
import subprocess
import sys
import textwrap

import pytest

from edgeconv.cli.process import Interrupted, in_order


def test_the_first_signal_interrupts_and_a_second_does_not_disturb_the_cleaning():
    before = signal.signal(signal.SIGTERM, signal.SIG_DFL)
    cleaned = False
    try:
        with pytest.raises(Interrupted), in_order():
            try:
                os.kill(os.getpid(), signal.SIGTERM)
            finally:
                os.kill(os.getpid(), signal.SIGTERM)
                cleaned = True
        assert cleaned
        assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL
    finally:
        signal.signal(signal.SIGTERM, before)


def test_a_signal_that_is_ignored_stays_ignored():
    before = signal.signal(signal.SIGTERM, signal.SIG_IGN)
    try:
        with in_order():
            assert signal.getsignal(signal.SIGTERM) == signal.SIG_IGN
    finally:
        signal.signal(signal.SIGTERM, before)


def test_ctrl_c_inside_an_exec_keeps_its_exit_code():
    script = textwrap.dedent("""
        import os, signal, sys
        from edgeconv.cli.process import in_order
        signal.signal(signal.SIGINT, signal.default_int_handler)
        try:
            with in_order():
                exec("os.kill(os.getpid(), signal.SIGINT)")
        except KeyboardInterrupt:
            sys.exit(130)
    """)
    assert subprocess.run([sys.executable, "-c", script], timeout=60).returncode == 130
