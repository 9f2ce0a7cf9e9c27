"""How fast it is: each figure as a ratio to something else that the same machine did just then.

    make bench                             everything
    make bench OPTIONS="--only ledger"     one suite

A ratio is taken within one round: the floor, all that is compared with it, the floor again. Others
at work on the machine change it less than they change the figures, but the floor has many
processes and the ledger two, so on a busy machine it has the larger share: look at the CPU too.

A suite is a module with a function that measures rows; `main` lists the suites.
"""

import os

# Else gRPC says on stderr, at every program that is started, that it cannot follow into it.
os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "0")
# The proxy by which packages are fetched is no way to what is measured.
os.environ.setdefault("no_grpc_proxy", "127.0.0.1")
