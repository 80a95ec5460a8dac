"""log_format = json: an object in each line, with PostgreSQL's names."""

import json
import os
import re
import signal

import pytest

import raw
from waiting import wait_for

pytestmark = pytest.mark.one_engine

SEVERITIES = {"DEBUG1", "DEBUG2", "DEBUG3", "DEBUG4", "DEBUG5", "INFO", "NOTICE", "WARNING",
              "ERROR", "LOG", "FATAL", "PANIC"}
NAMES = {"timestamp", "user", "dbname", "pid", "remote_host", "remote_port", "line_num",
         "error_severity", "state_code", "message", "detail", "hint", "application_name",
         "backend_type", "query_id"}
STAMP = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3} \S+")


def entries(path):
    """Each line must be an object of its own, but for the last one, which may be under way."""
    with open(path, "rb") as file:
        lines = file.read().split(b"\n")[:-1]
    found = [json.loads(line.decode("utf-8")) for line in lines]
    for entry in found:
        assert set(entry) <= NAMES, entry
        assert entry["error_severity"] in SEVERITIES and entry["message"] and entry["pid"] > 0
    return found


def find(path, **wanted):
    return [entry for entry in entries(path)
            if all(re.search(text, str(entry.get(name, ""))) for name, text in wanted.items())]


def test_every_line(start_pgpool):
    pgpool = start_pgpool(log_format="json", log_min_duration_statement=0)
    with raw.connected(pgpool, application_name="it's \"me\"\\") as one:
        one.simple("SELECT 1 AS \"odd\"\"name\"\n -- gone\n, 'secret'")
        line = wait_for(lambda: find(pgpool.log, message="statement: SELECT"), "the line")[-1]
        with_name = wait_for(lambda: find(pgpool.log, message='"odd""name"'), "the line")[0]
    assert STAMP.fullmatch(line["timestamp"])
    assert with_name["message"].endswith('statement: SELECT $1 AS "odd""name" , $2')
    assert with_name["application_name"] == "it's \"me\"\\" and with_name["backend_type"] == "child"
    assert with_name["dbname"] == "test" and with_name["user"] == "postgres"
    assert with_name["remote_host"] == "127.0.0.1" and with_name["remote_port"] > 0
    assert with_name["detail"].startswith("Node ") and with_name["query_id"] != 0
    assert "secret" not in str(find(pgpool.log))
    kinds = {entry["backend_type"] for entry in entries(pgpool.log)}
    assert {"main", "child", "lag", "health", "failover"} <= kinds
    numbers = [entry["line_num"] for entry in entries(pgpool.log)
               if entry["pid"] == with_name["pid"]]
    assert numbers == sorted(numbers) and len(set(numbers)) == len(numbers)


def test_errors_are_one_object(start_pgpool):
    pgpool = start_pgpool(log_format="json", client_idle_limit=1)
    with raw.connected(pgpool) as one:
        one.read_until("E")
    entry = wait_for(lambda: find(pgpool.log, error_severity="FATAL"), "the line")[0]
    assert re.fullmatch("[0-9A-Z]{5}", entry["state_code"])
    assert not find(pgpool.log, message="^(DETAIL|HINT)")


def test_bytes_that_are_no_text(start_pgpool):
    pgpool = start_pgpool(log_format="json", log_statement="on", log_disconnections="off")
    with raw.connected(pgpool) as one:
        one.send(raw.message("Q", b"SELECT 'b\xff\x1b[31m\t" + b"x" * 20000 + b"'\0"))
        one.read_until("Z")
    entry = wait_for(lambda: find(pgpool.log, message="SELECT 'b"), "the line")[0]
    assert entry["message"].startswith("statement: SELECT 'b\ufffd\x1b[31m\t")
    assert len(entry["message"]) < 8192


def test_reload_changes_the_form(start_pgpool):
    pgpool = start_pgpool(log_statement="on")
    with raw.connected(pgpool) as one:
        pgpool.write_config(log_format="json")
        os.kill(pgpool.pid, signal.SIGHUP)

        def is_json():
            one.simple("SELECT 'after the reload'")
            with open(pgpool.log, encoding="utf-8") as file:
                return [line for line in file
                        if line.startswith("{") and "after the reload" in line]
        line = wait_for(is_json, "a line in JSON")[0]
    assert json.loads(line)["message"] == "statement: SELECT 'after the reload'"


def test_collected_files(start_pgpool):
    """The logger's own words, too; what was said before it was there went to standard error."""
    pgpool = start_pgpool(log_format="json", logging_collector="on", log_statement="on",
                          log_directory="collected", log_filename="collected.log")
    path = os.path.join(pgpool.directory, "collected", "collected.log")
    with raw.connected(pgpool) as one:
        one.simple("SELECT 'collected'")
    wait_for(lambda: find(path, message="SELECT 'collected'"), "the line")
    assert find(path, backend_type="child")
