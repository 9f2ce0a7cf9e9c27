"""A tape is read as it was written, and what cannot be is named."""

from pathlib import Path

import pytest

from libs import tape
from stockbroker.exchange.v1 import exchange_control_service_pb2 as pb
from tests.exchange_simulator.conditions import COMMANDS, SEED, needs_data

HEADER = "row,t,cmd,order_id,side,price_e4,qty\n"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "tape.csv"


def test_a_row_becomes_a_command(path: Path) -> None:
    path.write_text(HEADER + "1,34200.004241176,NEW,SA5,S,5859400,200\n2,34200.5,CANCEL,7,B,1,9\n")

    first, second = tape.read_commands(path)

    assert first == pb.TapeCommand(
        kind=pb.TapeCommand.KIND_NEW,
        at_nanos=34_200_004_241_176,
        order=pb.RestingOrder(
            order_id=int("SA5", 36), is_bid=False, quantity=200, price_micros=585_940_000
        ),
    )
    assert second.kind == pb.TapeCommand.KIND_DELETE
    assert second.at_nanos == 34_200_500_000_000
    assert second.order.is_bid


@needs_data
def test_the_real_seed_and_tape_are_read_whole_and_ids_stay_apart() -> None:
    seed, commands = tape.read_seed(SEED), list(tape.read_commands(COMMANDS))

    assert (len(seed), len(commands)) == (89, 19632)
    new = [c.order.order_id for c in commands if c.kind == pb.TapeCommand.KIND_NEW]
    ids = new + [order.order_id for order in seed]
    assert len(set(ids)) == len(ids)
    times = [command.at_nanos for command in commands]
    assert times == sorted(times)


@pytest.mark.parametrize(
    "row",
    [
        "1,34200,JUMP,1,B,1,1",
        "1,34200,NEW,1,X,1,1",
        "1,34200,NEW,,B,1,1",
        "1,34200,NEW,a-b,B,1,1",
        "1,34200,NEW,1234567890123,B,1,1",
        "1,34200,NEW,1,B,1.5,1",
        "1,noon,NEW,1,B,1,1",
        "1,34200,NEW,1,B",
    ],
)
def test_a_row_that_makes_no_sense_is_named(path: Path, row: str) -> None:
    path.write_text(f"{HEADER}1,34200,NEW,1,B,1,1\n{row}\n")

    with pytest.raises(ValueError, match=r"tape\.csv line 3: "):
        list(tape.read_commands(path))


def test_a_tape_goes_out_in_messages_of_a_size() -> None:
    commands = [pb.TapeCommand(at_nanos=n) for n in range(5)]

    messages = list(tape.requests(commands, symbol="AAPL", speed_millis=1000, size=2))

    assert [len(message.commands) for message in messages] == [2, 2, 1]
    assert [message.symbol for message in messages] == ["AAPL", "", ""]
    assert [c for message in messages for c in message.commands] == commands


def test_an_empty_tape_still_names_its_symbol() -> None:
    (message,) = tape.requests([], symbol="AAPL", speed_millis=0)

    assert message.symbol == "AAPL"
