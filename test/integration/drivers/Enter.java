// Logs in with JDBC. Arguments: the URL, the user. The password is in PGPASSWORD. Prints who it is,
// or the SQLSTATE of the refusal.
import java.sql.*;

public class Enter {
    public static void main(String[] arguments) throws Exception {
        try (Connection connection = DriverManager.getConnection(
                 arguments[0], arguments[1], System.getenv("PGPASSWORD"));
             ResultSet rows =
                 connection.createStatement().executeQuery("SELECT session_user")) {
            rows.next();
            System.out.println(rows.getString(1));
        } catch (SQLException error) {
            System.out.println(error.getSQLState());
        }
    }
}
