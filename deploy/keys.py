"""Makes the keys, tokens and passwords of a house, one folder per reader.

    python -m deploy.keys FOLDER

What lasts (the signing keys, the passwords) is made once and kept; what runs out (the services'
tokens) is made anew by every run, and running services read it again by themselves. In FOLDER:

    <service>/        jwks.json, pgpass and, if it calls others, service.token
    ledger/           seal.pem besides: the key that signs checkpoints
    kept/             empty: the ledger keeps the last checkpoint it signed there
    edge/             jwks.json
    databases/        <service>.password, superuser.password
    nats/             password
    cli/              signing.pem and house.json: whoever reads this can be anybody. ledger.pub,
                      which checkpoints verify with
    kustomization.yaml  all of it but cli/ as Kubernetes Secrets: `kubectl apply -k FOLDER`

For one machine and for a first cluster. A real house keeps its signing key where no service runs.
"""

import json
import os
import secrets
import sys
from pathlib import Path

import yaml

from libs.auth import Role, Signer, make_key
from libs.proof.checkpoint import SigningKey, read_signing_key

SERVICES = (
    "exchange_gateway",
    "exchange_simulator",
    "execution",
    "ledger",
    "order",
    "reconciliation",
)
CALLERS = ("exchange_gateway", "execution", "order", "reconciliation")
NAMESPACE = "stockbroker"
_SEAL_KEY = "seal.pem"
_TOKEN_SECONDS = 366 * 24 * 3600
# Names inside of docker-compose.yml's network.
_PUBLIC = "edge:8080"
_OPERATORS = "edge:8081"


def make(folder: Path, *, token_seconds: int = _TOKEN_SECONDS) -> None:
    """Make what is missing below `folder`, and every service's token anew."""
    jwks_file = folder / "cli" / "jwks.json"
    signer = Signer(_signing_key(jwks_file))
    _keep(folder / "databases" / "superuser.password", secrets.token_hex(24))
    _keep(folder / "nats" / "password", secrets.token_hex(24))
    for service in SERVICES:
        password = _keep(folder / "databases" / f"{service}.password", secrets.token_hex(24))
        mine = folder / service
        _write(mine / "pgpass", f"*:*:{service}:{service}:{password}\n")
        _write(mine / "jwks.json", jwks_file.read_text())
    for caller in CALLERS:
        token = signer.mint(caller, Role.SERVICE, token_seconds)
        _write(folder / caller / "service.token", token)
    _write(folder / "edge" / "jwks.json", jwks_file.read_text())
    seal_key = _seal_key(folder / "ledger" / _SEAL_KEY)
    (folder / "kept").mkdir(mode=0o700, exist_ok=True)
    _write(folder / "cli" / "ledger.pub", seal_key.public_key.hex() + "\n")
    _write(folder / "kustomization.yaml", _kustomization())


def _signing_key(jwks_file: Path) -> Path:
    """The key that signs every token; made together with its public half and the CLI's notes."""
    key_file = jwks_file.with_name("signing.pem")
    if not jwks_file.exists():  # written last: without it the key was never used
        jwks_file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        fresh = jwks_file.with_name("jwks.new")
        make_key(key_file, fresh)
        fresh.chmod(0o600)
        fresh.rename(jwks_file)
    house = {"public": _PUBLIC, "operators": _OPERATORS, "signing_key_file": str(key_file)}
    _write(jwks_file.with_name("house.json"), json.dumps(house, indent=1) + "\n")
    return key_file


def _seal_key(key_file: Path) -> SigningKey:
    """The key that signs the ledger's checkpoints."""
    if not key_file.exists():
        fresh, public = key_file.with_name("seal.new"), key_file.with_name("seal.pub")
        fresh.unlink(missing_ok=True)
        SigningKey.new().write(fresh, public)
        public.unlink()
        fresh.rename(key_file)
    return read_signing_key(key_file)


def _keep(path: Path, fresh: str) -> str:
    """What `path` holds; `fresh`, if it is not there yet."""
    if not path.exists():
        _write(path, fresh)
    return path.read_text()


def _write(path: Path, text: str) -> None:
    """Put `text` where a reader finds the old or the new one whole, and nobody else reads it."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    fresh = path.with_name(f"{path.name}.new")
    fresh.unlink(missing_ok=True)
    with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text)
    fresh.rename(path)


def _kustomization() -> str:
    """The Secrets that the manifests below k8s/ refer to."""
    generators: list[dict[str, object]] = [
        {"name": "edge", "files": ["edge/jwks.json"]},
        {"name": "nats", "files": ["nats/password"]},
    ]
    for service in SERVICES:
        name = service.replace("_", "-")
        files = [f"{service}/jwks.json"]
        files += [f"{service}/service.token"] if service in CALLERS else []
        files += [f"{service}/{_SEAL_KEY}"] if service == "ledger" else []
        generators.append({"name": name, "files": files})
        generators.append(
            {
                "name": f"{name}-database",
                "type": "kubernetes.io/basic-auth",
                "literals": [f"username={service}"],
                "files": [f"password=databases/{service}.password"],
            }
        )
    return yaml.safe_dump(
        {
            "apiVersion": "kustomize.config.k8s.io/v1beta1",
            "kind": "Kustomization",
            "namespace": NAMESPACE,
            "generatorOptions": {"disableNameSuffixHash": True},
            "secretGenerator": generators,
        },
        sort_keys=False,
    )


def main(arguments: list[str]) -> None:
    """Do what is asked for."""
    if len(arguments) != 1:
        sys.exit(__doc__)
    make(Path(arguments[0]).resolve())


if __name__ == "__main__":
    main(sys.argv[1:])
