"""Signs of life, on a disk and in a store."""

import pytest

from lockstep.storage.files import Location, write_whole
from lockstep.storage.signs import mark, seen, wipe


def test_a_sign_changes_the_number_and_not_what_the_file_says(place: Location) -> None:
    file = place / "1"
    write_whole(file, b"me")
    told = [seen(file)]
    for _ in range(3):
        mark(file)
        told.append(seen(file))
    assert {text for _, text in told} == {b"me"}
    numbers = [number for number, _ in told]
    assert numbers == sorted(numbers)
    assert numbers[0] > 0
    assert numbers[-1] > numbers[0]


def test_the_last_sign_is_zero(place: Location) -> None:
    file = place / "1"
    write_whole(file, b"me")
    wipe(file)
    assert seen(file)[0] == 0


def test_who_is_not_there_gives_no_sign(place: Location) -> None:
    with pytest.raises(FileNotFoundError):
        seen(place / "1")
    with pytest.raises(FileNotFoundError):
        mark(place / "1")
