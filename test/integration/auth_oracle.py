"""What must happen when somebody logs in: a few rules, which know nothing of pgpool's code.

1. A line of pool_hba.conf decides how a client proves who it is. No line, or reject: nobody.
2. trust asks for nothing. cert and peer ask somebody else: the certificate, the kernel.
3. password, md5 and scram-sha-256 compare with what pgpool knows of the password: pool_passwd's
   entry, else what auth_query tells. Whatever is known, password fits; md5 makes SCRAM of a
   verifier; SCRAM has no use for an md5 hash. Nothing to be found: as a wrong password.
4. Without rules, whoever has a password that is known must prove it, and whoever pgpool asks for in
   vain is nobody.
5. Where pgpool knows nothing and has nobody to ask, a server decides: one that trusts lets in
   (without rules) or proves nothing (where the rule says password); one that asks gets what the
   client has said in the clear, which without rules only goes over TLS or a unix socket.
6. A client that may come in needs a server that takes pgpool: with the password if that is known
   or was said in the clear, else with what the client's proof has given away (md5: the hash, SCRAM:
   the keys), else with what pool_passwd has. A hash serves where the server asks for that hash.
7. What is in the pool changes nothing of all that.
"""

import dataclasses
import zlib

IN, WRONG, NO_WAY = "in", "28P01", "28000"
BY_SECRET = ("password", "md5", "scram")
WAYS = {  # over what a client may come that a line of this kind is tried with
    "trust": ("tcp", "tls", "unix"), "reject": ("tcp", "tls"), "password": ("tcp", "tls", "unix"),
    "md5": ("tcp", "tls", "unix"), "scram": ("tcp", "tls", "bound", "unix"),
    "cert": ("tcp", "tls"), "clientcert": ("tcp", "bound"), "peer": ("tcp", "unix"),
    "nothing": ("tcp", "unix"), None: ("tcp", "tls", "bound", "unix"),
}
TLS = ("tls", "bound")  # bound: the client binds to the channel where it is asked for SCRAM


@dataclasses.dataclass(frozen=True)
class Role:
    name: str
    server: str  # method of its line in the servers' pg_hba.conf
    stored: str  # scram, md5: its password in pg_authid; none; absent: there is no such role
    kept: str  # its entry in pool_passwd: text, aes, md5, scram; None

    @property
    def password(self):
        return f"what {self.name} knows"


@dataclasses.dataclass(frozen=True)
class Config:
    rules: bool  # enable_pool_hba
    query: bool  # auth_user is set
    nodes: int
    tls: bool  # towards the servers

    def __str__(self):
        return "-".join(("rules" if self.rules else "no_rules",
                         "query" if self.query else "no_query",
                         f"{self.nodes}_servers", "tls" if self.tls else "plain"))


@dataclasses.dataclass(frozen=True)
class Cell:
    config: Config
    role: Role
    method: str  # of the line in pool_hba.conf; nothing: no line; None: no rules at all
    way: str

    def __str__(self):
        return f"{self.config} {self.role.name} by {self.method} over {self.way}"

    def number(self):
        """The same in every run."""
        return zlib.crc32(str(self).encode())


def roles():
    """A password that pool_passwd has is the one that the servers have, and the servers keep what
    their method needs; where auth_query tells, both forms are tried with every method."""
    found = []
    for server in ("trust", "password", "md5", "scram"):
        for kept in ("text", "aes", "md5", "scram"):
            found.append((server, "md5" if server == "md5" else "scram", kept))
        found += [(server, stored, None) for stored in ("scram", "md5", "none")
                  if (server, stored) != ("scram", "md5")]  # PostgreSQL itself refuses that one
    found += [(server, "absent", None) for server in ("trust", "scram")]
    return [Role(f"on_{server}_{stored}_{kept or 'unkept'}", server, stored, kept)
            for server, stored, kept in found]


def configs(nodes):
    return [Config(rules, query, nodes, tls) for rules in (True, False) for query in (False, True)
            for tls in (False, True)]


def cells(config):
    methods = [method for method in WAYS if method] if config.rules else [None]
    every = [Cell(config, role, method, way) for role in roles() for method in methods
             for way in WAYS[method]]
    return [cell for cell in every if _matters(cell)]


def _matters(cell):
    """Where no server is ever asked, one kind of server is enough; and what auth_query would tell
    is asked for only by some methods, of roles that pool_passwd does not know."""
    config, right = cell.config, expected(cell, True)
    asks = cell.role.kept is None and cell.method in (*BY_SECRET, "clientcert", None)
    if config.query and not asks:
        return False
    return right == IN or (config.nodes == 1 and not config.tls)


# ---- the rules -----------------------------------------------------------------------------------

def _server_says(role, proof):
    """proof: password, md5, scram or None: with what pgpool comes."""
    if role.server == "trust":
        return IN if role.stored != "absent" else NO_WAY
    if proof is None:
        return NO_WAY
    if role.stored in ("absent", "none"):
        return WRONG
    if proof == "password":
        return IN
    exchange = "scram" if role.server == "scram" or role.stored == "scram" else "md5"
    return IN if role.server != "password" and proof == exchange else NO_WAY


def _server_checks(role, right):
    """pgpool has asked the client for its password, and knows nothing of it."""
    if role.server == "trust":
        return WRONG if role.stored != "absent" else NO_WAY
    return _server_says(role, "password") if right else WRONG


def known(cell):
    """Of the password; "nobody": there is none, and that is known."""
    if cell.role.kept:
        return "text" if cell.role.kept == "aes" else cell.role.kept
    if not cell.config.query:
        return None
    return cell.role.stored if cell.role.stored in ("scram", "md5") else "nobody"


def _own_proof(role):
    return {"text": "password", "aes": "password", "md5": "md5"}.get(role.kept)


def _by_secret(cell, method, right):
    secret = known(cell)
    if secret is None:
        return _server_checks(cell.role, right) if method == "password" else WRONG
    if secret == "nobody" or not right or (method == "scram" and secret == "md5"):
        return WRONG
    return _server_says(cell.role,
                        "password" if method == "password" or secret == "text" else secret)


def _without_rules(cell, right):
    secret = known(cell)
    if secret is None:
        if cell.role.server == "trust":
            return _server_says(cell.role, None)
        return NO_WAY if cell.way == "tcp" else _server_checks(cell.role, right)
    if secret == "nobody" or not right:
        return WRONG
    return _server_says(cell.role, "password" if secret == "text" else secret)


def expected(cell, right, certificate="right"):
    """right: is it him, by the means that the method asks for? certificate: right, another's, none
    (clientcert alone)."""
    method, way = cell.method, cell.way
    if method is None:
        return _without_rules(cell, right)
    if method in ("reject", "nothing"):
        return NO_WAY
    if method in ("cert", "clientcert") and way not in TLS or method == "peer" and way != "unix":
        return NO_WAY  # its line is for others
    if method == "trust":
        return _server_says(cell.role, _own_proof(cell.role))
    if method in ("cert", "peer"):
        return _server_says(cell.role, _own_proof(cell.role)) if right else NO_WAY
    if method == "clientcert":
        if certificate == "none":
            return NO_WAY
        return _by_secret(cell, "scram", right) if certificate == "right" else WRONG
    return _by_secret(cell, method, right)


def expected_question(cell):
    """What the client is asked for: password, md5, scram; None: nothing."""
    method, secret = cell.method, known(cell)
    if method is None:
        if secret is None:
            asks = cell.role.server != "trust" and cell.way != "tcp"
            return "password" if asks else None
        return "md5" if secret == "md5" else "scram"
    if method == "clientcert":
        return "scram" if cell.way in TLS else None
    if method == "md5":
        return "md5" if secret in ("text", "md5") else "scram"
    return method if method in BY_SECRET else None


def is_reused(cell):
    """Can whoever comes again have the connection of the one before? Where a server checks the
    password, each login is one to that server."""
    return known(cell) is not None or expected_question(cell) != "password"


def has_wrong_one(cell):
    """Is there anybody who is not him? trust and no line make no difference."""
    return cell.method not in ("trust", "reject", "nothing") and \
        not (cell.method in ("cert", "clientcert", "peer") and expected(cell, True) == NO_WAY and
             cell.way == "tcp")
