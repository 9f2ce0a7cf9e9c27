"""The exchange takes fills back and corrects them, and an operator settles what that parks."""

import random
from typing import Any

from simulation.house import ADDRESSES
from simulation.network import Network
from simulation.scenario import Street
from simulation.world import Violation, World
from stockbroker.exchange.v1 import exchange_control_service_pb2 as control_pb
from stockbroker.exchange_gateway.v1 import exchange_gateway_service_pb2_grpc as gateway_grpc
from stockbroker.exchange_gateway.v1 import operators_pb2 as operators_pb

_SHARE = 0.35  # of all seeds
_MOST = 4
_MOST_LOOKS = 16
_LOOK_SECONDS = (0.2, 1.2)
_SETTLE_SECONDS = (0.3, 1.0)
_CENT = 10_000
_OF_ENDED = """
    SELECT r.exec_id, r.last_quantity, r.last_price_micros
    FROM report r JOIN member_order o USING (client_order_id)
    WHERE r.exec_type = 2 AND NOT o.is_open AND NOT r.exec_id = ANY (%s) ORDER BY r.report_seq"""
_PARKED = """
    SELECT p.seq, r.trade_id::text FROM parked_report p JOIN venue_report r USING (session_id, seq)
    WHERE p.state = 1 ORDER BY p.seq"""
_OWNER = """
    SELECT customer_id, symbol, quantity, quantity * (limit_price_micros + 1000000000)
    FROM trade WHERE trade_id = %s"""


def amends(seed: str) -> bool:
    """Whether fills are taken back in a run of that seed."""
    return random.Random(f"{seed}/amendments").random() < _SHARE


class Amending:
    """Two operators: the exchange's, and the house's."""

    def __init__(self, world: World, street: Street, network: Network, databases: Any) -> None:
        self._world = world
        self._street = street
        self._databases = databases
        channel: Any = network.channel(ADDRESSES["gateway"])
        self._gateway = gateway_grpc.ExchangeGatewayServiceStub(channel)
        self._amended: list[str] = []
        self._corrected: list[tuple[str, int, int]] = []  # by what said so, as they are now

    async def amend(self) -> None:
        """Now and then a fill of an order that has ended never was, or was another, and another."""
        try:
            for _ in range(_MOST_LOOKS):
                await self._world.pause(*_LOOK_SECONDS)
                if self._corrected and self._world.toss():
                    await self._amend(*self._corrected.pop())
                    continue
                fills = self._databases["exchange_simulator"].rows(_OF_ENDED, self._amended)
                if fills and len(self._amended) < _MOST:
                    fill = self._world.choice(fills)
                    self._amended.append(fill[0])
                    await self._amend(*fill)
        except Violation as violation:
            self._world.broken(violation)

    async def _amend(self, exec_id: str, quantity: int, price_micros: int) -> None:
        if self._world.toss():
            bust = control_pb.BustExecutionRequest(exec_id=exec_id, reason_text="an error")
            await self._street.insist("operator", self._street.control.BustExecution, bust)
            return
        correction = control_pb.CorrectExecutionRequest(
            exec_id=exec_id,
            quantity=self._world.choice((0, quantity // 2 + 1)),
            price_micros=price_micros + self._world.choice((-3, -1, 0, 2)) * _CENT,
            reason_text="a typo",
        )
        told = await self._street.insist(
            "operator", self._street.control.CorrectExecution, correction
        )
        report = told.report
        now = report.exec_id, report.last_quantity, report.last_price_micros
        self._corrected.append(now)

    async def settle(self) -> None:
        """What the books refused for want of cash or shares is judged again, once paid in."""
        try:
            while True:
                await self._world.pause(*_SETTLE_SECONDS)
                for seq, trade_id in self._databases["exchange_gateway"].rows(_PARKED):
                    await self._settle(seq, trade_id)
        except Violation as violation:
            self._world.broken(violation)

    async def _settle(self, seq: int, trade_id: str) -> None:
        [(name, symbol, quantity, micros)] = self._databases["order"].rows(_OWNER, trade_id)
        customer = next(each for each in self._street.customers if each.name == name)
        await self._street.give(customer, "USD", int(micros))
        await self._street.give(customer, symbol, quantity)
        request = operators_pb.RetryParkedReportRequest(report_seq=seq, reason_text="paid in")
        await self._street.insist("operator", self._gateway.RetryParkedReport, request)
