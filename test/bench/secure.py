"""TLS on both sides of a product, for --tls: one certificate for the server and for all products,
and what each is told of it."""

import os
import shutil
import subprocess

from server import servers_user

MODES = ("simple", "connect")
PRODUCTS = ("direct", "ours", "PgBouncer")


class Secure:
    """Everything is as it is without TLS, until begin() was called."""

    certificate = key = ""

    @classmethod
    def begin(cls, scratch):
        """Makes the certificate; programs that we start ask for TLS from now on."""
        cls.certificate = os.path.join(scratch, "tls.crt")
        cls.key = os.path.join(scratch, "tls.key")
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
                        "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2", "-subj",
                        "/CN=localhost", "-keyout", cls.key, "-out", cls.certificate], check=True,
                       capture_output=True)
        for path in (cls.certificate, cls.key):
            shutil.chown(path, servers_user())
            os.chmod(path, 0o600)
        os.environ["PGSSLMODE"] = "require"

    @classmethod
    def server(cls):
        return (f"ssl = on\nssl_cert_file = '{cls.certificate}'\nssl_key_file = '{cls.key}'\n"
                if cls.key else "")

    @classmethod
    def ours(cls):
        return (f"ssl = on\nssl_cert = '{cls.certificate}'\nssl_key = '{cls.key}'\n"
                "backend_sslmode = require\n" if cls.key else "")

    @classmethod
    def pgbouncer(cls):
        return (f"client_tls_sslmode = require\nclient_tls_cert_file = {cls.certificate}\n"
                f"client_tls_key_file = {cls.key}\nserver_tls_sslmode = require\n"
                if cls.key else "")
