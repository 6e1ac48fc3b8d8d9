"""The picture of a DAG's steps in its page: text, drawn from the DAG itself.

Airflow's pages take Markdown without HTML, and drop images whose address is not http or of their own server, so a
drawing cannot be part of the page. A monospaced block is shown as it is.
"""

from collections.abc import Iterable, Iterator
from typing import Any

from airflow.sdk import DAG

ARROW, FORK, LAST, PASS = " ─► ", " ─┬► ", "  └► ", "  ├► "


def steps_section(dag: DAG) -> str:
    """Return the section about a DAG's steps: how they follow one another, and what each does."""
    picture = "\n".join(line.rstrip() for root in sorted_ids(dag, dag.roots) for line in drawn(dag, root))
    rows = "\n".join(
        f"| `{task.task_id}` | {' '.join((task.doc_md or '').split())} |" for task in dag.topological_sort()
    )
    return f"## Steps\n\n```text\n{picture}\n```\n\n| | |\n|---|---|\n{rows}\n"


def drawn(dag: DAG, task_id: str, *, seen: set[str] | None = None) -> Iterator[str]:
    """Yield the lines that show a task and what follows it; what is shown already is named in brackets."""
    seen = set() if seen is None else seen
    if task_id in seen:
        yield f"({task_id})"
        return
    seen.add(task_id)
    then = sorted_ids(dag, [dag.get_task(name) for name in dag.get_task(task_id).downstream_task_ids])
    if not then:
        yield task_id
    for number, name in enumerate(then):
        first, later = _marks(task_id, number=number, of=len(then))
        for place, line in enumerate(drawn(dag, name, seen=seen)):
            yield (first if place == 0 else later) + line


def sorted_ids(dag: DAG, tasks: Iterable[Any]) -> list[str]:
    """Return the ids of tasks in the order in which the DAG may run them."""
    wanted = {task.task_id for task in tasks}
    return [task.task_id for task in dag.topological_sort() if task.task_id in wanted]


def _marks(task_id: str, *, number: int, of: int) -> tuple[str, str]:
    """Return what stands before the first line of a follower, and before its further lines."""
    blank = " " * len(task_id)
    if of == 1:
        return task_id + ARROW, blank + " " * len(ARROW)
    further = "  │  " if number < of - 1 else "     "
    if number == 0:
        return task_id + FORK, blank + further
    return blank + (PASS if number < of - 1 else LAST), blank + further
