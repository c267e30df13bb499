
A day in the life: what one types, with real machines. Images first: one comes from a file, one is a file
system that somebody had in a tar.

  $ a3s-box version --format '{{.Client.Version}}' | grep -c .
  1
  $ a3s-box load -i "$BUSYBOX"
  Loaded image: local/busybox:latest
  $ a3s-box images --format '{{.Repository}}:{{.Tag}}'
  local/busybox:latest
  $ a3s-box run --rm local/busybox uname -s
  Linux

A service, with a name, labels, limits and a policy.

  $ cat >serve.sh <<'EOF'
  > trap 'echo bye; exit 0' TERM
  > echo "$GREETING"
  > echo warning >&2
  > while :; do sleep 1 & wait $!; done
  > EOF
  $ a3s-box create --name web -l app=web -e GREETING=hello --memory 256m --cpus 1 --pids-limit 50 --restart on-failure:3 local/busybox sh /srv/serve.sh
  <ID>
  $ a3s-box cp serve.sh web:/srv/serve.sh
  ! Error: Could not find the file /srv in container web
  [1]
  $ mkdir srv && cp serve.sh srv && a3s-box cp srv web:/
  $ a3s-box start web
  web
  $ until a3s-box logs web 2>&1 | grep -q warning; do :; done
  $ a3s-box ps --format 'table {{.Names}}\t{{.Image}}\t{{.Command}}\t{{.State}}'
  NAMES     IMAGE           COMMAND              STATE
  web       local/busybox   "sh /srv/serve.sh"   running
  $ a3s-box logs web
  hello
  ! warning
  $ a3s-box logs -t web 2>/dev/null
  <time> hello
  $ a3s-box port web
  $ a3s-box top web -o pid,comm | head -n 2
  PID                 COMMAND
  1                   sh

Somebody looks inside.

  $ a3s-box exec web sh -c 'echo $GREETING; cat /proc/sys/kernel/ostype'
  hello
  Linux
  $ printf 'a\0b' | a3s-box exec -i web od -c
  0000000   a  \0   b
  0000003
  $ a3s-box exec web sh -c 'exit 3'
  [3]
  $ a3s-box exec -w /tmp -u 1000 web sh -c 'pwd; id -u'
  /tmp
  1000
  $ a3s-box exec web nproc
  1
  $ a3s-box container-update --cpus 2 --pids-limit 60 web
  web
  $ a3s-box exec web nproc
  2
  $ a3s-box stats --no-stream --format '{{.Name}} {{.PIDs}}' web | grep -c 'web [1-9]'
  1
  $ a3s-box inspect -f '{{.State.Status}} {{.HostConfig.RestartPolicy.Name}} {{.Config.Labels.app}} {{.State.OOMKilled}}' web
  running on-failure web false

It is changed, and the change is kept as an image.

  $ echo content | a3s-box exec -i web sh -c 'cat >/srv/page'
  $ a3s-box diff web
  A /srv
  A /srv/page
  A /srv/serve.sh
  $ a3s-box cp web:/srv/page - | tar tf -
  page
  $ a3s-box commit -m 'with a page' -c 'CMD ["cat", "/srv/page"]' web local/page
  sha256:<ID>
  $ a3s-box run --rm local/page
  content
  $ a3s-box history --format '{{.Comment}}' local/page | head -n 1
  with a page
  $ a3s-box export web | tar tf - srv/page
  srv/page

It rests, goes on, and ends.

  $ a3s-box pause web && a3s-box ps -f name=web --format '{{.State}}' && a3s-box unpause web
  web
  paused
  web
  $ a3s-box rename web front
  $ a3s-box stop front
  front
  $ a3s-box logs --tail 1 front
  bye
  $ a3s-box wait front
  0
  $ a3s-box ps -aq -f status=exited | wc -l
  1
  $ a3s-box cp front:/srv/page page && cat page
  content
  $ a3s-box start front && a3s-box kill -s KILL front && a3s-box wait front
  front
  front
  137
  $ a3s-box inspect -f '{{.State.ExitCode}}' front
  137

What happened, and who did it.

  $ a3s-box events --since 1h --until 0s -f container=front -f event=rename --format '{{.Action}} {{.Actor.Attributes.name}}'
  rename front
  $ a3s-box events --since 1h --until 0s -f event=die --format '{{.Actor.Attributes.exitCode}}' | sort | uniq -c | sed 's/^ *//'
  3 0
  1 137
  $ a3s-box audit --action box_rename --outcome success -n 1 | sed -n 3p
  <time> box_rename<any> <id> success<any>a3s-box rename web front

Slips of the hand.

  $ a3s-box rm web
  ! Error: No such box: web
  [1]
  $ a3s-box start nope
  ! Error: No such box: nope
  [1]
  $ a3s-box run --rm local/busybox no-such-command
  ! Error: exec: "no-such-command": executable file not found in $PATH
  [127]
  $ a3s-box run --rm --memory 10x local/busybox true
  ! Error: invalid argument "10x" for "--memory" flag: '10x' is not a size (for example 512m or 2g)
  [125]

The evening: all is put away.

  $ a3s-box rm front
  front
  $ a3s-box rmi local/page
  Untagged: local/page:latest
  Deleted: sha256:<ID>
  $ a3s-box system-prune -f >/dev/null
  $ a3s-box ps -aq
  $ a3s-box df --format '{{.Type}} {{.TotalCount}}'
  Images 1
  Boxes 0
  Rootfs Cache 1
  Local Caches <any>
