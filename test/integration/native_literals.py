"""Tables, values and statements by chance, for test_native_differential.py: whatever type a column
has, constants in each spelling that PostgreSQL knows, and statements by key around them. What is
made of one seed is the same each time."""

INTS = ["0", "1", "2", "3", "-1", "-2", "7", "+7", "007", "- 5", "-(-3)", "- - 3", "(4)", "1 + 2",
        "2 * -3", "7 / 2", "-7 / 2", "5 % 3", "1 / 0", "32767", "32768", "-32768", "- 32769",
        "2147483647", "2147483648", "-2147483647", "-2147483648", "2147483647 + 1", "4294967295",
        "9223372036854775807", "-9223372036854775808", "99999999999999999999", "5::int2",
        "5::int8", "-5::int4", "cast(5 AS int)", "'5'::int", "int '5'", "'5'", "' 5 '", "'-5'",
        "abs(-3)", "0x1F", "1_000", "5a", "1e0", "'1e0'", "length('abc')", "2 ^ 3", "@ -5", "~ 5",
        "5 - 2 - 1", "5 # 3", "1 << 3", "|/ 9", "/* 1 */ 2", "3 -- 4\n"]
NUMBERS = INTS + ["1.0", "1.5", "-1.5", "1e3", "1e-3", "1.5e2", ".5", "5.", "1.005", "'1.005'",
                  "'NaN'", "'Infinity'", "'-Infinity'", "'inf'::float8", "7 / 2.0", "0.1 + 0.2",
                  "1e400", "'1e400'", "1.5::float4", "1.5::numeric(3, 1)", "'0.1'::float8", "-0.0",
                  "round(1.5, 0)", "'x'", "123456.789", "1::numeric", "pi()"]
TEXTS = ["'a'", "''", "' '", "'abc'", "'abcd'", "'abc  '", "'it''s'", "''''", "'a\\b'", "'\\'",
         "E'a\\nb'", "E'a'", "e'it''s'", "E'\\x41'", "U&'\\0061b'", "U&'d!0061' UESCAPE '!'",
         "$$q$$", "$q$ $$ '$q$", "'$1'", "'a' || 'b'", "'1' || 2", "1 || '2'", "upper('a')",
         "'a'::text", "'abcd'::varchar(2)", "'ab'::char(4)", "'ab'::bpchar", "text 'a'",
         "'a'\n'b'", "'a' 'b'", "N'n'", "('x')", "'x' COLLATE \"C\"", "'Grüße'", "'now'",
         "'\n'", "'a\tb'", "5", "1.50", "true", "lower('A') || 'b'", "'NULL'", "'%'", "'日本'",
         "cast('abc' AS varchar(2))", "concat('a', 1)", "'{1,2}'", "repeat('x', 12)", "'A'",
         "'\"'", "-5", "'a'::name", "'a'::\"char\"", "quote_literal('x')", "'x'::varchar"]
BOOLS = ["true", "false", "TRUE", "'t'", "'off'", "'1'", "'maybe'", "'t'::bool", "bool 'yes'", "1",
         "1 = 1", "2 > 3", "NOT true", "'tr'", "1 = 2 AND 1 / 0 = 1", "1::bool", "1 IS NULL",
         "NULL = NULL", "'a' = 'a'", "'a' < 'B'", "true AND NULL", "' true '"]
TIMES = ["'2020-01-02'", "'2020-01-02 03:04:05.678901'", "'02/03/2020'", "'2020-02-30'",
         "'2020-01-02 10:00+05'", "'infinity'", "date '2020-01-02'", "'20200102'", "'J2451187'",
         "'2020-01-02'::date", "'2020-01-02 1:2'::timestamp", "'2020-01-02 1:2'::timestamptz",
         "'02/03/2020 1:2'::timestamp with time zone", "timestamp '2020-01-02 1:2'",
         "'02/03/2020 1:2'::timestamp without time zone", "'2020-01-02 1:2:3.456'::timestamp(1)",
         "'2020-01-02'::text", "'2020-01-02'::date + 1", "'2020-01-02'::date - '2020-01-01'::date",
         "timestamptz '02/03/2020'", "'2020-07-01 12:00 Europe/Berlin'", "'epoch'", "'1:2:3.45'",
         "'1:2:3'::time", "'25:00'", "'04:05 PM'", "'1:2+03'::timetz", "time '1:2'",
         "'2020-01-02'::date + time '1:2'", "to_date('2020', 'YYYY')", "make_date(2020, 1, 2)",
         "'2020-01-02 BC'", "'allballs'", "'January 8, 1999'", "'1999.008'", "20200102", "1.5",
         "'2020-01-02 03:04:60'", "interval '1 day'", "'-infinity'::date"]
SPANS = ["'1 day'", "'1'", "'1:30'", "'-1 mon'", "interval '1 hour'", "interval '1' hour",
         "'5'::interval", "'P1Y2M'", "'1-2'", "'1 2:03:04.5678'", "interval '1 day' * 2", "5",
         "'1 h'::interval hour", "'90'::interval(1)", "'@ 1 year ago'", "'x'", "'1.5 days'"]
DOCUMENTS = ["'{}'", "'[1, 2]'", "'{\"a\": [1, \"it''s\"]}'", "'1'", "'x'", "'\"a\\u0041\"'",
             "'{\"b\": 1, \"a\": 2, \"b\": 3}'", "'null'", "'{}'::jsonb", "'{}'::json", "'1.10'",
             "to_jsonb(5)", "jsonb '{\"a\": 1}'", "'[1' || ']'", "5", "'{}'::text", "''"]
BYTES = ["'\\x41'", "'abc'", "'a\\\\b'", "'\\x4'", "'\\101'", "E'\\\\x41'", "'\\x41'::bytea",
         "bytea 'a'", "X'41'", "'a'::text", "'Grüße'", "decode('41', 'hex')", "''"]
BITS = ["'101'", "B'101'", "'1'", "X'5'", "5::bit(3)", "'101'::bit(3)", "'x5'", "B'1' || B'01'",
        "5", "b'11'", "'10101'", "'102'"]
ARRAYS = ["'{1,2}'", "ARRAY[1, 2]", "'{1'", "'[0:1]={1,2}'", "'{}'", "'{1,NULL}'", "ARRAY[]::int[]",
          "'{1,2}'::int[]", "'{a,b}'", "ARRAY['1', '2']", "'{ \"1\" , 2 }'", "ARRAY[1] || 2", "5",
          "'{1,2}'::text[]", "array_append('{1}', 2)", "'{{1},{2}}'"]
TUPLES = ["'(1,a)'", "ROW(1, 'a')", "(1, 'a')", "(1, 2)", "'(1)'", "ROW(1, 'abcd')", "'(,)'",
          "ROW(1, 'a')::pair", "'(1,\"a b\")'::pair", "(1 + 1, 'b')", "ROW('1', 'x')", "'(1,abcd)'"]
KEYS = ["'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'", "'x'", "'{A0EEBC999C0B4EF8BB6D6BB9BD380A11}'",
        "'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'::uuid", "uuid 'a0eebc99-9c0b-4ef8-bb6d'", "5"]
NETS = ["'10.0.0.1'", "'10.0.0.1/8'", "'::1'", "inet '10.0.0.1'", "'x'", "'10.0.0.1'::cidr",
        "'10.0.0.1'::inet + 5", "'10.1'"]
MOODS = ["'sad'", "'wild'", "'fine'::mood", "mood 'fine'", "'fine'", "'fine'::text", "' sad'", "1"]
SUMS = ["5", "'5.5'", "'$1,000.10'", "5.5", "'5'::money", "5::int8", "5 * '1.5'::money", "'-1'",
        "1.005"]
WORDS = ["'<a/>'", "'<a>'", "'a'", "xml '<a/>'", "'<a/>'::xml", "'<a/><b/>'", "'<?xml version=\""
         "1.0\"?><a/>'", "5"]

# type: how it is written, what constants there are for it, how it is an operand
TYPES = {
    "int2": (["int2"], INTS), "int4": (["int", "integer"], INTS), "int8": (["int8"], INTS),
    "numeric": (["numeric", "numeric(6, 2)", "numeric(4)"], NUMBERS),
    "float4": (["float4"], NUMBERS), "float8": (["float8", "float(53)"], NUMBERS),
    "oid": (["oid"], INTS), "money": (["money"], SUMS), "bool": (["bool"], BOOLS),
    "text": (["text", "text COLLATE \"C\"", "text COLLATE \"POSIX\""], TEXTS),
    "varchar": (["varchar", "varchar(3)", "varchar(8)"], TEXTS),
    "char": (["char(4)", "char", "char(8)"], TEXTS), "qchar": (["\"char\""], TEXTS),
    "name": (["name"], TEXTS), "bytea": (["bytea"], BYTES), "date": (["date"], TIMES),
    "time": (["time", "time(2)", "timetz"], TIMES), "timestamp": (["timestamp", "timestamp(1)"],
                                                                  TIMES),
    "timestamptz": (["timestamptz", "timestamptz(0)"], TIMES),
    "interval": (["interval", "interval hour", "interval minute to second", "interval(1)"], SPANS),
    "uuid": (["uuid"], KEYS), "json": (["json"], DOCUMENTS), "jsonb": (["jsonb"], DOCUMENTS),
    "mood": (["mood"], MOODS), "positive": (["positive"], INTS), "short": (["short"], TEXTS),
    "cents": (["cents"], NUMBERS), "hours": (["hours"], SPANS), "moment": (["moment"], TIMES),
    "array": (["int[]", "numeric(3, 1)[]", "varchar(2)[]", "mood[]"], ARRAYS),
    "pair": (["pair"], TUPLES), "bit": (["bit(3)", "varbit", "varbit(4)"], BITS),
    "inet": (["inet", "cidr"], NETS), "xml": (["xml"], WORDS),
}
EVERYTHING = sorted({value for _, values in TYPES.values() for value in values})
KEY_TYPES = ["int4"] * 8 + ["int8", "int8", "int2", "numeric", "text", "text", "varchar", "varchar",
                            "char", "name", "date", "positive", "oid", "short"]
KEY_VALUES = {"date": ["2020-01-01", "2020-01-02", "2020-01-03", "infinity"]}

WORDY = ["text", "varchar", "char", "name", "short"]
PLAIN = {kind: ["1", "-2", "30000", "40000", "'7'", "'x'"] for kind in (
    "int2", "int4", "int8", "numeric", "float4", "float8", "oid", "positive", "cents", "money")} | {
        kind: ["'a'", "'ab '", "'abcde'", "''", "'it''s'", "7", "'ä'"] for kind in [*WORDY, "qchar"]
    } | {kind: TYPES[kind][1][:3] for kind in (
        "bytea", "date", "time", "timestamp", "timestamptz", "moment", "uuid", "json", "jsonb",
        "bool", "mood", "bit", "inet", "array", "pair", "xml")}

DEFINITIONS = """
CREATE TYPE mood AS ENUM ('sad', 'fine');
CREATE DOMAIN positive AS int CHECK (VALUE > 0);
CREATE DOMAIN short AS varchar(3);
CREATE DOMAIN cents AS numeric(6, 2) CHECK (VALUE::text <> '5.00');
CREATE DOMAIN hours AS interval hour;
CREATE DOMAIN moment AS timestamptz(0);
CREATE TYPE pair AS (n int, t varchar(3));
CREATE FUNCTION doubles() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.extra > 100 THEN
        RAISE EXCEPTION 'too much: %', NEW.extra USING HINT = 'Less.';
    END IF;
    NEW.extra := NEW.extra * 2;
    RETURN NEW;
END $$;
"""


class Table:
    def __init__(self, dice, name):
        self.dice, self.name = dice, name
        self.key_types = [dice.choice(KEY_TYPES) for _ in range(dice.choice([1, 1, 1, 2]))]
        self.keys = [f"k{n}" for n in range(len(self.key_types))]
        self.columns = {f"c{n}": dice.choice(sorted(TYPES)) for n in range(dice.randint(4, 9))}
        self.all = dict(zip(self.keys, self.key_types)) | self.columns
        self.triggers = dice.random() < 0.2
        self.usual = set(self.key_types) <= {"int4", "int8", "text", "varchar"} and \
            not {"interval", "hours"} & set(self.columns.values()) and not self.triggers

    def definition(self):
        dice = self.dice
        parts = [f"{name} {dice.choice(TYPES[kind][0])}" for name, kind in self.all.items()]
        for n, (name, kind) in enumerate(self.columns.items()):
            if kind in ("text", "int4", "bool") and dice.random() < 0.3:
                value = {"text": "'none'", "int4": "7 - 2", "bool": "true"}[kind]
                parts[n + len(self.keys)] += f" DEFAULT {value}"
            elif kind in ("int4", "numeric") and dice.random() < 0.3:
                parts.append(f"CHECK ({name}::numeric <> 3)")
            elif kind == "varchar" and dice.random() < 0.3:
                parts.append(f"CHECK (length({name}) < 6 OR {name} = 'x'::text)")
        parts += ["extra int", "twice int GENERATED ALWAYS AS (extra / 2) STORED",
                  f"PRIMARY KEY ({', '.join(self.keys)})"]
        more = []
        if self.triggers:
            more.append(f"CREATE TRIGGER doubles BEFORE INSERT OR UPDATE ON {self.name} "
                        "FOR EACH ROW EXECUTE FUNCTION doubles()")
        if dice.random() < 0.4:
            more.append(f"CREATE INDEX ON {self.name} ((extra % 7))")
        if dice.random() < 0.3:
            more.append(f"CREATE UNIQUE INDEX ON {self.name} (extra) WHERE extra > 90")
        return [f"CREATE TABLE {self.name} ({', '.join(parts)})", *more]

    def change(self):
        """Of its definition, from which on its statements may mean something else."""
        dice = self.dice
        kind = dice.choice("aatd")
        if kind == "a":
            return f"ALTER TABLE {self.name} ADD x{dice.randint(1, 999)} int DEFAULT 3"
        if kind == "d":
            return f"ALTER TABLE {self.name} ALTER extra SET DEFAULT {dice.randint(1, 50)}"
        column, to = dice.choice(sorted(self.columns)), dice.choice(["text", "varchar", "char"])
        self.columns[column] = self.all[column] = to
        return f"ALTER TABLE {self.name} ALTER {column} TYPE {TYPES[to][0][-1]} USING 'z'"

    def key_value(self, column):
        """A row's, in one of its spellings."""
        dice, kind = self.dice, self.all[column]
        if kind == "date":
            return f"'{dice.choice(KEY_VALUES['date'])}'"
        n = dice.randint(1, 9)
        if kind in ("text", "varchar", "char", "name", "short"):
            return dice.choice([f"'w{n}'"] * 6 + [f"'w{n} '", f"E'w{n}'", f"'w{n}'::text"])
        return dice.choice([str(n)] * 8 + [f"'{n}'", f"{n}.0", f"{n}::int8", f"({n})", f"0{n}",
                                           f"{n - 1} + 1", f"- -{n}", f"-{n}", f"'{n}'::int"])

    def value(self, column):
        dice = self.dice
        if column == "extra":
            return dice.choice(["1", "5", "-3", "60", "95", "1000", "extra + 1", "2147483647"])
        if dice.random() < 0.08:
            return dice.choice(EVERYTHING)
        if dice.random() < 0.08:
            return dice.choice(["NULL", "DEFAULT"])
        return dice.choice(TYPES[self.all[column]][1])

    def condition(self):
        """Mostly by key."""
        dice = self.dice
        forms = ["{c} = {v}"] * 14 + ["({c} = {v})", "{t}.{c} = {v}", "{v} = {c}", "{c} IN ({v})",
                                      "{c} BETWEEN {v} AND {v}", "{c} = ANY (ARRAY[{v}])",
                                      "{c} <= {v}", "NOT {c} <> {v}", "({c}) = ({v})"]
        parts = [dice.choice(forms).format(c=key, v=self.key_value(key), t=self.name)
                 for key in self.keys]
        while dice.random() < 0.25:
            column = dice.choice(sorted(self.columns))
            parts.append(dice.choice([
                f"{column} = {dice.choice(TYPES[self.columns[column]][1])}",
                f"{column} IS NOT NULL", f"{column} IS NULL", f"{column} = NULL",
                f"{column} <> {dice.choice(EVERYTHING)}", "extra / 0 = 1", "extra > 3",
                "(extra / 0 = 1 OR 1 = 1)", "1 = 2", "extra % 2 = 1", "2 > 1 AND true",
                f"{column}::text LIKE 'a%'", "extra - -3 < 50", f"{column} = {column}"]))
        return " AND ".join(parts)

    def assignment(self):
        dice = self.dice
        column = dice.choice([*sorted(self.columns), "extra"])
        value = self.value(column)
        if dice.random() < 0.2 and value not in ("DEFAULT", "NULL"):
            value = f"{column} {dice.choice(['+', '-', '*', '/', '||', '=', '>'])} {value}"
        if dice.random() < 0.05:
            return f"({column}) = ROW({value})"
        return f"{column} = {value}"

    def plain_key(self, column):
        kind, n = self.all[column], self.dice.randint(1, 20)
        if kind == "date":
            return f"'2020-01-{n:02}'"
        return f"'w{n}'" if kind in WORDY else str(n)

    def settling(self):
        """One that every table takes, and that finds nothing."""
        where = " AND ".join(f"{key} = {self.plain_key(key)}" for key in self.keys)
        return f"UPDATE {self.name} SET extra = extra + 1 WHERE {where} AND extra = -999"

    def plain(self):
        """By key, with nothing but plain constants."""
        dice = self.dice
        keys = {key: self.plain_key(key) for key in self.keys}
        some = {name: dice.choice(PLAIN[kind]) for name, kind in self.columns.items()
                if kind in PLAIN and dice.random() < 0.3}
        if dice.random() < 0.4:
            some["extra"] = dice.choice(["1", "5", "-3", "60", "95", "1000", "2147483647"])
        kind = dice.choice("IIIUUUUDS")
        where = " AND ".join(f"{key} = {value}" for key, value in keys.items())
        if kind == "I":
            row = keys | some
            return f"INSERT INTO {self.name} ({', '.join(row)}) VALUES ({', '.join(row.values())})"
        if kind == "D":
            return f"DELETE FROM {self.name} WHERE {where}"
        if kind == "S":
            return f"SELECT {', '.join(dice.sample(sorted(self.all), 3))} FROM {self.name} " \
                f"WHERE {where}"
        sets = [f"{name} = {value}" for name, value in some.items()] or ["extra = extra + -4"]
        return f"UPDATE {self.name} SET {', '.join(sets)} WHERE {where}"

    def statement(self, share):
        """And whether it is plain: that many are."""
        plain = self.dice.random() < share
        return self.plain() if plain else self.any(), plain

    def any(self):
        dice = self.dice
        kind = dice.choice("IIIIUUUUUUDS")
        if kind == "I":
            names = dice.sample(sorted(self.columns), dice.randint(0, 3)) + \
                (["extra"] if dice.random() < 0.3 else [])
            rows = [", ".join([self.key_value(key) for key in self.keys] +
                              [self.value(name) for name in names])
                    for _ in range(1 if dice.random() < 0.85 else 2)]
            end = dice.choice([""] * 8 + [
                " ON CONFLICT DO NOTHING", f" RETURNING {', '.join(self.all)}",
                f" ON CONFLICT ({', '.join(self.keys)}) DO UPDATE SET {self.assignment()}"])
            return (f"INSERT INTO {self.name} ({', '.join([*self.keys, *names])}) VALUES " +
                    ", ".join(f"({row})" for row in rows) + end)
        if kind == "S":
            what = dice.choice(["*", ", ".join(self.all), "extra, twice", "k0"])
            return f"SELECT {what} FROM {self.name} WHERE {self.condition()}"
        end = f" RETURNING {', '.join(self.all)}" if dice.random() < 0.1 else ""
        if kind == "D":
            return f"DELETE FROM {self.name} WHERE {self.condition()}{end}"
        sets = ", ".join(self.assignment() for _ in range(dice.choice([1, 1, 1, 2])))
        return f"UPDATE {self.name} SET {sets} WHERE {self.condition()}{end}"


SETTINGS = [
    "DateStyle TO ISO, MDY", "DateStyle TO SQL, DMY", "IntervalStyle TO iso_8601",
    "IntervalStyle TO postgres", "TimeZone TO 'Asia/Tokyo'", "TimeZone TO 'UTC'",
    "standard_conforming_strings TO off", "standard_conforming_strings TO on",
    "bytea_output TO escape", "bytea_output TO hex", "transform_null_equals TO on",
    "transform_null_equals TO off", "extra_float_digits TO 0", "extra_float_digits TO 1",
    "plan_cache_mode TO force_generic_plan", "plan_cache_mode TO auto", "array_nulls TO off",
    "array_nulls TO on", "xmloption TO document", "xmloption TO content", "search_path TO other,"
    " public", "search_path TO public", "constraint_exclusion TO on", "client_encoding TO LATIN1",
    "client_encoding TO UTF8", "log_parameter_max_length_on_error TO -1",
    "log_parameter_max_length_on_error TO 0", 
    "client_min_messages TO notice", "escape_string_warning TO off", "backslash_quote TO on",
    "lc_monetary TO 'C'", "lc_messages TO 'C'", "statement_timeout TO 60000",
    "row_security TO off", "default_transaction_isolation TO 'read committed'"]
