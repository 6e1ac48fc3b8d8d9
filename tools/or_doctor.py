"""Run a command; when it fails, say what the doctor does not find ok, and end with the command's own exit code.

For `make`. Needs only the standard library, for what fails may be the set-up itself.
"""

import signal
import subprocess
import sys
from pathlib import Path

DOCTOR = Path(".venv/data/bin/lockstep")
# Went well, or somebody stopped it.
NO_FAILURE = (0, 128 + signal.SIGINT, 128 + signal.SIGTERM)


def main(command: list[str]) -> int:
    """Run a command, pass on what it is told, and return its exit code."""
    # Held back until there is somebody to pass them on to, however quick the command is.
    before = signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGINT, signal.SIGTERM))
    child = subprocess.Popen(command, preexec_fn=lambda: signal.pthread_sigmask(signal.SIG_SETMASK, before))  # noqa: PLW1509 - one thread
    # Ctrl-C reaches the command as well, and how it ends is its own affair.
    signal.signal(signal.SIGINT, lambda *_: None)
    signal.signal(signal.SIGTERM, lambda number, _: child.send_signal(number))
    signal.pthread_sigmask(signal.SIG_SETMASK, before)
    code = child.wait()
    code = 128 - code if code < 0 else code
    if code not in NO_FAILURE:
        print(examination(code), file=sys.stderr)
    return code


def examination(code: int) -> str:
    """Return what the doctor has to say, if it is there."""
    if not DOCTOR.is_file():
        return f"\n== exit code {code}; once `make setup-data` goes well, `lockstep doctor` looks at this machine"
    done = subprocess.run([str(DOCTOR), "doctor", "--timeout", "20"], capture_output=True, text=True, check=False)
    found = [line for line in (done.stdout + done.stderr).splitlines() if line and not line.startswith("ok ")]
    title = f"\n== exit code {code}; what `lockstep doctor` does not find ok on this machine:"
    return "\n".join([title, *(found or ["nothing: look at the messages above"])])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
