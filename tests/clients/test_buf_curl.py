"""`buf curl`, a tool that knows nothing of us, in both protocols through both doors."""

import base64
import json
import subprocess
import sys
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from google.rpc import error_details_pb2

from tests.support.house import ROOT, House

pytestmark = pytest.mark.xdist_group("house")

BUF = Path(sys.executable).with_name("buf")
ORDERS = "stockbroker.order.v1.OrderService"
PROTOCOLS = {
    "grpc": ("--protocol", "grpc", "--http2-prior-knowledge"),
    "grpcweb": ("--protocol", "grpcweb"),
}
SECONDS = 60


def _command(*options: str, url: str, token: str, data: str = "") -> list[str]:
    command = [str(BUF), "curl", *options, "-H", f"authorization: Bearer {token}"]
    if data:
        command += ["-d", data]
    return [*command, f"http://{url}"]


def _call(*options: str, url: str, token: str, data: str = "") -> Any:
    """The answer of a unary call."""
    command = _command(*options, url=url, token=token, data=data)
    result = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, timeout=SECONDS, check=False
    )
    assert result.returncode == 0, result.stderr
    return json.loads(result.stdout)


def _refusal(*options: str, url: str, token: str, data: str = "") -> Any:
    """The error of a call that is refused."""
    command = _command(*options, url=url, token=token, data=data)
    result = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, timeout=SECONDS, check=False
    )
    assert result.returncode != 0
    return json.loads(result.stderr)


@contextmanager
def _stream(*options: str, url: str, token: str, data: str) -> Iterator[Iterator[Any]]:
    """The messages of a stream, which is hung up on in the end."""
    command = _command(*options, url=url, token=token, data=data)
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield _documents(process)
        finally:
            process.terminate()


def _documents(process: "subprocess.Popen[str]") -> Iterator[Any]:
    """JSON documents as they come, each on many lines that end with a brace alone."""
    assert process.stdout is not None
    text = ""
    for line in process.stdout:
        text += line
        if line.rstrip() in ("}", "{}"):
            yield json.loads(text)
            text = ""


@pytest.mark.parametrize("protocol", PROTOCOLS)
async def test_a_trade_is_placed_and_watched_to_its_end(house: House, protocol: str) -> None:
    customer = f"buf{uuid.uuid4().hex[:12]}"
    await house.endow(customer, cash=10**12)
    token = house.token(customer)
    options = (*PROTOCOLS[protocol], "--schema", "protos")
    order = '{"symbol": "KO", "side": "SIDE_BUY", "quantity": 3}'
    placed = _call(
        *options, url=f"{house.public_address}/{ORDERS}/PlaceTrade", token=token, data=order
    )
    assert placed["trade"]["status"] == "TRADE_STATUS_PLACED"
    statuses: list[str] = []
    url = f"{house.public_address}/{ORDERS}/WatchTrades"
    with _stream(*options, url=url, token=token, data='{"after_seq": 0}') as messages:
        for message in messages:
            if "event" in message:
                statuses.append(message["event"]["trade"]["status"])
            if statuses[-1:] == ["TRADE_STATUS_FILLED"]:
                break
    assert statuses[:2] == ["TRADE_STATUS_PLACED", "TRADE_STATUS_IN_PROGRESS"]


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_refusal_names_its_reason(house: House, protocol: str) -> None:
    refusal = _refusal(
        *(*PROTOCOLS[protocol], "--schema", "protos"),
        url=f"{house.public_address}/{ORDERS}/PlaceTrade",
        token=house.token("alice"),
        data='{"symbol": "KO", "side": "SIDE_BUY", "quantity": 0}',
    )
    assert refusal["code"] == "invalid_argument"
    (told,) = (one for one in refusal["details"] if one["type"] == "google.rpc.ErrorInfo")
    padded = told["value"] + "=" * (-len(told["value"]) % 4)
    info = error_details_pb2.ErrorInfo.FromString(base64.b64decode(padded))
    assert (info.reason, info.domain) == ("INVALID_QUANTITY", "stockbroker")


@pytest.mark.parametrize("reflection", ["grpc-v1", "grpc-v1alpha"])
def test_operators_need_no_contracts_at_hand(house: House, reflection: str) -> None:
    token = house.operator_token()
    options = (
        *PROTOCOLS["grpc"],
        *("--reflect-protocol", reflection),
        *("--reflect-header", f"authorization: Bearer {token}"),
    )
    url = f"{house.operators_address}/stockbroker.execution.v1.ExecutionService/GetStatus"
    assert _call(*options, url=url, token=token)["worker"]
    for kind, wanted in (("--list-services", ORDERS), ("--list-methods", f"{ORDERS}/PlaceTrade")):
        listed = subprocess.run(
            [str(BUF), "curl", *options, kind, f"http://{house.operators_address}"],
            capture_output=True,
            text=True,
            timeout=SECONDS,
            check=True,
        )
        assert wanted in listed.stdout.split()


def test_customers_cannot_list_what_there_is(house: House) -> None:
    header = f"authorization: Bearer {house.token('alice')}"
    for address in (house.public_address, house.operators_address):
        command = [str(BUF), "curl", *PROTOCOLS["grpc"], "--reflect-header", header]
        listed = subprocess.run(
            [*command, "--list-services", f"http://{address}"],
            capture_output=True,
            text=True,
            timeout=SECONDS,
            check=False,
        )
        assert listed.returncode != 0
        assert "stockbroker" not in listed.stdout
