Images of a fresh home.

  $ a3s-box images
  REPOSITORY   TAG       IMAGE ID   CREATED   SIZE
  $ a3s-box images -q
  $ a3s-box rmi nope other
  ! Error: No such image: nope
  ! Error: No such image: other
  [1]
  $ a3s-box tag nope x
  ! Error: No such image: nope
  [1]
  $ a3s-box image-inspect nope
  []
  ! Error: No such image: nope
  [1]
  $ a3s-box load -i nope.tar
  ! Error: open nope.tar: No such file or directory
  [1]
  $ a3s-box load -t BAD
  ! Error: Invalid reference 'BAD': the repository 'BAD' must be lower-case
  [1]
  $ a3s-box images -f color=red
  ! Error: invalid filter 'color'
  [1]

A root file system becomes an image.

  $ mkdir -p root/bin && echo hello >root/bin/hi && tar -C root --mtime=@0 --owner=0 --group=0 -cf root.tar bin
  $ a3s-box import -c 'CMD ["/bin/hi"]' -c 'LABEL a=b' -c 'ENV X=1' -m 'a note' root.tar one:1
  sha256:<ID>
  $ a3s-box images
  REPOSITORY   TAG       IMAGE ID       CREATED                  SIZE
  one          1         <id>   Less than a second ago   6B
  $ a3s-box image-inspect -f '{{.Config.Cmd}} {{.Config.Labels}} {{.Config.Env}} {{.Config.User}} {{.Comment}}' one:1
  [/bin/hi] map[a:b] [X=1]  
  $ a3s-box inspect -f '{{json .RepoTags}} {{len .RootFS.Layers}}' one:1
  ["one:1"] 1
  $ a3s-box tag one:1 reg.example:5000/two
  $ a3s-box images --format '{{.Repository}} {{.Tag}}'
  one 1
  reg.example:5000/two latest
  $ a3s-box images reg.example:5000/two --format '{{.Tag}} {{.Size}}'
  latest 6B
  $ a3s-box images -f reference='one*' --digests
  REPOSITORY   TAG       DIGEST                                                                    IMAGE ID       CREATED                  SIZE
  one          1         sha256:<ID>   <id>   Less than a second ago   6B
  $ a3s-box images -f label=a=c -q
  $ a3s-box images -f label=a --format '{{.Repository}}:{{.Tag}}' one
  one:1

Completion knows the names, also behind the colons at which bash cuts words.

  $ a3s-box completion bash >c.sh
  $ cat >try.sh <<'END'
  > . ./c.sh
  > COMP_WORDS=(a3s-box "$@")
  > COMP_CWORD=$#
  > _a3s_box
  > printf '%s\n' "${COMPREPLY[@]}"
  > END
  $ for c in push pull history save rmi "image push" run; do bash try.sh $c reg; done | uniq -c
        7 reg.example:5000/two:latest
  $ bash try.sh push reg.example : 50
  5000/two:latest
  $ bash try.sh save -o x one:1 reg.example : 5000/two : l
  latest

  $ a3s-box rmi one:1 nope
  Untagged: one:1
  ! Error: No such image: nope
  [1]
  $ a3s-box rmi reg.example:5000/two
  Untagged: reg.example:5000/two:latest
  Deleted: sha256:<ID>
  $ a3s-box images -q

What is no image archive is told so, and leaves nothing.

  $ a3s-box load -i root.tar
  ! Error: no image archive: it has neither index.json nor manifest.json
  ! Hint: A plain root file system is brought in with `a3s-box import`
  [1]
  $ tar -cf evil.tar --transform 's,root/bin/hi,../../evil,' -P root/bin/hi && a3s-box import evil.tar
  ! Error: layer sha256:<id>: '../../evil': its path leaves the image ('..')
  [1]
  $ find "$A3S_HOME/rootfs" "$A3S_HOME/images" -type f
  <any>/images/lock
