# shellcheck shell=bash
# shellcheck disable=SC2034,SC2154 # variables are shared with the other parts
#
# Part of sample/watchdog-demo: the pgpools, and what they look like from outside.

# pgpool PLACE ARGUMENT...
pgpool() {
    local place=$1
    shift
    inside "$place" "$dir/build/pgpool" -f "$dir/$place/pgpool.conf" -F "$dir/$place/pcp.conf" \
        -a "$dir/$place/pool_hba.conf" "$@"
}

program_dir() { dirname "$(command -v "$1")"; }

pgpool_conf() {
    local place=$1 number
    printf '# written by %s before each start\n' "$PROGRAM"
    printf "listen_addresses = '*'\nport = 9999\nunix_socket_directories = ''\n"
    printf "pcp_listen_addresses = 'localhost'\npcp_port = 9898\npcp_socket_dir = %s\n" \
        "$(quoted "$dir/$place")"
    for number in 0 1 2; do
        printf "backend_hostname%s = '%s'\nbackend_port%s = 5432\nbackend_weight%s = 1\n" \
            "$number" "$(place_address "node$number")" "$number" "$number"
        printf "backend_application_name%s = 'node%s'\n" "$number" "$number"
        printf "hostname%s = '%s'\npgpool_port%s = 9999\n" \
            "$number" "$(place_address "pgpool$number")" "$number"
    done
    printf 'pool_passwd = %s\n' "$(quoted "$dir/pool_passwd")"
    printf "sr_check_user = '%s'\nsr_check_database = 'postgres'\nsr_check_period = 1\n" \
        "$CHECK_USER"
    printf 'pid_file_name = %s\nwork_dir = %s\n' "$(quoted "$dir/$place/pgpool.pid")" \
        "$(quoted "$dir/$place")"
    printf "logging_collector = on\nlog_directory = %s\nlog_filename = '%s.log'\n" \
        "$(quoted "$dir/log")" "$place"
    printf "\nuse_watchdog = on\npgpool_node_id = %s\nwd_priority = %s\n" \
        "$(place_number "$place")" "$((3 - $(place_number "$place")))"
    printf "wd_etcd_hosts = '%s'\n" "$(etcd_hosts)"
    printf "delegate_ip = '%s'\n" "$VIRTUAL"
    printf 'if_cmd_path = %s\narping_path = %s\n' "$(quoted "$(program_dir ip)")" \
        "$(quoted "$(program_dir arping)")"
    printf "include = %s\n" "$(quoted "$dir/$place/pgpool.local.conf")"
}

start_pgpool() {
    local place=$1
    server_dir "$dir/$place" 0755
    if [ -n "$(place_pids "$place")" ]; then
        say "    $place: runs already"
        return
    fi
    : | private_file "$dir/$place/pool_hba.conf"
    if [ ! -e "$dir/$place/pgpool.local.conf" ]; then
        printf '# Your own settings; they win over those that %s wrote.\n' "$NAME" \
            >"$dir/$place/pgpool.local.conf"
    fi
    pgpool_conf "$place" >"$dir/$place/pgpool.conf"
    rm -f -- "$dir/$place/pgpool.pid"
    logged "$place: starting on $(place_address "$place"):9999" "$dir/start.log" \
        pgpool "$place" start
}

start_pgpools() {
    local number
    step 'Starting three pgpools'
    mkdir -p "$dir/log"
    for number in 0 1 2; do
        start_pgpool "pgpool$number"
    done
}

stop_pgpools() {
    local number place
    for number in 2 1 0; do
        place=pgpool$number
        [ -n "$(place_pids "$place")" ] || continue
        logged "$place: stopping" "$dir/stop.log" pgpool "$place" -m fast stop
    done
}

# ---- as clients see them ---------------------------------------------------------------------------

psql_to() {
    local host=$1
    shift
    inside client env PGPASSFILE="$dir/pgpass" PGCONNECT_TIMEOUT=5 \
        psql -X -w -h "$host" -p 9999 -U "$APP_USER" -d "$DATABASE" "$@"
}

through_virtual() { psql_to "$VIRTUAL" "$@" </dev/null; }
virtual_answers() { through_virtual -c 'SELECT 1'; }

exec_psql() {
    exec 9>&-
    psql_to "$VIRTUAL" "$@" 8>&-
}

all_up() {
    local number up
    for number in 0 1 2; do
        [ -n "$(place_pids "pgpool$number")" ] || return 2
        up=$(psql_to "$(place_address "pgpool$number")" -A -t -c 'SHOW pool_nodes' </dev/null |
            awk -F'|' '$4 == "up"' | wc -l)
        [ "$up" -eq 3 ] || return 1
    done
}

holders() {
    local number
    for number in 0 1 2; do
        case $(ip -n "$(space "pgpool$number")" -o address show 2>/dev/null) in
            *" $VIRTUAL/"*) printf 'pgpool%s ' "$number" ;;
        esac
    done
}

show_end() {
    local holder
    holder=$(holders)
    holder=${holder%% *}
    step 'SHOW pool_watchdog'
    through_virtual -P pager=off -x -c 'SHOW pool_watchdog' || true
    cat <<TEXT

The virtual address is $VIRTUAL, and $holder holds it now. From the client's place:
    $invocation psql
which is
    ip netns exec $(space client) env PGPASSFILE=$(printf '%q' "$dir/pgpass") \\
        psql -h $VIRTUAL -p 9999 -U $APP_USER $DATABASE

Watch it move, in another terminal:
    while sleep 0.5; do $invocation psql -A -t -c \\
        "SELECT now(), current_setting('cluster_name'), pg_is_in_recovery()"; done
    $invocation status

Break it:
    $invocation kill $holder          the leading pgpool, as by kill -9
    $invocation freeze $holder        as if its machine hung; then: $invocation thaw $holder
    $invocation kill node0            a server
    $invocation kill etcd1            a member of etcd; two of them: etcd is lost
    $invocation cut $holder node0     the network between two places; then: $invocation mend
What was killed begins again with
    $invocation
and an old primary, for which another one was promoted meanwhile, becomes a standby with
    $invocation remake node0

Stop:        $invocation stop
Delete all:  $invocation remove
Logs:        $dir/log/pgpool0.log ..., $dir/node0.log ..., $dir/etcd0.log ...
TEXT
}
