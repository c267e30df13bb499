Pushing: what is refused before the registry is asked.

  $ a3s-box push --bad
  ! Error: unknown flag: --bad
  !
  ! Run 'a3s-box push --help' for more information
  [2]
  $ a3s-box push reg.example/x:1
  ! Error: No such image: reg.example/x:1
  [1]
  $ a3s-box push BAD
  ! Error: Invalid reference 'BAD': <any>
  [1]
  $ a3s-box push reg.example/x@sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef
  ! Error: Cannot push a digest reference: <any>
  [1]
