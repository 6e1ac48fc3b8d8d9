"""Whether a process still lives, as seen by another one."""

import os
import subprocess
import sys

import pytest

from lockstep.run import process_identity
from lockstep.run.process_identity import is_gone, own_identity

SAY_IT = "from lockstep.run.process_identity import own_identity; print(own_identity().model_dump_json(), flush=True)"


def test_this_process_lives_and_a_process_that_ended_does_not() -> None:
    assert not is_gone(own_identity())
    done = subprocess.run([sys.executable, "-c", SAY_IT], capture_output=True, text=True, check=True)
    other = process_identity.Identity.model_validate_json(done.stdout)
    assert other.machine == own_identity().machine
    assert is_gone(other)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells when a process began")
def test_a_process_id_that_is_used_again_is_somebody_else() -> None:
    me = own_identity()
    assert is_gone(me.model_copy(update={"started": "1"}))


def test_of_another_machine_nothing_is_known() -> None:
    nobody = own_identity().model_copy(update={"pid": 2**22 + 1, "machine": "elsewhere"})
    assert not is_gone(nobody)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a zombie from a process")
def test_a_zombie_is_gone() -> None:
    with subprocess.Popen([sys.executable, "-c", SAY_IT], stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        text = child.stdout.read()
        os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)  # it has ended, and stays a zombie until it is reaped
        assert is_gone(process_identity.Identity.model_validate_json(text))
