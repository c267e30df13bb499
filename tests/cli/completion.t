The script for bash is made from the command and option tables.

  $ a3s-box completion bash >c.sh && bash -n c.sh
  $ a3s-box completion zsh
  ! Error: No completion for 'zsh': only for bash
  [1]
  $ cat >try.sh <<'END'
  > . ./c.sh
  > COMP_WORDS=(a3s-box "$@")
  > COMP_CWORD=$#
  > _a3s_box
  > printf '%s\n' "${COMPREPLY[@]}"
  > END
  $ bash try.sh ren
  rename
  $ bash try.sh ps --f
  --filter
  --format
  $ bash try.sh help pau
  pause
  $ bash try.sh logs --t
  --tail
  --timestamps

Groups complete their commands, and the options of these.

  $ bash try.sh image l
  load
  ls
  $ bash try.sh container ls --no
  --no-trunc
  $ bash try.sh cont
  container
  container-prune
  container-update
