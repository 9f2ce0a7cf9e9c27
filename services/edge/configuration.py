"""Envoy's whole configuration as plain data: two doors, a cluster per service."""

import ipaddress
from typing import Any

from libs.rpc.doorkeeper import BYTES_SENT
from services.edge.doors import (
    CONTRACTS,
    PLACING_METHOD,
    Method,
    customers_methods,
    health_name,
    operators_methods,
)
from services.edge.filters import (
    HEALTH_PREFIX,
    JWT,
    customers_filters,
    no_pressure,
    operators_filters,
    typed,
)
from services.edge.malformed import turned_away
from services.edge.refusals import ASKED_AS_HEADER, local_replies
from services.edge.settings import Settings
from services.edge.tls import over_tls

_HTTP_MANAGER = "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager"
_HTTP_PROTOCOL = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"
# No service looks at these, and gRPC ends a call when it cannot read one.
_UNHEARD = ".*-bin|grpc-previous-rpc-attempts|grpc-retry-pushback-ms|grpc-internal-encoding-request"
_IDLE_STREAM_SECONDS = 3600  # streams tell a sign of life long before
_MAX_STREAMS_PER_CONNECTION = 1000
# To a service: where many calls come at once there are several connections, and a service that
# accepts calls by connection (see `libs.rpc.RpcServer`) accepts several at a time.
_CALLS_OF_A_CONNECTION = 16
_BUFFER_BYTES = 1 << 20
_NO_LIMIT = 1_000_000
# Refused by a service: it says so itself. Called too often: counted only, or the log would flood.
_LOGGED = [
    "UNAUTHENTICATED",
    "PERMISSION_DENIED",
    "UNIMPLEMENTED",
    "DEADLINE_EXCEEDED",
    "UNAVAILABLE",
    "INTERNAL",
]
# Says which service answers health and reflection, which every service has.
SERVICE_HEADER = "x-service"
_OF_EVERY_SERVICE = (HEALTH_PREFIX, "/grpc.reflection.")


def configuration(settings: Settings) -> dict[str, Any]:
    """What Envoy is to do, in the words of its own configuration."""
    customers, operators = customers_methods(), operators_methods()
    upstreams = dict.fromkeys(CONTRACTS.values())
    return {
        "admin": {"address": _address(settings.admin_listen)},
        "overload_manager": _overload_manager(settings.connections),
        "static_resources": {
            "listeners": [
                _listener(
                    "customers",
                    settings.listen,
                    _door(
                        settings,
                        routes=[
                            *map(_unpressed, turned_away("order")),
                            *(_unpressed(_route(method, settings)) for method in customers),
                        ],
                        filters=customers_filters(settings, customers),
                    ),
                    over_tls(settings),
                ),
                _listener(
                    "operators",
                    settings.operators_listen,
                    _door(
                        settings,
                        routes=[
                            *turned_away("order"),
                            *(_route(method, settings) for method in operators),
                            *_routes_of_every_service(list(upstreams)),
                        ],
                        filters=operators_filters(settings),
                    ),
                    {},
                ),
            ],
            "clusters": [
                _cluster(name, getattr(settings, f"{name}_address")) for name in upstreams
            ],
        },
    }


def _listener(
    name: str, listen: str, http: dict[str, Any], transport: dict[str, Any]
) -> dict[str, Any]:
    manager = {
        "name": "envoy.filters.network.http_connection_manager",
        "typed_config": typed(_HTTP_MANAGER, stat_prefix=name, **http),
    }
    return {
        "name": name,
        "address": _address(listen),
        "per_connection_buffer_limit_bytes": _BUFFER_BYTES,
        "filter_chains": [{"filters": [manager], **transport}],
    }


def _door(
    settings: Settings, *, routes: list[dict[str, Any]], filters: list[dict[str, Any]]
) -> dict[str, Any]:
    """How HTTP is spoken at a door."""
    host = {
        "name": "house",
        "domains": ["*"],
        "typed_per_filter_config": {"envoy.filters.http.cors": _cors(settings.cors_origins)},
        "routes": routes,
    }
    return {
        "use_remote_address": True,
        "generate_request_id": True,
        "normalize_path": True,
        "common_http_protocol_options": {
            "idle_timeout": "300s",
            "headers_with_underscores_action": "DROP_HEADER",
        },
        "stream_idle_timeout": "0s",
        "request_headers_timeout": "5s",
        "http2_protocol_options": {"max_concurrent_streams": _MAX_STREAMS_PER_CONNECTION},
        "early_header_mutation_extensions": [_first_of_all()],
        "access_log": [_access_log(settings.identity_claim)],
        "local_reply_config": local_replies(),
        "route_config": {"name": "house", "virtual_hosts": [host]},
        "http_filters": filters,
    }


def _first_of_all() -> dict[str, Any]:
    """What the caller wrote and is not to be heard, and what is to be known of it later."""
    kind = "envoy.extensions.http.early_header_mutation.header_mutation.v3.HeaderMutation"
    asked_as = {
        "header": {"key": ASKED_AS_HEADER, "value": "%REQ(CONTENT-TYPE)%"},
        "append_action": "OVERWRITE_IF_EXISTS_OR_ADD",
    }
    # Left out where it is compressed; gRPC-web is made gRPC on the way, and loses its length.
    bytes_sent = {
        "header": {"key": BYTES_SENT, "value": "%REQ(GRPC-ENCODING?CONTENT-LENGTH)%"},
        "append_action": "OVERWRITE_IF_EXISTS_OR_ADD",
    }
    unheard = {"key_matcher": {"safe_regex": {"regex": _UNHEARD}}}
    mutations = [
        {"remove_on_match": unheard},
        {"append": asked_as},
        {"append": bytes_sent},
    ]
    return {"name": "first-of-all", "typed_config": typed(kind, mutations=mutations)}


def _cors(origins: str) -> dict[str, Any]:
    return typed(
        "envoy.extensions.filters.http.cors.v3.CorsPolicy",
        allow_origin_string_match=[{"safe_regex": {"regex": part}} for part in origins.split(",")],
        allow_methods="GET, POST, OPTIONS",
        allow_headers="authorization,content-type,grpc-timeout,traceparent,x-grpc-web,"
        "x-request-id,x-user-agent",
        expose_headers="grpc-message,grpc-status,grpc-status-details-bin,retry-after,x-request-id",
        max_age="7200",
    )


def _route(method: Method, settings: Settings) -> dict[str, Any]:
    """An exact path. A gRPC matcher would not match gRPC-web, which is made gRPC only later."""
    action: dict[str, Any] = {"cluster": method.upstream}
    if method.is_stream:
        action |= _stream_limits()
    else:
        # grpc.aio never answers a unary call that brings no message: this ends it.
        limit = f"{settings.call_timeout_seconds}s"
        action |= {
            "timeout": limit,
            "max_stream_duration": {"max_stream_duration": limit, "grpc_timeout_header_max": limit},
            # Only what has not been sent is sent again.
            "retry_policy": {
                "retry_on": "connect-failure,refused-stream,reset-before-request",
                "num_retries": 4,
                "retry_back_off": {"base_interval": "0.1s", "max_interval": "1s"},
            },
        }
    return {"match": {"path": method.path}, "route": action}


def _unpressed(route: dict[str, Any]) -> dict[str, Any]:
    """Only calls that place a trade are turned away when they take long."""
    if route["match"].get("path") == PLACING_METHOD:
        return route
    return {
        **route,
        "typed_per_filter_config": {**route.get("typed_per_filter_config", {}), **no_pressure()},
    }


def _stream_limits() -> dict[str, Any]:
    return {
        "timeout": "0s",
        "idle_timeout": f"{_IDLE_STREAM_SECONDS}s",
        "max_stream_duration": {"max_stream_duration": "0s", "grpc_timeout_header_max": "0s"},
    }


def _routes_of_every_service(upstreams: list[str]) -> list[dict[str, Any]]:
    """Health and reflection of the service named by a header; of the first when none is."""
    routes: list[dict[str, Any]] = []
    for prefix in _OF_EVERY_SERVICE:
        for upstream in upstreams:
            header = {"name": SERVICE_HEADER, "string_match": {"exact": upstream}}
            match = {"prefix": prefix, "headers": [header]}
            routes.append({"match": match, "route": {"cluster": upstream, **_stream_limits()}})
        absent = {"name": SERVICE_HEADER, "present_match": False}
        match = {"prefix": prefix, "headers": [absent]}
        routes.append({"match": match, "route": {"cluster": upstreams[0], **_stream_limits()}})
    return routes


def _cluster(name: str, addresses: str) -> dict[str, Any]:
    """`addresses`: one or several, by comma."""
    hosts = addresses.split(",")
    http2 = {
        "connection_keepalive": {"interval": "30s", "timeout": "5s"},
        "max_concurrent_streams": _CALLS_OF_A_CONNECTION,
    }
    check = {
        "timeout": "1s",
        "interval": "2s",
        "no_traffic_interval": "2s",
        "unhealthy_interval": "0.5s",
        "unhealthy_threshold": 2,
        "healthy_threshold": 1,
        "grpc_health_check": {"service_name": health_name(name)},
    }
    bounds = ("max_connections", "max_pending_requests", "max_requests", "max_retries")
    endpoints = [{"endpoint": {"address": _address(host)}} for host in hosts]
    return {
        "name": name,
        "type": "STATIC" if all(map(_is_literal, hosts)) else "STRICT_DNS",
        "connect_timeout": "1s",
        "lb_policy": "LEAST_REQUEST",
        "typed_extension_protocol_options": {
            _HTTP_PROTOCOL: typed(
                _HTTP_PROTOCOL, explicit_http_config={"http2_protocol_options": http2}
            ),
        },
        # Each open stream counts as a request, and there are many watchers.
        "circuit_breakers": {"thresholds": [dict.fromkeys(bounds, _NO_LIMIT)]},
        "health_checks": [check],
        "load_assignment": {"cluster_name": name, "endpoints": [{"lb_endpoints": endpoints}]},
    }


def _access_log(claim: str) -> dict[str, Any]:
    """A line for each call turned away or broken off; the services tell about the others."""
    kind = "envoy.extensions.access_loggers.stream.v3.StdoutAccessLog"
    line = {
        "timestamp": "%START_TIME%",
        "event": "call_failed",
        "service": "edge",
        "method": "%PATH(NQ:PATH)%",  # what stands in a query may be a secret
        "http": "%RESPONSE_CODE%",
        "grpc": "%GRPC_STATUS(SNAKE_STRING)%",
        "why": "%RESPONSE_CODE_DETAILS%",
        "caller": f"%CEL(metadata.filter_metadata['{JWT}'].payload['{claim}'])%",
        "trace_id": "%REQ(X-REQUEST-ID)%",
        "ms": "%DURATION%",
    }
    failed = {"grpc_status_filter": {"statuses": _LOGGED}}
    return {
        "name": "envoy.access_loggers.stdout",
        "filter": failed,
        "typed_config": typed(kind, log_format={"json_format": line}),
    }


def _overload_manager(connections: int) -> dict[str, Any]:
    name = "envoy.resource_monitors.global_downstream_max_connections"
    kind = (
        "envoy.extensions.resource_monitors.downstream_connections.v3.DownstreamConnectionsConfig"
    )
    limit = typed(kind, max_active_downstream_connections=connections)
    return {"resource_monitors": [{"name": name, "typed_config": limit}]}


def _address(host_and_port: str) -> dict[str, Any]:
    host, _, port = host_and_port.rpartition(":")
    return {"socket_address": {"address": host.strip("[]"), "port_value": int(port)}}


def _is_literal(address: str) -> bool:
    """Whether it names an IP address, which needs no look-up."""
    try:
        ipaddress.ip_address(address.rpartition(":")[0].strip("[]"))
    except ValueError:
        return False
    return True
