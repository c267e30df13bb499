What is in the store, what it takes on the disk, and how it goes.

  $ mkdir -p root/bin && echo hello >root/bin/hi && tar -C root --mtime=@0 --owner=0 --group=0 -cf root.tar bin
  $ a3s-box import -m 'a note' root.tar one:1
  sha256:<ID>
  $ a3s-box history --format 'table {{.ID}}\t{{.CreatedBy}}\t{{.Size}}\t{{.Comment}}' one:1
  IMAGE          CREATED BY   SIZE      COMMENT
  <id>                6B        a note
  $ a3s-box history one:1 | head -n 1
  IMAGE          CREATED<any>   CREATED BY   SIZE      COMMENT
  $ a3s-box history --no-trunc -H=false --format '{{.ID}} {{.CreatedAt}} {{.Size}} {{.Comment}}' one:1
  sha256:<ID> <time> 6 a note
  $ a3s-box history -q one:1
  <id>
  $ a3s-box history nope
  ! Error: No such image: nope
  [1]
  $ a3s-box history
  ! Error: 'a3s-box history' requires exactly 1 argument
  !
  ! Run 'a3s-box history --help' for more information
  [2]
  $ a3s-box save
  ! Error: 'a3s-box save' requires at least 1 argument
  !
  ! Run 'a3s-box save --help' for more information
  [2]
  $ a3s-box save nope -o x.tar
  ! Error: No such image: nope
  [1]
  $ a3s-box save -o x.tar one:1 && tar tf x.tar | sed 's/[0-9a-f]\{64\}/HEX/'
  blobs/
  blobs/sha256/
  blobs/sha256/HEX
  blobs/sha256/HEX
  blobs/sha256/HEX
  index.json
  manifest.json
  oci-layout
  repositories
  $ a3s-box save one:1 | cmp - x.tar
  $ a3s-box tag one:1 '[::1]:5000/two'
  $ a3s-box images --format '{{.Repository}} {{.Tag}} {{.Size}}'
  [::1]:5000/two latest 6B
  one 1 6B
  $ a3s-box image-inspect -f '{{json .RepoTags}}' "$(a3s-box images -q one | cut -c1-6)"
  ["[::1]:5000/two:latest","one:1"]
  $ a3s-box df --format '{{.Type}}: {{.TotalCount}} {{.Active}}'
  Images: 1 0
  Boxes: 0 0
  Rootfs Cache: 1 0
  Local Caches: 0 0
  $ a3s-box df | head -n 1
  TYPE           TOTAL     ACTIVE    SIZE      RECLAIMABLE
  $ a3s-box system df -v | grep -E 'usage|ID'
  Images space usage:
  REPOSITORY       TAG       IMAGE ID       CREATED<any>SIZE      SHARED SIZE   UNIQUE SIZE   BOXES
  Boxes space usage:
  BOX ID    IMAGE     COMMAND   SIZE      CREATED   STATUS    NAMES
  Root file systems space usage:
  CHAIN ID       SIZE      LAST USED<any>BOXES     IN USE
  $ a3s-box df -v --format '{{len .Images}} {{len .Boxes}} {{len .RootfsCache}}'
  2 0 1

Filters.

  $ a3s-box images -q -f dangling=true
  $ a3s-box images -f dangling=maybe
  ! Error: invalid filter 'dangling=[maybe]'
  [1]
  $ a3s-box images -f until=soon
  ! Error: invalid filter 'until': 'soon' is not a time (for example 10m, 2026-11-22T13:33:16Z, 1136073600)
  [1]
  $ a3s-box images -q -f until=2020-01-01T00:00:00Z
  $ a3s-box images --format '{{.Repository}}' -f reference='*5000/*'
  [::1]:5000/two
  $ a3s-box images -f before=nope
  ! Error: No such image: nope
  [1]
  $ a3s-box image-prune -f --filter size=1
  ! Error: invalid filter 'size'
  [1]
  $ A3S_IMAGE_CACHE_SIZE=big a3s-box load -i x.tar
  ! Error: A3S_IMAGE_CACHE_SIZE: 'big' is not a size (for example 500m, 10g, 1t)
  [1]
  $ A3S_ROOTFS_CACHE_TTL=ever a3s-box load -i x.tar
  ! Error: A3S_ROOTFS_CACHE_TTL: 'ever' is not a duration (for example 12h, 30d)
  [1]

Pruning asks first.

  $ a3s-box image-prune </dev/null; echo
  WARNING! This will remove all dangling images.
  Are you sure you want to continue? [y/N] Total reclaimed space: 0B
  
  $ echo n | a3s-box image prune -a; echo
  WARNING! This will remove all images without at least one box associated to them.
  Are you sure you want to continue? [y/N] Total reclaimed space: 0B
  
  $ a3s-box image-prune -f
  Total reclaimed space: 0B
  $ a3s-box image-prune -af --filter label=a
  Total reclaimed space: 0B
  $ a3s-box image-prune -af --filter until=1h
  Total reclaimed space: 0B
  $ echo y | a3s-box image-prune -a --filter 'label!=a'
  WARNING! This will remove all images without at least one box associated to them.
  Are you sure you want to continue? [y/N] Deleted Images:
  untagged: [::1]:5000/two:latest
  untagged: one:1
  deleted: sha256:<ID>
  
  Total reclaimed space: <any>kB
  $ a3s-box images -q
  $ a3s-box df --format '{{.Type}}: {{.Size}} {{.Reclaimable}}'
  Images: 0B 0B
  Boxes: 0B 0B
  Rootfs Cache: 0B 0B
  Local Caches: 0B 0B

Removing names what is in the way.

  $ a3s-box load -q -i x.tar && a3s-box tag one:1 three
  Loaded image: one:1
  $ a3s-box rmi "$(a3s-box images -q one)"
  ! Error: conflict: unable to delete <id> (must be forced) - image is referenced in multiple repositories
  [1]
  $ a3s-box rmi -f "$(a3s-box images -q one)" nope
  Untagged: one:1
  Untagged: three:latest
  Deleted: sha256:<ID>
  ! Error: No such image: nope
  [1]
