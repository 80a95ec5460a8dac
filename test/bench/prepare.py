"""What must be there before anything is measured: the peers' packages and a build of this tree."""

import os
import shutil
import subprocess
import sys

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
POLICY = "/usr/sbin/policy-rc.d"
PACKAGES = {"pgbouncer": "pgbouncer", "pgpool": "pgpool2", "haproxy": "haproxy",
            "pgbench": "postgresql"}


def say(text):
    print(text, file=sys.stderr, flush=True)


def _sudo(*command):
    prefix = [] if os.getuid() == 0 else ["sudo", "--"]
    subprocess.run([*prefix, *command], check=True, stdout=subprocess.DEVNULL)


def install():
    """The peers' packages, without starting the services that they bring."""
    missing = [package for program, package in PACKAGES.items() if not shutil.which(program)]
    if not missing:
        return
    if not shutil.which("apt-get"):
        say(f"no apt-get here; install by hand: {' '.join(missing)}")
        return
    say(f"installing Debian packages: {' '.join(missing)}")
    _sudo("apt-get", "update")
    held = not os.path.exists(POLICY)
    if held:
        _sudo("sh", "-c", f"printf '#!/bin/sh\\nexit 101\\n' >{POLICY} && chmod 755 {POLICY}")
    try:
        _sudo("env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "install", "-y",
              "--no-install-recommends", *missing)
    finally:
        if held:
            _sudo("rm", "-f", POLICY)


def build(directory):
    """Builds pgpool and the relay with the compiler's usual optimisation."""
    log_path = os.path.join(directory, "bench-build.log")
    os.makedirs(directory, exist_ok=True)
    say(f"building in {directory} (log: {log_path})")
    with open(log_path, "wb") as log:

        def run(*command, cwd=directory):
            subprocess.run(command, check=True, cwd=cwd, stdout=log, stderr=log)

        if not os.path.exists(os.path.join(TOP, "configure")):
            run("autoreconf", "-fi", cwd=TOP)
        if not os.path.exists(os.path.join(directory, "config.status")):
            run(os.path.join(TOP, "configure"))
        run("make", f"-j{os.cpu_count()}", "pgpool", "test/bench/relay", "test/bench/parse",
            "test/bench/reads")
