"""Whether both sides of a session mean the same by their numbers."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Numbers:
    """The numbers one side would give, or expects, next; reports in the venue's numbers."""

    next_command_seq: int
    next_report_seq: int

    @property
    def words(self) -> str:
        """For an operator.

        >>> Numbers(10, 20).words
        'the next command is 10, the next report 20'
        """
        return (
            f"the next command is {self.next_command_seq}, the next report {self.next_report_seq}"
        )


def out_of_step(ours: Numbers, theirs: Numbers) -> str:
    """What cannot be explained by messages under way, in words; empty: nothing.

    >>> out_of_step(Numbers(10, 20), Numbers(7, 25))
    ''
    >>> out_of_step(Numbers(10, 20), Numbers(10, 19))
    'the exchange numbers its next report 19, and 19 is stored here already'
    """
    if theirs.next_report_seq < ours.next_report_seq:
        return (
            f"the exchange numbers its next report {theirs.next_report_seq},"
            f" and {ours.next_report_seq - 1} is stored here already"
        )
    if theirs.next_command_seq > ours.next_command_seq:
        return (
            f"the exchange has commands up to {theirs.next_command_seq - 1},"
            f" and {ours.next_command_seq - 1} was the last one sent from here"
        )
    return ""
