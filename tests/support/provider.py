"""An identity provider of a test's own, with a key of each kind that such a one signs by."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm

ALGORITHMS = ("EdDSA", "ES256", "RS256")


class Provider:
    """Its public keys are in `folder`; `kid` sets them apart from those of another time."""

    issuer = "https://id.example"

    def __init__(self, folder: Path, kid: str = "") -> None:
        self._kid = kid
        self.keys: dict[str, Any] = {
            "EdDSA": ed25519.Ed25519PrivateKey.generate(),
            "ES256": ec.generate_private_key(ec.SECP256R1()),
            "RS256": rsa.generate_private_key(65_537, 2_048),
        }
        public = {
            "EdDSA": OKPAlgorithm.to_jwk(self.keys["EdDSA"].public_key(), as_dict=True),
            "ES256": ECAlgorithm.to_jwk(self.keys["ES256"].public_key(), as_dict=True),
            "RS256": RSAAlgorithm.to_jwk(self.keys["RS256"].public_key(), as_dict=True),
        }
        self.public = [
            {**key, "kid": name + kid, "alg": name, "use": "sig"} for name, key in public.items()
        ]
        self.jwks_file = str(folder / "provider.json")
        self.publish(self.public)

    def publish(self, keys: list[dict[str, Any]]) -> None:
        """Write these public keys to its file."""
        Path(self.jwks_file).write_text(json.dumps({"keys": keys}))

    def token(self, subject: str = "alice", *, alg: str = "ES256", **claims: Any) -> str:
        """Of a customer, unless `claims` say otherwise."""
        now = datetime.now(UTC)
        usual = {"iss": self.issuer, "sub": subject, "aud": "stockbroker", "iat": now}
        said = {**usual, "exp": now + timedelta(minutes=5), **claims}
        return jwt.encode(said, self.keys[alg], alg, headers={"kid": alg + self._kid})
