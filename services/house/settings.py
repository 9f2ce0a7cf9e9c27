"""The house's settings."""

from typing import Annotated

import msgspec

MOST_PROCESSES = 8  # of a service that has several
Port = Annotated[int, msgspec.Meta(ge=0, le=65535)]


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """Read from the environment, each with the prefix STOCKBROKER_."""

    data_folder: Annotated[
        str,
        msgspec.Meta(min_length=1, description="Where everything is kept that outlives a run."),
    ] = ".stockbroker"
    public_port: Annotated[
        Port, msgspec.Meta(description="Customers' door on 127.0.0.1; 0: a free port.")
    ] = 7400
    operators_port: Annotated[
        Port, msgspec.Meta(description="Operators' door on 127.0.0.1; 0: a free port.")
    ] = 7401
    inner_port: Annotated[
        int,
        msgspec.Meta(
            ge=0,
            le=65535 - 31,
            description="First of the 32 ports of everything behind; 0: free ports.",
        ),
    ] = 7410
    routes: Annotated[
        str,
        msgspec.Meta(description="A file with other ways between the parts, for drills of faults."),
    ] = ""
    order_processes: Annotated[
        int, msgspec.Meta(ge=1, le=MOST_PROCESSES, description="Processes of the order service.")
    ] = 1
    execution_workers: Annotated[
        int,
        msgspec.Meta(ge=1, le=MOST_PROCESSES, description="Processes of the execution service."),
    ] = 1
    postgres_shared_buffers_mb: Annotated[
        int, msgspec.Meta(ge=16, le=65_536, description="PostgreSQL's own cache.")
    ] = 256
    postgres_max_wal_size_mb: Annotated[
        int, msgspec.Meta(ge=128, le=1_048_576, description="WAL between two checkpoints.")
    ] = 4096
    postgres_max_connections: Annotated[
        int, msgspec.Meta(ge=50, le=5000, description="Connections PostgreSQL takes.")
    ] = 200
    start_seconds: Annotated[
        int, msgspec.Meta(ge=5, le=3600, description="How long a part may take to get ready.")
    ] = 120
