# shellcheck shell=sh
# Sourced by the scripts that run an ovsdb-server. Everything that a database needs is put in place by ovsdb-tool before the server
# starts: no second process has to wait for the server, and a server that answers is complete.

# open_database FILE SCHEMA: FILE exists, can be read and has the schema of this image.
#
# Every database here can be rebuilt: NB from Kubernetes, SB from NB, a node's own from what runs on the node. So a file that
# cannot be used is put aside, where it can be looked at, instead of keeping the network down.
open_database() {
    if [ -e "$1" ] && ! upgrade_database "$1" "$2"; then
        echo "$1 cannot be used: kept as $1.broken, starting with an empty database" >&2
        mv -f "$1" "$1.broken"
    fi
    [ -e "$1" ] || ovsdb-tool create "$1" "$2"
}

upgrade_database() {
    needs=$(ovsdb-tool needs-conversion "$1" "$2") || return 1
    [ "$needs" = no ] || ovsdb-tool convert "$1" "$2"
}

# transact FILE JSON: commits, and fails when the database refused an operation (ovsdb-tool itself does not).
transact() {
    reply=$(ovsdb-tool transact "$1" "$2")
    case $reply in
    *'"error"'*) echo "$1: $reply" >&2; return 1 ;;
    esac
}
