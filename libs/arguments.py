"""Types of the arguments of programs that read them with argparse."""

import argparse


def whole_number(text: str) -> int:
    """A whole number from 1 on."""
    if not text.isdecimal() or not int(text):
        raise argparse.ArgumentTypeError("a whole number from 1 on")
    return int(text)
