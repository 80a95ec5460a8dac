"""Servers that know nothing of each other, as native replication has them."""

from cluster import Cluster, original, run


class Independent(Cluster):
    def _create(self):
        begin = original()
        for server in self.servers:
            run("cp", "-a", "--reflink=auto", begin, server.data)
            server.start()
