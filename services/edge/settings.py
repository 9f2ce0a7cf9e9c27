"""The gateway's settings."""

from typing import Annotated

import msgspec

from libs.believed import Believed

_LOCAL_ORIGINS = "http://localhost(:[0-9]+)?,http://127[.]0[.]0[.]1(:[0-9]+)?"


class Settings(Believed, frozen=True, kw_only=True):
    """Read from the environment, each with the prefix STOCKBROKER_."""

    order_address: Annotated[
        str, msgspec.Meta(description="The order service, host:port; several by comma.")
    ]
    ledger_address: Annotated[str, msgspec.Meta(description="The ledger service, host:port.")]
    execution_address: Annotated[str, msgspec.Meta(description="The execution service, host:port.")]
    gateway_address: Annotated[str, msgspec.Meta(description="The exchange gateway, host:port.")]
    exchange_address: Annotated[str, msgspec.Meta(description="The exchange simulator, host:port.")]
    reconciliation_address: Annotated[
        str, msgspec.Meta(description="The reconciliation service, host:port.")
    ]
    listen: Annotated[str, msgspec.Meta(description="Customers' door, host:port.")] = (
        "127.0.0.1:8080"
    )
    tls_certificate_file: Annotated[
        str,
        msgspec.Meta(
            description="Certificates of the customers' door, PEM, its own first; empty: no TLS."
        ),
    ] = ""
    tls_key_file: Annotated[
        str, msgspec.Meta(description="The private key of that certificate, PEM.")
    ] = ""
    operators_listen: Annotated[str, msgspec.Meta(description="Operators' door, host:port.")] = (
        "127.0.0.1:8081"
    )
    admin_listen: Annotated[
        str, msgspec.Meta(description="Envoy's own pages (/ready, /stats), host:port; keep it in.")
    ] = "127.0.0.1:9901"
    calls_per_second: Annotated[
        int, msgspec.Meta(ge=1, description="Calls through the customers' door, per second.")
    ] = 10_000
    customer_calls_per_second: Annotated[
        int, msgspec.Meta(ge=1, description="Calls of one customer, per second.")
    ] = 200
    placing_ms: Annotated[
        int, msgspec.Meta(ge=1, description="How long nine of ten calls of PlaceTrade are to take.")
    ] = 80
    placing_at_once: Annotated[
        int, msgspec.Meta(ge=1, description="Calls of PlaceTrade that are always let in at a time.")
    ] = 100
    call_timeout_seconds: Annotated[
        int, msgspec.Meta(ge=1, le=3600, description="Longest time a call takes, streams excepted.")
    ] = 15
    cors_origins: Annotated[
        str, msgspec.Meta(description="Web origins that may call: regular expressions, by comma.")
    ] = _LOCAL_ORIGINS
    connections: Annotated[
        int, msgspec.Meta(ge=1, description="Connections from outside at a time.")
    ] = 100_000
    concurrency: Annotated[
        int, msgspec.Meta(ge=1, le=64, description="Worker threads of Envoy.")
    ] = 1
    config_file: Annotated[
        str, msgspec.Meta(description="Where the configuration is written for Envoy to read.")
    ] = "/tmp/stockbroker-envoy.yaml"

    def __post_init__(self) -> None:
        super().__post_init__()
        if bool(self.tls_certificate_file) != bool(self.tls_key_file):
            raise ValueError("TLS needs both TLS_CERTIFICATE_FILE and TLS_KEY_FILE")
