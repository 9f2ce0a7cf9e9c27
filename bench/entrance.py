"""Envoy as the house runs it, before any server, with a certificate or without."""

import datetime
import http.client
import ipaddress
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from libs.embedded import CannotRun, free_port
from libs.embedded.child import stop

_HOST = "127.0.0.1"
_START_SECONDS = 60.0
_STOP_SECONDS = 10.0
_UPSTREAMS = ("order", "ledger", "execution", "gateway", "exchange", "reconciliation")
# The load is the benchmark's own to choose.
_UNLIMITED = {
    "calls_per_second": "1000000",
    "customer_calls_per_second": "1000000",
    "placing_at_once": "10000",
}
Files = tuple[Path, Path]  # a certificate and its key


@contextmanager
def running(
    command: Sequence[str], environment: dict[str, str] | None = None, *, is_read: bool = True
) -> Iterator["subprocess.Popen[str]"]:
    """A program that runs meanwhile; what it prints can be read, or goes nowhere."""
    process = subprocess.Popen(
        command,
        cwd=Path(__file__).parents[1],
        env={**os.environ, **(environment or {})},
        stdout=subprocess.PIPE if is_read else subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    with process:
        try:
            yield process
        finally:
            stop(process, seconds=_STOP_SECONDS)


@contextmanager
def entrance(
    folder: Path, jwks_file: Path, upstream: str, files: Files | None
) -> Iterator[tuple[str, int]]:
    """The customers' door: its address and its process. Raises CannotRun."""
    address, admin = f"{_HOST}:{free_port()}", free_port()
    told = {
        "jwks_file": str(jwks_file),
        "listen": address,
        "operators_listen": f"{_HOST}:{free_port()}",
        "admin_listen": f"{_HOST}:{admin}",
        "config_file": str(folder / "envoy.yaml"),
        **{f"{name}_address": upstream for name in _UPSTREAMS},
        **_UNLIMITED,
    }
    if files is not None:
        told |= {"tls_certificate_file": str(files[0]), "tls_key_file": str(files[1])}
    environment = {f"STOCKBROKER_{name.upper()}": value for name, value in told.items()}
    command = [sys.executable, "-m", "services.edge.main"]
    with running(command, environment, is_read=False) as process:
        _wait(process, admin)
        yield address, process.pid


def certificate(folder: Path) -> Files:
    """Of this machine's own address, signed by itself."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, _HOST)])
    now = datetime.datetime.now(datetime.UTC)
    owner = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(_HOST))])
    built = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(owner, critical=False)
        .sign(key, hashes.SHA256())
    )
    certificate_file, key_file = folder / "door.crt", folder / "door.key"
    certificate_file.write_bytes(built.public_bytes(serialization.Encoding.PEM))
    key_file.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return certificate_file, key_file


def _wait(process: "subprocess.Popen[str]", admin_port: int) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while process.poll() is None and time.monotonic() < deadline:
        connection = http.client.HTTPConnection(_HOST, admin_port, timeout=2)
        with suppress(OSError, http.client.HTTPException), closing(connection):
            connection.request("GET", "/ready")
            if connection.getresponse().status == http.HTTPStatus.OK:
                return
        time.sleep(0.05)
    raise CannotRun("Envoy did not get ready")
