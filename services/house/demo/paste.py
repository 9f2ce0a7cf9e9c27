"""What to type next."""

from libs.auth import Role, Signer

_TOKEN_SECONDS = 12 * 3600


def next_steps(*, public: str, operators: str, signer: Signer) -> str:
    """Addresses, tokens and commands, ready to be pasted into a shell in this folder."""
    customer = signer.mint("alice", Role.CUSTOMER, _TOKEN_SECONDS)
    operator = signer.mint("operator", Role.OPERATOR, _TOKEN_SECONDS)
    order = '{"symbol": "AAPL", "side": "SIDE_BUY", "quantity": 1}'
    place = "stockbroker.order.v1.OrderService/PlaceTrade"
    watch = "stockbroker.order.v1.OrderService/WatchTrades"
    proto = "stockbroker/order/v1/order_service.proto"
    return f"""\
customers (gRPC, gRPC-web)   http://{public}
operators                    http://{operators}

With the command line:
  .venv/bin/stockbroker place AAPL buy 10 --as alice
  .venv/bin/stockbroker trades --as alice
  .venv/bin/stockbroker portfolio --as alice
  .venv/bin/stockbroker market quotes
  .venv/bin/stockbroker status

With tokens that are good for 12 hours (`.venv/bin/stockbroker token alice` makes more):
  export TOKEN={customer}
  export OPERATOR_TOKEN={operator}

  .venv/bin/buf curl --protocol grpc --http2-prior-knowledge --schema protos \\
    -H "authorization: Bearer $TOKEN" -d '{order}' http://{public}/{place}
  .venv/bin/buf curl --protocol grpcweb --schema protos \\
    -H "authorization: Bearer $TOKEN" -d '{{"after_seq": 0}}' http://{public}/{watch}
  .venv/bin/buf curl --protocol grpc --http2-prior-knowledge --list-methods \\
    --reflect-header "authorization: Bearer $OPERATOR_TOKEN" http://{operators}
  grpcurl -plaintext -import-path protos -proto {proto} \\
    -H "authorization: Bearer $TOKEN" -d '{order}' {public} {place}
  grpcurl -plaintext -H "authorization: Bearer $OPERATOR_TOKEN" {operators} list"""
