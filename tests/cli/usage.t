What users see when they type something wrong. Nothing here needs a box.

  $ a3s-box --version
  a3s-box 0.1.0
  $ a3s-box -v
  a3s-box 0.1.0
  $ a3s-box -V
  a3s-box 0.1.0
  $ a3s-box nosuch
  ! Error: unknown command: a3s-box nosuch
  !
  ! Run 'a3s-box --help' for more information
  [1]
  $ a3s-box inspcet
  ! Error: unknown command: a3s-box inspcet
  !
  ! Did you mean 'a3s-box inspect'?
  !
  ! Run 'a3s-box --help' for more information
  [1]
  $ a3s-box stpo 2>&1 | grep mean
  Did you mean 'a3s-box stop'?
  $ a3s-box pul 2>&1 | grep mean
  Did you mean 'a3s-box pull'?
  $ a3s-box update web 2>&1 | grep mean
  Did you mean 'a3s-box container-update'?
  $ a3s-box foo
  ! Error: unknown command: a3s-box foo
  !
  ! Run 'a3s-box --help' for more information
  [1]
  $ a3s-box swarm
  ! Error: unknown command: a3s-box swarm (docker's is not supported)
  !
  ! Run 'a3s-box --help' for more information
  [1]
  $ a3s-box --nosuch
  ! Error: unknown flag: --nosuch
  !
  ! Run 'a3s-box --help' for more information
  [2]
  $ a3s-box ps --nosuch
  ! Error: unknown flag: --nosuch
  !
  ! Run 'a3s-box ps --help' for more information
  [2]
  $ a3s-box ps -x
  ! Error: unknown shorthand flag: 'x' in -x
  !
  ! Run 'a3s-box ps --help' for more information
  [2]
  $ a3s-box ps -n
  ! Error: flag needs an argument: 'n' in -n
  !
  ! Run 'a3s-box ps --help' for more information
  [2]
  $ a3s-box ps -n many
  ! Error: invalid argument "many" for "-n, --last" flag: 'many' is not a number
  !
  ! Run 'a3s-box ps --help' for more information
  [2]
  $ a3s-box ps --all=maybe
  ! Error: invalid argument "maybe" for "-a, --all" flag: not true or false
  !
  ! Run 'a3s-box ps --help' for more information
  [2]
  $ a3s-box ps extra
  ! Error: 'a3s-box ps' accepts no arguments
  !
  ! Run 'a3s-box ps --help' for more information
  [2]
  $ a3s-box rm
  ! Error: 'a3s-box rm' requires at least 1 argument
  !
  ! Run 'a3s-box rm --help' for more information
  [2]
  $ a3s-box rename one
  ! Error: 'a3s-box rename' requires exactly 2 arguments
  !
  ! Run 'a3s-box rename --help' for more information
  [2]
  $ a3s-box help nosuch
  ! Error: unknown help topic: nosuch
  [1]
  $ a3s-box version extra
  ! Error: 'a3s-box version' accepts no arguments
  !
  ! Run 'a3s-box version --help' for more information
  [2]

Help goes to standard output, with -h as with --help, wherever it stands among the options.

  $ a3s-box rename -h
  Usage:  a3s-box rename BOX NEW_NAME
  
  Give a box another name
  
  Options:
    -h, --help  Print this help
  $ a3s-box help rename | head -n 1
  Usage:  a3s-box rename BOX NEW_NAME
  $ a3s-box stop -t 3 --help | head -n 1
  Usage:  a3s-box stop [OPTIONS] BOX [BOX...]

Docker's groups hold the same commands, some under their names there.

  $ a3s-box image
  Usage:  a3s-box image COMMAND
  
  Commands on images
  
  Commands:
    history  Show how an image was made, newest layer first
    import   Make an image from a tar of a root file system
    inspect  Show everything known about images
    load     Load images from a tar archive or stdin
    ls       List images
    prune    Remove images that nobody uses
    pull     Download an image from a registry
    push     Upload an image to a registry
    rm       Remove one or more images
    save     Save images to a tar archive
    tag      Give an image another name
  
  Options:
    -h, --help  Print this help
  $ a3s-box image ls
  REPOSITORY   TAG       IMAGE ID   CREATED   SIZE
  $ a3s-box image images -q
  $ a3s-box container ls -aq
  $ a3s-box image inspect nosuch
  []
  ! Error: No such image: nosuch
  [1]
  $ a3s-box image lss
  ! Error: unknown command: a3s-box image lss
  !
  ! Did you mean 'a3s-box image ls'?
  !
  ! Run 'a3s-box image --help' for more information
  [1]
  $ a3s-box image ls --nosuch
  ! Error: unknown flag: --nosuch
  !
  ! Run 'a3s-box image ls --help' for more information
  [2]
  $ a3s-box image --nosuch
  ! Error: unknown flag: --nosuch
  !
  ! Run 'a3s-box image --help' for more information
  [2]
  $ a3s-box system info --format '{{.Images}}'
  0
  $ a3s-box help container ls | head -n 1
  Usage:  a3s-box container ls [OPTIONS]
  $ a3s-box help container nosuch
  ! Error: unknown help topic: nosuch
  [1]
  $ a3s-box rm --nosuch 2>&1 | tail -n 1
  Run 'a3s-box rm --help' for more information
  $ a3s-box image rm --nosuch 2>&1 | tail -n 1
  Run 'a3s-box image rm --help' for more information

Neither A3S_HOME nor HOME: commands that need it say so, others work.

  $ env -u A3S_HOME -u HOME a3s-box ps
  ! Error: Neither A3S_HOME nor HOME is set
  [1]
  $ env -u A3S_HOME -u HOME a3s-box version
  a3s-box version 0.1.0

A reader that goes away is no error message; a full disk is one.

  $ cat >closed.py <<'END'
  > import os, subprocess
  > r, w = os.pipe()
  > os.close(r)
  > p = subprocess.run(["a3s-box", "help"], stdout=w, stderr=subprocess.PIPE)
  > print(p.returncode, p.stderr)
  > END
  $ python3 closed.py
  -13 b''
  $ a3s-box help >/dev/full
  ! Error: write to standard output: No space left on device
  [1]
