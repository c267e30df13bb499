What `pull` refuses before it asks anybody.

  $ a3s-box pull
  ! Error: 'a3s-box pull' requires exactly 1 argument
  !
  ! Run 'a3s-box pull --help' for more information
  [2]
  $ a3s-box pull -q x y
  ! Error: 'a3s-box pull' requires exactly 1 argument
  !
  ! Run 'a3s-box pull --help' for more information
  [2]
  $ a3s-box pull 'reg.example/x:bad tag'
  ! Error: Invalid reference 'reg.example/x:bad tag': <any>
  [1]
  $ a3s-box pull -q --platform linux//x reg.example/x
  ! Error: Invalid platform 'linux//x'
  [1]
  $ a3s-box run --pull sometimes reg.example/x
  ! Error: invalid pull option: 'sometimes': must be one of "always", "missing" or "never"
  [125]
  $ a3s-box run --pull never reg.example/x
  ! Error: No such image: reg.example/x
  [125]
  $ a3s-box create --pull never reg.example/x
  ! Error: No such image: reg.example/x
  [1]
