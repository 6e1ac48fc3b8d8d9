"""All checks, side by side, each within its time; one that breaks stops no other."""

import threading
from collections.abc import Callable, Iterable, Iterator, Sequence

from lockstep.doctor.environments import check_environments
from lockstep.doctor.finding import Finding, problem
from lockstep.doctor.machine import check_clock, check_gpu, check_locale, check_memory, check_places, check_processes
from lockstep.doctor.projects import check_java, check_settings, check_specs
from lockstep.doctor.services import check_airflow, check_mlflow, check_ports, check_warehouses
from lockstep.doctor.world import World

Check = Callable[[World], Iterable[Finding]]

CHECKS: dict[str, Check] = {
    "environments": check_environments,
    "java": check_java,
    "settings": check_settings,
    "specs": check_specs,
    "mlflow": check_mlflow,
    "airflow": check_airflow,
    "warehouse": check_warehouses,
    "gpu": check_gpu,
    "ports": check_ports,
    "disk": check_places,
    "memory": check_memory,
    "clock": check_clock,
    "processes": check_processes,
    "locale": check_locale,
}
REPORT = "please report it; the other checks are not touched by it"


def diagnose(world: World, names: Sequence[str], *, timeout_s: float) -> Iterator[Finding]:
    """Run checks and yield what they find, in the order of `CHECKS`.

    Args:
        world: What to look at.
        names: Which; empty: all.
        timeout_s: How long each may take, in seconds.
    """
    results: dict[str, list[Finding]] = {name: [] for name in CHECKS if not names or name in names}
    # Daemons: one that hangs does not keep the command from ending.
    threads = {name: threading.Thread(target=_run, args=(name, world, results[name]), daemon=True) for name in results}
    for thread in threads.values():
        thread.start()
    for name, thread in threads.items():
        thread.join(timeout_s)
        yield from list(results[name])
        if thread.is_alive():
            yield problem(
                name, f"no answer within {timeout_s:g} s", "what it asks may be down, or this machine is very busy"
            )


def _run(name: str, world: World, found: list[Finding]) -> None:
    try:
        found.extend(CHECKS[name](world))
    except Exception as error:  # noqa: BLE001 - whatever it is, the other checks go on
        found.append(problem(name, f"the check itself broke: {type(error).__name__}", REPORT))
