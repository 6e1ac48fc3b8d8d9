"""Every error a user may meet.

    LockstepError
    ├── SpecError                  the spec file is wrong
    ├── SettingsError              an environment variable is wrong
    │   ├── ProfileUnknown         no such Spark profile
    │   └── ProfileInvalid         ... or one that cannot be used
    ├── EnvironmentFault           the machine lacks something
    │   ├── JavaNotFound
    │   ├── RunFolderUnusable      full, read-only or not a folder
    │   ├── StoreUnusable          an object store refuses, or is away for long; an OSError too
    │   ├── SparkJobFailed
    │   ├── ArchiveMissing         executors are to get an environment that nobody has made
    │   ├── PackagingFailed        ... or that cannot be made
    │   ├── EnvironmentsDiffer     an executor has other versions than the driver
    │   ├── ExtraMissing           a warehouse's libraries are not installed
    │   ├── LibraryMissing         ... or those of a command
    │   ├── CheckoutNeeded         a command works in the repository only
    │   ├── VersionsDiffer         two environments have different versions of this package
    │   ├── MemoryExhausted        (retryable) not even the smallest block fits
    │   ├── PartitionBusy          (retryable) another run computes the same partition
    │   ├── PartitionLost          (retryable) another process took over
    │   └── DeviceMissing          a GPU was asked for
    ├── RegistryError              the model registry cannot give the model
    │   ├── ModelNotFound
    │   ├── AliasMoved             somebody else moved it
    │   ├── RegistryUnavailable    (retryable)
    │   ├── ArtifactUnreachable    (retryable) a node cannot read its files
    │   ├── ArtifactInvalid
    │   ├── PrecisionUnsupported   the model's kind does not know the precision
    │   ├── RequirementsDiffer     other libraries are installed than the model was logged with
    │   └── OutputMismatch         the model does not return what its signature declares
    ├── InputError                 the input of a run is wrong
    │   ├── DateInvalid
    │   ├── ModelChoiceInvalid
    │   ├── NothingPublished       no version made the day
    │   ├── TableNotFound
    │   ├── TableUnsupported       a table of a kind that is not scored directly
    │   ├── DatabaseUnreachable    (retryable) that of an input table
    │   ├── FileUnreadable
    │   ├── PartitionNotFound
    │   ├── EmptyPartition
    │   ├── ColumnMissing
    │   ├── ColumnTypeMismatch
    │   ├── QueryFailed
    │   ├── LabelsUnusable         what happened cannot be compared with the scores
    │   ├── RowsUnreadable         ... nor the scores with it
    │   └── InputChanged           (the source moved between plan and materialize)
    │       └── SourceFileChanged  (... or before its unit was read)
    ├── CheckFailed                a critical expectation or invariant failed
    │   ├── PrecisionRefused       reduced precision moves the scores too far
    │   └── TooManyBadRows         scoring stopped early
    ├── RequestInvalid             a request to the endpoint does not fit the signature
    ├── StepOutOfOrder             a step lacks what an earlier step writes
    ├── TrialError                 a challenger has no result; never stops a run
    │   ├── TrialIncomplete
    │   └── ComparisonImpossible
    └── PublishError               the warehouse refused
        ├── WarehouseBusy          (retryable) others keep it from writing
        │   ├── WarehouseLocked        another process has it open
        │   ├── CommitConflict         other writers came first, again and again
        │   ├── WarehouseUnreachable   it does not answer
        │   └── CommitUncertain        whether it committed is not known
        ├── NothingToRestore       a rollback that cannot be made
        ├── ShadowFailed           (retryable or not) the scores are live, those of a challenger are not
        ├── StaleRun               a newer run owns the partition
        └── StagedFileChanged

Constructors take facts; messages say what failed, where, what was expected, what was got, what to do. Each class has a
code of its own, which `lockstep explain` and docs/errors.md explain from `index.yaml`.
"""

from lockstep.errors.base import (
    LockstepError,
)
from lockstep.errors.cluster import (
    ArchiveMissing,
    ArtifactUnreachable,
    DeviceMissing,
    EnvironmentsDiffer,
    PackagingFailed,
    ProfileInvalid,
    ProfileUnknown,
)
from lockstep.errors.inputs import (
    ColumnMissing,
    ColumnTypeMismatch,
    DatabaseUnreachable,
    DateInvalid,
    EmptyPartition,
    FileUnreadable,
    InputChanged,
    InputError,
    LabelsUnusable,
    ModelChoiceInvalid,
    NothingPublished,
    PartitionNotFound,
    QueryFailed,
    RowsUnreadable,
    SourceFileChanged,
    TableNotFound,
    TableUnsupported,
)
from lockstep.errors.installation import CheckoutNeeded, LibraryMissing, VersionsDiffer
from lockstep.errors.stages import (
    AliasMoved,
    ArtifactInvalid,
    CheckFailed,
    EnvironmentFault,
    JavaNotFound,
    MemoryExhausted,
    ModelNotFound,
    OutputMismatch,
    PartitionBusy,
    PartitionLost,
    PrecisionRefused,
    PrecisionUnsupported,
    RegistryError,
    RegistryUnavailable,
    RequestInvalid,
    RequirementsDiffer,
    RunFolderUnusable,
    SettingsError,
    SparkJobFailed,
    SpecError,
    StepOutOfOrder,
    StoreUnusable,
    TooManyBadRows,
)
from lockstep.errors.trials import ComparisonImpossible, ShadowFailed, TrialError, TrialIncomplete
from lockstep.errors.warehouses import (
    CommitConflict,
    CommitUncertain,
    ExtraMissing,
    NothingToRestore,
    PublishError,
    StagedFileChanged,
    StaleRun,
    WarehouseBusy,
    WarehouseLocked,
    WarehouseUnreachable,
)

__all__ = [
    "AliasMoved",
    "ArchiveMissing",
    "ArtifactInvalid",
    "ArtifactUnreachable",
    "CheckFailed",
    "CheckoutNeeded",
    "ColumnMissing",
    "ColumnTypeMismatch",
    "CommitConflict",
    "CommitUncertain",
    "ComparisonImpossible",
    "DatabaseUnreachable",
    "DateInvalid",
    "DeviceMissing",
    "EmptyPartition",
    "EnvironmentFault",
    "EnvironmentsDiffer",
    "ExtraMissing",
    "FileUnreadable",
    "InputChanged",
    "InputError",
    "JavaNotFound",
    "LabelsUnusable",
    "LibraryMissing",
    "LockstepError",
    "MemoryExhausted",
    "ModelChoiceInvalid",
    "ModelNotFound",
    "NothingPublished",
    "NothingToRestore",
    "OutputMismatch",
    "PackagingFailed",
    "PartitionBusy",
    "PartitionLost",
    "PartitionNotFound",
    "PrecisionRefused",
    "PrecisionUnsupported",
    "ProfileInvalid",
    "ProfileUnknown",
    "PublishError",
    "QueryFailed",
    "RegistryError",
    "RegistryUnavailable",
    "RequestInvalid",
    "RequirementsDiffer",
    "RowsUnreadable",
    "RunFolderUnusable",
    "SettingsError",
    "ShadowFailed",
    "SourceFileChanged",
    "SparkJobFailed",
    "SpecError",
    "StagedFileChanged",
    "StaleRun",
    "StepOutOfOrder",
    "StoreUnusable",
    "TableNotFound",
    "TableUnsupported",
    "TooManyBadRows",
    "TrialError",
    "TrialIncomplete",
    "VersionsDiffer",
    "WarehouseBusy",
    "WarehouseLocked",
    "WarehouseUnreachable",
    "revive",
    "told",
]


def revive(name: str, message: str) -> LockstepError | None:
    """Rebuild an error that a child process reported by class name and message; none when the name is unknown."""
    kind = globals().get(name)
    if not (isinstance(kind, type) and issubclass(kind, LockstepError)):
        return None
    error = kind.__new__(kind)
    Exception.__init__(error, message)
    return error


def told(error: LockstepError) -> str:
    """Return an error as a command tells it: its code, its message, and where there is more."""
    return f"lockstep: error: [{error.code}] {error}\n  more: lockstep explain {error.code}"
