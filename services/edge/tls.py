"""How TLS is spoken at the customers' door, if it is."""

from typing import Any

from services.edge.filters import typed
from services.edge.settings import Settings

_TLS = "envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext"


def over_tls(settings: Settings) -> dict[str, Any]:
    """What a filter chain needs besides its filters; nothing, where there is no certificate."""
    if not settings.tls_certificate_file:
        return {}
    certificate = {
        "certificate_chain": {"filename": settings.tls_certificate_file},
        "private_key": {"filename": settings.tls_key_file},
    }
    common = {
        "tls_params": {"tls_minimum_protocol_version": "TLSv1_2"},
        "alpn_protocols": ["h2", "http/1.1"],
        "tls_certificates": [certificate],
    }
    return {
        "transport_socket": {
            "name": "envoy.transport_sockets.tls",
            "typed_config": typed(_TLS, common_tls_context=common),
        }
    }
