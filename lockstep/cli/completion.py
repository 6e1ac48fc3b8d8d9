"""What a shell may complete: names of specs and of Spark profiles; it says nothing when it cannot."""

import os

from lockstep.errors import LockstepError
from lockstep.run.profiles import profile_folders
from lockstep.specs.loading import spec_files
from lockstep.specs.settings import Settings


def complete_specs(incomplete: str) -> list[str]:
    """Return the names of specs that begin so."""
    try:
        names = [path.parent.name for path in spec_files(Settings.from_env(os.environ).models_root)]
    except (LockstepError, OSError):
        return []
    return [name for name in names if name.startswith(incomplete)]


def complete_profiles(incomplete: str) -> list[str]:
    """Return the names of Spark profiles that begin so."""
    try:
        folders = profile_folders(Settings.from_env(os.environ).project_root)
        names = sorted({file.stem for folder in folders for file in folder.glob("*.conf")})
    except (LockstepError, OSError):
        return []
    return [name for name in names if name.startswith(incomplete)]
