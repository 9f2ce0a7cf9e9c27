"""Keys and tokens of a test's own house."""

from pathlib import Path

from libs.auth import Role, Signer, make_key


class Keys:
    """A fresh key pair in `folder`, and tokens made with it."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.key_file = folder / "signing.pem"
        self.jwks_file = str(folder / "jwks.json")
        make_key(self.key_file, Path(self.jwks_file))
        self.signer = Signer(self.key_file)

    def customer(self, subject: str, seconds: int = 3600) -> str:
        """A customer's token."""
        return self.signer.mint(subject, Role.CUSTOMER, seconds)

    def operator(self, subject: str = "olivia", seconds: int = 3600) -> str:
        """An operator's token."""
        return self.signer.mint(subject, Role.OPERATOR, seconds)

    def service(self, name: str, seconds: int = 3600) -> str:
        """A service's token."""
        return self.signer.mint(name, Role.SERVICE, seconds)

    def back_end(self, name: str = "firm", seconds: int = 3600) -> str:
        """The token of a back-end that places trades for customers."""
        return self.signer.mint(name, Role.BACK_END, seconds)

    def token_file(self, service: str) -> str:
        """A file with a service's token, as its settings want it."""
        path = self._folder / f"{service}.token"
        self.write_token(path, service)
        return str(path)

    def write_token(self, path: Path, service: str) -> None:
        """Put a new token of `service` into `path`."""
        path.write_text(self.service(service))


def bearer(token: str) -> tuple[tuple[str, str], ...]:
    """The metadata a caller with `token` sends."""
    return (("authorization", f"Bearer {token}"),)
