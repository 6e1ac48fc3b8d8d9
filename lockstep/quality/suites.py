"""Check suites: YAML files beside a spec that say what must hold, how grave it is and why."""

import difflib
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import Field, TypeAdapter, ValidationError, ValidationInfo, field_validator, model_validator

from lockstep.errors import SpecError
from lockstep.quality.catalogue import EXPECTATIONS, Expectation
from lockstep.specs.loading import validate
from lockstep.specs.strict import Strict

Severity = Literal["critical", "warning"]
PAIR = 2


class Check(Strict):
    """One expectation on one target."""

    expectation: str = Field(description="Name of the expectation, as in Great Expectations.")
    column: str | None = Field(None, min_length=1, description="Column it looks at.")
    columns: tuple[str, ...] | None = Field(
        None, min_length=1, description="Columns of an expectation on several together, or several to check one by one."
    )
    kwargs: dict[str, Any] = Field(default_factory=dict, validate_default=True, description="Its bounds.")
    severity: Severity = Field("critical", description="critical: a failure stops the run; warning: it is reported.")
    why: str = Field(min_length=1, description="What goes wrong when this does not hold; shown with the result.")

    @field_validator("expectation")
    @classmethod
    def _is_known(cls, name: str) -> str:
        if name not in EXPECTATIONS:
            near = difflib.get_close_matches(name, EXPECTATIONS, n=3)
            hint = f"; did you mean {', '.join(near)}?" if near else f"; known ones: {', '.join(EXPECTATIONS)}"
            raise ValueError(f"unknown expectation {name!r}{hint}")
        return name

    @field_validator("kwargs")
    @classmethod
    def _fits(cls, kwargs: dict[str, Any], info: ValidationInfo) -> dict[str, Any]:
        rule = EXPECTATIONS.get(str(info.data.get("expectation")))
        problems = _kwargs_problems(kwargs, rule) if rule else []
        if problems:
            raise ValueError("; ".join(problems))
        return kwargs

    @model_validator(mode="after")
    def _has_target(self) -> Self:
        target = self.rule.target
        several = len(self.columns or ())
        takes, fits = {
            "table": ("neither 'column' nor 'columns'", self.column is None and self.columns is None),
            "column": ("'column', or 'columns' to check one by one", (self.column is None) != (self.columns is None)),
            "pair": ("'columns' with two names", self.column is None and several == PAIR),
            "columns": ("'columns' with two names or more", self.column is None and several >= PAIR),
        }[target]
        if not fits:
            raise ValueError(f"{self.expectation} takes {takes}")
        if several != len(set(self.columns or ())):
            raise ValueError("'columns' names a column twice")
        return self

    @property
    def rule(self) -> Expectation:
        """What the expectation takes."""
        return EXPECTATIONS[self.expectation]

    @property
    def needs(self) -> tuple[str, ...]:
        """Columns the check reads."""
        return (self.column,) if self.column is not None else self.columns or ()

    @property
    def reads(self) -> tuple[str, ...]:
        """Columns of the rows that it reads: none if it looks at profiles."""
        return () if self.rule.against else self.needs

    def one_by_one(self) -> "tuple[Check, ...]":
        """Return a check per column when it takes one column and names several, else itself."""
        if self.rule.target != "column" or self.columns is None:
            return (self,)
        return tuple(self.model_copy(update={"column": column, "columns": None}) for column in self.columns)


class Suite(Strict):
    """A check suite."""

    description: str = Field("", description="What the suite guards.")
    expectations: tuple[Check, ...] = Field(description="The checks, in the order they are reported.")

    @field_validator("expectations")
    @classmethod
    def _not_empty(cls, checks: tuple[Check, ...]) -> tuple[Check, ...]:
        if not checks:
            raise ValueError("must list at least one check")
        return checks

    @property
    def checks(self) -> tuple[Check, ...]:
        """The single checks, those on several columns one by one taken apart."""
        return tuple(single for check in self.expectations for single in check.one_by_one())

    @property
    def needs(self) -> tuple[str, ...]:
        """Columns of the rows that the checks read, each once."""
        return tuple(dict.fromkeys(column for check in self.expectations for column in check.reads))

    @property
    def against(self) -> frozenset[str]:
        """What reference expectations compare the run with."""
        return frozenset(check.rule.against for check in self.expectations if check.rule.against)


def _kwargs_problems(kwargs: dict[str, Any], rule: Expectation) -> list[str]:
    allowed = rule.optional | rule.required
    problems = [
        f"unknown kwarg {k!r}; it takes: {', '.join(sorted(allowed)) or 'none'}" for k in kwargs if k not in allowed
    ]
    problems += [f"kwarg {k!r} is required" for k in sorted(rule.required - kwargs.keys())]
    for key in allowed & kwargs.keys():
        try:
            TypeAdapter(rule.keyword(key)).validate_python(kwargs[key])
        except ValidationError as error:
            problems.append(f"kwarg {key!r}: {error.errors(include_url=False, include_input=False)[0]['msg']}")
    if not problems and rule.bounded:
        problems += _bound_problems(kwargs.get("min_value"), kwargs.get("max_value"))
    return problems


def _bound_problems(low: Any, high: Any) -> list[str]:
    if low is None and high is None:
        return ["give min_value, max_value or both; without them it checks nothing"]
    if low is None or high is None:
        return []
    try:
        return [] if low <= high else [f"min_value {low} is above max_value {high}"]
    except TypeError:
        return ["min_value and max_value are of different types"]


def load_suite(path: Path, *, gate: bool = False) -> Suite:
    """Load a suite.

    Args:
        path: Its file.
        gate: Whether it is for the input, which has no reference to compare with.

    Raises:
        SpecError: The file is missing or wrong; names file, line and key of every problem.
    """
    suite = validate(Suite, path)
    if gate and suite.against:
        wrong = [check.expectation for check in suite.expectations if check.rule.against]
        raise SpecError(str(path), [f"{name} compares scores, so it belongs in the audit's suite" for name in wrong])
    return suite


def check_suite_file(path: Path, *, gate: bool = False) -> None:
    """Raise `SpecError` when a suite file is wrong. Reads the file only: no data, no Great Expectations."""
    load_suite(path, gate=gate)
