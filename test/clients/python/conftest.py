"""A database of its own for each client. PGHOST, PGPORT and PGUSER name the server (run.sh)."""

import os

import psycopg
import pytest


class Database:
    def __init__(self, name):
        self.name = name
        self.host, self.port, self.user = (os.environ[key] for key in ("PGHOST", "PGPORT", "PGUSER"))

    def url(self, scheme="postgresql"):
        return f"{scheme}://{self.user}@/{self.name}?host={self.host}&port={self.port}"

    def keywords(self):
        return {"dbname": self.name, "host": self.host, "port": self.port, "user": self.user}

    def run(self, statement):
        with psycopg.connect(**self.keywords()) as connection:
            connection.execute(statement)

    def one(self, statement, *values):
        """The first field of the first row; for what a test asks the server beside its client."""
        with psycopg.connect(**self.keywords()) as connection:
            return connection.execute(statement, values).fetchone()[0]


def create(name):
    with psycopg.connect(dbname="postgres", autocommit=True) as connection:
        connection.execute(f"DROP DATABASE IF EXISTS {name} (FORCE)")
        connection.execute(f"CREATE DATABASE {name}")
    return Database(name)


@pytest.fixture(scope="class")
def database(request):
    return create("client_" + request.cls.__name__.removeprefix("Test").lower())
