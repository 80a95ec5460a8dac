"""Authorities, certificates, keys and revocation lists, made with openssl in a directory."""

import os
import shutil
import ssl
import subprocess

CONFIG = """
[ca]
default_ca = own
[own]
dir = .
database = index.txt
serial = serial
new_certs_dir = .
default_md = sha256
default_days = 30
default_crl_days = 30
policy = any
unique_subject = no
copy_extensions = copy
[any]
commonName = supplied
[req]
distinguished_name = name
[name]
[authority]
basicConstraints = critical,CA:TRUE
keyUsage = critical,keyCertSign,cRLSign
"""


class Authority:
    """One directory: root.crt, and what it has issued as <name>.crt and <name>.key."""

    def __init__(self, directory, name="root"):
        self.directory = directory
        os.makedirs(directory, exist_ok=True)
        with open(self.path("ca.cnf"), "w", encoding="utf-8") as file:
            file.write(CONFIG)
        for file_name, text in (("index.txt", ""), ("serial", "1000\n")):
            with open(self.path(file_name), "w", encoding="utf-8") as file:
                file.write(text)
        self._key("root")
        self._run("req", "-x509", "-new", "-config", "ca.cnf", "-extensions", "authority", "-key",
                  "root.key", "-subj", f"/CN={name}", "-days", "30", "-out", "root.crt")
        self.root = self.path("root.crt")

    def path(self, name):
        return os.path.join(self.directory, name)

    def _run(self, *words):
        done = subprocess.run(["openssl", *words], cwd=self.directory, capture_output=True,
                              text=True, check=False, timeout=60)
        assert done.returncode == 0, f"openssl {' '.join(words)}: {done.stderr}"

    def _key(self, name):
        self._run("ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", name + ".key")
        os.chmod(self.path(name + ".key"), 0o600)

    def issue(self, name, names="", common_name=None, expired=False):
        """names as in subjectAltName: "DNS:localhost,IP:127.0.0.1". Returns paths of certificate
        and key."""
        self._key(name)
        request = ["req", "-new", "-config", "ca.cnf", "-key", name + ".key", "-subj",
                   f"/CN={common_name or name}", "-out", name + ".csr"]
        if names:
            request += ["-addext", "subjectAltName=" + names]
        self._run(*request)
        when = ["-startdate", "20200101000000Z", "-enddate", "20200201000000Z"] if expired else []
        self._run("ca", "-batch", "-notext", "-config", "ca.cnf", "-cert", "root.crt", "-keyfile",
                  "root.key", "-in", name + ".csr", "-out", name + ".crt", *when)
        return self.path(name + ".crt"), self.path(name + ".key")

    def revoke(self, name):
        self._run("ca", "-config", "ca.cnf", "-cert", "root.crt", "-keyfile", "root.key",
                  "-revoke", name + ".crt")

    def crl(self):
        """A list of what has been revoked so far."""
        self._run("ca", "-config", "ca.cnf", "-cert", "root.crt", "-keyfile", "root.key",
                  "-gencrl", "-out", "new.crl")
        os.replace(self.path("new.crl"), self.path("root.crl"))
        return self.path("root.crl")

    def protect(self, name, passphrase):
        """The key with a passphrase, in <name>.protected."""
        self._run("pkey", "-in", name + ".key", "-aes-128-cbc", "-passout", "pass:" + passphrase,
                  "-out", name + ".protected")
        os.chmod(self.path(name + ".protected"), 0o600)
        return self.path(name + ".protected")

    def remove(self):
        shutil.rmtree(self.directory, ignore_errors=True)


def client_context(authority=None, identity=None, protocols=(), check=None):
    """check: the host's name is to be in the certificate."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = check is not None
    context.verify_mode = ssl.CERT_REQUIRED if authority else ssl.CERT_NONE
    if authority:
        context.load_verify_locations(authority.root)
    if identity:
        context.load_cert_chain(*identity)
    if protocols:
        context.set_alpn_protocols(list(protocols))
    return context


def server_context(identity, authority=None):
    """With an authority clients have to show a certificate of it."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*identity)
    if authority:
        context.load_verify_locations(authority.root)
        context.verify_mode = ssl.CERT_REQUIRED
    return context
