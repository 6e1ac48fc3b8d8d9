"""What stands beside inference: health, reflection, TLS, ports."""

import re
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest
from certificates import write_certificates
from google.protobuf import descriptor_pool, message_factory
from grpc import StatusCode
from grpc_endpoints import Child, child, toy_request
from grpc_health.v1 import health_pb2
from grpc_health.v1.health_pb2_grpc import HealthStub
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase

from lockstep.serving.grpc import open_inference_pb2 as pb

Status = health_pb2.HealthCheckResponse
SERVICE = "inference.GRPCInferenceService"


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Child]:
    with child(tmp_path_factory.mktemp("grpc")) as found:
        yield found


def health(channel: grpc.Channel, service: str) -> int:
    return int(HealthStub(channel).Check(health_pb2.HealthCheckRequest(service=service), timeout=10).status)


def test_the_health_of_server_models_and_versions(running: Child) -> None:
    with grpc.insecure_channel(running.target) as channel:
        assert health(channel, "") == Status.NOT_SERVING  # one model is not loaded
        assert health(channel, SERVICE) == Status.NOT_SERVING
        assert health(channel, "toy") == Status.SERVING
        assert health(channel, "toy/versions/3") == Status.SERVING
        assert health(channel, "absent") == Status.NOT_SERVING
        for unknown in ("other", "toy/versions/9", "x" * 1000):
            with pytest.raises(grpc.RpcError) as caught:
                health(channel, unknown)
            assert caught.value.code() is StatusCode.NOT_FOUND
        listed = HealthStub(channel).List(health_pb2.HealthListRequest())
        assert set(listed.statuses) == {"", SERVICE}


def test_watchers_hear_that_the_server_stops_and_do_not_keep_it(tmp_path: Path) -> None:
    with child(tmp_path) as stopping, grpc.insecure_channel(stopping.target) as channel:
        stub = HealthStub(channel)
        heard = stub.Watch(health_pb2.HealthCheckRequest(service="toy"))
        unknown = stub.Watch(health_pb2.HealthCheckRequest(service="other"))
        assert next(heard).status == Status.SERVING
        assert next(unknown).status == Status.SERVICE_UNKNOWN
        stopping.process.terminate()
        assert next(heard).status == Status.NOT_SERVING
        assert list(heard) == []
        assert stopping.process.wait(8) == 0


def test_a_bounded_number_may_watch(running: Child) -> None:
    with grpc.insecure_channel(running.target) as channel:
        stub = HealthStub(channel)
        watching = [stub.Watch(health_pb2.HealthCheckRequest(service="toy")) for _ in range(101)]
        codes = []
        for call in watching:
            try:
                codes.append(next(call).status)
            except grpc.RpcError as error:
                codes.append(error.code())
        assert codes.count(StatusCode.RESOURCE_EXHAUSTED) == 1
        assert codes.count(Status.SERVING) == 100
        for call in watching:
            call.cancel()
        deadline = time.monotonic() + 10
        while True:  # until the server has noticed
            again = stub.Watch(health_pb2.HealthCheckRequest(service="toy"))
            try:
                assert next(again).status == Status.SERVING
                break
            except grpc.RpcError:
                assert time.monotonic() < deadline
                time.sleep(0.1)
            finally:
                again.cancel()


def test_a_client_that_knows_nothing_can_ask_and_call(running: Child) -> None:
    """What grpcurl does: read the protocol from the server, build a request from it, call."""
    with grpc.insecure_channel(running.target) as channel:
        database = ProtoReflectionDescriptorDatabase(channel)
        assert set(database.get_services()) == {
            SERVICE, "grpc.health.v1.Health", "grpc.reflection.v1alpha.ServerReflection"
        }  # fmt: skip
        pool = descriptor_pool.DescriptorPool(database)
        method = pool.FindServiceByName(SERVICE).FindMethodByName("ModelMetadata")
        request = message_factory.GetMessageClass(method.input_type)(name="toy")
        answer = message_factory.GetMessageClass(method.output_type)
        call = channel.unary_unary(f"/{SERVICE}/ModelMetadata", type(request).SerializeToString, answer.FromString)
        assert call(request).inputs[1].name == "distance"


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("certificates")
    write_certificates(folder)
    return folder


def client_credentials(folder: Path, *, named: bool) -> grpc.ChannelCredentials:
    authority = (folder / "ca.pem").read_bytes()
    if not named:
        return grpc.ssl_channel_credentials(authority)
    return grpc.ssl_channel_credentials(
        authority, (folder / "client.key").read_bytes(), (folder / "client.pem").read_bytes()
    )


@pytest.mark.parametrize("mutual", [False, True])
def test_tls_and_mutual_tls(mutual: bool, certificates: Path, tmp_path: Path) -> None:
    with child(tmp_path, "--tls", str(certificates), *(["--mutual"] if mutual else [])) as secure:
        for named in (False, True):
            with grpc.secure_channel(secure.target, client_credentials(certificates, named=named)) as channel:
                stub = secure.stub(channel)
                if mutual and not named:
                    with pytest.raises(grpc.RpcError) as caught:
                        stub.ModelInfer(toy_request(), timeout=5)
                    assert caught.value.code() is StatusCode.UNAVAILABLE
                else:
                    assert stub.ModelInfer(toy_request(), timeout=10).model_name == "toy"
        with grpc.insecure_channel(secure.target) as channel, pytest.raises(grpc.RpcError) as caught:
            secure.stub(channel).ServerLive(pb.ServerLiveRequest(), timeout=5)
        assert caught.value.code() is StatusCode.UNAVAILABLE


def test_a_port_in_use_is_one_clear_error(running: Child, tmp_path: Path) -> None:
    for host, port in (("127.0.0.1", str(running.grpc)), ("203.0.113.1", "0"), ("no such host", "0")):
        refused = pytest.raises(AssertionError, match=r"(?s)PortUnavailable: cannot listen on")
        with refused, child(tmp_path, "--host", host, "--port", port):
            pass


def test_several_processes_may_share_a_port_if_they_all_say_so(tmp_path: Path) -> None:
    with child(tmp_path, "--share-port") as first, child(tmp_path, "--share-port", "--port", str(first.grpc)) as second:
        assert second.grpc == first.grpc
        for number in range(24):  # each on a connection of its own
            with grpc.insecure_channel(first.target, (("own", number),)) as channel:
                assert first.stub(channel).ModelInfer(toy_request(), timeout=10).model_name == "toy"
        answered = [_answered(each) for each in (first, second)]
        assert sum(answered) == 24
        assert all(answered)


def _answered(each: Child) -> int:
    with urllib.request.urlopen(f"http://127.0.0.1:{each.http}/metrics", timeout=10) as response:
        text = response.read().decode()
    found = re.search(r'lockstep_requests_total\{arm="",edge="grpc",model="toy",.*\} (\d+)', text)
    return int(found.group(1)) if found else 0
