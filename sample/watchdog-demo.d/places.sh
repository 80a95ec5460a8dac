# shellcheck shell=bash
# shellcheck disable=SC2034,SC2154 # variables are shared with the other parts
#
# Part of sample/watchdog-demo: the namespaces, and what can be done to all that runs in one.

readonly SPACE=pgpool-demo
readonly PLACES='pgpool0 pgpool1 pgpool2 etcd0 etcd1 etcd2 node0 node1 node2 client'
readonly SUBNET=10.94.0
readonly VIRTUAL=$SUBNET.100
readonly ETCD_UNIT=/etc/systemd/system/etcd.service

place_number() { printf '%s' "${1: -1}"; }

place_address() {
    case $1 in
        pgpool*) printf '%s.%s' "$SUBNET" "$((11 + $(place_number "$1")))" ;;
        etcd*) printf '%s.%s' "$SUBNET" "$((21 + $(place_number "$1")))" ;;
        node*) printf '%s.%s' "$SUBNET" "$((31 + $(place_number "$1")))" ;;
        client) printf '%s.41' "$SUBNET" ;;
    esac
}

place_is() {
    case $1 in
        pgpool*) printf 'a pgpool, port 9999' ;;
        etcd*) printf 'a member of etcd' ;;
        node0) printf 'a PostgreSQL server, the primary at first' ;;
        node*) printf 'a PostgreSQL server, a standby at first' ;;
        client) printf 'where clients are' ;;
    esac
}

place_known() {
    local place
    for place; do
        case " $PLACES " in
            *" $place "*) ;;
            *) fail "there is no place \"$place\"; there are $PLACES" ;;
        esac
    done
}

space() { printf '%s-%s' "$SPACE" "$1"; }

# inside PLACE COMMAND...
inside() {
    local place=$1
    shift
    ip netns exec "$(space "$place")" "$@"
}

places_possible() {
    local try=$SPACE-try status=1
    ip netns add "$try" 2>/dev/null || return 1
    ! ip -n "$try" link add br0 type bridge 2>/dev/null || status=0
    ip netns del "$try"
    return "$status"
}

space_exists() { [ -e "/run/netns/$1" ]; }

make_place() {
    local place=$1 name
    name=$(space "$place")
    ip netns add "$name" || return
    ip -n "$SPACE" link add "$place" type veth peer name eth0 netns "$name" &&
        ip -n "$SPACE" link set "$place" master br0 up &&
        ip -n "$name" address add "$(place_address "$place")/24" dev eth0 &&
        ip -n "$name" link set eth0 up &&
        ip -n "$name" link set lo up &&
        # cuts are rules: they must come before the one about our own addresses
        ip -n "$name" rule add pref 100 table local &&
        ip -n "$name" rule del pref 0
}

make_places() {
    local place
    if ! space_exists "$SPACE"; then
        ip netns add "$SPACE" || return
        ip -n "$SPACE" link add br0 type bridge &&
            ip -n "$SPACE" link set br0 up || return
    fi
    for place in $PLACES; do
        space_exists "$(space "$place")" || make_place "$place" || return
    done
}

start_places() {
    step 'Making the network namespaces'
    logged "namespaces $SPACE-..." "$dir/places.log" make_places
}

remove_places() {
    local place pids
    for place in $PLACES; do
        space_exists "$(space "$place")" || continue
        pids=$(place_pids "$place")
        # shellcheck disable=SC2086 # words are meant
        [ -z "$pids" ] || kill -KILL $pids 2>/dev/null || true
        ip netns del "$(space "$place")"
    done
    ! space_exists "$SPACE" || ip netns del "$SPACE"
}

# ---- what is done to them --------------------------------------------------------------------------

place_pids() { ip netns pids "$(space "$1")" 2>/dev/null | tr '\n' ' '; }

place_empty() { [ -z "$(place_pids "$1")" ]; }

place_signal() {
    local pids
    pids=$(place_pids "$2")
    # shellcheck disable=SC2086 # words are meant
    [ -z "$pids" ] || kill -"$1" $pids 2>/dev/null || true
}

places_signal() {
    local place
    for place in $PLACES; do
        place_signal "$1" "$place"
    done
}

for_targets() {
    local place
    [ "${#targets[@]}" -gt 0 ] || fail "$action needs a place: $PLACES"
    place_known "${targets[@]}"
    for place in "${targets[@]}"; do
        place_signal "$1" "$place"
    done
}

place_state() {
    local pids first
    pids=$(place_pids "$1")
    first=${pids%% *}
    if [ "$1" = client ]; then
        printf 'for you'
    elif [ -z "$first" ]; then
        printf 'does not run'
    elif grep -q '^State:.T' "/proc/$first/status" 2>/dev/null; then
        printf 'is frozen'
    else
        printf 'runs'
    fi
}

# What comes in from there has no way on.
place_cut() {
    ip -n "$(space "$2")" rule add pref 5 iif eth0 from "$(place_address "$1")" blackhole
    say "What $1 sends to $2 is lost."
}

places_mend() {
    local place
    for place in $PLACES; do
        while ip -n "$(space "$place")" rule del pref 5 2>/dev/null; do :; done
    done
}
