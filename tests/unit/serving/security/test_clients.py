import pytest
from hypothesis import given
from hypothesis import strategies as st

from lockstep.serving.security.clients import authorize, client_with
from lockstep.serving.security.errors import Forbidden
from lockstep.specs.serving_security import ANY_MODEL, Rights, Role

NAMES = ("churn", "delay", "fraud")
ROLES: tuple[Role, ...] = ("infer", "read", "admin", "metrics")
RIGHTS = st.builds(
    Rights,
    models=st.lists(st.sampled_from((*NAMES, ANY_MODEL)), min_size=1, unique=True).map(tuple),
    roles=st.lists(st.sampled_from(ROLES), min_size=1, unique=True).map(tuple),
)


@given(rights=st.lists(RIGHTS, max_size=4), action=st.sampled_from(ROLES), model=st.sampled_from((*NAMES, None)))
def test_a_client_may_what_one_of_its_rights_says_and_nothing_more(
    rights: list[Rights], action: Role, model: str | None
) -> None:
    said = any(
        action in right.roles and (model is None or model in right.models or ANY_MODEL in right.models)
        for right in rights
    )
    client = client_with("c", "token", rights)
    assert client.may(action, model) == said
    if said:
        authorize(client, action=action, model=model)
        return
    with pytest.raises(Forbidden):
        authorize(client, action=action, model=model)


def test_the_right_to_read_everything_does_not_widen_the_right_to_score_one_model() -> None:
    client = client_with(
        "c", "token", [Rights(models=("churn",), roles=("infer",)), Rights(models=("*",), roles=("read",))]
    )
    assert client.may("read", "fraud")
    assert not client.may("infer", "fraud")
    assert client.roles == {"infer", "read"}


def test_no_role_comes_with_another() -> None:
    admin = client_with("c", "api_key", [Rights(models=("*",), roles=("admin",))])
    assert [role for role in ROLES if admin.may(role)] == ["admin"]


def test_a_refusal_names_what_is_missing() -> None:
    client = client_with("nightly", "api_key", [Rights(models=("churn",))])
    with pytest.raises(Forbidden, match=r"client 'nightly' lacks the role 'admin' on model 'churn'"):
        authorize(client, action="admin", model="churn")
    with pytest.raises(Forbidden, match=r"lacks the role 'metrics'; ask"):
        authorize(client, action="metrics")
    with pytest.raises(Forbidden) as caught:
        authorize(client, action="infer", model="x\n" * 1000)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 300
