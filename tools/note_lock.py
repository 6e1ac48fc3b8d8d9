"""Write into this interpreter's environment which lock it was made of, for executors to compare (`lockstep-lock`)."""

import sys
from pathlib import Path

from lockstep.run.versions import LOCK_FILE, lock_digest

if __name__ == "__main__":
    (Path(sys.prefix) / LOCK_FILE).write_text(lock_digest(Path(sys.argv[1])), encoding="utf-8")
