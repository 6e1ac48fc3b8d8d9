"""Records of a plan."""

from lockstep.run.plan import ScoringInput, Unit


def test_what_all_units_say_is_held_once() -> None:
    schema = "the types of a wide table " * 100
    units = tuple(Unit(id=f"u{n:05d}", pieces=(), rows=1, size_bytes=1, arrow_schema=schema) for n in range(3))
    read = ScoringInput.model_validate_json(ScoringInput(rows=3, columns={}, units=units).model_dump_json())
    assert read.units == units
    assert len({id(unit.arrow_schema) for unit in read.units}) == 1
