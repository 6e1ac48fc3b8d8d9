"""Say which Java runtime Spark will get, or why there is none."""

import os
import sys

from lockstep.errors import JavaNotFound
from lockstep.run.java import find_java_home
from lockstep.specs.settings import Settings


def main() -> int:
    """Print the JAVA_HOME; return 1 when there is no usable one."""
    try:
        print(f"java: {find_java_home(os.environ, cache_root=Settings.from_env(os.environ).cache_root)}")
    except JavaNotFound as error:
        print(f"java: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
