"""The data folder: everything that outlives a run, and what tells others about the run.

keys/        the development key, the ledger's key, their public halves, the services' tokens
logs/        one file per part; those of earlier starts end in .1 (the latest) to .5
postgres/ nats/ edge/
house.json   while the house runs: addresses, process ids, databases
lock         held by the one supervisor
"""

import fcntl
import json
import os
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from libs.auth import Role, Signer, make_key
from libs.embedded import CannotRun
from libs.proof.checkpoint import SigningKey

_KEPT_LOGS = 5
_TOKEN_SECONDS = 86_400


class DataFolder:
    """One folder, used by one supervisor at a time."""

    def __init__(self, path: Path) -> None:
        self.path = path.resolve()
        self.logs = self.path / "logs"
        self.keys = self.path / "keys"
        self.signing_key_file = self.keys / "signing.pem"
        self.jwks_file = self.keys / "jwks.json"
        self.ledger_key_file = self.keys / "ledger.pem"
        self.ledger_public_key_file = self.keys / "ledger.pub"
        self._house_file = self.path / "house.json"

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Keep every other supervisor out. Raises CannotRun when one is in already."""
        self._open()
        with (self.path / "lock").open("a+") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                lock.seek(0)
                raise CannotRun(
                    f"the house in {self.path} runs already (process {lock.read().strip()}); "
                    "its Ctrl-C stops it"
                ) from None
            lock.truncate(0)
            lock.write(str(os.getpid()))
            lock.flush()
            yield

    def log(self, name: str) -> Path:
        """The log file of a part."""
        return self.logs / f"{name}.log"

    def rotate_logs(self) -> None:
        """Begin new log files; the oldest go."""
        for log in self.logs.glob("*.log"):
            for number in range(_KEPT_LOGS, 0, -1):
                older = log.with_name(f"{log.name}.{number}")
                younger = log.with_name(f"{log.name}.{number - 1}") if number > 1 else log
                if younger.exists():
                    younger.replace(older)

    def make_keys(self) -> None:
        """The keys of development, made at the first start. One broken off leaves none behind.

        The one that signs tokens is made anew where it is gone: so its tokens are good no more.
        """
        if self.signing_key_file.exists():
            return
        fresh = self.path / "keys.new"
        shutil.rmtree(fresh, ignore_errors=True)
        fresh.mkdir(mode=0o700)
        make_key(fresh / self.signing_key_file.name, fresh / self.jwks_file.name)
        if self.keys.exists():
            for file in (self.jwks_file, self.signing_key_file):
                (fresh / file.name).replace(file)
            fresh.rmdir()
            return
        SigningKey.new().write(
            fresh / self.ledger_key_file.name, fresh / self.ledger_public_key_file.name
        )
        fresh.replace(self.keys)

    def signer(self) -> Signer:
        """Makes tokens with the development key. Raises CannotRun when it is damaged."""
        try:
            return Signer(self.signing_key_file)
        except (OSError, ValueError, TypeError) as error:
            raise CannotRun(f"the key {self.signing_key_file} cannot be used: {error}") from None

    def token_file(self, service: str) -> Path:
        """Where a service finds the token it shows to its neighbours."""
        return self.keys / f"{service}.token"

    def write_tokens(self, services: Iterable[str]) -> None:
        """New tokens, good for a day; a running service takes up its new one by itself."""
        signer = self.signer()
        for service in services:
            _write(self.token_file(service), signer.mint(service, Role.SERVICE, _TOKEN_SECONDS))

    def write_house(self, house: dict[str, Any]) -> None:
        """Tell others about the run; readable by us alone, for it holds passwords."""
        _write(self._house_file, json.dumps(house, indent=1) + "\n")

    def remove_house(self) -> None:
        """There is no run to tell about any more."""
        self._house_file.unlink(missing_ok=True)

    def _open(self) -> None:
        try:
            self.logs.mkdir(parents=True, exist_ok=True)
            (self.path / "edge").mkdir(exist_ok=True)
            (self.path / "lock").touch()
        except OSError as error:
            raise CannotRun(
                f"the data folder {self.path} cannot be used: {error.strerror} "
                f"({error.filename}). STOCKBROKER_DATA_FOLDER names another"
            ) from None


def _write(path: Path, text: str) -> None:
    """Put a whole file in place at once."""
    fresh = path.with_name(f"{path.name}.new")
    fresh.unlink(missing_ok=True)
    fresh.touch(mode=0o600)
    fresh.write_text(text)
    fresh.replace(path)
