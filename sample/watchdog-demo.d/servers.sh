# shellcheck shell=bash
# shellcheck disable=SC2034,SC2154 # variables are shared with the other parts
#
# Part of sample/watchdog-demo: the PostgreSQL servers.

# admin_sql PLACE: runs the statements of standard input as superuser
admin_sql() {
    inside client env PGPASSFILE="$dir/pgpass" PGCONNECT_TIMEOUT=5 psql -X -q -A -t \
        -v ON_ERROR_STOP=1 -h "$(place_address "$1")" -U postgres -d postgres
}

node_runs() { as_server "$pg_bin/pg_ctl" -D "$dir/$1" status >/dev/null 2>&1; }

node_answers() {
    node_runs "$1" || return 2
    printf 'SELECT 1;' | admin_sql "$1" || return 1
}

# Commits wait for one of the standbys: what is acknowledged is never lost.
write_node_conf() {
    {
        printf "# written by %s before each start\n" "$PROGRAM"
        printf "listen_addresses = '*'\nunix_socket_directories = ''\n"
        printf "cluster_name = '%s'\n" "$1"
        printf 'max_connections = 200\nshared_buffers = 64MB\nwal_log_hints = on\n'
        printf "wal_level = replica\nwal_keep_size = '256MB'\nhot_standby = on\n"
        printf "synchronous_standby_names = 'ANY 1 (node0, node1, node2)'\n"
        printf "wal_receiver_status_interval = 1s\nwal_retrieve_retry_interval = 500ms\n"
        printf "password_encryption = 'scram-sha-256'\nlogging_collector = off\n"
    } | private_file "$dir/$1/demo.conf"
}

create_primary() {
    local new=$dir/node0.new
    rm -rf -- "$new"
    server_dir "$new" 0700
    sed -n 's/^[^:]*:[^:]*:[^:]*:postgres://p' "$dir/pgpass" | private_file "$dir/.pwfile"
    logged 'node0: creating the primary (initdb)' "$dir/initdb.log" \
        as_server "$pg_bin/initdb" -D "$new" -U postgres -E UTF8 --no-locale \
        --auth=scram-sha-256 --pwfile="$dir/.pwfile"
    rm -f -- "$dir/.pwfile"
    printf "include 'demo.conf'\n" | as_server tee -a "$new/postgresql.conf" >/dev/null
    printf '%s\n' '# the demo, with password' \
        "host all         all $SUBNET.0/24 scram-sha-256" \
        "host replication all $SUBNET.0/24 scram-sha-256" | private_file "$new/pg_hba.conf"
    mv -- "$new" "$dir/node0"
}

# Where ALTER SYSTEM writes, by which pgpool makes it follow another one later.
follow_conf() {
    local conninfo
    conninfo="host=$(place_address "$2") user=postgres application_name=$1"
    conninfo="$conninfo passfile=$(conninfo_quoted "$dir/pgpass")"
    printf 'primary_conninfo = %s\n' "$(quoted "$conninfo")"
}

# create_standby PLACE PRIMARY
create_standby() {
    local new=$dir/$1.new
    rm -rf -- "$new"
    server_dir "$new" 0700
    logged "$1: copying the primary (pg_basebackup)" "$dir/basebackup.log" \
        inside "$1" runuser -u postgres -- env PGPASSFILE="$dir/pgpass" "$pg_bin/pg_basebackup" \
        -D "$new" -X stream -c fast -h "$(place_address "$2")" -U postgres
    as_server touch "$new/standby.signal"
    follow_conf "$1" "$2" | as_server tee -a "$new/postgresql.auto.conf" >/dev/null
    mv -- "$new" "$dir/$1"
}

# A place whose processes were killed leaves this behind, and another process may have the number.
clear_pid_file() {
    node_runs "$1" || rm -f -- "$dir/$1/postmaster.pid"
}

start_postgres() {
    local status=0
    inside "$1" runuser -u postgres -- "$pg_bin/pg_ctl" -D "$dir/$1" -l "$dir/$1.log" -w -t 120 \
        start || status=$?
    [ "$status" -eq 0 ] || { tail -n 5 "$dir/$1.log"; return "$status"; }
}

start_node() {
    if [ -n "$(place_pids "$1")" ]; then
        say "    $1: runs already"
    else
        clear_pid_file "$1"
        : >>"$dir/$1.log"
        owned_by_server "$dir/$1.log"
        write_node_conf "$1"
        logged "$1: starting on $(place_address "$1"):5432" "$dir/start.log" start_postgres "$1"
    fi
    wait_for "$1: waiting until it answers" 60 "$dir/$1.log" node_answers "$1"
}

# create_roles PLACE: of the primary
create_roles() {
    local log=$dir/roles.log
    admin_sql "$1" <<SQL >/dev/null 2>"$log" || fail 'could not create the roles' "$log"
SET synchronous_commit = local;
SELECT 'CREATE ROLE $APP_USER LOGIN PASSWORD ''$(password_of "$APP_USER")'''
 WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = '$APP_USER')
\gexec
SELECT 'CREATE ROLE $CHECK_USER LOGIN IN ROLE pg_monitor PASSWORD ''$(password_of "$CHECK_USER")'''
 WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = '$CHECK_USER')
\gexec
-- what failover needs (see README): the database is that of sr_check_database
GRANT EXECUTE ON FUNCTION pg_promote(boolean, integer), pg_reload_conf() TO $CHECK_USER;
ALTER ROLE $CHECK_USER REPLICATION;
SELECT 'GRANT ALTER SYSTEM ON PARAMETER primary_conninfo TO $CHECK_USER'
 WHERE current_setting('server_version_num')::int >= 150000
\gexec
SELECT 'CREATE DATABASE $DATABASE OWNER $APP_USER'
 WHERE NOT EXISTS (SELECT FROM pg_database WHERE datname = '$DATABASE')
\gexec
SQL
    rm -f -- "$log"
}

# The primary on the latest timeline: one that has been replaced may still run.
current_primary() {
    local node timeline best=0 found=
    for node in node0 node1 node2; do
        if [ -d "$dir/$node" ] && node_runs "$node"; then
            timeline=$(printf '%s' "SELECT ('x' || substr(pg_walfile_name(
                pg_current_wal_insert_lsn()), 1, 8))::bit(32)::int
                WHERE NOT pg_is_in_recovery()" | admin_sql "$node" 2>/dev/null || true)
            if [ "${timeline:-0}" -gt "$best" ]; then
                best=$timeline found=$node
            fi
        fi
    done
    printf '%s' "$found"
}

start_servers() {
    local node primary
    pg_bin=$(find_pg_bin)
    step "Starting a primary and two standbys (PostgreSQL from $pg_bin)"
    write_passwords
    if [ ! -d "$dir/node0" ] && [ ! -d "$dir/node1" ] && [ ! -d "$dir/node2" ]; then
        create_primary
    fi
    for node in node0 node1 node2; do
        [ ! -d "$dir/$node" ] || start_node "$node"
    done
    if [ ! -e "$dir/.roles" ]; then
        create_roles node0
        : >"$dir/.roles"
    fi
    for node in node0 node1 node2; do
        [ ! -d "$dir/$node" ] || continue
        primary=$(current_primary)
        [ -n "$primary" ] || fail 'there is no primary to make a standby of'
        create_standby "$node" "$primary"
        start_node "$node"
    done
}

# remake_node PLACE: what it has is lost; it is a standby of whoever is the primary now
remake_node() {
    local primary
    pg_bin=$(find_pg_bin)
    case $1 in
        node*) ;;
        *) fail "\"$1\" is no server" ;;
    esac
    place_signal KILL "$1"
    wait_for "$1: waiting for its end" 20 "$dir/$1.log" place_empty "$1"
    primary=$(clear_pid_file "$1"; current_primary)
    [ -n "$primary" ] || fail 'there is no primary to make a standby of'
    rm -rf -- "${dir:?}/$1"
    create_standby "$1" "$primary"
    start_node "$1"
}

stop_servers() {
    local node
    pg_bin=$(find_pg_bin)
    for node in node0 node1 node2; do
        if [ -d "$dir/$node" ] && node_runs "$node"; then
            logged "$node: stopping" "$dir/stop.log" \
                as_server "$pg_bin/pg_ctl" -D "$dir/$node" -m fast -w -t 120 stop
        fi
    done
}
