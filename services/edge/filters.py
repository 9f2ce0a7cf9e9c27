"""The HTTP filters of a door, in the order a call meets them."""

from typing import Any

from libs.auth import Role
from services.edge.doors import BACK_ENDS_METHODS, Method
from services.edge.settings import Settings

_HTTP = "envoy.extensions.filters.http"
JWT = "envoy.filters.http.jwt_authn"
_CLOCK_SKEW_SECONDS = 10
_LONGEST_TOKEN_SECONDS = 86_400
_CUSTOMERS_COUNTED = 50_000
_TOKENS_KNOWN = 10_000  # of each kind of caller
_MOST_PLACING = 10_000
HEALTH_PREFIX = "/grpc.health.v1.Health/"


def typed(kind: str, **fields: Any) -> dict[str, Any]:
    """An Any of Envoy's configuration; `kind` is the full name of its message."""
    return {"@type": f"type.googleapis.com/{kind}", **fields}


def customers_filters(settings: Settings, methods: list[Method]) -> list[dict[str, Any]]:
    """For apps: limits for all together and for each customer; the listed methods only."""
    return [
        *_before_the_token(),
        _limit("everybody", settings.calls_per_second),
        _token(settings, Role.CUSTOMER, Role.BACK_END, open_prefixes=()),
        _limit_per_customer(settings),
        _only(
            {
                "customers": _policy(Role.CUSTOMER, [method.path for method in methods]),
                "back-ends": _policy(Role.BACK_END, sorted(BACK_ENDS_METHODS)),
            }
        ),
        _filter("fault", "HTTPFault"),
        _pressure(settings),
        *_after_the_token(),
    ]


def operators_filters(settings: Settings) -> list[dict[str, Any]]:
    """For operators: everything; health without a token, for the probes of a platform."""
    health = {
        "permissions": [{"url_path": {"path": {"prefix": HEALTH_PREFIX}}}],
        "principals": [{"any": True}],
    }
    return [
        *_before_the_token(),
        _token(settings, Role.OPERATOR, open_prefixes=(HEALTH_PREFIX,)),
        _only({"health": health, "operators": _policy(Role.OPERATOR, None)}),
        _filter("fault", "HTTPFault"),
        *_after_the_token(),
    ]


def _before_the_token() -> list[dict[str, Any]]:
    """Envoy's own health, CORS (a preflight bears no token), and gRPC-web made into gRPC."""
    healthz = {"name": ":path", "string_match": {"exact": "/healthz"}}
    return [
        _filter("health_check", "HealthCheck", pass_through_mode=False, headers=[healthz]),
        _filter("cors", "Cors"),
        _filter("grpc_web", "GrpcWeb"),
    ]


def _after_the_token() -> list[dict[str, Any]]:
    return [
        _filter("grpc_stats", "FilterConfig", emit_filter_state=True, enable_upstream_stats=True),
        _filter("router", "Router"),
    ]


def _filter(name: str, kind: str, **fields: Any) -> dict[str, Any]:
    return {
        "name": f"envoy.filters.http.{name}",
        "typed_config": typed(f"{_HTTP}.{name}.v3.{kind}", **fields),
    }


def _pressure(settings: Settings) -> dict[str, Any]:
    """As many calls at a time as are answered soon enough; routes turn it off but for placing."""
    rules = {
        "sample_aggregate_percentile": {"value": 90},
        "concurrency_limit_params": {
            "max_concurrency_limit": _MOST_PLACING,
            "concurrency_update_interval": "0.1s",
        },
        "min_rtt_calc_params": {
            "fixed_value": f"{settings.placing_ms / 1000}s",
            "min_concurrency": settings.placing_at_once,
            "buffer": {"value": 0},
        },
    }
    return _filter(
        "adaptive_concurrency",
        "AdaptiveConcurrency",
        gradient_controller_config=rules,
        concurrency_limit_exceeded_status={"code": "TooManyRequests"},
    )


def no_pressure() -> dict[str, Any]:
    """Of a route whose calls are neither counted nor turned away."""
    off = typed("envoy.config.route.v3.FilterConfig", disabled=True, config={})
    return {"envoy.filters.http.adaptive_concurrency": off}


def refused(http_status: int) -> dict[str, Any]:
    """Of a route whose calls end here."""
    abort = {"http_status": http_status, "percentage": {"numerator": 100}}
    return {"envoy.filters.http.fault": typed(f"{_HTTP}.fault.v3.HTTPFault", abort=abort)}


def _token(settings: Settings, *roles: Role, open_prefixes: tuple[str, ...]) -> dict[str, Any]:
    """Takes only tokens made for callers of these kinds. The services check them once more."""
    issuer, jwks_file = settings.people()
    provider = {
        "issuer": issuer,
        "audiences": [role.value for role in roles],
        # Left unsaid, Envoy takes one out of the URL too, which logs and histories keep.
        "from_headers": [{"name": "Authorization", "value_prefix": "Bearer "}],
        "forward": True,
        "require_expiration": True,
        "max_lifetime": f"{_LONGEST_TOKEN_SECONDS}s",
        "clock_skew_seconds": _CLOCK_SKEW_SECONDS,
        "payload_in_metadata": "payload",
        # By their exact words; each is looked at for its end. Others' signatures are checked.
        "jwt_cache_config": {"jwt_cache_size": _TOKENS_KNOWN},
        "local_jwks": {"filename": jwks_file},
    }
    rules: list[dict[str, Any]] = [{"match": {"prefix": prefix}} for prefix in open_prefixes]
    rules.append({"match": {"prefix": "/"}, "requires": {"provider_name": "house"}})
    return _filter("jwt_authn", "JwtAuthentication", providers={"house": provider}, rules=rules)


def _policy(role: Role, paths: list[str] | None) -> dict[str, Any]:
    """Callers of this kind may call `paths`; None: anything."""
    exact = {"string_match": {"exact": role.value}}
    one_of = {"list_match": {"one_of": exact}}
    audience = {
        "filter": JWT,
        "path": [{"key": "payload"}, {"key": "aud"}],
        "value": {"or_match": {"value_matchers": [exact, one_of]}},
    }
    permissions: list[dict[str, Any]] = [{"any": True}]
    if paths is not None:
        permissions = [{"url_path": {"path": {"exact": path}}} for path in paths]
    return {
        "permissions": permissions,
        "principals": [{"sourced_metadata": {"metadata_matcher": audience}}],
    }


def _only(policies: dict[str, Any]) -> dict[str, Any]:
    return _filter("rbac", "RBAC", rules={"action": "ALLOW", "policies": policies})


def _limit(name: str, per_second: int) -> dict[str, Any]:
    """A bucket that holds one second's worth of calls."""
    always = {"default_value": {"numerator": 100}}
    return {
        "name": name,
        "typed_config": typed(
            f"{_HTTP}.local_ratelimit.v3.LocalRateLimit",
            stat_prefix=name,
            token_bucket=_bucket(per_second),
            filter_enabled=always,
            filter_enforced=always,
            rate_limited_as_resource_exhausted=True,
        ),
    }


def _limit_per_customer(settings: Settings) -> dict[str, Any]:
    """A bucket for each of the customers seen last; a new one begins full."""
    per_second = settings.customer_calls_per_second
    limit = _limit("per_customer", per_second)
    by_customer = {
        "descriptor_key": "customer",
        "metadata_key": {
            "key": JWT,
            "path": [{"key": "payload"}, {"key": settings.identity_claim}],
        },
        "source": "DYNAMIC",
        "skip_if_absent": True,
    }
    limit["typed_config"] |= {
        # What bears no customer meets no bucket here: a million is as good as none.
        "token_bucket": _bucket(1_000_000),
        "max_dynamic_descriptors": _CUSTOMERS_COUNTED,
        "rate_limits": [{"actions": [{"metadata": by_customer}]}],
        "descriptors": [{"entries": [{"key": "customer"}], "token_bucket": _bucket(per_second)}],
        "enable_x_ratelimit_headers": "DRAFT_VERSION_03",
    }
    return limit


def _bucket(per_second: int) -> dict[str, Any]:
    return {"max_tokens": per_second, "tokens_per_fill": per_second, "fill_interval": "1s"}
