"""Servers that know nothing of each other, as native replication has them."""

from cluster import Cluster, original, run


class Independent(Cluster):
    def _create(self):
        begin = original()
        for server in self.servers:
            run("cp", "-a", "--reflink=auto", begin, server.data)
            server.start()


def made(*texts, standbys=2):
    """A fixture's generator: the servers, each with what the texts make there."""
    cluster = Independent(standbys=standbys)
    for server in cluster.servers:
        with server.connect() as connection:
            for text in texts:
                connection.execute(text)
    yield cluster
    cluster.destroy()
