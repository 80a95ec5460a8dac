# shellcheck shell=bash
# shellcheck disable=SC2034,SC2154 # variables are shared with the other parts
#
# Part of sample/quickstart: the configuration and the life of pgpool.

pgpool() {
    as_server "$dir/build/pgpool" -f "$dir/pgpool.conf" -F "$dir/pcp.conf" \
        -a "$dir/pool_hba.conf" "$@"
}

pgpool_runs() {
    [ -e "$dir/pgpool.conf" ] && [ -x "$dir/build/pgpool" ] &&
        pgpool status >/dev/null 2>&1 9>&-
}

backends() {
    local node host port
    if [ -n "$use_pg" ]; then
        node=0
        while read -r host port; do
            printf 'backend_hostname%s = %s\nbackend_port%s = %s\nbackend_weight%s = 1\n' \
                "$node" "$(quoted "$host")" "$node" "$port" "$node"
            node=$((node + 1))
        done <"$dir/servers"
        return
    fi
    for node in 0 1 2; do
        printf 'backend_hostname%s = %s\nbackend_port%s = %s\nbackend_weight%s = 1\n' \
            "$node" "'127.0.0.1'" "$node" "$(node_port "$node")" "$node"
        printf 'backend_data_directory%s = %s\nbackend_application_name%s = %s\n' \
            "$node" "$(quoted "$dir/node$node")" "$node" "'node$node'"
    done
}

pgpool_conf() {
    printf '# written by %s; it is written anew when the ports change\n' "$PROGRAM"
    printf "listen_addresses = 'localhost'\nport = %s\n" "$(settings_get pgpool_port)"
    printf "pcp_listen_addresses = 'localhost'\npcp_port = %s\n" "$(settings_get pcp_port)"
    printf "http_listen_addresses = 'localhost'\nhttp_port = %s\n" "$(settings_get http_port)"
    printf "unix_socket_directories = ''\npcp_socket_dir = %s\n" "$(quoted "$dir/run")"
    backends
    printf 'pool_passwd = %s\n' "$(quoted "$dir/pool_passwd")"
    printf 'sr_check_user = %s\n' "$(quoted "$check_user")"
    printf "sr_check_password = ''\nsr_check_database = 'postgres'\nsr_check_period = 2\n"
    [ -n "$use_pg" ] ||
        printf "recovery_user = 'postgres'\nrecovery_password = %s\n" \
            "$(quoted "$(password_of postgres)")"
    printf 'pid_file_name = %s\n' "$(quoted "$dir/run/pgpool.pid")"
    printf 'work_dir = %s\n' "$(quoted "$dir/run")"
    printf "logging_collector = on\nlog_directory = %s\n" "$(quoted "$dir/log")"
    printf "log_filename = 'pgpool.log'\nlog_connections = on\nlog_disconnections = on\n"
    printf "include = 'pgpool.local.conf'\n"
}

write_pgpool_conf() {
    server_dir "$dir/run" 0755
    server_dir "$dir/log" 0755
    # without this file whoever is on this machine may look; with an empty one nobody may
    [ -s "$dir/pcp.conf" ] || rm -f -- "$dir/pcp.conf"
    : | private_file "$dir/pool_hba.conf"
    if [ ! -e "$dir/pgpool.local.conf" ]; then
        printf '# Your own settings; they win over those that quickstart wrote.\n' \
            >"$dir/pgpool.local.conf"
    fi
    (umask 077 && pgpool_conf >"$dir/pgpool.conf.next")
    if cmp -s "$dir/pgpool.conf.next" "$dir/pgpool.conf"; then
        rm -f -- "$dir/pgpool.conf.next"
    else
        private_file "$dir/pgpool.conf" <"$dir/pgpool.conf.next"
        rm -f -- "$dir/pgpool.conf.next"
        pgpool_conf_changed=yes
    fi
}

start_pgpool() {
    step 'Starting pgpool'
    pgpool_conf_changed=
    # one that runs may be of a quickstart that had no such port
    [ -n "$(settings_get http_port)" ] || choose_port http_port 9719
    if pgpool_runs; then
        write_pgpool_conf
        if [ -z "$pgpool_conf_changed" ] &&
            [ ! "$dir/build/pgpool" -nt "$dir/run/pgpool.pid" ]; then
            say "    runs already on port $(settings_get pgpool_port)"
            logged 'reloading pgpool.local.conf' "$dir/start.log" pgpool reload
            return
        fi
        logged 'something changed: stopping the running one' "$dir/start.log" pgpool -m fast stop
    fi
    choose_port pgpool_port 9999
    choose_port pcp_port 9898
    choose_port http_port 9719
    write_pgpool_conf
    logged "starting on port $(settings_get pgpool_port)" "$dir/start.log" pgpool start
}

through_pgpool() {
    PGPASSFILE=$dir/pgpass PGCONNECT_TIMEOUT=5 psql -X -w -h localhost \
        -p "$(settings_get pgpool_port)" -U "$app_user" -d "$database" "$@" </dev/null
}

count_nodes() { wc -l <"$dir/servers"; }

nodes_up() {
    local rows up streaming want=$((NODES - left_out))
    [ -z "$use_pg" ] || want=$(count_nodes)
    pgpool_runs || return 2
    rows=$(through_pgpool -A -t -c 'SHOW pool_nodes') || return 1
    up=$(printf '%s\n' "$rows" | awk -F'|' '$4 == "up" && $7 != "unknown"' | wc -l)
    streaming=$(printf '%s\n' "$rows" | grep -c streaming || true)
    [ "$up" -ge "$want" ] || return 1
    [ -n "$use_pg" ] || [ "$streaming" -ge $((want - 1)) ]
}

show_end() {
    local connection psql passfile
    connection="-h localhost -p $(settings_get pgpool_port) -U $app_user $database"
    psql="psql $connection"
    passfile="PGPASSFILE=$(printf '%q' "$dir/pgpass")"
    step 'SHOW pool_nodes'
    through_pgpool -P pager=off -c 'SHOW pool_nodes' ||
        fail 'SHOW pool_nodes failed' "$dir/log/pgpool.log"
    cat <<TEXT
Try it:
    export $passfile
    $psql
    pgbench -i -s 10 $connection
    pgbench -S -c 8 -T 10 $connection

Look at it:  $psql -c 'SHOW pool_nodes'
             http://localhost:$(settings_get http_port)/ in a browser on this machine
Status:      $invocation status
Stop:        $invocation stop
Delete all:  $invocation remove

What lies where, in $dir:
    pgpool.conf          the configuration in use
    pgpool.local.conf    for your own settings; run $invocation again to apply them
    build/pgpool         the program
    log/pgpool.log       pgpool's log
TEXT
    if [ -z "$use_pg" ]; then
        cat <<TEXT
    node0 node1 node2    the servers' data, on ports $(node_port 0), $(node_port 1), $(node_port 2)
    node0.log ...        the servers' logs
    pgpass               passwords; to log in to a server as superuser, past pgpool:
        $passfile psql -h 127.0.0.1 -p $(node_port 0) -U postgres
TEXT
    fi
}
