"""Mistakes with the model registry and its models."""

from newcomers.mistake import Mistake, Place

TABLE = "{home}/data/customers"
DAY = ("--date", "2024-01-05")


def _alias(place: Place) -> None:
    place.change("clients/scoring.yaml", "alias: champion", "alias: production")


def _output(place: Place) -> None:
    place.change("clients/scoring.yaml", "column: risk", "column: score")
    place.change("clients/checks/audit.yaml", "column: risk", "column: score")


MISTAKES = (
    Mistake(
        "A model that nobody registered",
        ("init", "chrun", TABLE),
        5,
        "LS5002",
        ("chrun", "Did you mean 'churn'?", "sqlite:///"),
    ),
    Mistake(
        "An alias that no version has", ("run", "clients", *DAY), 5, "LS5002", ("production", "champion"), make=_alias
    ),
    Mistake(
        "A version that does not exist",
        ("run", "clients", *DAY, "--model-version", "99"),
        5,
        "LS5002",
        ("99", "churn", "version 4"),
    ),
    Mistake(
        "An alias where a version number belongs",
        ("run", "clients", *DAY, "--model-version", "champion"),
        2,
        "",
        ("--model-version", "integer"),
    ),
    Mistake(
        "A model that was logged without a signature",
        ("init", "unsigned", TABLE),
        5,
        "LS5006",
        ("unsigned", "signature"),
    ),
    Mistake(
        "A model that needs a module which is only on its author's machine",
        ("init", "priced", TABLE),
        5,
        "LS5006",
        ("pricing_rules", "code_paths"),
    ),
    Mistake("A model of another table", ("init", "other", TABLE), 6, "LS6030", ("tenure", "city", "other")),
    Mistake(
        "An output that the model does not return",
        ("run", "clients", *DAY),
        6,
        "LS6010",
        ("score", "risk"),
        make=_output,
    ),
    Mistake(
        "An MLflow server that is not running",
        ("run", "clients", *DAY),
        75,
        "LS5004",
        ("http://127.0.0.1:9", "refused", "MLFLOW_TRACKING_URI"),
        env={"MLFLOW_TRACKING_URI": "http://127.0.0.1:9"},
    ),
    Mistake(
        "A misspelt scheme of the tracking URI",
        ("run", "clients", *DAY),
        3,
        "LS3002",
        ("MLFLOW_TRACKING_URI", "sqllite"),
        env={"MLFLOW_TRACKING_URI": "sqllite:///{home}/mlflow/mlflow.db"},
    ),
    Mistake(
        "A registry's database that is not there",
        ("run", "clients", *DAY),
        5,
        "LS5002",
        ("churn", "/elsewhere/mlflow.db", "MLFLOW_TRACKING_URI"),
        env={"MLFLOW_TRACKING_URI": "sqlite:///{home}/elsewhere/mlflow.db"},
    ),
)
