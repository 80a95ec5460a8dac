"""Which rule of pool_hba.conf a client gets: what a real server does with the same file and the
same client is right."""

import itertools
import os
import random
import subprocess

import psycopg
import pytest

from cluster import Cluster
from proxy import binary
from waiting import wait_for

pytestmark = [pytest.mark.one_engine, pytest.mark.plain, pytest.mark.takes(30)]

PROGRAM = os.path.join(os.path.dirname(binary()), "test", "integration", "hba_match")

ROLES = """
CREATE ROLE staff; CREATE ROLE boss; CREATE ROLE "a b"; CREATE ROLE lone;
CREATE ROLE joe LOGIN; CREATE ROLE ann LOGIN; CREATE ROLE "+staff" LOGIN;
CREATE ROLE root2 SUPERUSER LOGIN;
GRANT staff TO joe; GRANT boss TO staff; GRANT "a b" TO ann;
"""
USERS = ["joe", "ann", "+staff", "root2", "staff", "lone", "nobody"]
PLACES = ["local", "127.0.0.1"]

USER_FIELDS = ["all", "joe", "ann,joe", "+staff", '"+staff"', "+boss", '"all"', '+"a b"',
               "+lone,ann", "+nobody", "JOE", '"joe"', "+root2", "@who"]
ADDRESSES = ["127.0.0.1/32", "127.0.0.0/8", "10.0.0.0/8", "127.0.0.1 255.0.0.255",
             "0.0.0.0/0", "::/0", "all", "samehost", "samenet", "127.0.0.2/32",
             "127.0.0.2/31", "127.9.9.1 255.0.0.255"]
EXPRESSIONS = ["/^j", "/n$", '"/^(joe|ann)$"', "/^\\w{3}$", "/\\d", "/^[^a]+$"]


def rule(rng, version, database):
    kind = rng.choice(["local", "host", "hostnossl", "hostssl", "hostgssenc", "hostnogssenc"])
    users = USER_FIELDS + (EXPRESSIONS if version >= 16 else [])
    return " ".join([kind, database, rng.choice(users),
                     "" if kind == "local" else rng.choice(ADDRESSES),
                     rng.choice(["trust", "reject"])])


def rules_of(version, sets=40):
    """Sets of some rules, each about databases of its own, and names that mean several."""
    rng, lines, databases = random.Random(6), [], []
    for number in range(sets):
        x, y = f"r{number}x", f"r{number}y"
        databases += [x, y, f"r{number}z"]
        fields = [x, y, f"{x},{y}", f'"{x}"', f"nothing,{y}", f'sameuser,"{x}"']
        if version >= 16:
            fields += [f"/^r{number}[xy]$", f'"/^r{number}.$"']
        lines += [rule(rng, version, rng.choice(fields)) for _ in range(rng.randrange(1, 5))]
    lines += ["local sameuser ann trust", "host samerole joe all trust",
              "local samegroup joe reject", '"host" replication,"sameuser" all all trust',
              "host \"samerole\" all all reject", "local \"replication\" joe trust"]
    databases += ["joe", "ann", "staff", "boss", "a b", "sameuser", "samerole", "replication",
                  "lone"]
    return lines, databases


@pytest.fixture(scope="module", name="server")
def server_fixture():
    cluster = Cluster(standbys=0)
    with cluster.primary.connect() as connection:
        connection.execute(ROLES)
    cluster.primary._write("who", "ann +lone\n")
    yield cluster.primary
    cluster.destroy()


def members(server):
    """All roles that each is a member of, itself included."""
    rows = server.rows("""
        WITH RECURSIVE m(member, roleid) AS (
            SELECT oid, oid FROM pg_roles
            UNION SELECT m.member, a.roleid FROM m JOIN pg_auth_members a ON a.member = m.roleid)
        SELECT u.rolname, r.rolname FROM m JOIN pg_roles u ON u.oid = m.member
        JOIN pg_roles r ON r.oid = m.roleid""")
    found = {}
    for user, role in rows:
        found.setdefault(user, []).append(role)
    return found


def outcome(server, user, database, place):
    host = server.directory if place == "local" else place
    try:
        psycopg.connect(host=host, port=server.port, user=user, dbname=database,
                        sslmode="disable", gssencmode="disable").close()
    except psycopg.OperationalError as error:
        text = str(error)
        if "no pg_hba.conf entry" in text:
            return "none"
        if "pg_hba.conf rejects" in text:
            return "reject"
        assert "does not exist" in text or "not permitted to log in" in text, text
    return "trust"


def ask_ours(path, clients):
    text = "".join(" ".join(client) + "\n" for client in clients)
    done = subprocess.run([PROGRAM, path], input=text, capture_output=True, text=True, check=True,
                          timeout=60)
    return done.stdout.splitlines()


def test_same_rule_as_a_server(server):
    version = int(server.value("SHOW server_version_num")) // 10000
    lines, databases = rules_of(version)
    head = ["local marker postgres reject", "local all postgres trust",
            "host all postgres 127.0.0.1/32 trust"]
    server.write_hba("\n".join(head + lines) + "\n")
    wait_for(lambda: outcome(server, "postgres", "marker", "local") == "reject", "the rules")
    roles = members(server)
    clients = [client for client in itertools.product(USERS, databases, PLACES)
               if " " not in client[1]]
    asked = ask_ours(os.path.join(server.data, "pg_hba.conf"),
                     [(*client, ",".join(roles.get(client[0], ["-"]))) for client in clients])
    assert len(asked) == len(clients)
    seen = set()
    for (user, database, place), ours in zip(clients, asked):
        if ours.startswith("line "):
            line = (head + lines)[int(ours.split()[1]) - 1]
            ours = line.split()[-1]
        else:
            line = ours
        assert ours == outcome(server, user, database, place), (user, database, place, line)
        seen.add(ours)
    assert seen == {"none", "reject", "trust"}


def test_roles_are_asked_for_only_when_they_matter(server, tmp_path):
    path = tmp_path / "hba"
    path.write_text("local a +staff trust\nlocal b joe,+staff reject\nhost c all .x trust\n")
    assert ask_ours(path, [("joe", "a", "local", "?"), ("joe", "b", "local", "?"),
                           ("joe", "d", "local", "?"), ("joe", "a", "local", "-"),
                           ("joe", "c", "::1", "?")]) == \
        ["roles", "line 2", "none", "none", "name"]
