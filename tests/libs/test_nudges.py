"""A nudge reaches the stream when it can, and never troubles its caller when it cannot."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from pathlib import Path

import nats
import pytest
from nats.js import JetStreamContext
from nats.js.errors import NotFoundError

from libs.nudges import Nudges, NudgeStream
from libs.partition import partition_of
from tests.support.nats_server import NatsServer
from tests.support.wait import until


@pytest.fixture
def server(tmp_path: Path) -> Iterator[NatsServer]:
    server = NatsServer(tmp_path / "nats")
    yield server
    server.kill()


@pytest.fixture
async def nudges(server: NatsServer) -> AsyncIterator[Nudges]:
    nudges = Nudges(server.url)
    nudges.start()
    yield nudges
    await nudges.close()


async def kept(server: NatsServer) -> list[str]:
    """Subjects in the stream, in the order of their latest nudge; [] when there is no stream."""
    client = await nats.connect(server.url)
    try:
        return await subjects(client.jetstream())
    finally:
        await client.close()


async def subjects(jetstream: JetStreamContext) -> list[str]:
    try:
        state = (await jetstream.stream_info("EXECUTION")).state
    except NotFoundError:
        return []
    found = []
    for sequence in range(max(state.first_seq, 1), state.last_seq + 1):
        try:
            message = await jetstream.get_msg("EXECUTION", sequence)
        except NotFoundError:
            continue
        found.append(str(message.subject))
    return found


async def publish_until_kept(nudges: Nudges, server: NatsServer, customer_id: str) -> None:
    async def is_kept() -> bool:
        await nudges.publish([customer_id])
        return NudgeStream().subject(customer_id) in await kept(server)

    await until(is_kept)


async def test_a_nudge_is_kept_under_the_customers_partition(
    nudges: Nudges, server: NatsServer
) -> None:
    server.start()

    await publish_until_kept(nudges, server, "alice")

    assert await kept(server) == [f"execution.{partition_of('alice')}.alice"]


async def test_many_nudges_of_a_customer_are_one(nudges: Nudges, server: NatsServer) -> None:
    server.start()
    await publish_until_kept(nudges, server, "alice")

    await nudges.publish(["bob", "alice", "alice", "bob"])
    await asyncio.gather(*(nudges.publish(["alice"]) for _ in range(20)))

    stream = NudgeStream()
    assert sorted(await kept(server)) == sorted([stream.subject("bob"), stream.subject("alice")])


async def test_publishing_neither_waits_nor_fails_while_nats_is_away(nudges: Nudges) -> None:
    async with asyncio.timeout(0.5):
        await nudges.publish([f"customer-{number}" for number in range(500)])


async def test_nudges_flow_again_after_nats_was_killed(nudges: Nudges, server: NatsServer) -> None:
    server.start()
    await publish_until_kept(nudges, server, "alice")
    server.kill()
    await nudges.publish(["lost"])
    server.start()

    await publish_until_kept(nudges, server, "bob")

    assert await kept(server) == [NudgeStream().subject("bob")]


async def test_the_stream_is_made_again_after_nats_was_wiped(
    nudges: Nudges, server: NatsServer
) -> None:
    server.start()
    await publish_until_kept(nudges, server, "alice")
    server.kill()
    server.wipe()
    server.start()

    await publish_until_kept(nudges, server, "bob")

    assert await kept(server) == [NudgeStream().subject("bob")]


async def test_the_stream_is_made_again_after_it_was_deleted(
    nudges: Nudges, server: NatsServer
) -> None:
    server.start()
    await publish_until_kept(nudges, server, "alice")
    client = await nats.connect(server.url)
    await client.jetstream().delete_stream("EXECUTION")
    await client.close()

    await publish_until_kept(nudges, server, "bob")

    assert await kept(server) == [NudgeStream().subject("bob")]


async def test_a_frozen_nats_costs_a_publisher_about_a_second(
    nudges: Nudges, server: NatsServer
) -> None:
    server.start()
    await publish_until_kept(nudges, server, "alice")
    server.freeze()

    async with asyncio.timeout(2.5):
        await nudges.publish([f"customer-{number}" for number in range(200)])

    server.thaw()


async def test_the_stream_has_the_shape_that_loses_no_wake_up(
    nudges: Nudges, server: NatsServer
) -> None:
    server.start()
    await publish_until_kept(nudges, server, "alice")
    client = await nats.connect(server.url)

    config = (await client.jetstream().stream_info("EXECUTION")).config

    await client.close()
    assert (config.retention, config.storage, config.discard) == ("workqueue", "memory", "old")
    assert (config.max_msgs_per_subject, config.duplicate_window) == (1, 1)
    assert not config.discard_new_per_subject
    assert config.num_replicas == 1


async def test_a_stream_that_cannot_be_brought_to_that_shape_is_made_anew(
    nudges: Nudges, server: NatsServer
) -> None:
    server.start()
    client = await nats.connect(server.url)
    await client.jetstream().add_stream(name="EXECUTION", subjects=["execution.*.*"])

    async def is_in_memory() -> bool:
        await nudges.publish(["alice"])
        with suppress(NotFoundError):  # it is just being made anew
            config = (await client.jetstream().stream_info("EXECUTION")).config
            return bool(config.storage == "memory")
        return False

    await until(is_in_memory)
    await client.close()


async def test_all_nudges_of_a_call_are_kept(nudges: Nudges, server: NatsServer) -> None:
    server.start()
    await publish_until_kept(nudges, server, "alice")
    customers = [f"customer-{number}" for number in range(300)]

    await nudges.publish(customers)

    assert set(map(NudgeStream().subject, customers)) < set(await kept(server))
