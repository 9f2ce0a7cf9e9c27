"""Who calls whom in the house: where a proxy can stand."""

from collections.abc import Iterable, Mapping, Sequence

WORKER = "execution"
CALLS: Mapping[str, Sequence[str]] = {
    "order": ("postgres", "nats", "exchange_gateway"),
    "ledger": ("postgres",),
    "execution": ("postgres", "nats", "order", "ledger", "exchange_gateway"),
    "exchange_gateway": ("postgres", "exchange_simulator", "execution"),
    "exchange_simulator": ("postgres",),
    "edge": ("order", "ledger", "execution", "exchange_gateway", "exchange_simulator"),
}
LISTENING = (
    "postgres",
    "nats",
    "order",
    "ledger",
    "execution",
    "exchange_gateway",
    "exchange_simulator",
)


def calls(workers: int) -> dict[str, Sequence[str]]:
    """Process -> the parts it calls, in a house with so many workers of execution."""
    more = {f"{WORKER}_{number}": CALLS[WORKER] for number in range(2, workers + 1)}
    return {**CALLS, **more}


def workers_of(processes: Iterable[str]) -> list[str]:
    """Those of the processes that are workers of execution."""
    return [name for name in processes if name == WORKER or name.startswith(f"{WORKER}_")]
