"""How many orders may come in a time: token buckets, each kept as the time it is full again."""

from services.order.domain.controls.setting import Setting

_NANOS = 1_000_000_000
_MANY = 10_000


class Spent(Exception):
    """No token is left; one will be after `wait_nanos`."""

    def __init__(self, setting: Setting, wait_nanos: int) -> None:
        super().__init__()
        self.setting = setting
        self.wait_nanos = wait_nanos


def spend(full_at: int, now: int, *, limit: int, seconds: int) -> tuple[int, int]:
    """Take a token from a bucket of `limit` tokens that fills in `seconds`; times in nanoseconds.

    Gives when it is full again, and the tokens that are left; below 0: there was none to take.

    >>> spend(0, 0, limit=2, seconds=1)
    (500000000, 1)
    >>> spend(500_000_000, 0, limit=2, seconds=1), spend(1_000_000_000, 0, limit=2, seconds=1)
    ((1000000000, 0), (1500000000, -1))
    """
    each = _each(limit, seconds)
    full_at = max(full_at, now) + each
    return full_at, limit - -(-(full_at - now) // each)


def _each(limit: int, seconds: int) -> int:
    """How long a token takes to come."""
    return -(-seconds * _NANOS // limit)


class Rates:
    """The buckets of this process."""

    def __init__(self) -> None:
        self._full_at: dict[tuple[int, str], int] = {}
        self._most = _MANY  # then those that are full are forgotten

    def __len__(self) -> int:
        """Buckets that are remembered; those of others are full."""
        return len(self._full_at)

    def left(self, setting: Setting, name: str, now: int) -> int:
        """Tokens left in the bucket of `name` if one were taken now; below 0: there is none."""
        return self._spend(setting, name, now)[1]

    def take(self, wanted: list[tuple[Setting, str]], now: int) -> list[int]:
        """A token of each bucket, or of none; what is left in each. Raises Spent."""
        taken = [(setting, name, *self._spend(setting, name, now)) for setting, name in wanted]
        for setting, _, full_at, left in taken:
            if left < 0:
                terms = setting.terms
                bucket = _each(terms.limit, terms.seconds) * terms.limit
                raise Spent(setting, full_at - now - bucket)
        if len(self._full_at) > self._most:
            self._full_at = {key: at for key, at in self._full_at.items() if at > now}
            self._most = max(_MANY, 2 * len(self._full_at))
        for setting, name, full_at, _ in taken:
            self._full_at[setting.terms.control, name] = full_at
        return [left for *_, left in taken]

    def give_back(self, setting: Setting, name: str) -> None:
        """A token that was taken for what did not come to be."""
        terms = setting.terms
        key = terms.control, name
        if key in self._full_at:
            self._full_at[key] -= _each(terms.limit, terms.seconds)

    def _spend(self, setting: Setting, name: str, now: int) -> tuple[int, int]:
        terms = setting.terms
        full_at = self._full_at.get((terms.control, name), 0)
        return spend(full_at, now, limit=terms.limit, seconds=terms.seconds)
