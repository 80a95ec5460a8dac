"""The judges of test/nemesis/watchdog find what they are there for, in records that are made up."""

import pytest

import network
from addresses import AddressWatch
from failing import two_primaries
from network import Network
from waiting import wait_for
from wd_history import (Change, Promotion, judge_holders, judge_promotions, judge_states,
                        who_promoted)

pytestmark = [pytest.mark.one_engine, pytest.mark.plain]


def state(revision, epoch, candidate=-1, timeline=1):
    return Change(revision, "state", f"pgpool_state 1 epoch={epoch} primary=0 "
                  f"candidate={candidate} timeline={timeline} phase=0\nwhatever=x")


def leads(revision, number):
    return Change(revision, "leader", f"pgpool_leader 1 id={number} incarnation=1")


def gone(revision):
    return Change(revision, "leader", None)


GOOD = [leads(1, 0), state(2, 1), state(3, 2), state(4, 2, 1), gone(5), leads(6, 2),
        state(7, 2, 1), state(8, 2, -1, 2), state(9, 3, 2, 2), state(10, 3, -1, 3)]
PROMOTED = [Promotion(1, 2, "10:00:00"), Promotion(2, 3, "10:00:09")]


def test_what_is_well_is_not_complained_of():
    assert not judge_states(GOOD)
    assert not judge_promotions(GOOD, PROMOTED)
    assert not judge_holders([])
    assert [line.split(": ")[1] for line in who_promoted(GOOD, PROMOTED)] == [
        "epoch 2, revision 7", "epoch 3, revision 9"]
    assert not two_primaries([(1, 2, "node0", "00000001"), (3, 4, "node1", "00000002")])


@pytest.mark.parametrize("changes, words", [
    ([*GOOD, state(11, 2)], "epoch 2 after 3"),
    ([*GOOD[:4], state(5, 2, 2)], "candidate 2 in epoch 2, after 1"),
    ([*GOOD, gone(11), state(12, 3)], "while nobody led"),
    ([state(1, 1)], "while nobody led"),
    ([leads(1, 0), leads(2, 1)], "leads while"),
    ([*GOOD, Change(11, "state", None)], "was deleted"),
])
def test_a_bad_history(changes, words):
    wrong = judge_states(changes)
    assert len(wrong) == 1 and words in wrong[0]


@pytest.mark.parametrize("promoted, words", [
    ([*PROMOTED, Promotion(0, 3, "10:00:10")], "two promotions to timeline 3"),
    ([*PROMOTED, Promotion(0, 4, "10:00:10")], "without a committed record"),
    ([*PROMOTED, Promotion(1, 4, "10:00:10")], "without a committed record"),
    ([Promotion(2, 2, "10:00:00")], "without a committed record"),
])
def test_a_bad_promotion(promoted, words):
    assert any(words in line for line in judge_promotions(GOOD, promoted))


def test_two_holders():
    assert judge_holders([(1.0, (0, 2))]) == ["(0, 2) held the address at once"]
    assert judge_holders([], {1}) == ["pgpool 1 held the address without an end"]


def test_two_writers():
    assert "both written" in two_primaries([(1, 2, "node0", "00000001"),
                                            (3, 4, "node1", "00000001")])[0]
    assert "when 00000002 had begun" in two_primaries([(1, 2, "node1", "00000002"),
                                                       (3, 4, "node0", "00000001")])[0]


@pytest.mark.skipif(not network.possible(), reason="needs root and namespaces")
def test_addresses_are_seen():
    """One after another is well; two at once are seen, and one that has no end."""
    town = Network()
    watch = None

    def change(number, *words):
        town._ip("-n", town.places[number], "address", *words)  # pylint: disable=protected-access

    def held(number):
        wait_for(lambda: watch.held and watch.held[-1][0] == number, f"{number} to hold it")

    try:
        for _ in range(2):
            town.place()
        watch = AddressWatch(town, range(2), "10.93.0.200")
        brief = ("add", "10.93.0.200/24", "dev", "eth0", "valid_lft", "60", "preferred_lft", "60")
        change(0, *brief)
        held(0)
        change(0, "del", "10.93.0.200/24", "dev", "eth0")
        change(1, *brief)
        held(1)
        assert not watch.doubles and not watch.without_end
        assert [member for member, _, _ in watch.held] == [0, 1]
        change(0, "add", "10.93.0.200/24", "dev", "eth0")
        wait_for(lambda: watch.doubles, "two holders")
        assert watch.doubles[0][1] == (0, 1) and watch.without_end == {0}
    finally:
        if watch:
            watch.close()
        town.destroy()
