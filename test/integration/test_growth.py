"""test/soak with seconds for its minutes: nothing is wrong, nothing grows, and it says so when
something does."""

import random

import pytest

import raw
from cluster import make_dir, run
from soak_bed import QUICK, Bed, Soak
from soak_samples import Samples

pytestmark = [pytest.mark.one_engine, pytest.mark.plain, pytest.mark.takes(90)]

LIFE_S = 1  # of idle server connections
MINUTES = 7  # the first third is for warming up


class Clock:
    """Goes as the test wants."""

    def __init__(self):
        self.now = 0.0

    def __call__(self):
        return self.now


@pytest.fixture(scope="module", name="bed")
def bed_fixture(engine):
    bed = Bed(1, engine, connection_life_time=LIFE_S)
    bed.faults_of_choice = QUICK
    yield bed
    try:
        bed.pgpool.finish()
    finally:
        bed.destroy()


@pytest.fixture(name="soak")
def soak_fixture(bed):
    """A function that runs it, with what else is done before each quiet point; what was wrong, and
    what was sampled."""
    folder = make_dir("pgpool-soak-")

    def soak(meddle=lambda number: None, fault_every=0):
        clock = Clock()

        def between(number):
            clock.now = number
            meddle(number)

        bed.new_load(1)
        one = Soak(bed, Samples(folder + "/report.csv", MINUTES, clock), minute_s=2,
                   fault_every=fault_every)
        one.settle_s, one.life_s, one.looks, one.between = 5, LIFE_S, 3, between
        wrong = one.run()
        print(one.bed.load.counts)
        return wrong, one.samples

    yield soak
    run("rm", "-rf", folder)


def test_nothing_grows(bed, soak):
    wrong, samples = soak(fault_every=3)
    assert not wrong, "\n".join(wrong)
    assert len(samples.rows) == MINUTES and sum(bed.faults.values()) == MINUTES // 3
    assert all(client.steps > 0 for client in [*bed.load.clients, bed.load.comers])
    with open(samples.path, encoding="utf-8") as file:
        assert len(file.readlines()) == len(samples.rows) + 1


def test_an_idle_connection_that_stays_is_found(bed, soak):
    """A session that has a server connection of its own, and a server connection of nobody's."""
    left = []

    def leave_behind(number):
        if number == MINUTES - 2:
            left.append(raw.connected(bed.pgpool, application_name="soak idle"))
            left[0].rows("CREATE TEMP TABLE soak_left (a int)")
            left.append(raw.connected(bed.cluster.servers[1]))

    try:
        wrong, _ = soak(leave_behind)
        for name, count in (("sessions", 1), ("fd_child", 2), ("server_connections", 2)):
            found = [text.split() for text in wrong if text.startswith(f"{name} at ")]
            assert found, (name, wrong)
            now, was = int(found[-1][-4]), int(found[-1][-1])
            assert now == was + count, (name, found[-1])
        assert not any("kb" in text for text in wrong)
    finally:
        for one in left:
            one.close()


def test_a_wrong_answer_is_found(bed, soak):
    """Somebody has more on his account than was ever paid in."""
    row = bed.cluster.primary  # still: these faults have promoted nobody

    def forge(number):
        if number == 2:
            row.rows("UPDATE soak_accounts SET balance = balance + 1 WHERE id = 1 RETURNING 1")

    wrong, _ = soak(forge)
    row.rows("UPDATE soak_accounts SET balance = balance - 1 WHERE id = 1 RETURNING 1")
    assert any("Auditor" in text and "50001" in text for text in wrong), wrong
    assert any("has (50001" in text for text in wrong), wrong


# ---- memory, which half a minute says nothing about ----------------------------------------------

def judged(child_kb, tmp_path, length_s=7200):
    """The verdict on two hours in which a child's memory is so much at each minute."""
    clock, rng = Clock(), random.Random(1)
    samples = Samples(str(tmp_path / "report.csv"), length_s, clock)
    for minute in range(1, length_s // 60 + 1):
        clock.now = minute * 60.0
        child = child_kb(minute) + rng.randrange(-60, 60)
        samples.add({"sessions": 20}, {"data_kb_child": child, "shared_kb": 9000},
                    {"child 1": child})
    return samples.judge()


@pytest.mark.parametrize("child_kb", (
    lambda minute: 5000,
    lambda minute: 5000 + min(minute, 30) * 100,  # caches that fill
    lambda minute: 5000 + (200 if minute == 100 else 0),
    lambda minute: 5000 + (100 if minute > 80 else 0),  # a step of malloc's
), ids=("noise", "warming up", "one peak", "one step"))
def test_memory_that_does_not_grow(child_kb, tmp_path):
    assert not judged(child_kb, tmp_path)


@pytest.mark.parametrize("child_kb, words", (
    (lambda minute: 5000 + minute * 8, "child 1 grows by"),
    (lambda minute: 5000 + 400 * (minute > 80), "data_kb_child: "),
    (lambda minute: 5000 + 1024 * (minute // 20), "data_kb_child: "),
), ids=("a line", "one step", "stairs"))
def test_memory_that_grows(child_kb, words, tmp_path):
    found = judged(child_kb, tmp_path)
    assert any(text.startswith(words) for text in found), found
