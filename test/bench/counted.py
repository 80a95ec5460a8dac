"""pgpool under valgrind's callgrind: what its processes execute of our own code, by function."""

import glob
import os
import subprocess

import callgrind
import products
import server


class Counted(products.Ours):
    """One child, each process under callgrind."""

    name, pool_mode, engine = "counted", "auto", "epoll"
    settings = "num_init_children = 1\n"

    def command(self):
        return ["valgrind", "--tool=callgrind", "--vgdb=no", "--quiet",
                f"--callgrind-out-file={self.dir}/profile.%p", *super().command()]

    def costs(self):
        """By function, of the process that served clients. It has ended."""
        profiles = [callgrind.Profile(path, self.program())
                    for path in glob.glob(os.path.join(self.dir, "profile.*"))]
        served = [profile.costs for profile in profiles if profile.costs["client_pump"] > 0]
        if len(served) != 1:
            raise RuntimeError(f"{len(served)} of {len(profiles)} processes have served clients")
        return served[0]


def ask(product, protocol, transactions):
    subprocess.run(["pgbench", "-n", "-S", "-c", "1", "-t", str(transactions), "-M", protocol,
                    "--random-seed=1", "-h", "127.0.0.1", "-p", str(product.port), "-U",
                    server.USER, server.DATABASE], check=True, capture_output=True)
