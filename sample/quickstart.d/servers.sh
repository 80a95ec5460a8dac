# shellcheck shell=bash
# shellcheck disable=SC2034,SC2154 # variables are shared with the other parts
#
# Part of sample/quickstart: the PostgreSQL servers, ours or those that are there already.

node_port() { settings_get "node$1_port"; }
node_runs() { as_server "$pg_bin/pg_ctl" -D "$dir/node$1" status >/dev/null 2>&1; }

# admin_sql NODE: runs the statements of standard input as superuser
admin_sql() {
    as_server env PGPASSFILE="$dir/pgpass" PGCONNECT_TIMEOUT=5 psql -X -q -A -t \
        -v ON_ERROR_STOP=1 -h 127.0.0.1 -p "$(node_port "$1")" -U postgres -d postgres
}

node_answers() {
    node_runs "$1" || return 2
    printf 'SELECT 1;' | admin_sql "$1" || return 1
}

write_node_conf() {
    local data=$2 conninfo
    conninfo="host=127.0.0.1 port=$(node_port 0) user=postgres application_name=node$1"
    conninfo="$conninfo passfile=$(conninfo_quoted "$dir/pgpass")"
    {
        printf '# written by %s before each start\n' "$PROGRAM"
        printf 'port = %s\n' "$(node_port "$1")"
        printf "listen_addresses = '127.0.0.1'\n"
        printf "unix_socket_directories = ''\n"
        printf "cluster_name = 'node%s'\n" "$1"
        printf 'max_connections = 200\nshared_buffers = 64MB\n'
        printf "wal_level = replica\nwal_keep_size = '256MB'\nhot_standby = on\n"
        printf "password_encryption = 'scram-sha-256'\nlogging_collector = off\n"
        printf 'primary_conninfo = %s\n' "$(quoted "$conninfo")"
    } | private_file "$data/quickstart.conf"
}

create_primary() {
    local new=$dir/node0.new
    rm -rf -- "$new"
    server_dir "$new" 0700
    password_of postgres | private_file "$dir/.pwfile"
    logged 'node 0: creating the primary (initdb)' "$dir/node0.log" \
        as_server "$pg_bin/initdb" -D "$new" -U postgres -E UTF8 --no-locale \
        --auth=scram-sha-256 --pwfile="$dir/.pwfile"
    rm -f -- "$dir/.pwfile"
    printf "include 'quickstart.conf'\n" | as_server tee -a "$new/postgresql.conf" >/dev/null
    printf '%s\n' '# loopback only, with password' \
        'host all         all      127.0.0.1/32 scram-sha-256' \
        'host replication postgres 127.0.0.1/32 scram-sha-256' | private_file "$new/pg_hba.conf"
    mv -- "$new" "$dir/node0"
}

create_standby() {
    local new=$dir/node$1.new
    rm -rf -- "$new"
    server_dir "$new" 0700
    logged "node $1: copying the primary (pg_basebackup)" "$dir/node$1.log" \
        as_server env PGPASSFILE="$dir/pgpass" "$pg_bin/pg_basebackup" -D "$new" -X stream \
        -c fast -h 127.0.0.1 -p "$(node_port 0)" -U postgres
    as_server touch "$new/standby.signal"
    mv -- "$new" "$dir/node$1"
}

# pgpool has put another one in its place: started by itself it would be a second primary.
must_be_rebuilt() {
    ! node_runs "$1" &&
        grep -qE "^node $1 .* state=(fenced|rogue) " "$dir/run/pgpool_status" 2>/dev/null
}

start_node() {
    if must_be_rebuilt "$1"; then
        left_out=$((left_out + 1))
        say "    node $1: not started: there was a failover, and it has to be rebuilt. When pgpool runs:"
        say "        psql -h $dir/run -p $(settings_get pcp_port) -d pgpool -c 'PGPOOL RECOVER NODE $1'"
        return
    fi
    if node_runs "$1"; then
        say "    node $1: runs already on port $(node_port "$1")"
    else
        choose_port "node$1_port" 5433
        write_node_conf "$1" "$dir/node$1"
        logged "node $1: starting on port $(node_port "$1")" "$dir/start.log" \
            start_postgres "$1"
    fi
    wait_for "node $1: waiting until it answers" 60 "$dir/node$1.log" node_answers "$1"
}

start_postgres() {
    local status=0
    as_server "$pg_bin/pg_ctl" -D "$dir/node$1" -l "$dir/node$1.log" -w -t 120 start || status=$?
    [ "$status" -eq 0 ] || { tail -n 5 "$dir/node$1.log"; return "$status"; }
}

# A node that is rebuilt gets a new directory beside its old one.
share_dir() {
    if is_root && id postgres >/dev/null 2>&1; then
        chgrp "$(id -gn postgres)" "$dir"
        chmod 1775 "$dir"
    fi
}

is_standby() { [ "$(printf 'SELECT pg_is_in_recovery();' | admin_sql "$1")" = t ]; }

create_roles() {
    local log=$dir/roles.log
    ! is_standby 0 || return 0 # it was the primary, and had them then
    admin_sql 0 <<SQL >/dev/null 2>"$log" || fail 'could not create the roles' "$log"
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

start_servers() {
    local node
    pg_bin=$(find_pg_bin)
    step "Starting a primary and two standbys (PostgreSQL from $pg_bin)"
    share_dir
    write_passwords
    for node in 0 1 2; do
        : >>"$dir/node$node.log"
        owned_by_server "$dir/node$node.log"
        if [ ! -d "$dir/node$node" ]; then
            choose_port "node${node}_port" 5433
            if [ "$node" -eq 0 ]; then
                create_primary
            else
                create_standby "$node"
            fi
        fi
        start_node "$node"
        [ "$node" -ne 0 ] || must_be_rebuilt 0 || create_roles
    done
}

# Prints "host port" per server of --pg.
pg_list() {
    local entry host port
    local IFS=,
    for entry in $use_pg; do
        case $entry in
            *:*) host=${entry%:*} port=${entry##*:} ;;
            *) host=$entry port=5432 ;;
        esac
        host=${host#[}
        host=${host%]}
        if ! [[ $port =~ ^[0-9]+$ ]] || [ -z "$host" ]; then
            fail "--pg: \"$entry\" is not HOST:PORT"
        fi
        printf '%s %s\n' "$host" "$port"
    done
}

password_hint() { ! grep -q password "$1" || printf ': is PGPASSWORD set, and right?'; }

check_servers() {
    local host port role log="$dir/servers.log" password=${PGPASSWORD:-}
    local question="SELECT CASE WHEN pg_is_in_recovery() THEN 'standby' ELSE 'primary' END"
    # A second run needs no password again.
    if [ -z "$password" ] && [ -e "$dir/pool_passwd" ]; then
        password=$(sed -n "s/^$user:TEXT//p" "$dir/pool_passwd")
    fi
    step "Looking at the servers"
    pg_list >"$dir/servers.new"
    while read -r host port; do
        role=$(PGPASSWORD=$password PGCONNECT_TIMEOUT=10 psql -X -w -A -t -h "$host" -p "$port" \
            -U "$user" -d "$database" -c "$question" 2>"$log" </dev/null) ||
            fail "could not log in to \"$host:$port\" as \"$user\"$(password_hint "$log")" "$log"
        say "    $host:$port is a $role"
    done <"$dir/servers.new"
    rm -f -- "$log"
    mv -f -- "$dir/servers.new" "$dir/servers"
    { [ -z "$password" ] || printf '%s:TEXT%s\n' "$user" "$password"; } |
        private_file "$dir/pool_passwd"
    { [ -z "$password" ] ||
        printf '*:*:*:%s:%s\n' "$user" "$(printf '%s' "$password" | sed 's/[\\:]/\\&/g')"; } |
        private_file "$dir/pgpass"
}
