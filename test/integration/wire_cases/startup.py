"""The beginning of a connection: versions, parameters, requests for encryption, garbage."""

import struct

import raw
from wire_cases.script import Case, End, Letters, Login, Pieces, Q, Quiet, READY

WHO = {"user": "postgres", "database": "test"}


def hello(version=raw.V3_0, **more):
    return raw.startup({**WHO, **more}, version)


def settings_case(name, *shown, **params):
    return Case(f"startup_{name}", hello(**params), Login(),
                *(step for sql in shown for step in (Q(sql), READY)), login=False)


CASES = [
    Case("startup", hello(), Login(), Quiet(), login=False),
    Case("startup_in_single_bytes", Pieces(hello()), Login(), login=False),
    Case("startup_with_a_query_behind", hello(), Q("SELECT 1"), Login(), READY, login=False),
    Case("startup_without_database", raw.startup({"user": "postgres"}), Login(),
         Q("SELECT current_database()"), READY, login=False),
    Case("startup_empty_database", raw.startup({"user": "postgres", "database": ""}), Login(),
         Q("SELECT current_database()"), READY, login=False),
    Case("startup_without_user", raw.startup({"database": "test"}), End(), login=False),
    Case("startup_empty_user", raw.startup({"user": "", "database": "test"}), End(), login=False),
    Case("startup_without_parameters", raw.startup({}), End(), login=False),
    Case("startup_unknown_user", raw.startup({"user": "nobody_at_all", "database": "test"}), End(),
         login=False),
    Case("startup_unknown_database", hello(database="no_such_database"), End(), login=False),
    Case("startup_unknown_parameter", hello(no_such_parameter="1"), End(), login=False),
    Case("startup_bad_value", hello(work_mem="many"), End(), login=False),
    Case("startup_parameter_of_the_server", hello(shared_buffers="1MB"), End(), login=False),
    Case("startup_name_without_value",
         struct.pack("!II", 8 + 14, raw.V3_0) + b"user\0postgres\0", End(), login=False),
    Case("startup_without_terminator",
         struct.pack("!II", 8 + 18, raw.V3_0) + b"user\0postgres\0abc\0", End(), login=False),
    Case("startup_bytes_behind_the_terminator",
         struct.pack("!II", 8 + 17, raw.V3_0) + b"user\0postgres\0\0xy", End(), login=False),
    Case("startup_duplicates",
         raw.startup([*WHO.items(), ("application_name", "one"), ("application_name", "two")]),
         Login(), login=False),
    settings_case("application_name", application_name="tester"),
    settings_case("empty_application_name", application_name=""),
    settings_case("long_application_name", application_name="a" * 100),
    settings_case("strange_application_name", application_name="a\tb\x01ü"),
    settings_case("client_encoding", client_encoding="LATIN1"),
    settings_case("client_encoding_quoted", client_encoding="'utf-8'"),
    settings_case("datestyle", "SELECT '2020-02-01'::date", datestyle="German"),
    settings_case("timezone", "SHOW timezone", timezone="Asia/Tokyo"),
    settings_case("search_path", "SHOW search_path", search_path='"$user", pg_catalog'),
    settings_case("extra_float_digits", "SELECT 0.1::float8", extra_float_digits="0"),
    settings_case("options", "SHOW work_mem", "SHOW geqo",
                  options="-c work_mem=3MB -c geqo=off"),
    settings_case("options_long_form", "SHOW work_mem", "SHOW enable_seqscan",
                  options="--work_mem=3MB  --enable-seqscan=off "),
    settings_case("options_with_spaces", "SHOW application_name",
                  options="-c application_name=a\\ b\\\\c"),
    settings_case("options_empty", options=""),
    settings_case("options_and_parameter", "SHOW application_name",
                  options="-c application_name=of_options", application_name="of_parameter"),
    settings_case("custom_parameter", "SHOW my.own", options="-c my.own=value"),
    Case("startup_options_bad", hello(options="-c work_mem"), End(), login=False),
    Case("startup_options_unknown", hello(options="-c nothing_known=1"), End(), login=False),
    Case("startup_replication_false", hello(replication="false"), Login(), login=False),
    Case("startup_replication_nonsense", hello(replication="maybe"), End(), login=False),
    Case("ssl_request", raw.SSL_REQUEST, Letters(), hello(), Login(), login=False),
    Case("ssl_twice", raw.SSL_REQUEST, Letters(), raw.SSL_REQUEST, End(), login=False),
    Case("ssl_then_nothing", raw.SSL_REQUEST, Letters(), Quiet(), login=False),
    Case("ssl_request_in_single_bytes", Pieces(raw.SSL_REQUEST), Letters(), Pieces(hello()),
         Login(), login=False),
    Case("ssl_then_cancel", raw.SSL_REQUEST, Letters(), raw.cancel_request(1, b"abcd"), End(),
         login=False),
    Case("cancel_of_nothing", raw.cancel_request(1, b"abcd"), End(), login=False),
    Case("cancel_without_key", struct.pack("!III", 12, 80877102, 1), End(maybe_error=True),
         login=False),
    Case("startup_length_zero", bytes(4), End(maybe_error=True), login=False),
    Case("startup_length_seven", struct.pack("!I", 7) + bytes(3), End(maybe_error=True),
         login=False),
    Case("startup_length_huge", struct.pack("!II", 100_000, raw.V3_0), End(maybe_error=True),
         login=False),
    Case("startup_length_negative", b"\xff\xff\xff\xff", End(maybe_error=True), login=False),
    Case("startup_tls_client_hello", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
         End(maybe_error=True), login=False),
    Case("startup_http", b"GET / HTTP/1.1\r\nHost: pgpool\r\n\r\n", End(maybe_error=True),
         login=False),
    Case("startup_protocol_4_0", hello(4 << 16), End(), login=False),
    Case("startup_protocol_3_0_with_options", hello(**{"_pq_.no_such": "1", "_pq_.nor_this": "x"}),
         Login(), login=False),
]
