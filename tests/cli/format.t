--format: docker's exit statuses, Go's error texts.

  $ a3s-box version
  a3s-box version 0.1.0
  $ a3s-box version --format '{{.Client.Version}} {{.Server.Os}}'
  0.1.0 linux
  $ a3s-box version --format '{{json .Client.Version}}'
  "0.1.0"
  $ a3s-box version --format json | cut -c 1-24
  {"Client":{"APIVersion":
  $ a3s-box version --format '{{.NoSuch}}'
  
  ! Error: template parsing error: template: :1:2: executing "" at <.NoSuch>: map has no entry for key "NoSuch"
  [1]
  $ a3s-box version --format '{{.Client'
  ! Error: template parsing error: template: :1: unclosed action
  [64]
  $ a3s-box version --format '{{nosuch}}'
  ! Error: template parsing error: template: :1: function "nosuch" not defined
  [64]
  $ a3s-box ps --format '{{.ID'
  ! Error: template parsing error: template: :1: unclosed action
  [64]
  $ a3s-box ps --format '{{end}}'
  ! Error: template parsing error: template: :1: unexpected {{end}}
  [64]
  $ a3s-box inspect --format '{{.ID' web
  ! Error: template parsing error: template: :1: unclosed action
  [64]
  $ a3s-box info --format '{{.OSType}} {{.Containers}} {{.Images}}'
  linux 0 0
  $ a3s-box info --format '{{range $k, $v := .Sandbox}}{{$k}} {{end}}'
  Landlock NoNewPrivileges Seccomp UserNamespaces 

Templates from strangers end.

  $ a3s-box version --format '{{range 1000000000}}{{range 1000000000}}x{{end}}{{end}}' | wc -c | awk '{ print ($1 > 1000) }'
  1
  ! Error: template parsing error: template: :1:40: executing "" at <>: template runs too long
  $ a3s-box version --format '{{define "a"}}{{template "a"}}{{end}}{{template "a"}}' 2>&1 | tail -n 1
  Error: template parsing error: template: :1:25: executing "a" at <{{template "a"}}>: exceeded maximum template depth (200)
