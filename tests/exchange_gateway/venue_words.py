"""What a venue says of orders, by the contract."""

from collections.abc import Callable, Sequence
from typing import Any

from stockbroker.exchange.v1 import exchange_pb2 as market

Report = market.ExecutionReport
Answer = Callable[[market.NewOrder], Sequence[Report]]
PRICE = 100_000_000


def accept(order: market.NewOrder) -> Report:
    """The order is taken."""
    return about(order, Report.EXEC_TYPE_NEW, leaves_quantity=order.quantity)


def fill(order: market.NewOrder, quantity: int = 0, *, so_far: int = 0) -> Report:
    """A fill of `quantity` shares (0: all), after `so_far` before."""
    quantity = quantity or order.quantity
    return about(
        order,
        Report.EXEC_TYPE_TRADE,
        last_quantity=quantity,
        last_price_micros=PRICE,
        cumulative_quantity=so_far + quantity,
        leaves_quantity=max(0, order.quantity - so_far - quantity),
    )


def reject(order: market.NewOrder, reason: int, text: str = "") -> Report:
    """The order is refused."""
    return about(order, Report.EXEC_TYPE_REJECTED, reject_reason=reason, reason_text=text)


def replaced(order: market.NewOrder, command_seq: int, *, so_far: int = 0) -> Report:
    """The order has these terms now."""
    return about(
        order,
        Report.EXEC_TYPE_REPLACED,
        command_seq=command_seq,
        quantity=order.quantity,
        limit_price_micros=order.limit_price_micros,
        stop_price_micros=order.stop_price_micros,
        max_notional_micros=order.max_notional_micros,
        cumulative_quantity=so_far,
        leaves_quantity=max(0, order.quantity - so_far),
    )


def bust(filled: Report, **fields: Any) -> Report:
    """That fill never was."""
    report = Report()
    report.CopyFrom(filled)
    report.seq, report.exec_id, report.exec_ref_id = 0, "", filled.exec_id
    report.exec_type = Report.EXEC_TYPE_TRADE_CANCEL
    report.MergeFrom(Report(**fields))
    return report


def correct(filled: Report, quantity: int, price_micros: int) -> Report:
    """That fill was another."""
    report = bust(filled, exec_type=Report.EXEC_TYPE_TRADE_CORRECT)
    report.last_quantity, report.last_price_micros = quantity, price_micros
    return report


def shares(report: Report) -> int:
    """How many shares are filled by it, less than 0 for those that never were."""
    return report.last_quantity * (-1 if report.exec_ref_id else 1)


def accept_and_fill(order: market.NewOrder) -> Sequence[Report]:
    """Taken and filled at once."""
    return [accept(order), fill(order)]


def about(order: market.NewOrder, exec_type: int, **fields: Any) -> Report:
    return Report(
        client_order_id=order.client_order_id,
        exchange_order_id=f"X-{order.client_order_id}",
        symbol=order.symbol,
        side=order.side,
        exec_type=Report.ExecType.ValueType(exec_type),
        **fields,
    )
