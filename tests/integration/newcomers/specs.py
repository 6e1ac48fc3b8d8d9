"""Mistakes with the spec: where it lies, its syntax, its words, its checks."""

import shutil

from newcomers.mistake import Mistake, Place

SPEC = "clients/scoring.yaml"
RUN = ("run", "clients", "--date", "2024-01-05")


def _misplaced(place: Place) -> None:
    models = place.home / "models"
    shutil.move(models / SPEC, models / "clients.yaml")


def _renamed(place: Place) -> None:
    shutil.move(place.home / "models" / "clients", place.home / "models" / "customers")


def _syntax(place: Place) -> None:
    place.change(SPEC, "output: {column: risk}", "output: {column: risk")


def _tab(place: Place) -> None:
    place.change(SPEC, "  table: {path", "\ttable: {path")


def _unknown_key(place: Place) -> None:
    place.change(SPEC, "partition: {column: day}", "partiton: {column: day}")


def _cron(place: Place) -> None:
    place.change(SPEC, "0 6 * * *", "0 25 * * *")


def _zone(place: Place) -> None:
    place.change(SPEC, "timezone: UTC", "timezone: Europe/Berln")


def _no_gate(place: Place) -> None:
    (place.home / "models" / "clients" / "checks" / "gate.yaml").unlink()


def _expectation(place: Place) -> None:
    place.change("clients/checks/audit.yaml", "to_be_between", "to_be_betwen")


def _argument(place: Place) -> None:
    place.change("clients/checks/audit.yaml", "min_value", "minimum")


def _column(place: Place) -> None:
    place.change("clients/checks/gate.yaml", "column: id,", "column: customer_id,")


def _sql(place: Place) -> None:
    place.change("churn/features.sql", "spend FROM", "spent FROM")


MISTAKES = (
    Mistake(
        "A misspelt name of a spec",
        ("run", "clinets", "--date", "2024-01-05"),
        3,
        "LS3001",
        ("clinets", "Did you mean 'clients'?"),
    ),
    Mistake(
        "A spec in the wrong folder", RUN, 3, "LS3001", ("models/clients.yaml", "clients/scoring.yaml"), make=_misplaced
    ),
    Mistake(
        "A folder that has another name than its spec",
        ("run", "customers", "--date", "2024-01-05"),
        3,
        "LS3001",
        ("clients", "customers"),
        make=_renamed,
    ),
    Mistake(
        "No folder of specs here",
        RUN,
        3,
        "LS3001",
        ("/elsewhere", "LOCKSTEP_MODELS"),
        env={"LOCKSTEP_MODELS": "{home}/elsewhere"},
    ),
    Mistake("A bracket that is not closed", RUN, 3, "LS3001", (SPEC, "line 9"), make=_syntax),
    Mistake("A tab in YAML", RUN, 3, "LS3001", (SPEC, "line 5"), make=_tab),
    Mistake("A misspelt key of a spec", RUN, 3, "LS3001", (SPEC, "line 6", "partiton", "partition"), make=_unknown_key),
    Mistake("An hour that no clock has", RUN, 3, "LS3001", (SPEC, "line 3", "schedule.cron", "25"), make=_cron),
    Mistake("A misspelt time zone", RUN, 3, "LS3001", (SPEC, "Europe/Berln", "Europe/Berlin"), make=_zone),
    Mistake(
        "A misspelt time zone on the command line",
        ("init", "churn", "{home}/data/customers", "--name", "mine", "--timezone", "Europe/Berln"),
        2,
        "",
        ("--timezone", "Europe/Berln"),
    ),
    Mistake("A file of checks that is not there", RUN, 3, "LS3001", ("checks/gate.yaml",), make=_no_gate),
    Mistake(
        "A misspelt expectation",
        RUN,
        3,
        "LS3001",
        ("audit.yaml", "betwen", "expect_column_values_to_be_between"),
        make=_expectation,
    ),
    Mistake("A misspelt argument of an expectation", RUN, 3, "LS3001", ("audit.yaml", "minimum"), make=_argument),
    Mistake(
        "A check of a column that is not there",
        RUN,
        6,
        "LS6010",
        ("customer_id", "suite", "id, city, age, spend, day"),
        make=_column,
    ),
    Mistake(
        "A misspelt column in SQL",
        ("run", "churn", "--date", "2024-01-05"),
        6,
        "LS6012",
        ("features.sql", "spent", "spend"),
        make=_sql,
    ),
    Mistake(
        "A spec that exists already",
        ("init", "churn", "{home}/data/customers", "--name", "clients"),
        3,
        "LS3008",
        ("clients", "exists"),
    ),
    Mistake(
        "A name that no table can have",
        ("init", "churn", "{home}/data/customers", "--name", "my-churn"),
        2,
        "",
        ("--name", "my-churn"),
    ),
)
