# SPDX-License-Identifier: EUPL-1.2
# The servers of "tools/bench server": source it, do not run it. Each is started on loopback
# with data of its own below $servers, and stopped by its process id; what the system runs
# itself is not touched. How to reach one stands in files beside: NAME.port, NAME.pid, ...
# shellcheck shell=bash

servers=
postgres_bin=

# A port that was free a moment ago.
servers_port() {
    python3 -c 'import socket
s = socket.socket()
s.bind(("127.0.0.1", 0))
print(s.getsockname()[1])'
}

servers_secret() {
    head -c 24 /dev/urandom | od -An -tx1 | tr -d ' \n'
}

# PostgreSQL refuses to run as root; its package has a user for it.
as_postgres() {
    if [ "$(id -u)" = 0 ]; then
        runuser -u postgres -- "$@"
    else
        "$@"
    fi
}

# servers_wait SECONDS WHAT COMMAND...: until it succeeds.
servers_wait() {
    local deadline=$((SECONDS + $1)) what=$2
    shift 2
    until "$@" >/dev/null 2>&1; do
        [ "$SECONDS" -lt "$deadline" ] || die "$what does not answer; its log is below $servers"
        sleep 0.1
    done
}

# Everything lies on one file system that is a disk: a sync in memory would cost nothing.
servers_begin() {
    umask 077
    servers=$(mktemp -d "${TORG_BENCH_DIR:-/var/tmp}/torg-bench.XXXXXX") || die "cannot write to ${TORG_BENCH_DIR:-/var/tmp}"
    case $(stat -f -c %T "$servers") in
    tmpfs | ramfs) die "${TORG_BENCH_DIR:-/var/tmp} is in memory: name a directory on a disk in TORG_BENCH_DIR" ;;
    esac
    chmod 711 "$servers"
}

# start_torg TREE [THREADS]: of HTTP; as many as there are processors if not given.
start_torg() {
    local torg=$1/tools/torg torgd=$1/daemon/torgd threads=${2:-0}
    servers_port >"$servers/torg.http"
    servers_port >"$servers/torg.admin"
    "$torg" init "$servers/torg" --name "Bench" --kind association --peer-listen none \
        --http "127.0.0.1:$(cat "$servers/torg.http")" \
        --admin "127.0.0.1:$(cat "$servers/torg.admin")" >"$servers/torg.log" 2>&1 ||
        die "torg init failed; see $servers/torg.log"
    sed -i "s/^\\[http\\]\$/[http]\nthreads = $threads\nrequests-per-address = 0\nrequests-per-token = 0/" "$servers/torg/federation.conf"
    "$torgd" --config "$servers/torg/federation.conf" >>"$servers/torg.log" 2>&1 &
    echo $! >"$servers/torg.pid"
    servers_wait 30 torgd "$torg" token list --config "$servers/torg/federation.conf"
    ln -s torg/data/admin.secret "$servers/torg.secret"
    "$torg" token create --label bench --config "$servers/torg/federation.conf" \
        >"$servers/torg.token" 2>>"$servers/torg.log" || die "torgd makes no token"
}

# As its users tune it for data that fits into memory, durable as ever.
start_postgis() {
    local data=$servers/postgis memory_mib
    postgres_bin=$(pg_config --bindir)
    memory_mib=$(awk '/^MemTotal/ { print int($2 / 1024) }' /proc/meminfo)
    servers_port >"$servers/postgis.port"
    servers_secret >"$servers/postgis.password"
    mkdir "$data"
    install -m 600 "$servers/postgis.password" "$data/password"
    [ "$(id -u)" != 0 ] || chown -R postgres: "$data"
    as_postgres "$postgres_bin/initdb" -D "$data/data" -U postgres -A scram-sha-256 \
        --pwfile "$data/password" -E UTF8 --no-locale >"$servers/postgis.log" 2>&1 ||
        die "initdb failed; see $servers/postgis.log"
    cat >"$servers/postgis.conf" <<CONF
listen_addresses = '127.0.0.1'
port = $(cat "$servers/postgis.port")
unix_socket_directories = ''
max_connections = 10
shared_buffers = $((memory_mib / 4))MB
effective_cache_size = $((memory_mib / 2))MB
work_mem = 256MB
maintenance_work_mem = 1GB
random_page_cost = 1.1
jit = off
autovacuum = off
checkpoint_timeout = 1d
max_wal_size = 16GB
CONF
    cat "$servers/postgis.conf" >>"$data/data/postgresql.conf"
    as_postgres "$postgres_bin/pg_ctl" -D "$data/data" -l "$data/log" -w -s start ||
        die "PostgreSQL does not start; see $data/log"
    head -n 1 "$data/data/postmaster.pid" >"$servers/postgis.pid"
}

# Each commit is in its log and synced before it is answered.
start_redis() {
    mkdir "$servers/redis"
    servers_port >"$servers/redis.port"
    servers_secret >"$servers/redis.password"
    cat >"$servers/redis/redis.conf" <<CONF
bind 127.0.0.1
port $(cat "$servers/redis.port")
requirepass $(cat "$servers/redis.password")
dir $servers/redis
logfile $servers/redis/log
save ""
appendonly yes
appendfsync always
auto-aof-rewrite-percentage 0
daemonize no
CONF
    redis-server "$servers/redis/redis.conf" >"$servers/redis.log" 2>&1 &
    echo $! >"$servers/redis.pid"
    servers_wait 30 Redis grep -q "Ready to accept connections" "$servers/redis/log"
}

# A file server with one worker, as one would set it up for files; it stands before MapServer, too.
start_nginx() {
    local directory=$servers/nginx name
    mkdir -p "$directory/www"
    chmod 755 "$directory" "$directory/www"
    servers_port >"$servers/nginx.port"
    servers_port >"$servers/mapserver.port"
    cat >"$directory/nginx.conf" <<CONF
worker_processes 1;
daemon off;
pid $servers/nginx.pid;
error_log $directory/log;
events { worker_connections 1024; }
http {
    access_log off;
    sendfile on;
    tcp_nopush on;
    keepalive_requests 1000000000;
    open_file_cache max=100;
    types { application/geo+json json; }
    client_body_temp_path $directory/body;
    fastcgi_temp_path $directory/fastcgi;
    proxy_temp_path $directory/proxy;
    scgi_temp_path $directory/scgi;
    uwsgi_temp_path $directory/uwsgi;
    server {
        listen 127.0.0.1:$(cat "$servers/nginx.port") backlog=511;
        root $directory/www;
    }
    server {
        listen 127.0.0.1:$(cat "$servers/mapserver.port") backlog=511;
        location / {
            fastcgi_pass unix:$servers/mapserver/socket;
            fastcgi_buffers 64 16k;
            fastcgi_param REQUEST_METHOD \$request_method;
            fastcgi_param QUERY_STRING \$query_string;
            fastcgi_param PATH_INFO /listings\$uri;
            fastcgi_param SCRIPT_NAME "";
            fastcgi_param SERVER_NAME 127.0.0.1;
            fastcgi_param SERVER_PORT \$server_port;
            fastcgi_param HTTP_HOST \$http_host;
        }
    }
}
CONF
    nginx -c "$directory/nginx.conf" >"$servers/nginx.log" 2>&1 &
    servers_wait 30 nginx curl -s -o /dev/null "http://127.0.0.1:$(cat "$servers/nginx.port")/"
    for name in $(pgrep -P "$(cat "$servers/nginx.pid")"); do
        taskset -acp 0 "$name" >/dev/null || die "taskset failed: this needs two processors"
    done
}

# OGC API Features on the tables of server_postgis.c: one collection filtered by theme, one whole.
start_mapserver() {
    # shellcheck disable=SC2154 # tools/lib.sh says where the repository is.
    local directory=$servers/mapserver spawn=$torg_root/tests/bench/fcgi_spawn.py connection
    mkdir "$directory"
    chmod 711 "$directory"
    connection="host=127.0.0.1 port=$(cat "$servers/postgis.port") user=postgres dbname=postgres password=$(cat "$servers/postgis.password")"
    cat >"$directory/listings.map" <<MAPFILE
MAP
  NAME "listings"
  SIZE 100 100
  EXTENT -180 -90 180 90
  PROJECTION "init=epsg:4326" END
  WEB
    METADATA
      "oga_enable_request" "*"
      "oga_onlineresource" "http://127.0.0.1:$(cat "$servers/mapserver.port")/"
      "oga_title" "listings"
    END
  END
  LAYER
    NAME "listing"
    TYPE POINT
    STATUS ON
    TEMPLATE "queryable"
    CONNECTIONTYPE POSTGIS
    CONNECTION "$connection"
    PROCESSING "CLOSE_CONNECTION=DEFER"
    DATA "place from (select number, place::geometry as place, feature from listing join feature using (number) where theme = %theme%) as shown using unique number using srid=4326"
    VALIDATION "theme" "^[0-9]+$" "default_theme" "0" END
    PROJECTION "init=epsg:4326" END
    METADATA "oga_title" "listings" "gml_include_items" "all" "gml_featureid" "number" "oga_featureid" "number" "oga_max_limit" "10000" END
  END
  LAYER
    NAME "every"
    TYPE POINT
    STATUS ON
    TEMPLATE "queryable"
    CONNECTIONTYPE POSTGIS
    CONNECTION "$connection"
    PROCESSING "CLOSE_CONNECTION=DEFER"
    DATA "place from (select number, place::geometry as place, feature from listing join feature using (number)) as shown using unique number using srid=4326"
    PROJECTION "init=epsg:4326" END
    METADATA "oga_title" "listings" "gml_include_items" "all" "gml_featureid" "number" "oga_featureid" "number" END
  END
END
MAPFILE
    cat >"$directory/mapserver.conf" <<CONF
CONFIG
  ENV
    "OGCAPI_HTML_TEMPLATE_DIRECTORY" "/usr/share/mapserver/ogcapi/templates/html-bootstrap4/"
  END
  MAPS
    "listings" "$directory/listings.map"
  END
END
CONF
    MAPSERVER_CONFIG_FILE=$directory/mapserver.conf python3 "$spawn" \
        "$directory/socket" 2 /usr/lib/cgi-bin/mapserv >"$servers/mapserver.log" 2>&1 &
    echo $! >"$servers/mapserver.pid"
    servers_wait 30 MapServer test -S "$directory/socket"
}

# A service as it is usually written, with a process for each processor.
start_node() {
    local modules
    servers_port >"$servers/node.port"
    modules=$(TORG_BUILD=$1 PYTHONDONTWRITEBYTECODE=1 PYTHONPATH=$torg_root/tests/system \
        python3 -c 'import npm; print(npm.tree() / "node_modules")') || die "npm installs nothing"
    node "$torg_root/tests/bench/http_node.mjs" "$servers" "$modules" "$(nproc)" >"$servers/node.log" 2>&1 &
    echo $! >"$servers/node.pid"
}

# Also after a failure or Ctrl-C: each by its own process id, then the data.
servers_end() {
    local name pid
    [ -n "$servers" ] && [ -d "$servers" ] || return 0
    if [ -s "$servers/postgis.pid" ]; then
        as_postgres "$postgres_bin/pg_ctl" -D "$servers/postgis/data" -m fast -w -s stop
    fi
    for name in node mapserver nginx torg redis; do
        [ -s "$servers/$name.pid" ] || continue
        pid=$(cat "$servers/$name.pid")
        kill -TERM "$pid" 2>/dev/null
        wait "$pid" 2>/dev/null
    done
    rm -rf "$servers"
    servers=
}
