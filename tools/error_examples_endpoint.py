"""One error of each class of the services, the endpoint and its client, for the errors index."""

from pathlib import Path

from lockstep.client import errors as client
from lockstep.errors import LockstepError, RequestInvalid
from lockstep.services import errors as services
from lockstep.serving import errors as serving
from lockstep.serving.batch_scores import PartitionUnfit
from lockstep.serving.features import errors as features
from lockstep.serving.gateway.errors import OutputUnwritable
from lockstep.serving.inference_log import errors as log
from lockstep.serving.one_copy import errors as one_copy
from lockstep.serving.security import errors as security

URL = "http://127.0.0.1:8080"
REQUEST = "01f3a9c2d4e0-000000000007"

ANSWERS = (
    RequestInvalid("input 'distance', row 2: expected a number, got a string"),
    serving.ModelUnknown("flight_dely", None, served="'flight_delay'"),
    serving.MediaTypeUnsupported("Content-Type", got="text/plain", expected="application/json or text/csv"),
    serving.PayloadTooLarge(limit_bytes=33_554_432),
    serving.DecodedTooLarge(limit_bytes=268_435_456),
    serving.BodyTooSlow(timeout_s=30),
    serving.Overloaded("512 requests wait", retry_after_s=2),
    serving.NotReady("flight_delay", reason="version 3 is being loaded"),
    serving.DeadlinePassed(predicted=True),
    one_copy.OwnerLate(),
    serving.ClientGone(),
    serving.RowsUnscorable({2: "the model gave no finite number"}, rows=3),
    serving.RowsRefused({2: "'count' does not fit into int32"}, rows=3),
    serving.NothingToRollBackTo("flight_delay"),
    serving.NoCanary("flight_delay"),
    features.LookupKeyInvalid("flight_delay_scores", problem="the key is flight_id; got id"),
    features.LookupUnavailable("flight_delay_scores", location="redis://cache:6379/0", reason="no answer in 50 ms"),
    features.FeatureSourceInvalid("carriers", problem="the feature 'fleet_age' is not in its feature view"),
    features.FeatureSourceUnavailable("carriers", reason="no answer in 40 ms"),
    features.FeaturesRefused({0: "'fleet_age' is older than 1 day"}, rows=3),
    security.Unauthenticated("missing"),
    security.Forbidden("reporting", action="operate", model="flight_delay"),
    security.RateLimited(wait_s=1.4),
    security.RowsOverBurst(rows=50_000, burst=10_000),
    security.SignersUnknown(retry_after_s=5),
    one_copy.FrameInvalid("it ends too early"),
    one_copy.NotHeld(),
    client.Refusal(URL, "500", "internal error", request_id=REQUEST),
)
SETTINGS = (
    log.PolicyUnused(["distnace"], known=["carrier", "distance"]),
    log.SaltUnusable("secrets/salt", problem="holds fewer than 16 bytes"),
    client.TargetInvalid("the environment variable ENDPOINT_TOKEN of --token-env is not set"),
)
ENVIRONMENT = (
    services.ServiceDied("scheduler", reason="ended with exit code 1", tail=["database is locked"]),
    services.PortBusy("MLflow", port=5000, variable="LOCKSTEP_MLFLOW_PORT"),
    services.AlreadyRunning(Path("var"), pid=4711, urls=["http://127.0.0.1:8793"]),
    services.DatabaseUnusable(
        Path("var/postgres"), problem="it is of major version 16, and 17 is installed", remedy="Move it away."
    ),
    services.EnvironmentMissing(Path(".venv/control"), holds="Airflow"),
    services.CommandFailed("airflow db migrate", exit_code=1, tail=["connection refused"]),
    services.AirflowRefused("POST /backfills", status=409, detail="another backfill of this DAG runs"),
    services.BackfillFailed("score_flight_delay", problem="1 of 7 days failed", tail=["2013-08-03: task gate"]),
    serving.PortUnavailable("127.0.0.1", 8080, reason="address already in use"),
    serving.EndpointUnavailable(URL, problem="does not answer: connection refused"),
    OutputUnwritable(Path("gateway"), reason="permission denied"),
    log.LogUnwritable("var/inference-log", reason="permission denied"),
    security.SecurityFileInvalid("keys.yaml", ["line 3: the hash of key 'reporting' is cut short"]),
    security.KeySetInvalid("http://127.0.0.1:9000/keys", problem="it has no member 'keys'"),
    security.ExposureRefused("0.0.0.0", ["no client needs credentials", "nothing is encrypted"]),  # noqa: S104
    security.TlsVersionUnsupported("1.3"),
    one_copy.SocketPathTooLong("build/" + "a-long-name/" * 9 + "owner.sock", most_bytes=107),
    client.OutputUnwritable("predictions.parquet", problem="permission denied"),
    client.Unanswered(URL, problem="gave no answer that can be used"),
    client.ConnectionFailed(URL, problem="does not answer: connection refused", refused=True),
    client.AnswerInvalid(URL, problem="status 200 with a body that is no JSON"),
    client.AnswerTooLate(URL, timeout_s=60),
    client.AccessRefused(URL, "401", "this endpoint needs credentials", request_id=REQUEST),
    client.EndpointBusy(URL, "503", "the endpoint is busy: 512 requests wait", request_id=REQUEST, rows=(0, 5000)),
    client.DeadlineRefused(URL, "504", "the deadline is too near for an answer", request_id=REQUEST),
    client.EndpointFailed(URL, "500", "internal error", request_id=REQUEST),
)
REGISTRY = (
    serving.ModelsDiffer(batch="version 3", endpoint="version 4"),
    client.VersionsDiffer(["version 3: rows 0 to 4999", "version 4: rows 5000 to 9999"]),
    client.ModelNotServed(URL, "404", "model 'flight_dely' is not served here", request_id=REQUEST),
)
INPUT = (
    PartitionUnfit("var/runs/flight_delay/2013-08-08/5d1c9b0e2f7a", problem="unit 0007 has no scores"),
    serving.OutputNotComparable("text_embedding", output="embedding", kind="vector"),
    log.LogNotFound("var/inference-log"),
    log.NotALog("var/inference-log/notes.parquet", problem="it has no column 'request_id'"),
    log.ReplayUnfit("var/replays/1", problem="3 rows came back twice"),
    log.NothingReplayable("var/inference-log", reasons=["120 rows: column 'carrier' was left out"]),
    client.RowsUnfit("row 3: column 'distance' is missing"),
    client.FileUnfit("rows.csv", problem="line 1 is no header: it has numbers"),
    client.RequestRefused(
        URL, "400", "input 'distance', row 2: expected a number", request_id=REQUEST, rows=(5000, 10_000)
    ),
    client.RequestTooLarge(URL, "413", "the body is larger than 33554432 bytes", request_id=REQUEST, rows=(0, 40)),
)

EXAMPLES: tuple[LockstepError, ...] = (*ANSWERS, *SETTINGS, *ENVIRONMENT, *REGISTRY, *INPUT)
