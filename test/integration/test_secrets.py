"""Odd passwords: what PostgreSQL keeps of them is matched by the right one and no other, they log
in to servers from pool_passwd, and pg_enc and pg_md5 make what PostgreSQL and Pgpool-II make."""

import hashlib
import os
import re
import stat
import subprocess

import psycopg
import pytest

from cluster import HBA, Target
from proxy import Pgpool, binary
from waiting import SLOW

pytestmark = [pytest.mark.one_engine, pytest.mark.takes(20)]

# name: password, others that are the same by RFC 4013
ODD = {
    "plain": ("secret", ()),
    "space": (" ", ()),
    "spaces": ("  a  b  ", ()),
    "quotes": ("a'b\"c\\d$e", ()),
    "colons": ("a:b::c:", ()),
    "tab": ("a\tb", ()),
    "long": ("x" * 900, ()),
    "roman": ("\u2168", ("IX", "I\u00adX")),
    "soft_hyphen": ("I\u00adX", ("IX", "\u2168")),
    "only_hyphen": ("\u00ad", ()),
    "umlauts": ("Z\u00fcrich \u00fcn\u00efc", ("Zu\u0308rich \u00fcn\u00efc",)),
    "combined": ("e\u0301", ("\u00e9",)),
    "fullwidth": ("\uff41\uff42", ("ab",)),
    "no_break": ("a\u00a0b", ("a b", "a\u2003b")),
    "zero_width": ("a\u200bb", ()),
    "both_ways": ("\u0627" + "1", ()),
    "hebrew": ("\u05d0\u05d1", ()),
    "tone_mark": ("a\u0340b", ()),
    "emoji": ("\U0001f600 \U0001fae0", ()),
    "private": ("\ue000x", ()),
    "control": ("\u0085\u00e4", ()),
    "han": ("\u5bc6\u7801", ()),
    "corrected": ("\U0002f868", ()),
    "aes": ("AESabc=", ()),
    "text": ("TEXTabc", ()),
    "md5": ("md5" + "0" * 32, ()),
    "verifier": ("SCRAM-SHA-256$4096:x$y:z", ()),
    "hash": ("# no comment", ()),
}
NAMES = pytest.mark.parametrize("name", ODD)
# what PostgreSQL takes for a hash when a password is set it keeps as it is
HASHES = ("md5", )
KEY = "a key: with = odd 'signs'"


def others(password):
    """Wrong ones that are near."""
    return [password + "x", "x" + password, password.swapcase() + ".", password + " ",
            password[:-1] or "y", password.encode().hex()]


def tool(name, *words, stdin="", check=0, **environment):
    """As it is installed: pg_md5 is a link."""
    directory = os.path.dirname(os.path.abspath(binary()))
    command = subprocess.Popen(
        [name, *words], executable=os.path.join(directory, "pg_enc"), stdin=subprocess.PIPE,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        env={**os.environ, "LC_ALL": "C.UTF-8", **environment})
    out, err = command.communicate(stdin, timeout=60 * SLOW)
    assert command.returncode == check, f"{name} {words} exited with {command.returncode}:\n{err}"
    return err if check else out


def judge(user, stored, password):
    path = os.path.join(os.path.dirname(os.path.abspath(binary())), "test/integration/secrets")
    return subprocess.run([path, user, stored, password], capture_output=True, text=True,
                          check=True, timeout=60 * SLOW).stdout.strip()


@pytest.fixture(scope="module", name="roles")
def roles_fixture(cluster):
    """A role for each password and way to keep it; {(name, way): what pg_authid has}."""
    with cluster.primary.connect() as connection:
        connection.execute("CREATE ROLE odd")
        for way in ("scram-sha-256", "md5"):
            connection.execute(f"SET password_encryption = '{way}'")
            for name, (password, _) in ODD.items():
                if name in HASHES:
                    continue
                connection.execute(psycopg.sql.SQL(
                    "CREATE ROLE {} LOGIN PASSWORD {} IN ROLE odd").format(
                        psycopg.sql.Identifier(f"{name}-{way}"), psycopg.sql.Literal(password)))
        kept = {tuple(role.split("-", 1)): stored for role, stored in connection.execute(
            "SELECT rolname, rolpassword FROM pg_authid WHERE rolname LIKE '%-%'").fetchall()}
    cluster.wait_replayed()
    yield kept
    with cluster.primary.connect() as connection:
        for name, way in kept:
            connection.execute(f'DROP ROLE "{name}-{way}"')
        connection.execute("DROP ROLE odd")


@NAMES
@pytest.mark.parametrize("way", ["scram-sha-256", "md5"])
def test_what_postgresql_keeps(roles, name, way):
    if name in HASHES:
        pytest.skip("PostgreSQL takes it for a hash")
    password, same = ODD[name]
    user, stored = f"{name}-{way}", roles[name, way]
    assert judge(user, stored, password) == "right"
    for other in same:
        assert judge(user, stored, other) == ("right" if way != "md5" else "wrong"), other
    for other in others(password):
        assert judge(user, stored, other) == "wrong", other
    assert judge(user, stored, "") == "wrong"


def test_roles_without_a_password(cluster):
    """PostgreSQL keeps nothing of an empty one."""
    with cluster.primary.connect() as connection:
        connection.execute("CREATE ROLE empty_one LOGIN PASSWORD ''")
        stored = connection.execute(
            "SELECT rolpassword FROM pg_authid WHERE rolname = 'empty_one'").fetchone()[0]
        connection.execute("DROP ROLE empty_one")
    assert stored is None


# ---- logging in to servers -----------------------------------------------------------------------

@pytest.fixture(scope="module", name="served")
def served_fixture(cluster, engine, roles):
    """A pgpool with all the passwords, half of them encrypted; the servers ask for them."""
    pgpool = Pgpool(cluster, engine)
    pgpool.write_config()
    path = os.path.join(pgpool.directory, "pool_passwd")
    key = os.path.join(pgpool.directory, "key")
    write_private(key, KEY + "\nnot the key\n")
    for number, (name, way) in enumerate(sorted(roles)):
        if number % 2:
            tool("pg_enc", "-m", "-k", key, "-f", pgpool.config, "-u", f"{name}-{way}",
                 "--", ODD[name][0])
        else:
            with open(path, "a", encoding="utf-8") as file:
                file.write(f"{name}-{way}:TEXT{ODD[name][0]}\n")
    for server in cluster.servers:
        server.write_hba("host all +odd 127.0.0.1/32 md5\n" + HBA)
    os.environ["PGPOOLKEYFILE"] = key
    try:
        pgpool.start()
    finally:
        del os.environ["PGPOOLKEYFILE"]
    try:
        yield pgpool
    finally:
        for server in cluster.servers:
            server.write_hba(HBA)
    pgpool.finish()


@NAMES
@pytest.mark.parametrize("way", ["scram-sha-256", "md5"])
def test_login_to_servers(served, name, way):
    if name in HASHES:
        pytest.skip("PostgreSQL takes it for a hash")
    target = Target(served.host, served.port, user=f"{name}-{way}")
    with target.connect(password=ODD[name][0]) as connection:
        assert connection.execute("SELECT current_user").fetchone() == (f"{name}-{way}",)


def test_encrypted_entries_are_written(served, roles):
    with open(os.path.join(served.directory, "pool_passwd"), encoding="utf-8") as file:
        lines = file.read().rstrip("\n").split("\n")
    assert len(lines) == len(roles)
    assert sum(":AES" in line and ":TEXT" not in line for line in lines) == len(roles) // 2


# ---- logging in to us ----------------------------------------------------------------------------

@pytest.fixture(scope="module", name="administered")
def administered_fixture(cluster, engine, roles):
    pgpool = Pgpool(cluster, engine)
    pgpool.write_config()
    write_private(os.path.join(pgpool.directory, "pcp.conf"), "".join(
        f"{name}-{way}:{stored}\n" for (name, way), stored in roles.items()))
    pgpool.start()
    yield pgpool
    pgpool.finish()


@NAMES
@pytest.mark.parametrize("way", ["scram-sha-256", "md5"])
def test_login_by_what_postgresql_keeps(administered, name, way):
    """libpq proves; pcp.conf has what pg_authid has."""
    if name in HASHES:
        pytest.skip("PostgreSQL takes it for a hash")
    password, same = ODD[name]
    target = Target(administered.host, administered.pcp_port, "pgpool", f"{name}-{way}")
    for right in [password, *(same if way != "md5" else ())]:
        with target.connect(password=right) as connection:
            assert connection.execute("SHOW pool_version").fetchone()
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        target.connect(password=password + "x")


# ---- tools ---------------------------------------------------------------------------------------

def write_private(path, text):
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)
    os.chmod(path, 0o600)


@pytest.fixture(name="place")
def place_fixture(tmp_path):
    """A directory with a pgpool.conf; pool_passwd lies where that says."""
    (tmp_path / "pgpool.conf").write_text("pool_passwd = 'passwords'\n")
    return tmp_path


def entries(place):
    return (place / "passwords").read_text().splitlines()


def test_pg_md5_prints():
    assert tool("pg_md5", "foo") == hashlib.md5(b"foo").hexdigest() + "\n"
    assert tool("pg_md5", "-p", stdin="foo\n") == hashlib.md5(b"foo").hexdigest() + "\n"
    assert tool("pg_md5", stdin="foo") == hashlib.md5(b"foo").hexdigest() + "\n"


def test_pg_md5_writes_entries(place):
    conf = str(place / "pgpool.conf")
    tool("pg_md5", "-m", "-f", conf, "-u", "joe", "secret")
    assert entries(place) == ["joe:md5" + hashlib.md5(b"secretjoe").hexdigest()]
    assert stat.S_IMODE(os.stat(place / "passwords").st_mode) == 0o600
    (place / "users").write_text("ann:one\n\njoe:two:three\n")
    out = tool("pg_md5", "--md5auth", "--config-file", conf, "--input-file", str(place / "users"))
    assert out == (f"trying to read username:password pairs from file {place / 'users'}\n"
                   "LINE#01: USER: <ann>\nLINE#03: USER: <joe>\n")
    assert entries(place) == ["joe:md5" + hashlib.md5(b"two:threejoe").hexdigest(),
                              "ann:md5" + hashlib.md5(b"oneann").hexdigest()]


def test_other_lines_of_the_file_stay(place):
    write_private(place / "passwords", "# words\njoe:TEXTold\n\nann:TEXTx\njoe:TEXTolder")
    tool("pg_enc", "-m", "-f", str(place / "pgpool.conf"), "-K", "k", "-u", "joe", "new")
    lines = entries(place)
    assert lines[0] == "# words" and lines[2:] == ["", "ann:TEXTx"]
    assert lines[1].startswith("joe:AES")


def test_pg_enc_prints(place):
    printed = re.compile(r"\n([A-Za-z0-9+/]+=*)\npool_passwd string: AES\1\n$")
    assert printed.fullmatch(tool("pg_enc", "-K", "k", "foo"))
    write_private(place / "key", "k\n")
    assert tool("pg_enc", "-k", str(place / "key"), "foo") == \
        f"trying to read key from file {place / 'key'}\n" + tool("pg_enc", "-K", "k", "foo")
    assert tool("pg_enc", "foo", PGPOOLKEYFILE=str(place / "key")).endswith(
        tool("pg_enc", "-K", "k", "foo"))
    write_private(place / ".pgpoolkey", "k\n")
    assert tool("pg_enc", "foo", HOME=str(place)).endswith(tool("pg_enc", "-K", "k", "foo"))
    assert tool("pg_enc", "-P", "-p", stdin="k\nfoo\n") == tool("pg_enc", "-K", "k", "foo")
    assert tool("pg_enc", "-K", "k", "foo") != tool("pg_enc", "-K", "l", "foo")


PGPOOL_II = "/usr/sbin/"


@pytest.mark.skipif(not os.path.exists(PGPOOL_II + "pg_enc"), reason="Pgpool-II is not installed")
def test_as_pgpool_ii(place):
    (place / "users").write_text("a:one\nb:two:x\n")
    for words in (["pg_enc", "-K", KEY, "secret"], ["pg_enc", "-K", "k", "Z\u00fcrich " * 10],
                  ["pg_enc", "-K", "k", "-i", str(place / "users")], ["pg_md5", "secret"],
                  ["pg_md5", "-i", str(place / "users")]):
        theirs = subprocess.run([PGPOOL_II + words[0], *words[1:]], capture_output=True, text=True,
                                check=True, timeout=60 * SLOW).stdout
        assert tool(*words) == theirs


def test_scram_verifiers(cluster):
    """What pg_enc makes PostgreSQL takes."""
    for password in ("secret", "\u2168"):
        stored = tool("pg_enc", "--scram", password).strip()
        assert stored != tool("pg_enc", "--scram", password).strip()
        assert judge("x", stored, password) == "right"
        assert judge("x", stored, password + "x") == "wrong"
        with cluster.primary.connect() as connection:
            connection.execute(f"CREATE ROLE verified LOGIN PASSWORD '{stored}'")
            kept = connection.execute(
                "SELECT rolpassword FROM pg_authid WHERE rolname = 'verified'").fetchone()[0]
            cluster.primary.write_hba("host all verified 127.0.0.1/32 scram-sha-256\n" + HBA)
            try:
                target = Target(cluster.primary.host, cluster.primary.port, user="verified")
                with target.connect(password=password) as other:
                    assert other.execute("SELECT 1").fetchone() == (1,)
            finally:
                cluster.primary.write_hba(HBA)
                connection.execute("DROP ROLE verified")
        assert kept == stored


@pytest.mark.parametrize("words, status, said", [
    (("pg_enc", "-K", "", "x"), 1, "encryption key not provided"),
    (("pg_enc", "-k", "/nowhere/key", "x"), 1, "/nowhere/key"),
    (("pg_enc", "-K", "k", ""), 1, "empty"),
    (("pg_enc", "-K", "k", "x" * 1001), 1, "longer"),
    (("pg_enc", "-K", "k" * 2000, "x"), 1, "longer"),
    (("pg_enc", "-K", "k", "-i", "/nowhere/users"), 1, "/nowhere/users"),
    (("pg_enc", "-K", "k", "-m", "-f", "/nowhere/pgpool.conf", "x"), 1, "/nowhere/pgpool.conf"),
    (("pg_enc", "--nonsense"), 2, "--help"),
    (("pg_enc", "a", "b"), 2, "one password"),
    (("pg_enc", "-i", "f", "b"), 2, "not both"),
    (("pg_md5", "-K", "k", "x"), 2, "--help"),
])
def test_wrong_command_lines(words, status, said):
    assert said in tool(*words, check=status)


def test_faults_of_files(place):
    conf = str(place / "pgpool.conf")
    assert "no entry for a user" in tool("pg_md5", "-m", "-f", conf, "-u", "a:b", "x", check=1)
    (place / "users").write_text("a:one\nnonsense\n")
    assert f"{place / 'users'}:2: " in tool("pg_md5", "-m", "-f", conf, "-i",
                                            str(place / "users"), check=1)
    (place / "key").write_text("k\n")
    os.chmod(place / "key", 0o644)
    assert "others than its owner" in tool("pg_enc", "-k", str(place / "key"), "x", check=1)
    (place / "pgpool.conf").write_text("pool_passwd = ''\n")
    assert "pool_passwd is empty" in tool("pg_md5", "-m", "-f", conf, "x", check=1)


def test_help_and_version():
    for name in ("pg_enc", "pg_md5"):
        assert "--input-file" in tool(name, "--help")
        assert tool(name, "--version").startswith("pgpool ")
