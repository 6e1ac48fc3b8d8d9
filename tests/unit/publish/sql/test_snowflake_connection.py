import pytest
from snowflake.connector import errors

from lockstep.errors import PublishError, WarehouseBusy, WarehouseLocked, WarehouseUnreachable
from lockstep.publish.sql.snowflake_connection import connect, first_line, translated


def seen(error: Exception) -> PublishError:
    return translated(error, location="a/B/C", consequence="Nothing was published.", wait_s=7)


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (errors.ProgrammingError("the number of waiters for this lock exceeds 20", errno=625), WarehouseLocked),
        (errors.ProgrammingError("waited too long for a lock", errno=1, sqlstate="57014"), WarehouseLocked),
        (errors.ProgrammingError("canceled by its timeout", errno=630, sqlstate="57014"), WarehouseBusy),
        (errors.OperationalError("no route", errno=250_001), WarehouseUnreachable),
        (errors.ProgrammingError("no such table", errno=2003, sqlstate="42S02"), PublishError),
        (errors.InterfaceError("HTTP 503", errno=290_503), WarehouseUnreachable),
        (errors.OperationalError("of the server's own", errno=2003), PublishError),
    ],
)
def test_errors_say_whether_to_try_again(error: Exception, kind: type[PublishError]) -> None:
    assert type(seen(error)) is kind
    assert seen(error).retryable == (kind is not PublishError)
    assert "a/B/C" in str(seen(error))


def test_the_value_of_a_row_is_not_repeated() -> None:
    error = errors.ProgrammingError("Numeric value 'secret' is not recognized", errno=100_038, sqlstate="22018")
    assert "secret" not in str(seen(error))
    assert "100038" in str(seen(error))


def test_of_a_long_message_only_its_beginning_is_told() -> None:
    said = "SQL compilation error:\nObject 'T' does not exist.\n\nLINE 1: select secret"
    assert first_line(errors.ProgrammingError(said)) == "SQL compilation error: Object 'T' does not exist"


def test_a_connection_that_is_not_described_says_where(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SNOWFLAKE_CONNECTIONS", '[other]\npassword = "hunter2"\n')
    with pytest.raises(PublishError, match=r"'analytics'.*connections\.toml") as caught:
        connect("analytics/A/B", wait_s=1)
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize("authenticator", ["externalbrowser", "OAUTH_AUTHORIZATION_CODE"])
def test_a_login_that_needs_a_person_is_refused(authenticator: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SNOWFLAKE_CONNECTIONS", f'[analytics]\naccount = "x"\nauthenticator = "{authenticator}"\n')
    with pytest.raises(PublishError, match="logs in with a browser"):
        connect("analytics", wait_s=1)


def test_a_configuration_that_cannot_be_read_is_one_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SNOWFLAKE_CONNECTIONS", "[analytics\npassword = hunter2")
    with pytest.raises(PublishError, match="configuration cannot be read") as caught:
        connect("analytics", wait_s=1)
    assert "hunter2" not in str(caught.value)
