"""The real parts on one machine without containers: PostgreSQL, NATS and Envoy out of wheels.

`Postgres` and `Nats` are plain blocking objects, for supervisors and for test fixtures alike:

    with Postgres(folder) as postgres:
        postgres.create_role_and_database("ledger")
        psycopg.connect(postgres.url("ledger"))

Every process started here dies with the thread that started it, however that one ends; start them
from a thread that lives as long as they shall (the main thread).
"""

from libs.embedded.child import CannotRun, Child
from libs.embedded.nats import Nats
from libs.embedded.nats_cluster import NatsCluster
from libs.embedded.ports import free_port
from libs.embedded.postgres import Postgres, Tuning

__all__ = ["CannotRun", "Child", "Nats", "NatsCluster", "Postgres", "Tuning", "free_port"]
