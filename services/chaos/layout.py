"""Who calls whom in the house: where a proxy can stand."""

from collections.abc import Iterable, Mapping, Sequence

WORKER = "execution"
CALLS: Mapping[str, Sequence[str]] = {
    "order": ("postgres", "nats", "exchange_gateway"),
    "ledger": ("postgres",),
    "execution": ("postgres", "nats", "order", "ledger", "exchange_gateway"),
    "exchange_gateway": ("postgres", "exchange_simulator", "execution"),
    "exchange_simulator": ("postgres",),
    "reconciliation": ("postgres", "order", "ledger", "exchange_gateway", "exchange_simulator"),
    "edge": (
        "order",
        "ledger",
        "execution",
        "exchange_gateway",
        "exchange_simulator",
        "reconciliation",
    ),
}
LISTENING = (
    "postgres",
    "nats",
    "order",
    "ledger",
    "execution",
    "exchange_gateway",
    "exchange_simulator",
    "reconciliation",
)


def calls(workers: int) -> dict[str, Sequence[str]]:
    """Process -> the parts it calls, in a house with so many workers of execution."""
    names = worker_names(workers)
    gateway = tuple(part for part in CALLS["exchange_gateway"] if part != WORKER)
    return {
        **CALLS,
        **dict.fromkeys(names, CALLS[WORKER]),
        "exchange_gateway": (*gateway, *names),
    }


def listening(workers: int) -> list[str]:
    """The parts that others call, in such a house."""
    return [*LISTENING, *worker_names(workers)[1:]]


def worker_names(count: int) -> list[str]:
    """The processes of execution."""
    return [WORKER, *(f"{WORKER}_{number}" for number in range(2, count + 1))]


def workers_of(processes: Iterable[str]) -> list[str]:
    """Those of the processes that are workers of execution."""
    return [name for name in processes if name == WORKER or name.startswith(f"{WORKER}_")]
