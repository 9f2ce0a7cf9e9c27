"""What must not happen between the services of one house."""


class HouseFault(RuntimeError):
    """A neighbour refused what it must not refuse; a person must look."""
