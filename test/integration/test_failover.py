"""Whatever happens to the primary and to those who are to take its place: another one takes over,
only one, with all that was acknowledged, and applications go on."""

import os
import re
import signal
import stat

import pytest

import processes
import raw
from cluster import as_owner, bin_dir, run
from failing import FailingCluster, Keeper, Load, SmallNode, takes_long
from test_no_failover import SERVER_ENDS
from waiting import SLOW, Background, wait_for

# none of it is a matter of the engine
pytestmark = [pytest.mark.one_engine, pytest.mark.takes(8), pytest.mark.plain]


class Bed:
    """A cluster and a pgpool before it, both for one test."""

    def __init__(self, engine):
        self.cluster = FailingCluster(standbys=2)
        self.nodes = self.cluster.servers
        self.engine, self.pgpool = engine, None

    def begin(self, **settings):
        """A pgpool that has seen all of them."""
        self.pgpool = Keeper(self.cluster, self.engine, **settings).start()
        self.pgpool.wait_whole()
        return self.pgpool

    def confirm_by_all(self):
        """What the primary acknowledges every standby has, whoever of them is promoted."""
        self.nodes[0].more = "synchronous_standby_names = 'ANY 2 (*)'\n"
        self.nodes[0].configure("")
        self.nodes[0].rows("SELECT pg_reload_conf()")
        wait_for(lambda: self.nodes[0].value("SHOW synchronous_standby_names") == "ANY 2 (*)",
                 "the setting")

    def path(self, name):
        return os.path.join(self.cluster.directory, name)

    def script(self, name, text):
        """A command for the configuration: a shell script in the cluster's directory, run there."""
        with open(self.path(name), "w", encoding="utf-8") as file:
            file.write(f"#!/bin/sh\ncd {self.cluster.directory}\n{text}\n")
        os.chmod(self.path(name), 0o755)
        return self.path(name)

    def read(self, name):
        try:
            with open(self.path(name), encoding="utf-8") as file:
                return file.read()
        except FileNotFoundError:
            return ""

    def lines(self, name):
        return self.read(name).splitlines()

    def touch(self, name):
        with open(self.path(name), "w", encoding="utf-8"):
            pass

    def promoted(self, *nodes, timeline=2):
        """Until one of these is the primary, on that timeline and no later one."""
        node = self.pgpool.wait_primary(*nodes)
        value = self.nodes[node].value("SELECT substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8)")
        assert int(value, 16) == timeline
        return self.nodes[node]

    def heal(self, primary, *nodes):
        """Those that are lost become standbys of the primary, and pgpool takes them back."""
        for node in nodes:
            node.rebuild(primary)
        self.pgpool.wait_whole()
        wait_for(lambda: self.cluster.whole(primary), "all to stream", 30)

    def finish(self):
        try:
            if self.pgpool:
                self.pgpool.finish()
        finally:
            self.cluster.destroy()


@pytest.fixture(name="bed")
def bed_fixture(engine):
    bed = Bed(engine)
    yield bed
    bed.finish()


AS_OWNER = " ".join(as_owner())
PG_CTL = f"{AS_OWNER} {bin_dir()}/pg_ctl -s -w"
PROMOTE = PG_CTL + " -D {} promote"


# ---- how a primary dies --------------------------------------------------------------------------

def test_killed_primary(bed):
    """The other standby streams from the new one, through a slot that was not there before; every
    event is told; the old one is no second primary when it comes back, and is taken back when it
    is a standby."""
    command = bed.script("event.sh", 'echo "$PGPOOL_EVENT|$PGPOOL_NODE_ID|$PGPOOL_NODE_PORT|'
                         '$PGPOOL_EVENT_TIME|$PGPOOL_EVENT_TEXT" >>events')
    pgpool = bed.begin(event_command=command)
    load = Load(pgpool)
    bed.nodes[0].kill()
    primary = bed.promoted(1, 2)
    load.wait_going_on()
    other = bed.nodes[3 - primary.number]
    pgpool.wait_event("following", other.number)
    assert primary.rows("SELECT application_name, state FROM pg_stat_replication") == \
        [(other.server_name, "streaming")]
    assert primary.rows("SELECT slot_name, active FROM pg_replication_slots") == \
        [(f"standby{other.number}", True)]
    bed.nodes[0].begin()
    pgpool.wait_state(0, "rogue")
    load.wait_going_on()
    assert bed.nodes[0].ask("SELECT count(*) FROM pg_stat_activity WHERE datname = 'test' "
                            "AND pid <> pg_backend_pid()") == (0,)
    bed.heal(primary, bed.nodes[0])
    load.wait_going_on()
    load.finish(primary)
    told = [(row["event"], int(row["node_id"])) for row in pgpool.show("pool_events")]
    wait_for(lambda: len(bed.lines("events")) >= len(told), "all events to be told", 20)
    lines = [line.split("|") for line in bed.lines("events")]
    assert sorted((line[0], int(line[1])) for line in lines) == sorted(told)
    assert ("promoted", primary.number) in told and ("failover begun", 0) in told
    assert {int(line[2]) for line in lines if line[1] == "0"} == {bed.nodes[0].port}
    assert all(re.fullmatch(r"\d+\.\d{6}", line[3]) and line[4] for line in lines)


@takes_long
def test_killed_postmaster(bed):
    """Its children linger for a while; what they had is gone from pgpool before. What they say of
    it is no shutdown, which would be given time."""
    pgpool = bed.begin(shutdown_grace="1000s")
    load = Load(pgpool)
    pids = bed.nodes[0].pids()
    os.kill(pids[0], signal.SIGKILL)
    primary = bed.promoted(1, 2)
    load.wait_going_on()
    wait_for(lambda: not any(processes.alive(pid) for pid in pids), "its children's end", 60)
    bed.nodes[0].clear()
    load.finish(primary, SERVER_ENDS)


def test_stopped_primary_wakes_up(bed):
    """Nobody is sent there any more. What was on its way when it fell asleep it may do, and that
    was acknowledged to nobody."""
    bed.nodes[0].more = "log_statement = 'all'\n"
    bed.nodes[0].stop()
    bed.nodes[0].start()
    bed.cluster.wait_streaming()
    pgpool = bed.begin()
    load = Load(pgpool)
    bed.nodes[0].freeze()
    primary = bed.promoted(1, 2)
    load.wait_going_on()
    before = bed.read("node0.log")
    bed.nodes[0].thaw()
    pgpool.wait_state(0, "rogue")
    load.wait_going_on(10)
    assert bed.nodes[0].ask("SELECT count(*) FROM pg_stat_activity WHERE datname = 'test' AND "
                            "pid <> pg_backend_pid() AND wait_event IS DISTINCT FROM 'SyncRep'") \
        == (0,)
    done = bed.read("node0.log")[len(before):]
    late = {(int(who), int(n)) for who, n in re.findall(r"INTO acks VALUES \((\d+), (\d+)\)", done)}
    later = {row for row, ack in load.acknowledged().items() if ack[3] > "00000001"}
    assert later and not late & later
    load.finish(primary)


class SmallCluster(FailingCluster):
    server_class = SmallNode


@takes_long
@pytest.mark.skipif(os.getuid() != 0, reason="needs root: a disk is mounted")
def test_disk_of_the_primary_is_full(bed):
    """It ends with a panic, again and again."""
    bed.cluster.destroy()
    bed.cluster = SmallCluster()
    bed.nodes = bed.cluster.servers
    pgpool = bed.begin()
    load = Load(pgpool)
    bed.nodes[0].fill()
    primary = bed.promoted(1, 2)
    load.wait_going_on()
    bed.nodes[0].free()
    bed.heal(primary, bed.nodes[0])
    load.finish(primary, SERVER_ENDS | {"53100", "XX000"}, lost=10)


def test_primary_and_a_standby_at_once(bed):
    """Who is left takes over; the other one comes back and has to follow."""
    bed.confirm_by_all()
    pgpool = bed.begin()
    load = Load(pgpool)
    bed.nodes[1].kill()  # first: it must not be the primary for a moment
    bed.nodes[0].kill()
    primary = bed.promoted(2)
    assert pgpool.states()[1] in ("down", "recovering")
    bed.nodes[1].begin()
    pgpool.wait_state(1, "up")
    load.wait_going_on()
    load.finish(primary)
    wait_for(lambda: primary.rows("SELECT application_name FROM pg_stat_replication "
                                  "WHERE state = 'streaming'") == [("node1",)], "node1 to stream")


@takes_long
def test_all_servers_at_once(bed):
    """The primary is the first to be back: it goes on as such, nobody was promoted."""
    pgpool = bed.begin(failover_wait=f"{90 * SLOW}s")
    load = Load(pgpool, patience=100 * SLOW)
    for node in (1, 2, 0):
        bed.nodes[node].kill()
    pgpool.wait_event("no candidate")
    for node in bed.nodes:
        node.begin()
        wait_for(lambda n=node: n.ask("SELECT 1"), node.server_name, 30)
    load.wait_going_on()
    primary = bed.nodes[pgpool.primary()]
    load.finish(primary, SERVER_ENDS)
    assert primary is bed.nodes[0]


def test_who_stands_in_line_for_the_primary(bed):
    """As many connections as there may be are taken: who waits for one of a dead node looks
    elsewhere, long before query_wait_timeout."""
    pgpool = bed.begin(max_backend_connections=3, pool_mode="transaction", num_init_children=1,
                       query_wait_timeout="1h")
    holders = [raw.connected(pgpool) for _ in range(3)]
    waiters = [raw.connected(pgpool, timeout=60) for _ in range(4)]
    for one in holders:
        one.simple("BEGIN; SELECT 1 /* pgpool: primary */")
    for one in waiters:
        one.send(raw.query("SELECT 1 /* pgpool: primary */"))
    wait_for(lambda: pgpool.show("pool_waiters"), "somebody to wait")
    bed.nodes[0].kill()
    for one in waiters:
        assert not raw.codes(one.read_until("Z"))
    for one in holders:
        assert set(raw.codes(one.simple("SELECT 1"))) <= {"40001", "25P02"}
    for one in holders + waiters:
        one.close()


# ---- who takes its place -------------------------------------------------------------------------

def test_standby_that_has_received_less(bed):
    """However much it is preferred."""
    pgpool = bed.begin(backend_priority1=100)

    def streaming():
        return [row["replication_state"] for row in pgpool.show("pool_nodes")].count("streaming")

    wait_for(lambda: streaming() == 2, "pgpool to have seen both stream")
    receiver = bed.nodes[1].value("SELECT pid FROM pg_stat_wal_receiver")
    os.kill(receiver, signal.SIGSTOP)
    bed.nodes[2].rows("SELECT pg_wal_replay_pause()")  # it is not behind for that
    load = Load(pgpool)
    load.wait_going_on()  # with nothing written both have the same
    bed.nodes[0].kill()
    primary = bed.promoted(2)
    os.kill(receiver, signal.SIGCONT)
    load.wait_going_on()
    load.finish(primary)


@takes_long
def test_preferred_standby(bed):
    pgpool = bed.begin(backend_priority2=100)
    bed.cluster.wait_streaming()
    bed.nodes[0].kill()
    assert bed.promoted(2) and pgpool.rows("SELECT 1 /* pgpool: primary */")


@takes_long
def test_standby_of_another_history(bed):
    """It was promoted beside the cluster, and is a standby again, of the same timeline's number."""
    side = bed.nodes[1]
    side.more = "synchronous_standby_names = ''\n"
    side.stop()
    side.configure("port = 1\nlisten_addresses = ''\n")  # nobody sees it
    run(*as_owner(bin_dir() + "/pg_ctl", "-D", side.data, "-w", "-s", "-l", side.log, "start"))
    run(*as_owner(bin_dir() + "/pg_ctl", "-D", side.data, "-w", "-s", "promote"))
    side.stop()
    side._write("standby.signal", "")
    pgpool = Keeper(bed.cluster, bed.engine).start()
    bed.pgpool = pgpool
    side.begin()
    pgpool.wait_state(1, "quarantined")
    load = Load(pgpool)
    bed.nodes[0].kill()
    bed.pgpool.wait_primary(2)
    # no standby can acknowledge anything now, but for this one
    side.rebuild(bed.nodes[2])
    load.wait_going_on()
    assert not pgpool.events("candidate", 1)
    load.finish(bed.nodes[2])


# ---- promotions that fail ------------------------------------------------------------------------

@takes_long
def test_data_directory_that_cannot_be_written(bed):
    pgpool = bed.begin(backend_priority1=100)
    bed.cluster.wait_streaming()
    mode = stat.S_IMODE(os.stat(bed.nodes[1].data).st_mode)
    os.chmod(bed.nodes[1].data, 0o500)
    try:
        bed.nodes[0].kill()
        primary = bed.promoted(2)
    finally:
        os.chmod(bed.nodes[1].data, mode)
    assert pgpool.events("candidate", 1) and pgpool.events("step failed", 1)
    pgpool.wait_event("following", 1)
    assert primary.rows("SELECT application_name FROM pg_stat_replication") == [("node1",)]


@takes_long
def test_candidate_dies_in_the_middle(bed):
    """failover_command is told everything, and promotes; the first one it is called for dies of
    it."""
    command = bed.script("failover.sh", f"""echo "$@" >>calls
if [ ! -e killed ]; then touch killed; kill -9 $(cat $5/postmaster.pid | head -n 1); exit 0; fi
{PROMOTE.format("$5")}""")
    pgpool = bed.begin(backend_priority1=100, failover_command=f"{command} %d %h %p %m %R %H %r "
                                                               "%P %N %S %D %%")
    bed.confirm_by_all()
    bed.cluster.wait_streaming()
    load = Load(pgpool)
    bed.nodes[0].kill()
    primary = bed.promoted(1, 2)
    calls = [line.split() for line in bed.lines("calls")]
    assert len(calls) == 2 and {call[3] for call in calls} == {"1", "2"}
    old = bed.nodes[0]
    assert calls[1] == ["0", old.host, str(old.port), str(primary.number), primary.data,
                        primary.host, str(primary.port), "0", old.host, str(old.port), old.data,
                        "%"]
    dead = bed.nodes[3 - primary.number]
    wait_for(lambda: not processes.alive(dead.postmaster()), "the end of the first one")
    pgpool.wait_state(dead.number, "down")
    dead.clear()
    dead.begin()
    load.wait_going_on()
    load.finish(primary)


@takes_long
def test_failover_command_hangs(bed):
    """It is ended, with what it has begun; another one leaves something behind, which lives on."""
    command = bed.script("failover.sh", f"""if [ ! -e hung ]; then
sh -c 'echo $$ >sleeper; exec sleep 1000' & touch hung; wait; fi
{PROMOTE.format("$1")}
sh -c 'echo $$ >left; exec sleep 1000' &""")
    pgpool = bed.begin(failover_command=f"{command} %R", command_timeout="2s")
    bed.confirm_by_all()
    load = Load(pgpool)
    bed.nodes[0].kill()
    primary = bed.promoted(1, 2)
    load.wait_going_on()
    assert any("did not end in time" in text for text in pgpool.events("step failed"))
    assert not processes.alive(int(bed.read("sleeper")))
    wait_for(lambda: bed.lines("left"), "the second one's end")
    left = int(bed.read("left"))
    assert processes.alive(left)
    os.kill(left, signal.SIGKILL)
    load.finish(primary)


def test_fence_command_fails_twice(bed):
    """Nothing is promoted before it has succeeded."""
    command = bed.script("fence.sh", """for n in 1 2; do
if [ ! -e fenced$n ]; then touch fenced$n; echo "no power switch"; exit 3; fi; done
echo "$@" >fenced""")
    pgpool = bed.begin(fence_command=f"{command} %d %h %p %D")
    bed.nodes[0].kill()
    bed.promoted(1, 2)
    old = bed.nodes[0]
    assert bed.read("fenced").split() == ["0", old.host, str(old.port), old.data]
    failed = pgpool.events("step failed", 0)
    assert len(failed) == 2 and "no power switch" in failed[0]


# ---- pgpool's own processes ----------------------------------------------------------------------

def kill_in(pgpool, phase):
    """The failover process, when it has come to that phase."""
    wait_for(lambda: pgpool.failover_title() == phase, f"\"{phase}\"", 30)
    pgpool.kill_named("failover")


@takes_long
def test_failover_process_is_killed_in_each_phase(bed):
    """The next one goes on where it was; one promotion, one new timeline."""
    fence = bed.script("fence.sh", "while [ ! -e go-fence ]; do sleep 0.05; done")
    promote = bed.script("failover.sh", "while [ ! -e go-promote ]; do sleep 0.05; done")
    pgpool = bed.begin(fence_command=fence, failover_command=f"{promote} %R", candidate_wait="3s",
                       backend_priority1=100, promotion_timeout=f"{int(20 * SLOW)}s")
    bed.cluster.wait_streaming()
    load = Load(pgpool)
    child = pgpool.named("child")[0]
    os.kill(child, signal.SIGSTOP)
    bed.nodes[0].kill()
    kill_in(pgpool, "failover: fencing")
    os.kill(child, signal.SIGCONT)
    kill_in(pgpool, "failover: fence_command")
    bed.nodes[2].freeze()
    bed.touch("go-fence")
    kill_in(pgpool, "failover: choosing")
    bed.nodes[2].thaw()
    kill_in(pgpool, "failover: promoting")
    bed.touch("go-promote")
    kill_in(pgpool, "failover: verifying")
    candidate = int(re.search(r"node (\d)", pgpool.events("candidate")[-1]).group(1))
    bed.nodes[candidate].rows("SELECT pg_promote(false)")
    primary = bed.promoted(candidate)
    load.wait_going_on()
    assert len(pgpool.events("promoted")) == 1
    load.finish(primary, lost=8)


def restart(pgpool):
    """pgpool and all of its processes are gone at once, and it is started again."""
    pids = pgpool.pids()
    for pid in pids:
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
    pgpool.process.wait()
    wait_for(lambda: not any(processes.alive(pid) for pid in pids), "the end of pgpool")
    Keeper.running.remove(pgpool)


def test_pgpool_is_killed_in_the_middle(bed):
    """The next one goes on with the failover, and knows who was promoted before."""
    promote = bed.script("failover.sh", "while [ ! -e go ]; do sleep 0.05; done\n" +
                         PROMOTE.format("$1"))
    pgpool = bed.begin(failover_command=f"{promote} %R")
    load = Load(pgpool)
    bed.nodes[0].kill()
    wait_for(lambda: pgpool.failover_title() == "failover: promoting", "the promotion", 30)
    restart(pgpool)
    bed.nodes[0].begin()  # it is back, and must not be used: somebody else may be promoted by now
    bed.touch("go")
    pgpool.start()
    primary = bed.promoted(1, 2)
    pgpool.wait_state(0, "rogue")
    # meanwhile the other one may have received from there what is in nobody's history now
    bed.heal(primary, bed.nodes[0], bed.nodes[3 - primary.number])
    load.wait_going_on()
    load.finish(primary, set("57P03 57P01".split()) | load.codes(), lost=10000)


def test_torn_status_file(bed):
    """It is kept aside, and the servers' timelines tell who is the primary."""
    pgpool = bed.begin()
    bed.nodes[0].kill()
    primary = bed.promoted(1, 2)
    bed.nodes[0].begin()
    pgpool.wait_state(0, "rogue")
    restart(pgpool)
    path = os.path.join(pgpool.directory, "pgpool_status")
    with open(path, encoding="utf-8") as file:
        text = file.read()
    with open(path, "w", encoding="utf-8") as file:
        file.write(text[:len(text) // 2])
    pgpool.start()
    assert pgpool.wait_primary(0, 1, 2) == primary.number
    pgpool.wait_state(0, "rogue")
    with open(path + ".faulty", encoding="utf-8") as file:
        assert file.read() == text[:len(text) // 2]
    # with the file, nobody has to be asked
    restart(pgpool)
    pgpool.start()
    assert pgpool.wait_primary(0, 1, 2) == primary.number
    pgpool.wait_state(0, "rogue")


# ---- what administrators do ----------------------------------------------------------------------

def test_promoted_by_hand(bed):
    """Beside a primary that lives: a rogue. Instead of one that is dead: the primary."""
    pgpool = bed.begin(backend_flag0="DISALLOW_TO_FAILOVER")
    load = Load(pgpool)
    bed.nodes[2].rows("SELECT pg_promote()")
    pgpool.wait_state(2, "rogue")
    load.wait_going_on()
    bed.heal(bed.nodes[0], bed.nodes[2])
    bed.nodes[0].kill()
    pgpool.wait_state(0, "down")
    bed.nodes[1].rows("SELECT pg_promote()")
    primary = bed.promoted(1)
    pgpool.wait_event("following", 2)
    load.wait_going_on()
    load.finish(primary)


@takes_long
def test_detach_and_attach(bed):
    """Of a standby, of the primary, and of a node that is dead; without auto_failback nobody comes
    back by himself."""
    pgpool = bed.begin(auto_failback="off")
    load = Load(pgpool)
    assert pgpool.order("DETACH NODE 2") is None
    pgpool.wait_state(2, "maintenance")
    bed.nodes[2].stop()
    assert pgpool.order("PROMOTE NODE 2") is not None
    assert pgpool.order("PROMOTE NODE 2 SWITCHOVER") is not None
    bed.nodes[2].begin()
    wait_for(lambda: bed.cluster.whole(bed.nodes[0]), "node 2 to stream", 30)
    load.wait_going_on()
    assert pgpool.states()[2] == "maintenance"
    assert pgpool.order("ATTACH NODE 2") is None
    pgpool.wait_state(2, "up")
    bed.nodes[1].kill()
    pgpool.wait_state(1, "down")
    bed.nodes[1].begin()
    wait_for(lambda: bed.cluster.whole(bed.nodes[0]), "node 1 to stream", 30)
    load.wait_going_on(10)
    assert pgpool.states()[1] == "down"
    assert pgpool.order("ATTACH NODE 1") is None
    pgpool.wait_state(1, "up")
    assert pgpool.order("DETACH NODE 0") is None
    primary = bed.promoted(1, 2)
    pgpool.wait_state(0, "maintenance")
    load.wait_going_on()
    load.finish(primary)


def test_switchover(bed):
    """There and back: the old primary is made a standby by follow_primary_command. Everybody
    waits, and nobody hears an error."""
    follow = bed.script("follow.sh", f"""echo "$@" >>calls
psql() {{ {bin_dir()}/psql -X -q -t -h 127.0.0.1 -U postgres -d postgres "$@"; }}
psql -p $5 -c "SELECT pg_create_physical_replication_slot('standby$1', true)" 2>/dev/null
conninfo="host=127.0.0.1 port=$5 user=postgres application_name=node$1"
if [ -e $2/standby.signal ]; then
psql -p $3 -c "ALTER SYSTEM SET primary_slot_name = 'standby$1'" \
-c "ALTER SYSTEM SET primary_conninfo = '$conninfo'" -c "SELECT pg_reload_conf()"
exit; fi
{PG_CTL} -D $2 -m immediate stop && rm -rf $2 &&
{AS_OWNER} {bin_dir()}/pg_basebackup -D $2 -d "$conninfo" -c fast -X stream -N &&
{AS_OWNER} sh -c "cat >$2/postgresql.auto.conf; touch $2/standby.signal" <<END &&
primary_conninfo = '$conninfo'
primary_slot_name = 'standby$1'
END
{AS_OWNER} sh -c "echo port = $3 >$2/own.conf; cat >>$2/own.conf" <<END &&
cluster_name = 'node$1'
unix_socket_directories = '$PWD'
synchronous_standby_names = 'ANY 1 (*)'
END
{PG_CTL} -D $2 -l node$1.log start""")
    pgpool = bed.begin(follow_primary_command=f"{follow} %d %D %p %m %r")
    load = Load(pgpool)
    assert pgpool.order("PROMOTE NODE 2 SWITCHOVER") is None
    bed.promoted(2)
    pgpool.wait_whole()
    wait_for(lambda: bed.cluster.whole(bed.nodes[2]), "both to follow", 30)
    load.wait_going_on()
    assert pgpool.order("PROMOTE NODE 0 SWITCHOVER") is None
    primary = bed.promoted(0, timeline=3)
    pgpool.wait_whole()
    load.wait_going_on()
    assert pgpool.order("PROMOTE NODE 1") is None
    primary = bed.promoted(1, timeline=4)
    load.wait_going_on()
    load.finish(primary)


@takes_long
def test_switchover_that_cannot_catch_up(bed):
    """The failover process is killed meanwhile, and then it takes too long: the old one goes on."""
    pgpool = bed.begin(switchover_timeout=f"{int(4 * SLOW)}s")
    load = Load(pgpool)
    receiver = bed.nodes[2].value("SELECT pid FROM pg_stat_wal_receiver")
    os.kill(receiver, signal.SIGSTOP)
    try:
        load.wait_going_on()
        order = Background(pgpool.order, "PROMOTE NODE 2 SWITCHOVER")
        kill_in(pgpool, "switchover: catching_up")
        pgpool.wait_event("switchover given up")
    finally:
        os.kill(receiver, signal.SIGCONT)
    assert order.result() == "55000"
    load.wait_going_on()
    assert pgpool.primary() == 0 and not pgpool.events("promoted")
    load.finish(bed.nodes[0])
    with raw.connected(pgpool) as one:
        assert one.rows("SELECT timeline_id FROM pg_control_checkpoint() /* pgpool: primary */") \
            == [["1"]]
