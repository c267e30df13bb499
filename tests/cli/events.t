What happens is told, from the database. Boxes that run: tests/vm/test_events.py.

  $ mkdir -p root/bin && echo hello >root/bin/hi && tar -C root --mtime=@0 --owner=0 --group=0 -cf root.tar bin
  $ a3s-box events --until 0s
  $ a3s-box import root.tar one:1 && a3s-box tag one:1 two && a3s-box rmi two
  > a3s-box create --name web -l tier=db one:1 /bin/hi && a3s-box rename web db && a3s-box rm db
  > a3s-box save -o x.tar one:1 && a3s-box rmi one:1 && a3s-box load -i x.tar && a3s-box image prune -af
  sha256:<ID>
  Untagged: two:latest
  <ID>
  db
  Untagged: one:1
  Deleted: sha256:<ID>
  Loaded image: one:1
  Deleted Images:
  untagged: one:1
  deleted: sha256:<ID>
  
  Total reclaimed space: <any>
  $ a3s-box events --until 0s
  <time> image import sha256:<ID> (name=one:1)
  <time> image tag sha256:<ID> (name=two:latest)
  <time> image untag sha256:<ID> (name=two:latest)
  <time> container create <ID> (image=one:1, name=web, tier=db)
  <time> container rename <ID> (image=one:1, name=db, oldName=/web, tier=db)
  <time> container destroy <ID> (image=one:1, name=db, tier=db)
  <time> image save sha256:<ID> (name=sha256:<ID>)
  <time> image untag sha256:<ID> (name=one:1)
  <time> image delete sha256:<ID> (name=sha256:<ID>)
  <time> image load sha256:<ID> (name=one:1)
  <time> image untag sha256:<ID> (name=one:1)
  <time> image delete sha256:<ID> (name=sha256:<ID>)
  <time> image prune  (reclaimed=<any>)
  $ a3s-box events --until 0s --filter type=box --format '{{.Action}} {{.ID}} {{.From}} {{json .Actor.Attributes}}'
  create <ID> one:1 {"image":"one:1","name":"web","tier":"db"}
  rename <ID> one:1 {"image":"one:1","name":"db","oldName":"/web","tier":"db"}
  destroy <ID> one:1 {"image":"one:1","name":"db","tier":"db"}
  $ a3s-box events --until 0s -f event=rename --json
  {"status":"rename","id":"<ID>","from":"one:1","Type":"container","Action":"rename","Actor":{"ID":"<ID>","Attributes":{"image":"one:1","name":"db","oldName":"/web","tier":"db"}},"scope":"local","time":<any>,"timeNano":<any>}
  $ a3s-box events --until 0s -f event=tag -f event=untag -f image=two --format '{{.Status}} {{.Actor.Attributes.name}}'
  tag two:latest
  untag two:latest
  $ a3s-box events --until 0s -f label=tier=db -f action=destroy --format '{{.Type}} {{.Scope}}'
  container local
  $ a3s-box events --until 0s -f label=tier=web
  $ a3s-box events --until 0s -f volume=x
  $ a3s-box events --since 2020-01-01T00:00:00Z --until 2020-01-02
  $ a3s-box events --since soon
  ! Error: 'soon' is not a time (for example 10m, 2026-11-22T13:33:16Z, 1136073600)
  [1]
  $ a3s-box events --filter colour=red
  ! Error: invalid filter 'colour'
  [1]
  $ a3s-box events --filter event
  ! Error: invalid argument "event" for "-f, --filter" flag: bad format of filter (expected name=value)
  !
  ! Run 'a3s-box events --help' for more information
  [2]
  $ a3s-box events --format '{{.Nope' --until 0s
  ! Error: template parsing error: template: :1: unclosed action
  [64]
  $ a3s-box events --format '{{.Nope}}' --until 0s | head -n 1
  
  ! Error: template parsing error: template: :1:2: executing "" at <.Nope>: can't evaluate field Nope in type events.Message
  $ a3s-box events --json --format json
  ! Error: --json and --format exclude each other
  !
  ! Run 'a3s-box events --help' for more information
  [2]
  $ a3s-box events now
  ! Error: 'a3s-box events' accepts no arguments
  !
  ! Run 'a3s-box events --help' for more information
  [2]
