"""What pyproject.toml cannot say of the wheel: it holds copies of folders that are beside the package.

People look for `dags/`, `jobs/` and `spark-conf/` at the top; `lockstep.specs.shipped` finds them there in a checkout,
and in `lockstep/share/` in a wheel.
"""

import shutil
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

ROOT = Path(__file__).resolve().parent
SHARED = ("dags", "jobs", "spark-conf")


class BuildWithShare(build_py):
    """Copies the folders beside the modules; an editable installation needs no copies."""

    def run(self) -> None:
        """Build the modules, then copy."""
        super().run()
        if self.editable_mode:
            return
        for name in SHARED:
            target = Path(self.build_lib) / "lockstep" / "share" / name
            shutil.copytree(ROOT / name, target, ignore=shutil.ignore_patterns("__pycache__"), dirs_exist_ok=True)


setup(cmdclass={"build_py": BuildWithShare})
