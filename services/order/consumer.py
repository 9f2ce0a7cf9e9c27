"""News of other order processes: which customers have new events.

A message is the sender's name and then customer ids, one per line. It may be lost, doubled or late.
"""

from collections.abc import Sequence

from nats.aio.msg import Msg

from libs.broker import Broker
from services.order.watchers import Watchers

SUBJECT = "order.changed"


def pack(sender: str, customer_ids: Sequence[str]) -> bytes:
    """The message that `customer_ids` have news, by `sender`."""
    return "\n".join((sender, *customer_ids)).encode()


async def listen(broker: Broker, watchers: Watchers, *, receiver: str) -> None:
    """Ring the bells of what others tell; `receiver` is this process's own name as a sender."""

    async def hear(message: Msg) -> None:
        sender, *customer_ids = message.data.decode(errors="replace").split("\n")
        if sender != receiver:
            watchers.ring(customer_ids)

    await broker.subscribe(SUBJECT, hear)
