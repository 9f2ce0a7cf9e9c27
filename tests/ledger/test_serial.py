"""The checker of histories finds what it is there to find, and nothing where all is well."""

import random
from collections.abc import Callable

import pytest

from tests.ledger.serial import Op, Record, Seen, Step, faults_of

ACCOUNTS = ["a", "b", "c", "d"]


class World:
    """A ledger that does everything right, and clients whose calls overlap."""

    def __init__(self, seed: int, count: int = 300) -> None:
        self.random = random.Random(seed)
        self.now = 0
        self.at = dict.fromkeys(ACCOUNTS, (0, 0))
        self.journal: list[Record] = []
        self.ops: list[Op] = []
        running: list[list[Op]] = []
        while count or running:
            self.now += 1
            if count and (not running or (len(running) < 6 and self.random.random() < 0.4)):
                count -= 1
                running.append([self.begun()])
                continue
            task = self.random.choice(running)
            if len(task) == 1:  # it takes effect some time between its call and its return
                task.append(self.done(task[0]))
            else:
                self.ops.append(self.answered(task[1]))
                running.remove(task)

    def begun(self) -> Op:
        is_write = self.random.random() < 0.6
        return Op(f"{'w' if is_write else 'r'}{self.now}", self.now, None, is_write=is_write)

    def done(self, op: Op) -> Op:
        one, two = self.random.sample(ACCOUNTS, 2)
        if not op.is_write:
            return op._replace(seen=(self.seen(one),))
        if self.random.random() < 0.1:
            self.journal.append(Record(op.id, 7, ()))
            return op._replace(seen=(self.seen(one), self.seen(two)), reason=7)
        self.journal.append(Record(op.id, 0, (self.step(one, -5), self.step(two, 5))))
        return op._replace(seen=(self.seen(one), self.seen(two)))

    def answered(self, op: Op) -> Op:
        if op.is_write and self.random.random() < 0.05:
            return op._replace(seen=())  # the answer is lost
        return op._replace(returned=self.now)

    def seen(self, account: str) -> Seen:
        return Seen(account, *self.at[account])

    def step(self, account: str, amount: int) -> Step:
        version, balance = self.at[account]
        self.at[account] = version + 1, balance + amount
        return Step(account, version + 1, amount, balance + amount)

    def last_write(self) -> tuple[int, Op]:
        """The last write that was acknowledged as done, with its place among the ops."""
        places = [n for n, op in enumerate(self.ops) if op.is_write and op.seen and not op.reason]
        return places[-1], self.ops[places[-1]]

    def record(self, id_: str) -> tuple[int, Record]:
        return next((n, record) for n, record in enumerate(self.journal) if record.id == id_)

    def after_all(self, op: Op) -> None:
        """One more, called when all others had returned."""
        self.ops.append(op._replace(invoked=self.now + 1, returned=self.now + 2))


@pytest.mark.parametrize("seed", range(30))
def test_nothing_is_found_where_all_is_well(seed: int) -> None:
    world = World(seed)
    assert faults_of(world.ops, world.journal) == []
    assert any(op.returned is None for op in world.ops)
    assert any(op.reason for op in world.ops)


def test_a_write_that_is_made_and_never_answered_is_no_fault() -> None:
    steps = (Step("a", 1, 5, 5),)
    ops = [Op("w1", 1, None), Op("w2", 2, None), Op("r", 3, 4, (Seen("a", 1, 5),), is_write=False)]
    assert faults_of(ops, [Record("w1", 0, steps)]) == []
    # But it cannot have been made before it was called.
    early = [Op("r", 1, 2, (Seen("a", 1, 5),), is_write=False), Op("w1", 3, None)]
    assert faults_of(early, [Record("w1", 0, steps)]) != []


def lose_a_write(world: World) -> None:
    """Another overwrites it, as if it had not been there."""
    place, record = world.record(world.last_write()[1].id)
    step = record.steps[0]
    lost = step._replace(amount=9, balance=step.balance - step.amount + 9)
    world.journal.insert(place + 1, Record("thief", 0, (lost,)))


def read_something_stale(world: World) -> None:
    _, op = world.last_write()
    seen = op.seen[0]
    before = Seen(seen.account, seen.version - 1, seen.balance + 5)
    world.after_all(Op("stale", 0, 0, (before,), is_write=False))


def read_what_never_was(world: World) -> None:
    seen = world.seen("a")
    world.after_all(Op("dream", 0, 0, (seen._replace(balance=seen.balance + 1),), is_write=False))


def refuse_on_something_stale(world: World) -> None:
    _, op = world.last_write()
    before = Seen(op.seen[0].account, op.seen[0].version - 1, op.seen[0].balance + 5)
    world.journal.append(Record("refused", 7, ()))
    world.after_all(Op("refused", 0, 0, (before,), reason=7))


def apply_twice(world: World) -> None:
    """The same transfer once more, at the end."""
    _, record = world.record(world.last_write()[1].id)
    again = tuple(world.step(step.account, step.amount) for step in record.steps)
    world.journal.append(Record(record.id, 0, again))


def apply_twice_in_one(world: World) -> None:
    """The same transfer under one record, with others in between."""
    place, record = world.record(world.last_write()[1].id)
    world.journal.append(Record("between", 0, (world.step("a", -1), world.step("b", 1))))
    again = [world.step(account, amount) for account, amount in (("a", -5), ("b", 5))]
    world.journal[place] = record._replace(steps=(*record.steps, *again))


def forget_what_was_acknowledged(world: World) -> None:
    world.after_all(Op("gone", 0, 0, ()))


def answer_otherwise(world: World) -> None:
    place, op = world.last_write()
    world.ops[place] = op._replace(reason=7)


def turn_time_round(world: World) -> None:
    """Of two writes, one called after the other had returned, the later one comes first."""
    world.journal.append(Record("late", 0, (world.step("a", 1),)))
    late = world.seen("a")
    world.journal.append(Record("soon", 0, (world.step("a", 1),)))
    world.ops.append(Op("soon", world.now + 1, world.now + 2, (world.seen("a"),)))
    world.ops.append(Op("late", world.now + 3, world.now + 4, (late,)))


def turn_time_round_in_two_accounts(world: World) -> None:
    """Nobody who looks at one account alone sees it."""
    world.journal.append(Record("second", 0, (world.step("a", 1),)))
    seen_by_second = world.seen("a")
    between = world.seen("b")
    world.journal.append(Record("first", 0, (world.step("b", 1),)))
    now = world.now
    world.ops += [
        Op("first", now + 1, now + 2, (world.seen("b"),)),
        Op("second", now + 3, now + 4, (seen_by_second,)),
        Op("both", now + 5, now + 6, (seen_by_second, between), is_write=False),
    ]


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize(
    ("plant", "words"),
    [
        (lose_a_write, "does not follow"),
        (read_something_stale, "no order fits"),
        (read_what_never_was, "never was"),
        (refuse_on_something_stale, "no order fits"),
        (apply_twice, "applied 2 times"),
        (apply_twice_in_one, "no order fits"),
        (forget_what_was_acknowledged, "acknowledged and is not there"),
        (answer_otherwise, "is recorded as"),
        (turn_time_round, "no order fits"),
        (turn_time_round_in_two_accounts, "no order fits"),
    ],
)
def test_what_is_planted_is_found(plant: Callable[[World], None], words: str, seed: int) -> None:
    world = World(seed)
    plant(world)
    assert any(words in fault for fault in faults_of(world.ops, world.journal))
