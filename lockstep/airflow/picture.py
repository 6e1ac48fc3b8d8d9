"""The picture of a DAG's steps in its page: text, drawn from the DAG itself.

Airflow's pages take Markdown without HTML, and drop images whose address is not http or of their own server, so a
drawing cannot be part of the page. A monospaced block is shown as it is.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from airflow.sdk import DAG

ARROW, FORK, LAST, PASS = " ─► ", " ─┬► ", "  └► ", "  ├► "


def steps_section(dag: DAG) -> str:
    """Return the section about a DAG's steps: how they follow one another, and what each does."""
    tasks = dag.topological_sort()
    picture = "\n".join(drawn(tasks))
    rows = "\n".join(f"| `{task.task_id}` | {' '.join((task.doc_md or '').split())} |" for task in tasks)
    return f"## Steps\n\n```text\n{picture}\n```\n\n| | |\n|---|---|\n{rows}\n"


def drawn(tasks: Sequence[Any]) -> Iterator[str]:
    """Yield the lines that show tasks and what follows each; what is shown already is named in brackets.

    Args:
        tasks: Of a DAG, each after those that it waits for.
    """
    seen: set[str] = set()
    followers = {
        task.task_id: [then.task_id for then in tasks if then.task_id in task.downstream_task_ids] for task in tasks
    }
    for task in tasks:
        if not task.upstream_task_ids:
            yield from (line.rstrip() for line in _from(task.task_id, followers, seen=seen))


def _from(task_id: str, followers: Mapping[str, Sequence[str]], *, seen: set[str]) -> Iterator[str]:
    if task_id in seen:
        yield f"({task_id})"
        return
    seen.add(task_id)
    then = followers[task_id]
    if not then:
        yield task_id
    for number, name in enumerate(then):
        first, later = _marks(task_id, number=number, of=len(then))
        for place, line in enumerate(_from(name, followers, seen=seen)):
            yield (first if place == 0 else later) + line


def _marks(task_id: str, *, number: int, of: int) -> tuple[str, str]:
    """Return what stands before the first line of a follower, and before its further lines."""
    blank = " " * len(task_id)
    if of == 1:
        return task_id + ARROW, blank + " " * len(ARROW)
    further = "  │  " if number < of - 1 else "     "
    if number == 0:
        return task_id + FORK, blank + further
    return blank + (PASS if number < of - 1 else LAST), blank + further
