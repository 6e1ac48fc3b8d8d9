"""What comes with the package and is no module: the folders `dags/`, `jobs/` and `spark-conf/`.

In a checkout they lie beside the package; a wheel has copies of them in `lockstep/share/` (`setup.py`).
"""

from pathlib import Path
from typing import Literal

PACKAGE = Path(__file__).parents[1]
SHARE = "share"


def checkout() -> Path | None:
    """Return the repository that this code is of; None where it was installed from a wheel."""
    root = PACKAGE.parent
    return root if (root / "jobs").is_dir() and (root / "spark-conf").is_dir() else None


def shipped(name: Literal["dags", "jobs", "spark-conf"]) -> Path:
    """Return a folder that comes with the package."""
    return (checkout() or PACKAGE / SHARE) / name
