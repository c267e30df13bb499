system-prune and port, on boxes that were never started.

  $ mkdir -p root/bin && echo hello >root/bin/hi && tar -C root --mtime=@0 --owner=0 --group=0 -cf root.tar bin
  $ a3s-box import -c 'CMD ["/bin/hi"]' -c 'EXPOSE 80' -c 'VOLUME /data' root.tar one:1
  sha256:<ID>
  $ echo more >root/bin/more && tar -C root --mtime=@0 --owner=0 --group=0 -cf more.tar bin
  $ a3s-box import more.tar two:1
  sha256:<ID>
  $ a3s-box create --name web -l keep=yes one:1
  <ID>
  $ a3s-box create --name db one:1
  <ID>

Nothing is published without a network.

  $ a3s-box port web
  $ a3s-box port web 80
  ! Error: No public port '80' published for web
  [1]
  $ a3s-box port web 53/udp
  ! Error: No public port '53/udp' published for web
  [1]
  $ a3s-box port web http
  ! Error: invalid port (http)
  [1]
  $ a3s-box port nosuch
  ! Error: No such box: nosuch
  [1]

What the image declares is shown; a health check that nobody asked for is nil.

  $ a3s-box inspect -f '{{json .Config.ExposedPorts}} {{json .Config.Volumes}}' web
  {"80/tcp":{}} {"/data":{}}
  $ a3s-box inspect -f '{{if .Config.Healthcheck}}{{print .State.Health.Status}}{{end}}' web
  
  $ a3s-box inspect -f '{{.A3S.State}} {{.A3S.Accel}} {{.A3S.VmPid}}' web
  created auto 0

Boxes that do not run have nothing to show.

  $ a3s-box stats --no-stream
  CONTAINER ID   NAME      CPU %     MEM USAGE / LIMIT   MEM %     NET I/O   BLOCK I/O   PIDS      HOST MEM
  $ a3s-box stats --no-stream -a --format '{{.Name}} {{.CPUPerc}} {{.MemUsage}} {{.PIDs}}'
  db -- -- / -- --
  web -- -- / -- --
  $ a3s-box stats --no-stream --format json db
  {"BlockIO":"--","CPUPerc":"--","Container":"db","HostCPU":"--","HostMem":"--","ID":"<id>","MemPerc":"--","MemUsage":"-- / --","Name":"db","NetIO":"--","PIDs":"--"}
  $ a3s-box stats --no-stream nosuch
  ! Error: No such box: nosuch
  [1]
  $ a3s-box container stats --no-stream --format '{{.Nope' db
  ! Error: template parsing error: template: :1: unclosed action
  [64]

It asks first.

  $ a3s-box system-prune --filter label=x </dev/null
  WARNING! This will remove:
    - all boxes that do not run
    - all dangling images
    - what broken downloads left, and root file systems beyond the cache's limits
  
    Items to be pruned will be filtered with:
    - label=x
  
  Are you sure you want to continue? [y/N] Total reclaimed space: 0B
  $ a3s-box system-prune --volumes -f
  ! Error: --volumes is not supported yet: boxes have no volumes; leave it out
  [1]
  $ a3s-box system-prune -f --filter nosuch=1
  ! Error: invalid filter 'nosuch'
  [1]
  $ a3s-box system-prune -f --filter until=never
  ! Error: invalid filter 'until': 'never' is not a time (for example 10m, 2026-11-22T13:33:16Z, 1136073600)
  [1]

Filters are of boxes and images; images with a name stay without -a.

  $ a3s-box system-prune -f --filter until=24h
  Total reclaimed space: 0B
  $ a3s-box system-prune -f --filter 'label!=keep'
  Deleted Containers:
  <ID>
  
  Total reclaimed space: <any>kB
  $ a3s-box ps -a --format '{{.Names}}'
  web
  $ a3s-box images -q | wc -l
  2

container-prune is about boxes alone.

  $ a3s-box create --name old two:1 /bin/more
  <ID>
  $ a3s-box container-prune </dev/null
  WARNING! This will remove all boxes that do not run.
  Are you sure you want to continue? [y/N] Total reclaimed space: 0B
  $ a3s-box container prune -f --filter label!=keep
  Deleted Containers:
  <ID>
  
  Total reclaimed space: <any>kB
  $ a3s-box container prune -f --filter label!=keep
  Total reclaimed space: 0B

The images of boxes that stay are kept; then nothing is left.

  $ a3s-box system prune -a -f --filter label!=keep
  Deleted Images:
  untagged: two:1
  deleted: sha256:<ID>
  
  Total reclaimed space: <any>kB
  $ a3s-box system prune -af
  Deleted Containers:
  <ID>
  
  Deleted Images:
  untagged: one:1
  deleted: sha256:<ID>
  
  Total reclaimed space: <any>kB
  $ a3s-box ps -aq
  $ a3s-box images -aq
  $ ls "$A3S_HOME/boxes" "$A3S_HOME/rootfs" "$A3S_HOME/images/blobs/sha256" | grep -v :
  
  
  $ a3s-box system-prune -af
  Total reclaimed space: 0B
