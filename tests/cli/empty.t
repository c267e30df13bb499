A fresh home: nothing is there, and every command says so in docker's words.

  $ a3s-box ps
  CONTAINER ID   IMAGE     COMMAND   CREATED   STATUS    PORTS     NAMES
  $ a3s-box ps -a
  CONTAINER ID   IMAGE     COMMAND   CREATED   STATUS    PORTS     NAMES
  $ a3s-box ps -q
  $ a3s-box ps -a --format json
  $ a3s-box ps --format 'table {{.Names}}\t{{.Label "com.docker.compose.project"}}'
  NAMES     project

Every verb goes on after a failure.

  $ a3s-box stop web db
  ! Error: No such box: web
  ! Error: No such box: db
  [1]
  $ a3s-box kill web db
  ! Error: No such box: web
  ! Error: No such box: db
  [1]
  $ a3s-box kill -s NOSUCH web
  ! Error: Unknown signal: NOSUCH
  [1]
  $ a3s-box stop -s NOSUCH web
  ! Error: Unknown signal: NOSUCH
  [1]
  $ a3s-box pause web
  ! Error: No such box: web
  [1]
  $ a3s-box unpause web
  ! Error: No such box: web
  [1]
  $ a3s-box restart web
  ! Error: No such box: web
  [1]
  $ a3s-box wait web
  ! Error: No such box: web
  [1]
  $ a3s-box rename web new
  ! Error: No such box: web
  [1]
  $ a3s-box logs web
  ! Error: No such box: web
  [1]
  $ a3s-box logs --since yesterday web
  ! Error: 'yesterday' is not a time (for example 10m, 2026-11-22T13:33:16Z, 1136073600)
  [1]
  $ a3s-box top web
  ! Error: No such box: web
  [1]
  $ a3s-box rm web db
  ! Error: No such box: web
  ! Error: No such box: db
  [1]

With -f a missing box is told, and is no failure.

  $ a3s-box rm -f web
  ! Error: No such box: web

inspect prints what it found, then what it did not.

  $ a3s-box inspect web db
  []
  ! Error: No such object: web
  ! Error: No such object: db
  [1]
  $ a3s-box inspect --type container web
  []
  ! Error: No such container: web
  [1]
  $ a3s-box inspect --type image web
  []
  ! Error: No such image: web
  [1]
  $ a3s-box inspect --type nosuch web
  ! Error: unknown type: "nosuch"
  [1]
  $ a3s-box inspect --format '{{.Id}}' web
  ! Error: No such object: web
  [1]

Filters.

  $ a3s-box ps --filter nosuch=1
  ! Error: invalid filter 'nosuch'
  [1]
  $ a3s-box ps --filter name
  ! Error: invalid argument "name" for "-f, --filter" flag: bad format of filter (expected name=value)
  !
  ! Run 'a3s-box ps --help' for more information
  [2]
  $ a3s-box ps --filter status=nosuch
  ! Error: invalid filter 'status=nosuch'
  [1]
  $ a3s-box ps --filter exited=x
  ! Error: invalid filter 'exited=x'
  [1]
  $ a3s-box ps --filter 'name=['
  ! Error: invalid filter 'name=['
  [1]
  $ a3s-box ps --filter since=web
  ! Error: No such box: web
  [1]
  $ a3s-box ps -aq --filter status=running --filter name=^web$ --filter label=a=b

A home that cannot be made; and a home that has been made is nobody else's.

  $ A3S_HOME=/dev/null/home a3s-box ps
  ! Error: mkdir /dev/null/home: Not a directory
  [1]
  $ stat -c %a "$A3S_HOME"
  700
