"""Brings a bare machine with Python and pip to a synced environment with stubs.

Needs nothing but the standard library: it runs before anything is installed.

    python3 bootstrap.py sync [--dev]   fetch uv, sync .venv from uv.lock, generate stubs
    python3 bootstrap.py stubs          generate the stubs of protos/ when they changed
    python3 bootstrap.py up [OPTION...] sync, then become the house (services/house)
    python3 bootstrap.py clean          wipe the data folder, unless a house runs in it
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import pathlib
import platform
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator

ROOT = pathlib.Path(__file__).resolve().parent
TOOLS = ROOT / ".tools"
ENVIRONMENT = ROOT / ".venv"
STUBS = ROOT / "build" / "stubs"
UV = "uv==0.13.8"
GLIBC = (2, 31)  # the oldest the Envoy wheel runs on
# What a house leaves in its data folder. The lock goes last: without it nothing is wiped.
OURS = ("edge", "house.json", "house.json.new", "keys", "keys.new", "logs", "nats", "postgres")
LOCK = "lock"


def refuse(sentence: str) -> None:
    """End with one clear sentence."""
    sys.exit(f"stockbroker: {sentence}")


def check_platform() -> None:
    """The embedded parts come as wheels for 64-bit Linux with glibc."""
    if sys.version_info < (3, 11):
        refuse(f"Python 3.11 or newer is needed, this is {platform.python_version()}.")
    if sys.platform != "linux" or platform.machine() not in ("x86_64", "aarch64"):
        refuse(
            f"PostgreSQL, NATS and Envoy come as wheels for Linux on x86_64 or aarch64; this is "
            f"{platform.system()} on {platform.machine()}. docker-compose.yml runs anywhere."
        )
    name, version = platform.libc_ver()
    if name != "glibc" or tuple(map(int, version.split(".")[:2])) < GLIBC:
        refuse(
            f"the wheels need glibc {'.'.join(map(str, GLIBC))} or newer; "
            f"this system has {name or 'another libc'} {version}. docker-compose.yml runs anywhere."
        )


@contextlib.contextmanager
def alone() -> Iterator[None]:
    """One run at a time: two would take from each other what they fetch and make."""
    TOOLS.mkdir(exist_ok=True)
    with (TOOLS / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print("stockbroker: another run makes the environment; waiting for it", flush=True)
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def find_uv() -> str:
    """The uv of .tools, fetched there by pip if need be; else one on the PATH."""
    own = TOOLS / UV.replace("==", "-") / "bin" / "uv"
    if own.exists():
        return str(own)
    print("stockbroker: fetching uv", flush=True)
    fresh = TOOLS / "new"  # what was broken off is never taken for uv
    shutil.rmtree(fresh, ignore_errors=True)
    command = [sys.executable, "-m", "pip", "install", "-q", "--disable-pip-version-check"]
    command += ["--root-user-action=ignore", "--target", str(fresh), UV]
    if subprocess.call(command) == 0:
        shutil.rmtree(own.parents[1], ignore_errors=True)
        fresh.rename(own.parents[1])
        return str(own)
    found = shutil.which("uv")
    if found is None:
        refuse("uv could not be fetched: pip is missing or the package index does not answer.")
    return str(found)


@alone()
def sync(dev: bool) -> None:
    """Make .venv what uv.lock says."""
    check_platform()
    leave_moved()
    command = [find_uv(), "sync", "--frozen", "--extra", "embedded"]
    # An environment that is there keeps its Python, whichever one runs this.
    python = ENVIRONMENT / "bin" / "python"
    command += ["--python", str(python if python.exists() else sys.executable)]
    command += ["--no-python-downloads"]
    # Compiled once here, not by every process of the first start; the developers' tools are many.
    command += ["--group", "dev"] if dev or dev_is_synced() else ["--compile-bytecode"]
    environment = dict(os.environ, UV_PROJECT_ENVIRONMENT=str(ENVIRONMENT))
    environment.pop("VIRTUAL_ENV", None)
    if is_synced([*command, "--check"], environment):
        made_in().write_text(str(ROOT))
        return
    print("stockbroker: syncing the environment (the first time up to 300 MB to fetch)", flush=True)
    command += [] if sys.stderr.isatty() else ["--quiet"]
    if subprocess.call(command, cwd=ROOT, env=environment) != 0:
        refuse(
            "the environment could not be synced; the lines above say why. Usual causes: the "
            "package index does not answer, or it has no wheel for this platform."
        )
    made_in().write_text(str(ROOT))


def made_in() -> pathlib.Path:
    """The file that says in which folder the environment was made."""
    return ENVIRONMENT / "made-in"


def leave_moved() -> None:
    """Take away an environment that was made elsewhere: its programs name their Python there."""
    if made_in().exists() and made_in().read_text() != str(ROOT):
        shutil.rmtree(ENVIRONMENT)


def is_synced(check: list[str], environment: dict[str, str]) -> bool:
    """Whether there is nothing to do."""
    done = subprocess.run(check, cwd=ROOT, env=environment, capture_output=True, check=False)
    return done.returncode == 0


def dev_is_synced() -> bool:
    """Whether the developers' tools are there: `make up` does not take them away."""
    return (ENVIRONMENT / "bin" / "pytest").exists()


@alone()
def stubs() -> None:
    """Generate Python and its types from protos/, when protos/ or the generator changed."""
    protos = sorted((ROOT / "protos").rglob("*.proto"))
    names = [str(p.relative_to(ROOT / "protos")) for p in protos]
    digest = hashlib.sha256((ROOT / "uv.lock").read_bytes())
    for name, proto in zip(names, protos, strict=True):
        digest.update(name.encode() + proto.read_bytes())
    mark = STUBS / "digest"
    if mark.exists() and mark.read_text() == digest.hexdigest():
        return
    print("stockbroker: generating stubs", flush=True)
    fresh = STUBS.with_name("stubs.new")
    shutil.rmtree(fresh, ignore_errors=True)
    fresh.mkdir(parents=True)
    python = ENVIRONMENT / "bin" / "python"
    command = [str(python), "-m", "grpc_tools.protoc", f"--proto_path={ROOT / 'protos'}"]
    command += [f"--{kind}_out={fresh}" for kind in ("python", "grpc_python")]
    command += [f"--{kind}_out=quiet:{fresh}" for kind in ("mypy", "mypy_grpc")]
    environment = dict(os.environ, PATH=f"{python.parent}{os.pathsep}{os.environ.get('PATH', '')}")
    if subprocess.call([*command, *names], env=environment) != 0:
        refuse("the stubs could not be generated; the lines above say why.")
    for folder in (p for p in (fresh / "stockbroker").rglob("*") if p.is_dir()):
        (folder / "__init__.py").touch()
    (fresh / "stockbroker" / "__init__.py").touch()
    (fresh / mark.name).write_text(digest.hexdigest())
    shutil.rmtree(STUBS, ignore_errors=True)
    fresh.rename(STUBS)


def up(options: list[str]) -> None:
    """Become the house, which shows how long it took from here."""
    began_at = time.time()
    sync(dev=False)
    stubs()
    python = str(ENVIRONMENT / "bin" / "python")
    os.chdir(ROOT)
    house = [python, "-m", "services.house.main", "--began-at", str(began_at)]
    os.execv(python, [*house, *options])


def clean() -> None:
    """Wipe what a house left in the data folder. Whoever holds its lock keeps it."""
    folder = (ROOT / os.environ.get("STOCKBROKER_DATA_FOLDER", ".stockbroker")).resolve()
    if not folder.exists():
        return
    if not (folder / LOCK).exists():
        refuse(f"{folder} does not look like a data folder (it has no lock); nothing was wiped.")
    try:
        with (folder / LOCK).open("r+") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                refuse(f"a house runs in {folder} (process {lock.read()}); stop it first (Ctrl-C).")
            for name in (*OURS, LOCK):
                wipe(folder / name)
    except OSError as error:
        refuse(f"{error.filename}: {error.strerror}; what is left is not wiped.")
    with contextlib.suppress(OSError):  # it has more in it than is ours
        folder.rmdir()
    print(f"stockbroker: {folder} is wiped")


def wipe(path: pathlib.Path) -> None:
    """Remove a file, or a folder wherever it lies."""
    if path.is_dir():
        shutil.rmtree(path.resolve())
    if path.is_symlink() or path.exists():
        path.unlink()


def main(arguments: list[str]) -> None:
    """Do what is asked for."""
    if arguments[:1] == ["sync"] and set(arguments[1:]) <= {"--dev"}:
        sync(dev="--dev" in arguments)
        stubs()
    elif arguments == ["stubs"]:
        stubs()
    elif arguments[:1] == ["up"]:
        up(arguments[1:])
    elif arguments == ["clean"]:
        clean()
    else:
        sys.exit(__doc__)


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except KeyboardInterrupt:
        sys.stderr.write("stockbroker: interrupted; the next run goes on.\n")
        sys.exit(130)
