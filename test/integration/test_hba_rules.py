"""pool_hba.conf and pool_ident.conf: PostgreSQL's own reading of the same lines (pg_hba_file_rules,
pg_ident_file_mappings) is right, but for what we refuse on purpose; configtest, start, reload."""

import os
import random
import re
import shutil
import subprocess
import types

import pytest

import raw
from cluster import Cluster
from proxy import Pgpool
from waiting import free_port, wait_for

pytestmark = [pytest.mark.one_engine, pytest.mark.plain, pytest.mark.takes(30)]

HBA_COLUMNS = ["type", "database", "user_name", "address", "netmask", "auth_method", "options"]
IDENT_COLUMNS = ["map_name", "sys_name", "pg_username"]

# A server without TLS complains of hostssl lines that are right.
NO_TLS = "hostssl record cannot match because SSL is disabled"

# What we show and PostgreSQL does not.
OURS_ALONE = ("clientname=", "pam_use_hostname=")


class Strict(str):
    """A part of a line that PostgreSQL takes and we refuse: it would have to guess, or we do not
    offer it."""


TYPES = ["local", "host", "hostssl", "hostnossl", "hostgssenc", "hostnogssenc", '"host"', "hosts",
         "LOCAL", "local,host"]
DATABASES = ["all", "a", "a,b", "a, b", '"a b"', "sameuser", "samerole", "samegroup", "replication",
             '"all"', '"a""b"', 'a"b c"d', '""', "@names", "a,@names,b", "@missing", '"@names"',
             "@", "null", "a\\b", "{a}", "Ä", "@empty"]
USERS = ["all", "joe", "joe,ann", "+staff", '"+staff"', "joe,+staff,@names", '"a,b"', "'x'",
         "@names"]
ADDRESSES = ["127.0.0.1/32", "10.1.2.3/8", "0.0.0.0/0", "::1/128", "2001:db8::1/33", "::/0",
             "10.0.0.1 255.255.0.0", "10.0.0.1 255.0.255.0", "::1 ffff::", "all", '"all"',
             "samehost", "samenet", "db.example.com", ".example.com", "127.0.0.1", "::1",
             "10.0.0.1/33", "::1/129", "10.0.0.1/x", "10.0.0.1/", "10.0.0.1/+8x", "10.0.0.1 x",
             "10.0.0.1 ffff::",
             "db.example.com/24", "all,samenet", "1.2.3.4/8,1.2.3.5/8", "::ffff:10.0.0.1/128",
             "10.0.0.1 255.0.0.0,255.255.0.0", "300.1.1.1/8",
             Strict("10.1/16"), Strict("127 255.0.0.0")]
METHODS = ["trust", "reject", "md5", "password", "scram-sha-256", "cert", "peer", "pam", "ldap",
           "nothing", "trust,md5", '"trust"', "MD5", "", Strict("gss"),
           Strict("radius radiusservers=a radiussecrets=b")]
LDAP = ["ldapserver=a ldapprefix=x", 'ldapserver="a b" ldapsuffix=", dc=x" ldaptls=1',
        'ldapserver=a ldapport=1389 ldapbasedn="dc=a,dc=b"', "ldapserver=a",
        "ldapserver=a ldapbasedn=x ldapbinddn=y ldapbindpasswd=z ldapsearchattribute=u",
        'ldapserver=a ldapbasedn=x ldapsearchfilter="(uid=$username)"',
        "ldapserver=a ldapbasedn=x ldapsearchattribute=u ldapsearchfilter=v",
        "ldapserver=a ldapprefix=x ldapbasedn=y", "ldapserver=a ldapport=0 ldapprefix=x",
        "ldapserver=a ldapscheme=ldaps ldapprefix=x",
        Strict("ldapserver=a ldapscheme=x ldapprefix=x"),
        "ldapserver=a ldapprefix=x ldapsearchattribute=u", "ldapserver=a ldapprefix=x ldaptls=0",
        "ldapurl=ldap://h/dc=x", '"ldapurl=ldap://h:99/dc=x%2cdc=y?uid,mail?sub"',
        '"ldapurl=ldaps://[::1]/dc=x??one?(uid=$username)"', "ldapurl=http://h/x",
        '"ldapurl=ldap://h/dc=x?uid?sub?(a=b)"', '"ldapurl=ldap://h/dc=x?uid?nothing"',
        "ldapurl=ldap://h:0x/dc=x", "ldapserver=a,ldapprefix=x",
        Strict("ldapbasedn=x"), Strict("ldapserver=a ldapprefix=x ldaptls=yes"),
        Strict("ldapserver=a ldapprefix=x ldapport=389x")]
OPTIONS = ["", "", "", "map=m", "clientcert=verify-ca", "clientcert=verify-full", "clientcert=1",
           "clientname=DN", "clientname=CN map=m", "clientname=cn", "pamservice=x",
           "pamservice=x pam_use_hostname=1", "pam_use_hostname=0", "x", "x=1", "=", "# comment",
           "ldapserver=a", '"map=m n"', "map=", *LDAP]


def line_of(*parts):
    return " ".join(part for part in parts if part)


def random_lines(count, seed):
    """Most of them with one strange part at most: faults hide each other."""
    rng = random.Random(seed)
    for _ in range(count):
        kind = rng.choice(TYPES[:6])
        method = rng.choice(METHODS[:9])
        parts = [kind, rng.choice(DATABASES[:16]), rng.choice(USERS),
                 "" if kind == "local" else rng.choice(ADDRESSES[:15]), method,
                 rng.choice(LDAP) if method == "ldap" else rng.choice(OPTIONS[:5])]
        at = rng.randrange(-1, 6)
        pools = [TYPES, DATABASES, USERS, ADDRESSES, METHODS, OPTIONS]
        if at >= 0:
            parts[at] = rng.choice(pools[at])
        if rng.random() < 0.05:
            parts = parts[:rng.randrange(1, 6)]
        yield parts


@pytest.fixture(scope="module", name="server")
def server_fixture():
    cluster = Cluster(standbys=0)
    with cluster.primary.connect() as connection:
        yield types.SimpleNamespace(server=cluster.primary, connection=connection,
                                    version=connection.info.server_version // 10000)
    cluster.destroy()


class Dark(Pgpool):
    """With nobody behind it; ready when its administration port answers."""

    def __init__(self, **settings):
        nobody = types.SimpleNamespace(host="127.0.0.1", port=free_port(), data="/nonexistent")
        super().__init__(types.SimpleNamespace(servers=[nobody]), connect_timeout=1, **settings)

    def _answers(self):
        if self.process.poll() is not None:
            raise AssertionError(f"it ended with {self.process.returncode}")
        try:
            with raw.connected(types.SimpleNamespace(host="127.0.0.1", port=self.pcp_port),
                               timeout=5) as one:
                return len(one.rows("SHOW pool_version")) == 1
        except (OSError, TimeoutError, raw.Closed, AssertionError):
            return False

    def write(self, name, text):
        path = os.path.join(self.directory, name)
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
        os.chmod(path, 0o600)

    def ask(self, sql):
        with raw.connected(types.SimpleNamespace(host="127.0.0.1", port=self.pcp_port)) as one:
            answer = one.simple(sql)
        (columns,) = [got.columns() for got in answer if got.kind == "T"]
        return [dict(zip([column[0] for column in columns],
                         [None if value is None else value.decode() for value in got.row()]))
                for got in answer if got.kind == "D"]

    def configtest(self):
        done = subprocess.run(self.command("configtest"), capture_output=True, text=True,
                              check=False, timeout=60, stdin=subprocess.DEVNULL)
        return done.returncode, done.stdout, done.stderr


@pytest.fixture(scope="module", name="dark")
def dark_fixture():
    pgpool = Dark().start()
    yield pgpool
    pgpool.finish()


# ---- both readings -------------------------------------------------------------------------------

def write_both(server, dark, files):
    """pg_hba.conf and pg_ident.conf there are pool_hba.conf and pool_ident.conf here."""
    for name, text in files.items():
        server.server._write(name, text)
        dark.write(name.replace("pg_", "pool_"), text)


def array(text):
    """The elements of an array as SQL writes it."""
    return [re.sub(r"\\(.)", r"\1", quoted) if whole.startswith('"') else whole
            for whole, quoted in re.findall(r'("((?:[^"\\]|\\.)*)"|[^,{}]+)', text or "{}")]


def theirs(server):
    number = ", rule_number, file_name" if server.version >= 16 else ""
    columns = ", ".join(f"{name}::text" for name in HBA_COLUMNS)
    found = {}
    for row in server.connection.execute(f"SELECT line_number, error, {columns}{number} "
                                         "FROM pg_hba_file_rules").fetchall():
        shown = dict(zip(HBA_COLUMNS, row[2:]))
        shown["options"] = sorted(array(shown["options"]))
        error = None if row[1] == NO_TLS else row[1]
        if error is None and shown["type"] is None:
            error = "it does not say which"
        at = (os.path.basename(row[10]) if number else "pg_hba.conf", row[0])
        found[at] = (error, None if error else shown)
    return found


def ours(dark):
    found = {}
    for row in dark.ask("SHOW pool_hba_file_rules"):
        shown = {name: row[name] for name in HBA_COLUMNS}
        shown["options"] = sorted(option for option in array(shown["options"])
                                  if not option.startswith(OURS_ALONE))
        name = os.path.basename(row["file_name"]).replace("pool_", "pg_")
        found[(name, int(row["line_number"] or 0))] = (row["error"],
                                                       None if row["error"] else shown)
        assert (row["rule_number"] is None) == (row["error"] is not None)
    return found


def as_ours(shown):
    """We hide the password, keep the brackets around an IPv6 address, for they are needed, and a
    map without a name is none."""
    if shown and shown["options"]:
        shown["options"] = sorted(re.sub("^(ldapbindpasswd)=.*", r"\1=****", option)
                                  .replace("ldapserver=::1", "ldapserver=[::1]")
                                  for option in shown["options"] if option != "map=")
    return shown


NAMES = {"names": '# who\njoe, "a b"\n\nann\\\nx @more\n', "more": "+staff\nall\n"}
WITH_STRICT = {"empty": "# nobody\n"}  # PostgreSQL forgets the field then


def compare(server, dark, lines):
    """Lists of parts of lines. Returns how many lines both took."""
    write_both(server, dark, NAMES | WITH_STRICT |
               {"pg_hba.conf": "".join(line_of(*parts) + "\n" for parts in lines)})
    right, got, taken, wrong = theirs(server), ours(dark), 0, []
    for number, parts in enumerate(lines, 1):
        text = line_of(*parts)
        error, shown = right.get(("pg_hba.conf", number), (None, None))
        our_error, our_shown = got.get(("pg_hba.conf", number), (None, None))
        if any(isinstance(part, Strict) for part in parts) or "@empty" in text:
            if not our_error:
                wrong.append(f"{text}: taken")
        elif parts[-2:] == ["pam", "x"]:  # Pgpool-II's form
            if our_error and not error:
                wrong.append(f"{text}: {our_error}")
        elif bool(our_error) != bool(error) or our_shown != as_ours(shown):
            wrong.append(f"{text}: {our_error}, {our_shown}; {error}, {shown}")
        taken += shown is not None
    assert not wrong, f"{len(wrong)} lines differ: " + "\n".join(wrong[:20])
    return taken


def test_lines_one_by_one(server, dark):
    """Each strange part alone in an otherwise plain line."""
    lines = [[kind, "all", "all", "" if kind == "local" else "all", "trust"] for kind in TYPES]
    lines += [["local", database, "all", "trust"] for database in DATABASES]
    lines += [["local", "all", user, "trust"] for user in USERS]
    lines += [[kind, "all", "all", address, "trust"] for address in ADDRESSES
              for kind in ("host", "local")]
    lines += [[kind, "all", "all", "" if kind == "local" else "all", method]
              for method in METHODS for kind in TYPES[:4]]
    lines += [[kind, "all", "all", "" if kind == "local" else "all", method, option]
              for option in dict.fromkeys(OPTIONS) for method in METHODS[:9] for kind in TYPES[:4]]
    lines += [["local all"], ["local"], ["host all all"], ["local all all"], ["# all"], [""],
              ["local", "all", "all", "trust", "#", "x"], ["\tlocal\tall all  trust \t"],
              [Strict('local all "all trust')], ["local all all trust\r"]]
    assert compare(server, dark, lines) > 200


@pytest.mark.parametrize("seed", range(3))
def test_lines_at_random(server, dark, seed):
    assert compare(server, dark, list(random_lines(1500, seed))) > 300


def test_continued_lines(server, dark):
    text = ("local all all \\\ntrust\n# a comment \\\nlocal all all md5\nlocal \\\n\\\n  all,\\\n "
            "b all trust\nlocal all all trust \\\\\n\nlocal all \"a\\\nb\" trust\n"
            "local all all \\\n")
    write_both(server, dark, {"pg_hba.conf": text})
    right, got = theirs(server), ours(dark)
    assert right.keys() == got.keys()
    for at, (error, shown) in right.items():
        assert bool(got[at][0]) == bool(error), (at, got[at], error)
        assert got[at][1] == shown


INCLUDES = {
    "pg_hba.conf": "local all a trust\ninclude one.conf\ninclude_if_exists none\n"
                   "include none\nlocal all z trust\ninclude_dir more\ninclude_dir nothing\n"
                   "include a b\nlocal \"/^a\\d{2}\" \"/x|y\" trust\nlocal all /( trust\n",
    "one.conf": "local all b trust\ninclude two.conf\nlocal x\n",
    "two.conf": "local all c md5\n",
}


def test_includes_and_expressions(server, dark):
    """Since PostgreSQL 16."""
    if server.version < 16:
        pytest.skip("this PostgreSQL does not know include")
    write_both(server, dark, INCLUDES)
    for directory in (server.server.data, dark.directory):
        os.makedirs(os.path.join(directory, "more"), exist_ok=True)
        os.chmod(os.path.join(directory, "more"), 0o755)
    for name in ("b.conf", "a.conf", ".c.conf", "d.txt"):
        server.server._write(f"more/{name}", f"local all {name} trust\n")
        dark.write(f"more/{name}", f"local all {name} trust\n")
    right, got = theirs(server), ours(dark)
    assert list(right) == list(got)
    for at, (error, shown) in right.items():
        assert bool(got[at][0]) == bool(error), (at, got[at], error)
        assert got[at][1] == shown


IDENT = ["m a b", "m a", "m", 'm "a b" "c""d"', "m,n a b", "m a,b c", "m a b,c", "m /^(.*)@x$ \\1",
         "m /( b", "m @names b", "m a @more", "# m a b", "m a b # c", 'm "/^a,b$" c', "m a +staff",
         "m a all"]
IDENT_STRICT = ["m a b c", "m /^a$ \\1"]


def test_maps(server, dark):
    write_both(server, dark, NAMES | {"pg_ident.conf": "\n".join(IDENT + IDENT_STRICT) + "\n"})
    right = {row[0]: row[1:] for row in server.connection.execute(
        "SELECT line_number, error IS NOT NULL, map_name, sys_name, pg_username "
        "FROM pg_ident_file_mappings").fetchall()}
    got = {int(row["line_number"]): (row["error"] is not None,
                                     *(row[name] for name in IDENT_COLUMNS))
           for row in dark.ask("SHOW pool_ident_file_mappings")}
    assert got.keys() == right.keys()
    for number, row in got.items():
        if number > len(IDENT):
            assert row[0] and not right[number][0], (IDENT + IDENT_STRICT)[number - 1]
        else:
            assert row == right[number], IDENT[number - 1]
    dark.write("pool_ident.conf", "")


# ---- configtest, start, reload -------------------------------------------------------------------

FAULTY = "local all all trust\nlocal all all nothing\n\nhost all all 1.2.3.4/77 md5\n"


@pytest.fixture(name="fresh")
def fresh_fixture():
    pgpool = Dark(enable_pool_hba="on")
    pgpool.write_config()
    yield pgpool
    if pgpool in Pgpool.running:
        pgpool.finish()
    else:
        shutil.rmtree(pgpool.directory, ignore_errors=True)


def test_configtest_tells_every_fault_with_its_line(fresh):
    hba, ident = (os.path.join(fresh.directory, name) for name in ("pool_hba.conf",
                                                                   "pool_ident.conf"))
    fresh.write("pool_hba.conf", FAULTY)
    fresh.write("pool_ident.conf", "m a b\nm a\n")
    status, out, errors = fresh.configtest()
    assert (status, out) == (1, "")
    for words in (f"{hba}:2: invalid authentication method \"nothing\" (hint: ",
                  f"{hba}:4: the length of the mask is no number from 0 to 32",
                  f"{ident}:2: the line ends before the role (hint: "):
        assert f"pgpool: {words}" in errors
    fresh.write("pool_hba.conf", "local all all trust\nhost all all all pam pgpool\n")
    fresh.write("pool_ident.conf", "m a b\n")
    status, out, errors = fresh.configtest()
    assert status == 0 and "is fine" in out
    assert f"warning: {hba}:2: the name of the PAM service" in errors


def test_configtest_only_warns_where_the_file_does_not_count(fresh):
    fresh.write("pool_hba.conf", FAULTY)
    fresh.write_config(enable_pool_hba="off")
    status, out, errors = fresh.configtest()
    assert status == 0 and "is fine" in out
    assert "pool_hba.conf:2: invalid authentication method" in errors and "warning: " in errors


def test_configtest_wants_the_file(fresh):
    path = os.path.join(fresh.directory, "pool_hba.conf")
    status, _, errors = fresh.configtest()
    assert status == 1 and f"{path}: the file holds no rule" in errors
    os.remove(path)
    status, _, errors = fresh.configtest()
    assert status == 1 and f"{path}: there is no file" in errors
    fresh.write_config(enable_pool_hba="off")
    status, _, errors = fresh.configtest()
    assert status == 0 and "pool_hba.conf" not in errors


def test_faulty_rules_keep_it_from_starting(fresh):
    fresh.write("pool_hba.conf", FAULTY)
    fresh.launch()
    assert fresh.process.wait(60) == 1
    text = fresh.log_text()
    assert 'pool_hba.conf:2: invalid authentication method "nothing"' in text
    assert "pool_hba.conf:4: the length of the mask" in text
    Pgpool.running.remove(fresh)


def test_a_faulty_reload_changes_nothing(fresh):
    """Neither rules nor settings; every fault is in the log, and a later reload takes both."""
    fresh.write("pool_hba.conf", "local all all trust\n")
    fresh.start()
    fresh.write("pool_hba.conf", FAULTY)
    fresh.write_config(log_min_messages="debug1")
    os.kill(fresh.process.pid, 1)
    wait_for(lambda: "was not changed, because it contains faults" in fresh.log_text(),
             "the reload to be refused")
    assert "pool_hba.conf:2: invalid authentication method" in fresh.log_text()
    assert "pool_hba.conf:4: the length of the mask" in fresh.log_text()
    (level,) = [row["value"] for row in fresh.ask("SHOW pool_status")
                if row["item"] == "log_min_messages"]
    assert level == "info"
    fresh.write("pool_hba.conf", "local all all reject\n")
    os.kill(fresh.process.pid, 1)
    wait_for(lambda: "has been reloaded" in fresh.log_text(), "the reload")
    assert [row["auth_method"] for row in fresh.ask("SHOW pool_hba_file_rules")] == ["reject"]


def test_rules_are_shown_as_the_file_has_them_now(fresh):
    """In sessions and for administration; the password of LDAP is not."""
    fresh.write("pool_hba.conf", "local all all trust\n")
    fresh.start()
    fresh.write("pool_hba.conf", "local all all trust\nhost all all all ldap ldapserver=a "
                "ldapbasedn=b ldapbinddn=c ldapbindpasswd=secret\nlocal all all nothing\n")
    rows = fresh.ask("SHOW pool_hba_file_rules")
    assert [row["rule_number"] for row in rows] == ["1", "2", None]
    assert rows[1]["options"] == ("{ldapserver=a,ldapbasedn=b,ldapbinddn=c,ldapbindpasswd=****,"
                                  "ldapscope=2}")
    assert rows[2]["error"].startswith('invalid authentication method "nothing"')
    os.remove(os.path.join(fresh.directory, "pool_hba.conf"))
    (row,) = fresh.ask("SHOW pool_hba_file_rules")
    assert row["line_number"] is None and row["error"].startswith("there is no file")
