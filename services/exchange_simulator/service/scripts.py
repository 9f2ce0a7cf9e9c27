"""The operator's table of scripts."""

from grpc.aio import ServicerContext

from services.exchange_simulator import scripts_wire
from services.exchange_simulator.scripts import Scripts
from services.exchange_simulator.turns import Turns
from stockbroker.exchange.v1 import scripts_pb2 as pb


class ScriptsControl:
    """Sets it, durably, and tells it."""

    _turns: Turns
    _scripts: Scripts

    async def SetScripts(
        self,
        request: pb.SetScriptsRequest,
        context: ServicerContext[pb.SetScriptsRequest, pb.SetScriptsResponse],
    ) -> pb.SetScriptsResponse:
        await self._turns.set_scripts(scripts_wire.scripts_from(request))
        return pb.SetScriptsResponse(scripts=scripts_wire.scripts_to(self._scripts.table))

    async def ListScripts(
        self,
        request: pb.ListScriptsRequest,
        context: ServicerContext[pb.ListScriptsRequest, pb.ListScriptsResponse],
    ) -> pb.ListScriptsResponse:
        return pb.ListScriptsResponse(
            scripts=scripts_wire.scripts_to(self._scripts.table),
            is_default=self._scripts.is_default,
        )
