Who did what, and how it ended. Boxes that run: tests/vm/test_events.py.

  $ mkdir -p root/bin && echo hello >root/bin/hi && tar -C root --mtime=@0 --owner=0 --group=0 -cf root.tar bin
  $ a3s-box audit
  No audit events found.
  $ a3s-box audit --json
  $ a3s-box import root.tar one:1 >id && a3s-box tag one:1 two && a3s-box create --name web one:1 /bin/hi >id
  $ a3s-box rm nope web
  web
  ! Error: No such box: nope
  [1]
  $ a3s-box ps -q; a3s-box images -q >id; a3s-box run --nosuch one:1 2>id; a3s-box create --name - one:1 2>id
  [1]
  $ a3s-box rmi two nope
  Untagged: two:latest
  ! Error: No such image: nope
  [1]
  $ echo n | a3s-box image prune -a; echo
  WARNING! This will remove all images without at least one box associated to them.
  Are you sure you want to continue? [y/N] Total reclaimed space: 0B
  
  $ a3s-box audit | awk '{ $5 = "USER"; print }'
  TIMESTAMP ACTION BOX OUTCOME USER MESSAGE
  ----------------------------------------------------------------------------------------------------    USER
  <time> image_import - success USER a3s-box import root.tar
  <time> image_tag - success USER a3s-box tag one:1 two
  <time> box_create <id> success USER a3s-box create web
  <time> box_destroy - failure USER a3s-box rm nope: No such box: nope
  <time> box_destroy <id> success USER a3s-box rm web
  <time> image_delete - success USER a3s-box rmi two
  <time> image_delete - failure USER a3s-box rmi nope: No such image: nope
  7 event(s)   USER
  $ a3s-box audit -n 1 --outcome success | tail -n 2
  <time> image_delete       -            success    <any> a3s-box rmi two
  1 event(s)
  $ a3s-box audit --box web --json | python3 -c 'import json, sys; [print(r["action"], r["outcome"], len(r["box_id"])) for r in map(json.loads, sys.stdin)]'
  box_create success 64
  box_destroy success 64
  $ a3s-box audit --box-id nope --json | cut -d, -f3-6
  "action":"box_destroy","actor":"cli","outcome":"failure","message":"No such box: nope"
  "action":"image_delete","actor":"cli","outcome":"failure","message":"No such image: nope"
  $ a3s-box audit --action box_create --outcome failure
  No audit events found.
  $ a3s-box audit --since 2020-01-01 --until 2020-01-02
  No audit events found.
  $ a3s-box audit --outcome maybe
  ! Error: Outcome 'maybe' is not success, failure or denied
  !
  ! Run 'a3s-box audit --help' for more information
  [2]
  $ a3s-box audit -n 0
  ! Error: invalid argument "0" for "-n, --lines" flag: 0 is not between 1 and 1000000
  !
  ! Run 'a3s-box audit --help' for more information
  [2]
  $ stat -c '%a %n' "$A3S_HOME/audit" "$A3S_HOME/audit/audit.jsonl" | sed "s#$A3S_HOME/##"
  700 audit
  600 audit/audit.jsonl

A torn line is skipped; a log that cannot be written does not change the outcome.

  $ printf '{"id":"au' >>"$A3S_HOME/audit/audit.jsonl" && a3s-box tag one:1 three && a3s-box audit -n 1 | tail -n 2
  <time> image_tag          -            success    <any> a3s-box tag one:1 three
  1 event(s)
  ! Warning: lines of the audit log that are damaged were skipped: 1
  $ rm -r "$A3S_HOME/audit" && touch "$A3S_HOME/audit" && a3s-box tag one:1 four && a3s-box images -q four | wc -l
  1
  ! Warning: 'image_tag' is not in the audit log: open directory <any>/audit: Not a directory
  $ a3s-box rmi nope
  ! Warning: 'image_delete' is not in the audit log: open directory <any>/audit: Not a directory
  ! Error: No such image: nope
  [1]
