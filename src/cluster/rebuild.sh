# Makes the server of one data directory a standby of the primary, on the host where it lies.
#
# Sent to the standard input of `sh -s` there: by pgpool itself when that is its own host, else by
# recovery_command. In front of it stand its parameters (cluster/rebuild.c):
#   mode             auto: pg_rewind when it can serve, else a base backup; copy: a base backup;
#                    clean: take away what was kept for a failure
#   data             the data directory
#   node_id, node_host, node_port, application_name (of its WAL receiver; may be empty)
#   primary_host, primary_port, password
#   source           connection string for the primary, without the password
#   login, login_secret   the user as a piece of one; the same with the password
#   system_id, timeline, major   of the primary
#   history          its earlier timelines: number and end of each, one a line
#   bin              the directory of PostgreSQL's programs; empty: searched
#   wait_s           seconds for the server to start
# Exit status: 0 copied (or cleaned), 10 rewound or taken as it was, 1 not done.
#
# Nothing whole is removed before its successor is whole: a copy is made beside the directory, and
# swapped by renames. Whatever was left half done is found by the next run: $data.pgpool-new is a
# copy that is not complete, $data.pgpool-old what was there before, $data.pgpool-conf the node's
# own configuration while pg_rewind writes that of the primary over it.

say() {
    printf '%s\n' "$*"
}

fail() {
    say "ERROR:  $*"
    exit 1
}

# PostgreSQL's programs that talk to the primary; nothing of it may reach a server that we start.
as_client() {
    PGPASSWORD=$password PGCONNECT_TIMEOUT=10 PGAPPNAME=pgpool_recovery "$@"
}

has_version() {
    case $("$1/postgres" -V 2>/dev/null) in
    *") $major"[!0-9]*) return 0 ;;
    esac
    return 1
}

find_programs() {
    candidates=$bin
    if [ -z "$bin" ]; then
        candidates="$(sed -n 's,^"\{0,1\}\(/[^ "]*\)/postgres"\{0,1\}[ ].*,\1,p' \
            "$data/postmaster.opts" 2>/dev/null)
/usr/lib/postgresql/$major/bin
/usr/pgsql-$major/bin
$(pg_config --bindir 2>/dev/null)
$(dirname "$(command -v postgres 2>/dev/null || echo /nowhere/x)")
/usr/local/pgsql/bin"
    fi
    for dir in $candidates; do
        if has_version "$dir"; then
            bin=$dir
            return
        fi
    done
    fail "could not find the programs of PostgreSQL $major${bin:+ in \"$bin\"};" \
        "recovery_bin_directory names their directory"
}

# ---- what is there ----

control() {
    printf '%s\n' "$controldata" | sed -n "s/^$1: *//p"
}

# of a WAL position as "16/B374D848", to compare two: both halves with eight digits
padded() {
    printf '%8s/%8s' "${1%%/*}" "${1##*/}" | tr ' a-f' '0A-F'
}

is_before() {
    first=$(padded "$1")
    second=$(padded "$2")
    [ "$first" != "$second" ] &&
        [ "$(printf '%s\n%s\n' "$first" "$second" | LC_ALL=C sort | head -n 1)" = "$first" ]
}

history_here() {
    awk 'NF >= 2 && $1 ~ /^[0-9]+$/ { print $1, $2 }' \
        "$data/pg_wal/$(printf '%08X' "$1").history" 2>/dev/null
}

# Sets found: nothing, other (a whole one that only a copy can replace), same (of this system)
look_at_directory() {
    found=nothing
    if [ ! -e "$data" ]; then
        return
    fi
    [ -d "$data" ] || fail "\"$data\" is no directory"
    [ -O "$data" ] ||
        fail "directory \"$data\" belongs to $(stat -c %U "$data"), and this runs as $(id -un)"
    if [ -z "$(ls -A "$data" | grep -v '^lost+found$')" ]; then
        return
    fi
    [ -e "$data/PG_VERSION" ] || [ -e "$data/postgresql.auto.conf" ] || [ -d "$data/base" ] ||
        fail "directory \"$data\" is not empty and no data directory of PostgreSQL:" \
            "it is left alone"
    found=other
    controldata=$(LC_ALL=C "$bin/pg_controldata" "$data" 2>/dev/null) || controldata=
    if [ "$(cat "$data/PG_VERSION" 2>/dev/null)" = "$major" ] &&
        [ "$(control 'Database system identifier')" = "$system_id" ]; then
        found=same
    fi
}

# Sets server: the process of the server of this directory, or nothing. The number may be somebody
# else's by now: the working directory tells, or where that is not shown the program's name.
look_for_server() {
    server=$(sed -n 1p "$data/postmaster.pid" 2>/dev/null)
    at=$(readlink "/proc/${server:-0}/cwd" 2>/dev/null)
    case $(cat "/proc/${server:-0}/comm" 2>/dev/null) in
    postgres | postmaster) : "${at:=$data}" ;;
    esac
    if [ "$at" != "$data" ] || [ -z "$(tr -d '\0' 2>/dev/null <"/proc/$server/cmdline")" ]; then
        server= # or it has ended, and its parent does not know yet
        return
    fi
    port=$(sed -n 4p "$data/postmaster.pid")
    [ "$port" = "$node_port" ] ||
        fail "the server in \"$data\" (process $server) listens on port $port, and node $node_id" \
            "is on port $node_port: it is not stopped"
}

# A server that has died, and whose parent does not want to know (a container without an init),
# keeps its number: PostgreSQL would take it for running. While a process of it lives, it is right.
forget_dead_server() {
    dead=$(sed -n 1p "$data/postmaster.pid" 2>/dev/null)
    case $(sed -n 's/^State:[[:space:]]*\(.\).*/\1/p' "/proc/${dead:-none}/status" 2>/dev/null) in
    Z) ;;
    *) return ;;
    esac
    for process in /proc/[0-9]*; do
        [ "$(readlink "$process/cwd" 2>/dev/null)" != "$data" ] || return
    done
    rm -f "$data/postmaster.pid"
}

refuse_stranger() {
    "$bin/pg_isready" -q -t 3 -h "$node_host" -p "$node_port"
    case $? in
    0 | 1) fail "another server than that of \"$data\" answers at \"$node_host:$node_port\"" ;;
    esac
}

# A server that took writes is stopped abruptly, or it would write on the history that it has to
# leave: the record of its own shutdown.
stop_server() {
    look_for_server
    if [ -n "$server" ]; then
        say "stopping the server in \"$data\" (process $server)"
        kill -CONT "$server" # one that was halted would not hear
        if [ "$1" = abruptly ] || ! "$bin/pg_ctl" stop -D "$data" -s -m fast -w -t 60; then
            "$bin/pg_ctl" stop -D "$data" -s -m immediate -w -t 20 || kill -KILL "$server"
        fi
        look_for_server
        [ -z "$server" ] || fail "could not stop the server in \"$data\" (process $server)"
    fi
    forget_dead_server
    refuse_stranger
}

# ---- what the node has of its own ----

# A server's files of configuration lie in its data directory, unless they lie elsewhere.
save_conf() {
    if [ -e "$conf/pgpool_rewind" ]; then
        return # of a run that was ended there: in the directory stand the primary's
    fi
    rm -rf "$conf.part" "$conf"
    mkdir "$conf.part" || fail "could not create directory \"$conf.part\""
    for file in "$data"/*.conf "$data"/*.crt "$data"/*.key "$data"/*.pem "$data"/conf.d; do
        if [ -e "$file" ]; then
            cp -pR "$file" "$conf.part/" || fail "could not copy \"$file\""
        fi
    done
    if [ -e "$data/postmaster.opts" ]; then
        cp -p "$data/postmaster.opts" "$conf.part/postmaster.opts"
    fi
    mv "$conf.part" "$conf" || fail "could not rename \"$conf.part\""
}

quoted() {
    printf "'%s'" "$(printf '%s' "$1" | sed "s/\\\\/\\\\\\\\/g; s/'/''/g")"
}

# The value of a setting in postgresql.auto.conf of a directory.
setting() {
    sed -n "s/^ *$2 *= *'\(.*\)' *\$/\1/p" "$1/postgresql.auto.conf" 2>/dev/null | tail -n 1 |
        sed "s/''/'/g; s/\\\\\\\\/\\\\/g"
}

# How the node connects to its primary: as before but for the host, since that may say more
# (certificates); else as the recovery user. Of a keyword that comes twice the last one counts;
# what an earlier run has put behind is taken off.
connection() {
    old=$(setting "$1" primary_conninfo |
        sed 's/\( host=[^ '\'']* port=[0-9]*\( application_name=[^ '\'']*\)\{0,1\}\)*$//')
    case $old in
    '' | *://* | *hostaddr* | "$login"*) old=$login_secret ;;
    esac
    printf '%s host=%s port=%s%s' "$old" "$primary_host" "$primary_port" \
        "${name:+ application_name=$name}"
}

# Puts into a directory what the node had of its own, and makes it a standby of the primary.
# postgresql.auto.conf counts last, so a directory that had no file of its own gets its port there.
configure() {
    name=$application_name
    if [ -d "$conf" ] && [ -n "$(ls "$conf")" ]; then
        cp -pR "$conf"/. "$1"/ || fail "could not copy \"$conf\" to \"$1\""
        wanted=$(connection "$conf")
        slot=$(setting "$conf" primary_slot_name)
        port_line=
    else
        name=${name:-node$node_id} # else it would be called as the primary calls itself
        wanted=$(connection /nowhere)
        slot=
        port_line="port = $node_port"
    fi
    {
        grep -Ev '^ *(primary_conninfo|primary_slot_name|recovery_target[a-z_]*) *=' \
            "$1/postgresql.auto.conf" 2>/dev/null | if [ -n "$port_line" ]; then
            grep -Ev '^ *port *='
        else
            cat
        fi
        printf 'primary_conninfo = %s\n' "$(quoted "$wanted")"
        [ -z "$slot" ] || printf 'primary_slot_name = %s\n' "$(quoted "$slot")"
        [ -z "$port_line" ] || printf '%s\n' "$port_line"
    } >"$1/postgresql.auto.conf.pgpool" &&
        mv "$1/postgresql.auto.conf.pgpool" "$1/postgresql.auto.conf" &&
        : >"$1/standby.signal" || fail "could not write the configuration in \"$1\""
    rm -f "$1/recovery.signal" "$1/pgpool_rewind"
}

# The slot that the node's configuration names keeps WAL from now on.
make_slot() {
    from=$data
    [ ! -d "$conf" ] || from=$conf
    slot=$(setting "$from" primary_slot_name)
    if [ -n "$slot" ]; then
        as_client "$bin/pg_receivewal" -w -d "$source" --create-slot --if-not-exists -S "$slot" ||
            fail "could not create the replication slot \"$slot\" at the primary"
    fi
}

check_primary() {
    answer=$(as_client "$bin/psql" -X -w -A -t -d "$source replication=true" \
        -c IDENTIFY_SYSTEM 2>&1) ||
        fail "could not connect to the primary for replication: $answer"
    [ "${answer%%|*}" = "$system_id" ] ||
        fail "at \"$primary_host:$primary_port\" this host finds another database system than" \
            "the primary's"
}

# ---- the ways ----

# Where the WAL of a server that was not shut down ends; nothing when that cannot be told, or when
# it may have gone on to another timeline, of which the control file knows nothing yet.
end_of_wal() {
    last=$(ls "$data/pg_wal" |
        sed -n 's/^\([0-9A-F]\{8\}\)[.0-9A-F].*/\1/p' | LC_ALL=C sort | tail -n 1)
    [ "$last" = "$(printf '%08X' "$here")" ] || return
    redo=$(control "Latest checkpoint's REDO location")
    "$bin/pg_waldump" -p "$data/pg_wal" -t "$here" -s "$redo" 2>&1 >/dev/null |
        sed -n 's/.*invalid record length at \([0-9A-F]*\/[0-9A-F]*\).*/\1/p' | tail -n 1
}

# Does all that the node has lie on the primary's history, whose timeline $here ended at $left?
lies_before() {
    case $state in
    'shut down') is_before "$reached" "$left" ;; # there begins the record of the shutdown
    'shut down in recovery' | 'in archive recovery') ! is_before "$left" "$reached" ;;
    *)
        reached=$(end_of_wal)
        [ -n "$reached" ] && ! is_before "$left" "$reached"
        ;;
    esac
}

# Says why not when pg_rewind cannot serve. Sets as_it_is when nothing has to be rewound: all that
# the node has lies on the primary's history.
can_rewind() {
    as_it_is=
    here=$(control "Latest checkpoint's TimeLineID")
    reached=$(control 'Latest checkpoint location')
    state=$(control 'Database cluster state')
    case $state in
    'shut down in recovery' | 'in archive recovery')
        last=$(control "Min recovery ending loc's timeline")
        if [ "${last:-0}" -ge "$here" ]; then
            here=$last
            reached=$(control 'Minimum recovery ending location')
        fi
        if [ "$here" = "$timeline" ]; then
            if [ "$here" != 1 ] && [ "$(history_here "$here")" != "$history" ]; then
                say "timeline $here of node $node_id is not the primary's: a base backup it is"
                return 1
            fi
            as_it_is=yes
            return 0
        fi
        ;;
    *)
        if [ "$here" = "$timeline" ]; then
            say "node $node_id has written on timeline $here itself: a base backup it is"
            return 1
        fi
        ;;
    esac
    left=$(printf '%s\n' "$history" | sed -n "s/^${here:-none} //p")
    if [ -n "$left" ] && lies_before; then
        as_it_is=yes
        return 0
    fi
    if [ "$(control 'wal_log_hints setting')" != on ] &&
        [ "$(control 'Data page checksum version')" = 0 ]; then
        say "pg_rewind cannot serve without wal_log_hints or data checksums: a base backup it is"
        return 1
    fi
    return 0
}

# Files of configuration may lie elsewhere: then the server was started with their place.
find_config_file() {
    config_file=
    if [ -e "$data/postgresql.conf" ]; then
        return
    fi
    for file in "$conf/postmaster.opts" "$data/postmaster.opts"; do
        [ -n "$config_file" ] ||
            config_file=$(sed -n 's/.*config_file=\([^" ]*\).*/\1/p' "$file" 2>/dev/null)
    done
    cluster=${data#/var/lib/postgresql/}
    if [ -z "$config_file" ] && [ -e "/etc/postgresql/$cluster/postgresql.conf" ]; then
        config_file=/etc/postgresql/$cluster/postgresql.conf
    fi
}

rewind() {
    say "rewinding \"$data\" to the primary's history"
    find_config_file
    set -- -D "$data" --source-server="$source" --progress
    if [ -n "$config_file" ] && [ "$major" -ge 15 ]; then
        set -- "$@" "--config-file=$config_file"
    fi
    : >"$conf/pgpool_rewind" || return 1
    as_client "$bin/pg_rewind" "$@" || return 1
    rm -rf "$data"/pg_replslot/* # they are the slots of a primary
}

take_copy() {
    say "taking a base backup from the primary"
    if ! as_client "$bin/pg_basebackup" -D "$new" -d "$source" -w -X stream -c fast -P; then
        rm -rf "$new"
        fail "pg_basebackup failed"
    fi
    configure "$new"
}

swap_in_copy() {
    if [ -e "$data" ] && [ -n "$(ls -A "$data")" ]; then
        if [ -e "$old" ]; then
            rm -rf "$data" # that one never ran; what was there before it is kept
        else
            mv "$data" "$old" || fail "could not rename \"$data\""
        fi
    elif [ -e "$data" ]; then
        rmdir "$data" || fail "could not replace \"$data\""
    fi
    mv "$new" "$data" || fail "could not rename \"$new\""
}

start_server() {
    find_config_file
    log=$data.log
    [ "${data#/var/lib/postgresql/}" = "$data" ] ||
        log=/var/log/postgresql/postgresql-$(printf '%s' "${data#/var/lib/postgresql/}" |
            tr / -).log
    : >>"$log" 2>/dev/null || log=$data.log
    before=$(stat -c %s "$log" 2>/dev/null || echo 0)
    say "starting the server in \"$data\", with its output in \"$log\""
    set -- start -D "$data" -s -w -t "$wait_s" -l "$log"
    [ -z "$config_file" ] || set -- "$@" -o "-c config_file=$config_file"
    if ! "$bin/pg_ctl" "$@" 9>&-; then
        look_for_server
        if [ -z "$server" ]; then
            tail -c +$((before + 1)) "$log" 2>/dev/null | tail -n 8
            fail "could not start the server in \"$data\""
        fi
    fi
}

# ---- all of it ----

prepare() {
    umask 077
    LC_ALL=C
    export LC_ALL
    unset PGHOST PGPORT PGUSER PGPASSWORD PGDATABASE PGDATA PGOPTIONS PGSERVICE PGHOSTADDR
    HOME=$(getent passwd "$(id -u)" | cut -d: -f6)
    export HOME # a server finds its certificates and passwords there
    cd / || exit 1
    real=$(readlink -f -- "$data") || fail "the directory that \"$data\" lies in does not exist"
    data=$real
    parent=$(dirname "$data")
    [ -d "$parent" ] || fail "directory \"$parent\" does not exist"
    [ -w "$parent" ] || fail "directory \"$parent\" must be writable for user $(id -un):" \
        "a new data directory is made beside the old one"
    ! mountpoint -q "$data" 2>/dev/null ||
        fail "\"$data\" is a mount point and cannot be replaced; use a directory in it, or" \
            "recovery_1st_stage_command"
    new=$data.pgpool-new
    old=$data.pgpool-old
    conf=$data.pgpool-conf
    exec 9>"$data.pgpool-lock" || fail "could not create \"$data.pgpool-lock\""
    flock -n 9 || fail "another recovery of \"$data\" is at work"
}

# What a run that was ended half way has left.
tidy() {
    if [ -e "$new" ]; then
        say "removing \"$new\", which was left unfinished"
        rm -rf "$new" || fail "could not remove \"$new\""
    fi
    if [ ! -e "$data" ] && [ -e "$old" ]; then
        mv "$old" "$data" || fail "could not rename \"$old\""
    fi
}

rebuild() {
    find_programs
    look_at_directory
    look_for_server
    [ -n "$server" ] || refuse_stranger
    check_primary
    tidy
    look_at_directory
    if [ $found != nothing ]; then
        save_conf
    fi
    make_slot
    status=0
    if [ $found = same ] && [ "$mode" = auto ] && can_rewind_stopped; then
        if [ -n "$as_it_is" ]; then
            say "node $node_id has nothing that the primary has not"
            [ -e "$data/standby.signal" ] ||
                rm -rf "$data"/pg_replslot/* # they are the slots of a primary
            status=10
        elif rewind; then
            status=10
        else
            say "pg_rewind failed: a base backup it is"
        fi
    fi
    if [ $status = 10 ]; then
        configure "$data"
        rm -f "$conf/pgpool_rewind"
    else
        # a standby may serve while it is copied; who takes writes is stopped
        [ -e "$data/standby.signal" ] || stop_server
        take_copy
        stop_server
        swap_in_copy
        rm -f "$conf/pgpool_rewind"
    fi
    start_server
    exit $status
}

# Of a server that takes writes, and of one that was not shut down, the control file does not tell
# the timeline for sure. A standby is not stopped for nothing.
can_rewind_stopped() {
    if [ -e "$data/standby.signal" ]; then
        can_rewind || return 1
        stop_server
    else
        stop_server abruptly
        look_at_directory
        if [ "$(control 'Database cluster state')" != 'shut down' ] && ! can_follow; then
            say "recovering \"$data\" from its crash"
            find_config_file
            "$bin/postgres" --single -F -D "$data" ${config_file:+-c "config_file=$config_file"} \
                template1 >/dev/null || say "which failed"
        fi
    fi
    look_at_directory
    can_rewind
}

# One that has not been shut down, and has nothing that the primary has not, recovers as a standby.
can_follow() {
    can_rewind >/dev/null
    [ -n "$as_it_is" ]
}

clean() {
    if [ -e "$old" ]; then
        say "removing what was there before"
        rm -rf "$old" || fail "could not remove \"$old\""
    fi
    rm -rf "$conf" "$data.pgpool-lock"
    exit 0
}

main() {
    prepare
    case $mode in
    clean) clean ;;
    *) rebuild ;;
    esac
}

main </dev/null
