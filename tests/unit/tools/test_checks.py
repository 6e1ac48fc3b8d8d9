from pathlib import Path

import pytest

from tools import check_links, check_locks, check_sizes, check_text, lock


def test_long_function_is_named_with_its_decorators(tmp_path: Path) -> None:
    body = "\n".join("    x = 1" for _ in range(59))
    path = tmp_path / "long.py"
    path.write_text(f"@decorator\ndef f():\n{body}\n\n\ndef g():\n    return 1\n")
    assert list(check_sizes.too_long(path)) == [f"{path}:2: function f of 61 lines; at most 60"]


def test_module_of_exactly_the_limit_passes(tmp_path: Path) -> None:
    path = tmp_path / "module.py"
    path.write_text("x = 1\n" * 300)
    assert not list(check_sizes.too_long(path))
    path.write_text("x = 1\n" * 301)
    assert len(list(check_sizes.too_long(path))) == 1


def test_generated_modules_may_be_long(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("a_pb2.py", "a_pb2_grpc.py", "module.py"):
        (tmp_path / name).write_text("x = 1\n" * 301)
    assert check_sizes.main([str(tmp_path)]) == 1
    assert capsys.readouterr().out.splitlines() == [f"{tmp_path}/module.py:1: module of 301 lines; split it at 300"]


@pytest.mark.parametrize(
    "text",
    [
        "see https://" + "pypi" + ".org/simple",
        "--extra-" + "index-url https://example.org",
        "path = '/" + "home/someone/lockstep'",
        "at /" + "Users/someone",
    ],
)
def test_text_of_one_machine_is_found(tmp_path: Path, text: str) -> None:
    path = tmp_path / "page.md"
    path.write_text(f"first line\n{text}\n")
    (find,) = check_text.forbidden_in(path)
    assert find.startswith(f"{path}:2: ")


@pytest.mark.parametrize("text", ["~/home/x", "models/root/x", "https://example.org/home/page", "$HOME/root/x"])
def test_harmless_text_passes(tmp_path: Path, text: str) -> None:
    path = tmp_path / "page.md"
    path.write_text(text)
    assert not list(check_text.forbidden_in(path))


def test_broken_links_are_found_and_code_is_not_read(tmp_path: Path) -> None:
    there, page = tmp_path / "there.md", tmp_path / "page.md"
    there.write_text("# Part one\n\n```\n# no heading\n```\n")
    page.write_text(
        "# Here\n\n[a](there.md#part-one) [b](gone.md) `[c](code.md)` [d](https://example.org/x#y) [e](#here)\n\n"
        "| table |\n|---|\n| ![f](gone.svg) [g](there.md#no-heading) |\n\n"
        "```\n[h](code.md)\n```\n[i](#gone) [j](mailto:x@example.org)\n"
    )
    assert list(check_links.broken_links(page)) == [
        f"{page}:3: gone.md: does not exist",
        f"{page}:7: gone.svg: does not exist",
        f"{page}:7: there.md#no-heading: {there} has no such heading",
        f"{page}:12: #gone: {page} has no such heading",
    ]


@pytest.mark.parametrize(
    ("heading", "anchor"),
    [
        ("Plain words", "plain-words"),
        ("`lockstep init MODEL[@ALIAS] INPUT`", "lockstep-init-modelalias-input"),
        ("Operations: what happens when *something* dies", "operations-what-happens-when-something-dies"),
        ("A [link](https://example.org) in it", "a-link-in-it"),
        ("snake_case & co - done", "snake_case--co---done"),
        ("Größe", "größe"),
    ],
)
def test_anchors_are_those_of_code_hosts(tmp_path: Path, heading: str, anchor: str) -> None:
    page = tmp_path / "page.md"
    page.write_text(f"## {heading}\n\n## {heading}\n\n<a id='own'></a>\n")
    assert check_links.anchors(page) == {anchor, f"{anchor}-1", "own"}


def test_environments_and_what_was_built_are_not_entered(tmp_path: Path) -> None:
    for name in (".venv/data", "var/runs", "build/docs", ".git", "docs/sub"):
        (tmp_path / name).mkdir(parents=True)
        (tmp_path / name / "page.md").write_text("[gone](gone.md)")
    assert list(check_links.pages_below(tmp_path)) == [tmp_path / "docs" / "sub" / "page.md"]


def test_lock_keeps_nothing_of_the_machine_that_resolved_it() -> None:
    text = "torch==2.13.0+cpu\nnvidia-nccl-cu13==2.28.9\ntriton==3.6.0\n    # via torch\nnumpy==2.4.6  # via torch\n"
    assert lock.clean(text) == ["numpy==2.4.6", "torch==2.13.0"]


def test_locks_of_this_project_are_sound() -> None:
    assert check_locks.main() == 0


def test_control_lock_has_no_second_pyspark() -> None:
    pins = check_locks.read_pins("control")
    assert not {"pyspark-client", "pyspark", "pandas", "pyarrow"} & pins.keys()


def test_training_lock_has_the_petastorm_that_loses_no_rows() -> None:
    pins = check_locks.read_pins("training")
    assert (pins["petastorm"], pins["pyarrow"]) == ("0.12.1", "14.0.2")
