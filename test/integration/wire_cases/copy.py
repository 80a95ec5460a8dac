"""COPY in both directions, through both protocols, with everything that can go wrong in it."""

import raw
from wire_cases.script import CUT, READY, B, Case, D, E, End, H, P, Pieces, Q, Quiet, S, Until

MAKE = Q("CREATE TEMP TABLE c (a int, b text)")
IN = Q("COPY c FROM STDIN")
COUNT = Q("SELECT count(*), sum(a), max(length(b)) FROM c")
DATA = raw.copy_data
DONE = raw.COPY_DONE
STARTED = Until("GE")
ROWS = "".join(f"{n}\ttext {n}\n" for n in range(1000))


def copy_in(name, *steps, sql=IN):
    return Case(f"copy_in_{name}", MAKE, READY, sql, STARTED, *steps, READY, COUNT, READY)


def copy_in_extended(name, *steps, sql="COPY c FROM STDIN"):
    return Case(f"copy_in_extended_{name}", MAKE, READY, P("", sql), B("", ""), E(), *steps, READY,
                COUNT, READY)


CASES = [
    copy_in("rows", DATA("1\tone\n2\ttwo\n"), DONE),
    copy_in("many_rows", DATA(ROWS), DONE),
    copy_in("a_message_a_row", *(DATA(f"{n}\tx\n") for n in range(500)), DONE),
    copy_in("rows_across_messages", DATA("1\to"), DATA("ne\n2"), DATA("\ttwo"), DATA("\n"), DONE),
    copy_in("single_bytes", Pieces(DATA("1\tone\n2\ttwo\n") + DONE)),
    copy_in("nothing", DONE),
    copy_in("empty_message", DATA(""), DATA("1\tx\n"), DATA(""), DONE),
    copy_in("long_message", DATA("1\t" + "z" * 1_000_000 + "\n"), DONE),
    copy_in("end_marker", DATA("1\tx\n\\.\n"), DONE),
    copy_in("csv", DATA('a,b\n1,"x, ""y"""\n2,\n'), DONE,
            sql=Q("COPY c FROM STDIN (FORMAT csv, HEADER)")),
    copy_in("columns", DATA("7\n8\n"), DONE, sql=Q("COPY c (a) FROM STDIN")),
    copy_in("fail", DATA("1\tone\n"), raw.copy_fail("changed my mind")),
    copy_in("fail_at_once", raw.copy_fail("")),
    copy_in("bad_data", DATA("1\tone\nx\ttwo\n"), DONE),
    copy_in("bad_data_then_more", DATA("x\n"), CUT, DATA("1\tx\n"), DATA("2\ty\n"), DONE),
    copy_in("bad_data_then_fail", DATA("x\n"), CUT, raw.copy_fail("too late")),
    copy_in("bad_data_then_much_more", DATA("x\n"), *(DATA(ROWS) for _ in range(20)), DONE),
    copy_in("bad_binary", DATA("not the signature\n"), DONE,
            sql=Q("COPY c FROM STDIN (FORMAT binary)")),
    copy_in("error_at_the_end", DATA("1\tx\textra\n"), DONE),
    copy_in("syncs_and_flushes_inside", DATA("1\tx\n"), S, H, S, DATA("2\ty\n"), DONE),
    copy_in("done_twice", DATA("1\tx\n"), DONE, DONE),
    Case("copy_in_query_inside", MAKE, READY, IN, STARTED, DATA("1\tx\n"), Q("SELECT 1"), End()),
    Case("copy_in_refused", Q("COPY nothing FROM STDIN"), READY),
    Case("copy_in_refused_then_data", Q("COPY nothing FROM STDIN"), DATA("1\n"), DONE, READY,
         Quiet()),
    Case("copy_in_in_a_transaction", MAKE, READY, Q("BEGIN"), READY, IN, STARTED,
         DATA("1\tx\n"), DONE, READY, Q("ROLLBACK"), READY, COUNT, READY),
    Case("copy_in_fails_a_transaction", MAKE, READY, Q("BEGIN"), READY, IN, STARTED, DATA("x\n"),
         DONE, READY, Q("SELECT 1"), READY, Q("ROLLBACK"), READY),
    Case("copy_in_between_statements", MAKE, READY,
         Q("SELECT 1; COPY c FROM STDIN; SELECT count(*) FROM c"), STARTED, DATA("1\tx\n"), DONE,
         READY),
    Case("copy_in_twice_in_one_query", MAKE, READY, Q("COPY c FROM STDIN; COPY c FROM STDIN"),
         STARTED, DATA("1\tx\n"), DONE, STARTED, DATA("2\tx\n"), DONE, READY, COUNT, READY),
    Case("copy_in_failed_skips_the_rest", MAKE, READY, Q("COPY c FROM STDIN; SELECT 2"), STARTED,
         raw.copy_fail("no"), READY),
    Case("copy_in_pipelined_with_queries", MAKE, IN, DATA("1\tx\n"), DONE, COUNT, Q("SELECT 5"),
         Until("Z", 4)),
    Case("copy_messages_while_idle", DATA("1\n"), DONE, raw.copy_fail("no"), Quiet(),
         Q("SELECT 1"), READY),

    copy_in_extended("rows", H, STARTED, DATA("1\tx\n"), DONE, S),
    copy_in_extended("all_at_once", DATA("1\tx\n"), DONE, S),
    copy_in_extended("sync_inside", S, STARTED, DATA("1\tx\n"), DONE, S),
    copy_in_extended("flush_inside", H, STARTED, DATA("1\tx\n"), H, DATA("2\ty\n"), DONE, S),
    copy_in_extended("sync_late", H, STARTED, DATA("1\tx\n"), DONE, H, Until("C"), Quiet(), S),
    copy_in_extended("fail", H, STARTED, DATA("1\tx\n"), raw.copy_fail("no"), S),
    copy_in_extended("bad_data", H, STARTED, DATA("x\n"), CUT, DATA("1\tx\n"), DONE, S),
    copy_in_extended("bad_data_then_execute", H, STARTED, DATA("x\n"), DONE, B("", ""), E(), S),
    copy_in_extended("then_more_in_the_batch", H, STARTED, DATA("1\tx\n"), DONE,
                     P("", "SELECT count(*) FROM c"), B("", ""), E(), S),
    copy_in_extended("refused", DATA("1\n"), DONE, S, sql="COPY nothing FROM STDIN"),
    Case("copy_in_extended_described", MAKE, READY, P("", "COPY c FROM STDIN"), D("S"), B("", ""),
         D("P"), E(), H, STARTED, DATA("1\tx\n"), DONE, S, READY),
    Case("copy_in_extended_describe_inside", MAKE, READY, P("", "COPY c FROM STDIN"), B("", ""),
         E(), D("P"), End()),
    Case("copy_in_prepared_twice", MAKE, READY, P("s", "COPY c FROM STDIN"), S, READY, B("", "s"),
         E(), H, STARTED, DATA("1\tx\n"), DONE, S, READY, B("", "s"), E(), H, STARTED,
         DATA("2\tx\n"), DONE, S, READY, COUNT, READY),

    Case("copy_out", Q("COPY (SELECT g, 'x' FROM generate_series(1, 3) g) TO STDOUT"), READY),
    Case("copy_out_of_a_table", Q("COPY wire_t TO STDOUT (FORMAT csv, HEADER)"), READY),
    Case("copy_out_binary", Q("COPY wire_t TO STDOUT (FORMAT binary)"), READY),
    Case("copy_out_empty", Q("COPY (SELECT 1 WHERE false) TO STDOUT"), READY),
    Case("copy_out_many", Q("COPY (SELECT repeat('w', 100) FROM generate_series(1, 5000)) TO "
                            "STDOUT"), READY),
    Case("copy_out_long_row", Q("COPY (SELECT repeat('w', 1000000)) TO STDOUT"), READY),
    Case("copy_out_error", Q("COPY (SELECT 1/(3 - g) FROM generate_series(1, 5) g) TO STDOUT"),
         READY),
    Case("copy_out_between_statements", Q("SELECT 1; COPY (SELECT 2) TO STDOUT; SELECT 3"), READY),
    Case("copy_out_pipelined", Q("COPY (SELECT 1) TO STDOUT"), Q("SELECT 2"),
         Q("COPY (SELECT 3) TO STDOUT"), Until("Z", 3)),
    Case("copy_out_extended", P("", "COPY wire_t TO STDOUT"), B("", ""), D("P"), E(), S, READY),
    Case("copy_out_extended_limited", P("", "COPY wire_t TO STDOUT"), B("", ""), E("", 2), S,
         READY),
    Case("copy_out_in_a_transaction", Q("BEGIN"), READY, Q("COPY wire_t TO STDOUT"), READY,
         Q("COMMIT"), READY),
    Case("copy_out_and_in", MAKE, READY, Q("INSERT INTO c VALUES (1, 'x')"), READY,
         Q("COPY c TO STDOUT"), READY, IN, STARTED, DATA("2\ty\n"), DONE, READY,
         Q("COPY c TO STDOUT"), READY),
]
