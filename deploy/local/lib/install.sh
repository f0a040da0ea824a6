# shellcheck shell=bash
# The cache of installed engines: built in a folder beside, then renamed, under a lock. What is there is complete.

installed() { [[ -d $CACHE/$1 ]]; } # ENGINE-VERSION

install_once() { # ENGINE-VERSION BUILDER: the builder fills the folder it is given
  local what=$1 builder=$2
  installed "$what" || (
    mkdir -p "$CACHE"
    exec {lock}>"$CACHE/.$what.lock"
    flock -w 900 "$lock" || die "somebody else has been installing $what for 15 minutes ($CACHE/.$what.lock)"
    installed "$what" || build_into_cache "$what" "$builder"
  )
}

build_into_cache() { # ENGINE-VERSION BUILDER
  local what=$1 builder=$2 log=$STATE/log/install-$1.log began=$SECONDS folder
  # We hold the lock: whatever lies here was left by an interrupted install.
  rm -rf -- "$CACHE/.$what.building."*
  folder=$(mktemp -d "$CACHE/.$what.building.XXXXXX")
  say "installing $what"
  if ! "$builder" "$folder" >"$log" 2>&1; then
    say "installing $what failed; the log is $log and ends:"
    tail_of "$log"
    rm -rf -- "$folder"
    exit 1
  fi
  chmod 755 "$folder"
  mv -T -- "$folder" "$CACHE/$what"
  say "installed $what in $((SECONDS - began)) s"
}

maven_dependencies() { # GROUP:ARTIFACT:VERSION...
  local coordinate group artifact version
  for coordinate; do
    IFS=: read -r group artifact version <<<"$coordinate"
    printf '<dependency><groupId>%s</groupId><artifactId>%s</artifactId><version>%s</version></dependency>\n' \
      "$group" "$artifact" "$version"
  done
}

# Runs one goal of Maven's dependency plugin over a throw-away project.
# Maven 3 does not guard its local repository against a second Maven, so ours take turns.
maven_fetch() { # FOLDER GOAL OUTPUT-PROPERTY COORDINATE...
  local folder=$1 goal=$2 property=$3 lock
  shift 3
  exec {lock}>"$CACHE/.maven.lock"
  flock -w 600 "$lock" || return 1
  {
    printf '<project xmlns="http://maven.apache.org/POM/4.0.0"><modelVersion>4.0.0</modelVersion>\n'
    printf '<groupId>triad</groupId><artifactId>engine</artifactId><version>1</version><packaging>pom</packaging>\n'
    printf '<dependencies>\n%s\n</dependencies></project>\n' "$(maven_dependencies "$@")"
  } >"$folder/pom.xml" &&
    mvn -q -B --strict-checksums -f "$folder/pom.xml" "dependency:$goal" \
      "-D$property=$folder/lib" -DincludeScope=runtime </dev/null
}
