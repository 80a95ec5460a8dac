// What a program does with PostgreSQL's JDBC driver. Argument: the URL. Prints its results.
import java.io.StringReader;
import java.io.StringWriter;
import java.sql.*;
import java.util.Arrays;
import java.util.Properties;
import org.postgresql.PGConnection;
import org.postgresql.copy.CopyManager;

public class Jdbc {
    static String url;

    static Connection connect(String... pairs) throws SQLException {
        Properties properties = new Properties();
        properties.setProperty("user", "postgres");
        for (int at = 0; at < pairs.length; at += 2)
            properties.setProperty(pairs[at], pairs[at + 1]);
        return DriverManager.getConnection(url, properties);
    }

    static void show(String name, Object value) {
        System.out.println(name + ": " + value);
    }

    static void show(String name, ResultSet rows) throws SQLException {
        StringBuilder text = new StringBuilder();
        int columns = rows.getMetaData().getColumnCount();
        while (rows.next()) {
            for (int column = 1; column <= columns; column++)
                text.append(rows.getString(column)).append(column < columns ? "|" : "; ");
        }
        rows.close();
        show(name, text);
    }

    static void fails(String name, Statement statement, String sql) throws SQLException {
        try {
            statement.execute(sql);
            show(name, "no error");
        } catch (SQLException error) {
            show(name, error.getSQLState() + " " + error.getMessage().split("\n")[0]);
        }
    }

    static void queries(String mode) throws SQLException {
        try (Connection connection = connect("preferQueryMode", mode, "prepareThreshold", "2");
             Statement statement = connection.createStatement()) {
            show(mode, statement.executeQuery("SELECT 1, 'x', NULL, 1.5::numeric, now() IS NULL"));
            show("several", statement.execute("SELECT 1; SELECT 2"));
            show("more", statement.getMoreResults());
            statement.execute("CREATE TEMP TABLE t (a serial PRIMARY KEY, b text, c int[])");
            try (PreparedStatement insert = connection.prepareStatement(
                     "INSERT INTO t (b, c) VALUES (?, ?)", Statement.RETURN_GENERATED_KEYS)) {
                for (int n = 0; n < 5; n++) {
                    insert.setString(1, "row " + n);
                    insert.setArray(2, connection.createArrayOf("int4", new Integer[] {n, n + 1}));
                    insert.executeUpdate();
                    show("key", insert.getGeneratedKeys());
                }
            }
            try (PreparedStatement select = connection.prepareStatement(
                     "SELECT name, id, at FROM drv_t WHERE id = ?")) {
                for (int n = 1; n < 10; n++) {
                    select.setInt(1, n);
                    show("prepared", select.executeQuery());
                }
            }
            fails("division", statement, "SELECT 1/0");
            fails("duplicate", statement, "INSERT INTO t (a) VALUES (1)");
            statement.setMaxRows(3);
            show("max rows", statement.executeQuery("SELECT generate_series(1, 10)"));
            statement.setMaxRows(0);
            if (mode.equals("extended")) { // the request to cancel is the same in all of them
                statement.setQueryTimeout(1);
                fails("timeout", statement, "SELECT pg_sleep(30)");
                statement.setQueryTimeout(0);
            }
            show("rows", statement.executeQuery("SELECT * FROM t ORDER BY a"));
        }
    }

    static void transactions() throws SQLException {
        try (Connection connection = connect();
             Statement statement = connection.createStatement()) {
            connection.setAutoCommit(false);
            statement.setFetchSize(7);
            ResultSet rows = statement.executeQuery("SELECT id FROM drv_t ORDER BY id");
            int sum = 0;
            while (rows.next())
                sum += rows.getInt(1);
            show("fetched by portals", sum);
            statement.execute("CREATE TEMP TABLE t (a int)");
            Savepoint savepoint = connection.setSavepoint("here");
            fails("error", statement, "SELECT no_such_column");
            fails("aborted", statement, "SELECT 1");
            connection.rollback(savepoint);
            statement.execute("INSERT INTO t VALUES (1)");
            connection.commit();
            connection.setTransactionIsolation(Connection.TRANSACTION_SERIALIZABLE);
            show("isolation", statement.executeQuery("SHOW transaction_isolation"));
            connection.rollback();
            connection.setReadOnly(true);
            fails("read only", statement, "CREATE TABLE drv_never (a int)");
            connection.rollback();
            connection.setReadOnly(false);
            show("kept", statement.executeQuery("SELECT * FROM t"));
            connection.commit();
            Statement scrolling = connection.createStatement(
                ResultSet.TYPE_SCROLL_INSENSITIVE, ResultSet.CONCUR_READ_ONLY,
                ResultSet.HOLD_CURSORS_OVER_COMMIT);
            scrolling.setFetchSize(5);
            rows = scrolling.executeQuery("SELECT generate_series(1, 20)");
            rows.last();
            show("last", rows.getInt(1));
            connection.commit();
        }
    }

    static void batches(String rewrite) throws SQLException {
        try (Connection connection = connect("reWriteBatchedInserts", rewrite);
             Statement statement = connection.createStatement()) {
            statement.execute("CREATE TEMP TABLE t (a int PRIMARY KEY, b text)");
            try (PreparedStatement insert =
                     connection.prepareStatement("INSERT INTO t VALUES (?, ?)")) {
                for (int n = 0; n < 600; n++) {
                    insert.setInt(1, n);
                    insert.setString(2, "x".repeat(n % 50));
                    insert.addBatch();
                }
                show("batch " + rewrite, Arrays.stream(insert.executeBatch()).distinct().count());
                insert.setInt(1, 1000);
                insert.setString(2, "new");
                insert.addBatch();
                insert.setInt(1, 1);
                insert.addBatch();
                try {
                    insert.executeBatch();
                } catch (BatchUpdateException error) {
                    show("batch failed", error.getSQLState());
                }
            }
            statement.addBatch("UPDATE t SET b = 'y' WHERE a < 10");
            statement.addBatch("DELETE FROM t WHERE a > 500");
            show("mixed", Arrays.toString(statement.executeBatch()));
            show("count", statement.executeQuery("SELECT count(*), sum(length(b)) FROM t"));
        }
    }

    static void copies() throws Exception {
        try (Connection connection = connect();
             Statement statement = connection.createStatement()) {
            CopyManager copying = connection.unwrap(PGConnection.class).getCopyAPI();
            statement.execute("CREATE TEMP TABLE t (a int, b text)");
            StringBuilder rows = new StringBuilder();
            for (int n = 0; n < 5000; n++)
                rows.append(n).append("\trow ").append(n).append('\n');
            show("in", copying.copyIn("COPY t FROM STDIN", new StringReader(rows.toString())));
            StringWriter out = new StringWriter();
            show("out", copying.copyOut("COPY t TO STDOUT", out));
            show("same", out.toString().contentEquals(rows));
            try {
                copying.copyIn("COPY t FROM STDIN", new StringReader("x\ty\n"));
            } catch (SQLException error) {
                show("copy failed", error.getSQLState());
            }
            show("after", statement.executeQuery("SELECT count(*) FROM t"));
        }
    }

    static void metadata() throws SQLException {
        try (Connection connection = connect("ApplicationName", "jdbc")) {
            DatabaseMetaData data = connection.getMetaData();
            show("product", data.getDatabaseProductVersion());
            ResultSet columns = data.getColumns(null, "public", "drv_t", null);
            while (columns.next())
                show("column", columns.getString("COLUMN_NAME") + columns.getString("TYPE_NAME"));
            show("keys", data.getPrimaryKeys(null, "public", "drv_t"));
            show("valid", connection.isValid(5));
            connection.setSchema("pg_catalog");
            show("schema", connection.getSchema());
            connection.setClientInfo("ApplicationName", "other");
            show("info", connection.getClientInfo("ApplicationName"));
            CallableStatement call = connection.prepareCall("{? = call upper(?)}");
            call.registerOutParameter(1, Types.VARCHAR);
            call.setString(2, "loud");
            call.execute();
            show("call", call.getString(1));
        }
        try (Connection connection = DriverManager.getConnection(
                 url.replaceFirst("/[a-z]+$", "/no_such_database"), "postgres", "")) {
            show("refused", "no");
        } catch (SQLException error) {
            show("refused", error.getSQLState());
        }
    }

    public static void main(String[] arguments) throws Exception {
        url = arguments[0];
        for (String mode : new String[] {
                 "simple", "extended", "extendedForPrepared", "extendedCacheEverything"})
            queries(mode);
        transactions();
        batches("false");
        batches("true");
        copies();
        metadata();
    }
}
