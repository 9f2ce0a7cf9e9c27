"""OrderControlService out of memory: one setting after the other."""

from typing import Any

from libs.auth import caller
from stockbroker.order.v1 import control_pb2 as model
from stockbroker.order.v1 import order_control_service_pb2 as pb
from stockbroker.order.v1.order_control_service_pb2_grpc import OrderControlServiceServicer


class SmallControls(OrderControlServiceServicer):
    """Keeps what is set and judges nothing."""

    def __init__(self) -> None:
        self.settings: list[model.ControlSetting] = []

    async def SetControl(self, request: pb.SetControlRequest, context: Any) -> Any:
        setting = model.ControlSetting(
            version=len(self.settings) + 1,
            control=request.control,
            scope=request.scope,
            action=request.action,
            limit=request.limit,
            seconds=request.seconds,
            passes_without_price=request.passes_without_price,
            effective_at=request.effective_at,
            actor=caller().subject,
            reason_text=request.reason_text,
        )
        self.settings.append(setting)
        return pb.SetControlResponse(setting=setting)

    async def ListControls(self, request: pb.ListControlsRequest, context: Any) -> Any:
        found = self.settings
        if request.history:  # two at a time
            before = request.before_version or len(found) + 1
            found = [each for each in reversed(found) if each.version < before][:2]
        return pb.ListControlsResponse(settings=found, version=len(self.settings))
