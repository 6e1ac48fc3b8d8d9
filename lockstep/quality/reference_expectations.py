"""Expectations of Lockstep's own, as classes of Great Expectations: they decide, and its data docs show them.

Each has one metric, a `Finding` of `lockstep.quality.reference`, and fails when its figure is above what is allowed.
Loading this module registers them.
"""

from typing import Any, ClassVar

from great_expectations.expectations.expectation import BatchExpectation, render_suite_parameter_string
from great_expectations.render.components import LegacyRendererType, RenderedStringTemplateContent
from great_expectations.render.renderer.renderer import renderer
from great_expectations.validator.metric_configuration import MetricConfiguration
from great_expectations.validator.validator import ValidationDependencies

from lockstep.quality.reference import PREFIX, Finding


class ReferenceExpectation(BatchExpectation):
    """Base: the figure of the finding must not be above `most`."""

    domain_keys: ClassVar[tuple[str, ...]] = ("batch_id",)
    success_keys: ClassVar[tuple[str, ...]] = ()
    template: ClassVar[str] = ""
    limit: ClassVar[str | None] = None

    @property
    def metric(self) -> str:
        """Name of the only metric."""
        return PREFIX + self.expectation_type

    def get_validation_dependencies(
        self, execution_engine: Any = None, runtime_configuration: dict[str, Any] | None = None
    ) -> ValidationDependencies:
        """Ask for the finding."""
        needed = super().get_validation_dependencies(execution_engine, runtime_configuration)
        kwargs = {name: getattr(self, name) for name in self.success_keys}
        configuration = MetricConfiguration(self.metric, metric_domain_kwargs={}, metric_value_kwargs=kwargs)
        needed.set_metric_configuration(self.metric, configuration)
        return needed

    def _validate(
        self,
        metrics: dict[str, Any],
        runtime_configuration: dict[str, Any] | None = None,  # noqa: ARG002 - Great Expectations' signature
        execution_engine: Any = None,  # noqa: ARG002
    ) -> dict[str, Any]:
        finding: Finding = metrics[self.metric]
        most = 0.0 if self.limit is None else float(getattr(self, self.limit))
        # What cannot be compared passes, and says so.
        success = finding.value is None or finding.value <= most
        return {"success": success, "result": {"observed_value": finding.text}}

    @classmethod
    @renderer(renderer_type=LegacyRendererType.PRESCRIPTIVE)
    @render_suite_parameter_string
    def _prescriptive_renderer(
        cls,
        configuration: Any = None,
        result: Any = None,
        runtime_configuration: dict[str, Any] | None = None,  # noqa: ARG003
    ) -> list[RenderedStringTemplateContent]:
        shown = configuration or result.expectation_config
        params = {name: shown.kwargs.get(name) for name in cls.success_keys}
        content = {"template": cls.template, "params": params, "styling": {"default": {"classes": ["badge"]}}}
        return [RenderedStringTemplateContent(content_block_type="string_template", string_template=content)]


class ExpectKeysToBeUnique(ReferenceExpectation):
    """No key of the spec may occur twice."""

    template: ClassVar[str] = "No key may occur twice."


class ExpectKeysToEqualInput(ReferenceExpectation):
    """The published keys must be those of the input that were not quarantined."""

    template: ClassVar[str] = "The keys must be those of the input, without the quarantined ones."


class ExpectRowCountToBeNearPrevious(ReferenceExpectation):
    """The rows must be about as many as in the previous publication."""

    max_change_percent: float
    success_keys: ClassVar[tuple[str, ...]] = ("max_change_percent",)
    limit: ClassVar[str | None] = "max_change_percent"
    template: ClassVar[str] = "The rows must be as many as in the previous publication, within $max_change_percent %."


class ExpectScoresToDifferFromPrevious(ReferenceExpectation):
    """The scores must not be those of the previous publication."""

    template: ClassVar[str] = "The scores must not be those of the previous publication."


class _NearDistribution(ReferenceExpectation):
    column: str
    max_distance: float
    distance: str = "psi"
    success_keys: ClassVar[tuple[str, ...]] = ("column", "distance", "max_distance")
    limit: ClassVar[str | None] = "max_distance"


class ExpectColumnDistributionToBeNearPrevious(_NearDistribution):
    """A column must be distributed about as in the previous publication."""

    template: ClassVar[str] = "$column must be within $distance $max_distance of the previous publication."


class ExpectColumnDistributionToBeNearTraining(_NearDistribution):
    """A column must be distributed about as in training."""

    template: ClassVar[str] = "$column must be within $distance $max_distance of training."


class _NearNulls(ReferenceExpectation):
    column: str
    max_points: float
    success_keys: ClassVar[tuple[str, ...]] = ("column", "max_points")
    limit: ClassVar[str | None] = "max_points"


class ExpectColumnNullsToBeNearPrevious(_NearNulls):
    """A column must be null about as often as in the previous publication."""

    template: ClassVar[str] = "The nulls of $column must be within $max_points points of the previous publication."


class ExpectColumnNullsToBeNearTraining(_NearNulls):
    """A column must be null about as often as in training."""

    template: ClassVar[str] = "The nulls of $column must be within $max_points points of training."
