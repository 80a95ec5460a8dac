# shellcheck shell=bash
# shellcheck disable=SC2034,SC2154 # variables are shared with the other parts
#
# Part of sample/quickstart and sample/watchdog-demo: who runs what, the directory, its settings, ports and passwords.

is_root() { [ "$EUID" -eq 0 ]; }

default_dir() {
    if is_root; then
        printf '%s' "/var/lib/pgpool-$NAME"
    else
        printf '%s' "${HOME:-/tmp}/pgpool-$NAME"
    fi
}

# PostgreSQL refuses to run as root; pgpool need not.
as_server() {
    if is_root && id postgres >/dev/null 2>&1; then
        runuser -u postgres -- "$@"
    else
        "$@"
    fi
}

as_root() {
    if is_root; then
        "$@"
    else
        sudo -- "$@"
    fi
}

# The name of a directory by which configure and make can reach it: they refuse blanks.
safe_name() {
    local path=$1 private link
    if ! [[ $path =~ $UNSAFE_CHARACTERS ]]; then
        printf '%s' "$path"
        return
    fi
    private=/tmp/.pgpool-quickstart-$EUID
    mkdir -p "$private"
    if [ ! -O "$private" ] || [ -L "$private" ]; then
        fail "\"$private\" belongs to somebody else"
    fi
    link=$private/$(printf '%s' "$path" | cksum | tr ' ' -)
    ln -sfn -- "$path" "$link"
    printf '%s' "$link"
}

open_dir() {
    [ -z "$dir" ] || invocation="$PROGRAM --dir $(printf '%q' "$dir")"
    [ -n "$dir" ] || dir=$(default_dir)
    if [ "$action" = start ]; then
        mkdir -p -- "$dir" || fail "could not create the directory \"$dir\""
    elif [ ! -e "$dir/.pgpool-$NAME" ]; then
        say "There is no $NAME in \"$dir\"."
        [ "$action" = status ] && exit 3
        exit 0
    fi
    dir=$(cd "$dir" && pwd -P)
    if [ ! -e "$dir/.pgpool-$NAME" ]; then
        [ -z "$(ls -A "$dir")" ] || fail "\"$dir\" is not empty, and not made by $NAME"
        : >"$dir/.pgpool-$NAME"
    fi
    [ -w "$dir" ] ||
        fail "\"$dir\" belongs to $(stat -c %U "$dir"): run it as that user, or choose --dir"
    exec 9>"$dir/.lock"
    # shellcheck disable=SC2086 # words are meant
    flock ${lock_wait:--n} 9 || fail "another $NAME is working in \"$dir\""
    cd /
    invocation=$PROGRAM
    [ "$dir" = "$(default_dir)" ] || invocation="$PROGRAM --dir $(printf '%q' "$dir")"
}

settings_get() {
    [ -e "$dir/settings" ] || return 0
    sed -n "s/^$1=//p" "$dir/settings"
}

settings_set() {
    {
        [ ! -e "$dir/settings" ] || sed "/^$1=/d" "$dir/settings"
        printf '%s=%s\n' "$1" "$2"
    } >"$dir/settings.new"
    mv -f -- "$dir/settings.new" "$dir/settings"
}

# Does anything listen there? Read from the kernel, for a bare machine has no ss.
port_taken() {
    local hex files=(/proc/net/tcp)
    hex=$(printf ':%04X' "$1")
    [ ! -r /proc/net/tcp6 ] || files+=(/proc/net/tcp6)
    awk -v hex="$hex" '$4 == "0A" && substr($2, length($2) - 4) == hex { found = 1 }
        END { exit !found }' "${files[@]}"
}

port_ours() {
    local key
    for key in pgpool_port pcp_port http_port node0_port node1_port node2_port; do
        [ "$(settings_get $key)" != "$1" ] || return 0
    done
    return 1
}

# choose_port KEY FIRST: keeps the port of the last run unless somebody else took it
choose_port() {
    local port
    port=$(settings_get "$1")
    if [ -n "$port" ] && ! port_taken "$port"; then
        return
    fi
    port=$2
    while port_taken "$port" || port_ours "$port"; do
        port=$((port + 1))
    done
    settings_set "$1" "$port"
}

# A value in postgresql.conf, or in a connection string inside one.
quoted() { printf "'%s'" "$(printf '%s' "$1" | sed "s/['\\\\]/&&/g")"; }
# shellcheck disable=SC1003 # a backslash and a quote are meant
conninfo_quoted() { printf "'%s'" "$(printf '%s' "$1" | sed 's/[\\'\'']/\\&/g')"; }

random_password() { od -An -N16 -tx1 /dev/urandom | tr -d ' \n'; }

owned_by_server() {
    if is_root && id postgres >/dev/null 2>&1; then
        chown postgres: "$@"
    fi
}

# server_dir PATH MODE: a directory of the servers' user
server_dir() {
    mkdir -p "$1"
    chmod "$2" "$1"
    owned_by_server "$1"
}

# private_file PATH: standard input becomes a file that only the servers' user reads
private_file() {
    (umask 077 && cat >"$1.new")
    owned_by_server "$1.new"
    mv -f -- "$1.new" "$1"
}

write_passwords() {
    local admin app check
    [ ! -e "$dir/pgpass" ] || return 0
    admin=$(random_password)
    app=$(random_password)
    check=$(random_password)
    printf '%s:TEXT%s\n' "$APP_USER" "$app" "$CHECK_USER" "$check" | private_file "$dir/pool_passwd"
    printf '*:*:*:%s:%s\n' postgres "$admin" "$APP_USER" "$app" "$CHECK_USER" "$check" |
        private_file "$dir/pgpass"
}

password_of() { sed -n "s/^[^:]*:[^:]*:[^:]*:$1://p" "$dir/pgpass"; }
