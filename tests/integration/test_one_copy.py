"""One worker holds the models, the others send it their rows: the same answers, and each may die.

The worker that holds them answers as any endpoint of one process does, so what the others say is compared with it.
"""

import contextlib
import json
import os
import signal
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import mlflow
import pytest
from canary_calls import ROW, metric
from endpoints import JSON, Endpoint, serving
from inference_logs import logged, rows
from load import Load, until
from worker_calls import Worker, by_index, each_stub, each_worker, has_torch, resident_bytes, sockets_of
from worker_requests import binary, enriched, tensors
from world import CONSTANT, GOOD, OTHER_GOOD, World

from lockstep.services.ports import free_port
from lockstep.serving.grpc import open_inference_pb2 as pb
from tests.integration.feast_server import feast_like, url_of

TRIAL = """
trial:
  challengers: [{alias: challenger}]
  canary: {challenger: challenger, ramp: {2024-01-02: 0.25}}
"""
FEATURE = {"feature": "depots:late_share", "max_age_s": 86_400, "missing": "null", "stale": "null"}
EVERYBODY = (0, 1, 2)
# By request: the arm that answered, and the score.
Noted = dict[str, tuple[str, float]]


@pytest.fixture(scope="module")
def port() -> int:
    return free_port()


@pytest.fixture(scope="module")
def noted() -> Noted:
    """What was answered, to be compared with the log, which is whole once the endpoint has stopped."""
    return {}


@pytest.fixture(scope="module")
def endpoint(world: World, port: int) -> Iterator[Endpoint]:
    """Three workers and one copy of the models: one with a canary and a shadow, one with features; and a log."""
    registry = f"sqlite:///{world.home}/mlflow/mlflow.db"
    client = mlflow.MlflowClient(registry, registry)
    client.set_registered_model_alias("churn", "challenger", str(OTHER_GOOD))
    client.set_registered_model_alias("churn", "constant", str(CONSTANT))
    client.copy_model_version(f"models:/churn/{GOOD}", "enriched")
    client.set_registered_model_alias("enriched", "champion", "1")
    spec = world.home / "models" / "churn" / "scoring.yaml"
    spec.write_text(spec.read_text() + TRIAL)
    with feast_like() as feast:
        source = {"name": "depots", "feast": {"url": url_of(feast)}, "inputs": {"spend": FEATURE}, "share": 1}
        source["keys"] = {"depot_id": {"column": "depot", "dtype": "long"}}
        models = [
            {"spec": "churn", "routing": {"shadows": ["constant"], "tolerance": 0.1}, "slo_ms": 5000},
            {"model": {"name": "enriched", "alias": "champion"}, "features": [source], "slo_ms": 5000},
        ]
        anonymous = {"models": "*", "roles": ["infer", "read", "metrics", "admin"]}
        config = {"models": models, "default": "churn", "workers": 3, "copies": "one", "grpc_port": port}
        config |= {"security": {"anonymous": anonymous}, "log": {"flush_s": 0.1}, "follow_s": 0.3}
        path = world.home / "one-copy.yaml"
        path.write_text(json.dumps(config), encoding="utf-8")
        with serving(world, "--config", str(path), spec=None) as running:
            yield running


def test_only_the_owner_has_the_models(endpoint: Endpoint) -> None:
    pids = by_index(endpoint)
    assert {index: has_torch(pid) for index, pid in pids.items()} == {0: True, 1: False, 2: False}
    owner, *fronts = (resident_bytes(pids[index]) for index in EVERYBODY)
    assert max(fronts) < owner / 2


def test_answers_of_all_workers_are_the_same_to_the_byte(endpoint: Endpoint, port: int) -> None:
    many, one = rows(0, 300), [ROW]
    raw, head = binary(many)
    questions: list[tuple[str, Any, dict[str, str] | None]] = [
        ("/invocations", {"dataframe_records": many}, None),
        ("/invocations", {"dataframe_records": one}, None),
        ("/invocations", b"city,age,spend\nbern,3,0.1\n,,\n", {"Content-Type": "text/csv"}),
        ("/v2/models/churn/infer", {**tensors(many), "id": "same"}, None),
        ("/v2/models/churn/versions/4/infer", {**tensors(one), "id": "same"}, None),
        ("/v2/models/churn/infer", raw, head),
        ("/v2/models/enriched/infer", enriched(), None),
        ("/v2/models/churn", None, None),
        ("/v2/repository/index", b"{}", None),
        ("/v2/models/churn/infer", {"inputs": tensors(one)["inputs"][:2]}, None),
        ("/invocations", {"dataframe_records": [{**ROW, "age": "old"}]}, None),
        ("/v2/models/nobody/infer", tensors(one), None),
        ("/v2/models/churn/versions/77/infer", tensors(one), None),
        ("/invocations", {"dataframe_records": one}, {**JSON, "X-Request-Timeout-Ms": "nonsense"}),
        ("/v2/repository/models/churn/canary/abort", b"{}", None),
    ]
    statuses = []
    with each_worker(endpoint, *EVERYBODY) as workers:
        for path, body, headers in questions:
            answers = [worker.ask(path, body, headers) for worker in workers]
            assert len({(status, content) for status, _, content in answers}) == 1, (path, answers)
            assert len({told.get("x-lockstep-model-digest") for _, told, _ in answers}) == 1
            statuses.append(answers[0][0])
        for worker in workers:
            _, told, _ = worker.ask("/invocations", {"dataframe_records": many})
            assert {part.partition(";")[0] for part in told["server-timing"].split(", ")} >= {"queue", "compute"}
    assert statuses == [200] * 9 + [400, 400, 404, 404, 400, 400]
    check_grpc(endpoint, port)


def check_grpc(endpoint: Endpoint, port: int) -> None:
    request = pb.ModelInferRequest(model_name="churn", id="same")
    for name, value in ROW.items():
        kind, contents = ("BYTES", "bytes_contents") if isinstance(value, str) else ("FP64", "fp64_contents")
        tensor = request.inputs.add(name=name, datatype=kind, shape=[1])
        getattr(tensor.contents, contents).append(value.encode() if isinstance(value, str) else value)
    with each_stub(endpoint, port, *EVERYBODY) as stubs:
        answers = {stub.ModelInfer(request, timeout=20).SerializeToString() for stub in stubs}
    assert len(answers) == 1


def test_arms_shadows_and_metrics_count_each_row_once(endpoint: Endpoint) -> None:
    def of(name: str) -> Counter[str]:
        found: Counter[str] = Counter()
        for (arm, _), value in metric(endpoint, name).items():
            found[arm] += int(value)
        return found

    settle_metrics(endpoint)
    answered, shadowed, batched = of("lockstep_rows_total"), of("lockstep_shadow_rows_total"), batch_rows(endpoint)
    with each_worker(endpoint, *EVERYBODY) as workers:
        arms = []
        for key in range(24):
            body = {"dataframe_records": [ROW] * 2}
            told = [worker.ask("/invocations", body, {**JSON, "X-Lockstep-Key": str(key)}) for worker in workers]
            arms.append({headers["x-lockstep-arm"] for _, headers, _ in told})
            assert len({content for _, _, content in told}) == 1
    assert all(len(arm) == 1 for arm in arms)
    split = Counter(arm for (arm,) in arms)
    assert set(split) == {"champion", "challenger"}
    settle_metrics(endpoint)
    assert of("lockstep_rows_total") - answered == {arm: 6 * count for arm, count in split.items()}
    assert of("lockstep_shadow_rows_total") - shadowed == {"shadow_constant": 6 * 24}
    assert batch_rows(endpoint) - batched == 2 * 6 * 24


def settle_metrics(endpoint: Endpoint) -> None:
    """Wait until the workers have written their numbers down."""
    time.sleep(1.3)
    status = endpoint.ask("/status.json")[2]
    assert (status["server"]["workers"], status["server"]["ready"], status["server"]["live"]) == (3, True, True)


def batch_rows(endpoint: Endpoint) -> float:
    lines = endpoint.ask("/metrics")[2].splitlines()
    return sum(float(line.split()[-1]) for line in lines if line.startswith('lockstep_batch_rows_sum{model="churn"'))


def test_rows_are_noted_for_a_look_at_the_log_when_it_is_written(endpoint: Endpoint, noted: Noted) -> None:
    with each_worker(endpoint, *EVERYBODY) as workers:
        for worker in workers:
            name = f"logged-{worker.index}"
            headers = {**JSON, "X-Request-Id": name, "X-Lockstep-Key": str(worker.index)}
            _, answered, content = worker.ask("/invocations", {"dataframe_records": [ROW] * 3}, headers)
            noted[name] = answered["x-lockstep-arm"], json.loads(content)["predictions"][0]["risk"]


def test_a_swap_fails_nothing_whoever_is_told(endpoint: Endpoint, world: World) -> None:
    registry = f"sqlite:///{world.home}/mlflow/mlflow.db"
    client = mlflow.MlflowClient(registry, registry)

    def served(workers: list[Worker]) -> set[str]:
        told = [worker.ask("/invocations", {"dataframe_records": [ROW]})[1] for worker in workers]
        return {headers["x-lockstep-model-version"] for headers in told}

    with each_worker(endpoint, *EVERYBODY) as all_workers, Load(endpoint, clients=6) as load:
        _, front, other = all_workers
        for number in (CONSTANT, GOOD):
            client.set_registered_model_alias("churn", "champion", str(number))
            until(lambda number=number: served(all_workers) == {str(number)})
        status, _, content = front.ask("/v2/repository/models/churn/rollback", b"{}")
        assert (status, json.loads(content)["version"]) == (200, str(CONSTANT))
        until(lambda: served(all_workers) == {str(CONSTANT)})
        body = {"parameters": {"version": str(GOOD)}}
        assert other.ask("/v2/repository/models/churn/load", body)[0] == 200
        until(lambda: served(all_workers) == {str(GOOD)})
    assert load.outcomes.keys() <= {"200", "broken"}
    assert load.outcomes["broken"] == 0
    assert load.answers.keys() == {str(GOOD), str(CONSTANT)}
    assert all(len(scores) == 1 for scores in load.answers.values())
    with each_worker(endpoint, *EVERYBODY) as workers:
        assert workers[2].ask("/v2/repository/models/enriched/unload", b"{}")[0] == 200
        until(lambda: {each.ask("/v2/models/enriched/infer", enriched())[0] for each in workers} == {503})
        assert workers[1].ask("/v2/repository/models/enriched/load", b"{}")[0] == 200
        until(lambda: {each.ask("/v2/models/enriched/infer", enriched())[0] for each in workers} == {200})


@contextlib.contextmanager
def stopped(pid: int) -> Iterator[None]:
    """Keep a process from doing anything."""
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


def test_a_front_keeps_a_deadline_that_the_owner_does_not(endpoint: Endpoint) -> None:
    with each_worker(endpoint, 1) as (front,):
        with stopped(by_index(endpoint)[0]):
            began = time.monotonic()
            status, _, _ = front.ask(
                "/invocations", {"inputs": {k: [v] for k, v in ROW.items()}}, {**JSON, "X-Request-Timeout-Ms": "300"}
            )
            assert status == 504
            assert 0.3 <= time.monotonic() - began < 2
        assert front.ask("/invocations", {"dataframe_records": [ROW]})[0] == 200


def test_a_front_and_the_owner_may_die(endpoint: Endpoint) -> None:
    """A front costs its running requests; without the owner all are told to come back, and go on when it is there."""
    before = by_index(endpoint)
    with Load(endpoint, clients=6) as load:
        until(lambda: load.outcomes["200"] > 100)
        os.kill(before[1], signal.SIGKILL)
        served = load.outcomes["200"]
        until(lambda: load.outcomes["200"] > served + 200)
        assert load.outcomes.keys() <= {"200", "broken"}
        os.kill(before[0], signal.SIGKILL)
        until(lambda: load.outcomes["503"] > 20)
    assert load.outcomes.keys() <= {"200", "503", "broken"}
    assert load.outcomes["broken"] <= 12  # of each of the two no more than its share of six clients
    body = {"dataframe_records": [ROW]}
    until(lambda: {endpoint.ask("/invocations", body)[0] for _ in range(12)} == {200}, seconds=60)
    until(lambda: len(by_index(endpoint)) == 3)
    after = by_index(endpoint)
    assert [after[index] == before[index] for index in EVERYBODY] == [False, False, True]
    with each_worker(endpoint, *EVERYBODY) as workers:  # the front that was started again waited for the owner
        answers = {worker.ask("/invocations", {"dataframe_records": rows(0, 20)})[2] for worker in workers}
        assert len(answers) == 1
    assert [has_torch(after[index]) for index in EVERYBODY] == [True, False, False]


def test_what_is_asked_when_all_stop_is_answered(endpoint: Endpoint, world: World, noted: Noted) -> None:
    """The owner does nothing while all are told to stop, so that requests of the fronts are in progress then."""
    pids = by_index(endpoint)
    (socket,) = sockets_of(pids[0])
    with each_worker(endpoint, 1, 2) as fronts, ThreadPoolExecutor(2) as threads:
        with stopped(pids[0]):
            asked = [threads.submit(front.ask, "/invocations", {"dataframe_records": rows(0, 50)}) for front in fronts]
            time.sleep(0.3)
            endpoint.process.send_signal(signal.SIGTERM)
            time.sleep(0.5)
            assert not any(each.done() for each in asked)
        assert [each.result(20)[0] for each in asked] == [200, 200]
    assert endpoint.process.wait(20) == 0
    assert not Path(socket).exists()
    assert "Traceback" not in endpoint.log.read_text()
    check_log(world, noted)


def check_log(world: World, noted: Noted) -> None:
    every = [each for each in logged(world.home / "inference_log") if each["request_id"] in noted]
    shadows = [each["request_id"] for each in every if each["arm"] == "shadow_constant"]
    found = [each for each in every if each["arm"] != "shadow_constant"]
    assert Counter(shadows) == Counter(each["request_id"] for each in found) == dict.fromkeys(noted, 3)
    assert {each["request_id"]: (each["arm"], each["risk"]) for each in found} == noted
    assert all(0 < each["compute_s"] < each["total_s"] for each in found)


def test_a_path_that_is_too_long_for_a_socket_is_told_once(world: World) -> None:
    config, folder = world.home / "long.yaml", world.home / ("long" * 30)
    folder.mkdir()
    config.write_text("models: [{spec: churn}]\nworkers: 3\ncopies: one\n")
    done = world.run("serve", "--config", str(config), "--port", "0", env={"TMPDIR": str(folder)})
    assert done.returncode not in {0, 1}
    assert " ".join(done.stderr.split()).count("its path has more than 103 bytes. Set TMPDIR to a folder") == 1
    assert "Traceback" not in done.stderr
