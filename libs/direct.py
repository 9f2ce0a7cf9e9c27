"""What every channel of ours is told: the proxy by which packages are fetched is no way to a house.

It stands alone, for who checks the health of others begins in no time.
"""

DIRECT = ("grpc.enable_http_proxy", 0)
