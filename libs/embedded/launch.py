"""Becomes another program that cannot outlive its parent, and that need not be root.

    python -I -S launch.py PARENT_PID DEATH_SIGNAL UID PROGRAM [ARGUMENT...]

A program of its own, not a preexec function: between fork and exec no Python may run in a process
that has threads. Needs nothing but the standard library.

UID is -1 to stay who we are. Otherwise we must be root, become that user, and keep one privilege of
root, CAP_DAC_OVERRIDE: so PostgreSQL, which refuses to be root, can work on folders below /root.
"""

import ctypes
import os
import sys

_PR_SET_PDEATHSIG = 1
_PR_SET_SECUREBITS = 28
_PR_CAP_AMBIENT = 47
_PR_CAP_AMBIENT_RAISE = 2
_SECBIT_NO_SETUID_FIXUP = 1 << 2
_CAPABILITY_VERSION_3 = 0x20080522
_CAP_DAC_OVERRIDE = 1

_libc = ctypes.CDLL(None, use_errno=True)


class _Header(ctypes.Structure):
    _fields_ = (("version", ctypes.c_uint32), ("pid", ctypes.c_int))


class _Sets(ctypes.Structure):
    _fields_ = tuple((name, ctypes.c_uint32) for name in ("effective", "permitted", "inheritable"))


def main(arguments: list[str]) -> None:
    """Do what the module says; ends with a sentence on standard error when it cannot."""
    parent, death_signal, uid, *command = arguments
    try:
        if int(uid) >= 0:
            _become(int(uid))
    except OSError as error:
        sys.exit(
            "this kernel does not let root hand a program to another user "
            f"({error.strerror}); run as an ordinary user instead"
        )
    # Changing the user clears it, so it comes last.
    _check(_libc.prctl(_PR_SET_PDEATHSIG, int(death_signal), 0, 0, 0))
    if os.getppid() != int(parent):
        sys.exit("the parent is gone")
    try:
        os.execv(command[0], command)
    except OSError as error:
        sys.exit(f"cannot run {command[0]}: {error.strerror}")


def _become(uid: int) -> None:
    """Change to `uid`, keeping CAP_DAC_OVERRIDE over the change and over the exec to come."""
    _check(_libc.prctl(_PR_SET_SECUREBITS, _SECBIT_NO_SETUID_FIXUP, 0, 0, 0))
    os.setgroups([])
    os.setgid(uid)
    os.setuid(uid)
    mask = 1 << _CAP_DAC_OVERRIDE
    sets = (_Sets * 2)(_Sets(mask, mask, mask), _Sets(0, 0, 0))
    _check(_libc.capset(ctypes.byref(_Header(_CAPABILITY_VERSION_3, 0)), sets))
    _check(_libc.prctl(_PR_CAP_AMBIENT, _PR_CAP_AMBIENT_RAISE, _CAP_DAC_OVERRIDE, 0, 0))


def _check(result: int) -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


if __name__ == "__main__":
    main(sys.argv[1:])
