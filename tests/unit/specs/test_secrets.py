"""What people read has no secrets."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lockstep.specs.secrets import without_secrets


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("http://me:hunter2@host:5000/x", "http://me:***@host:5000/x"),
        (
            "postgresql://host/d?user=me&password=hunter2&sslmode=on",
            "postgresql://host/d?user=me&password=***&sslmode=on",
        ),
        ("host=h password=hunter2 dbname=d", "host=h password=*** dbname=d"),
        ("https://host/x?X-Amz-Signature=hunter2", "https://host/x?X-Amz-Signature=***"),
        ("https://account/x?sv=1&sig=hunter2", "https://account/x?sv=1&sig=***"),
        ("http://[bad:hunter2@host", "http://***@host"),
        ("/a/path", "/a/path"),
        ("sqlite:////a/mlflow.db", "sqlite:////a/mlflow.db"),
    ],
)
def test_passwords_are_hidden_and_the_rest_stays(text: str, told: str) -> None:
    assert without_secrets(text) == told


@given(st.text("abcXYZ019.-_~!$*+,", min_size=4, max_size=20).map("hunter2{}".format))
def test_no_password_of_a_url_is_shown(password: str) -> None:
    assert "hunter2" not in without_secrets(f"redis://user:{password}@host:1/0")
