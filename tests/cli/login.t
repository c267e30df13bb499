Logging in and out: what is refused before any registry is asked.

  $ a3s-box login --bad
  ! Error: unknown flag: --bad
  !
  ! Run 'a3s-box login --help' for more information
  [2]
  $ a3s-box login -u ann -p x --password-stdin reg.example </dev/null
  ! Error: --password and --password-stdin are mutually exclusive
  [1]
  $ echo x | a3s-box login --password-stdin reg.example
  ! Error: Must provide --username with --password-stdin
  [1]
  $ a3s-box login -u ann reg.example </dev/null
  ! Error: Cannot perform an interactive login from a non TTY device
  [1]
  $ a3s-box login reg.example </dev/null
  ! Error: Cannot perform an interactive login from a non TTY device
  [1]
  $ a3s-box login -u ann --password-stdin reg.example </dev/null
  ! Error: login: The password is empty
  [1]
  $ echo x | a3s-box login -u ann --password-stdin 'reg example'
  ! Error: 'reg example' is not HOST[:PORT] of a registry
  [1]
  $ echo x | A3S_REGISTRY_PROTOCOL=ftp a3s-box login -u ann --password-stdin reg.example
  ! Error: A3S_REGISTRY_PROTOCOL 'ftp' is neither http nor https
  [1]

Nothing was stored, so there is nothing to remove.

  $ a3s-box logout reg.example
  Not logged in to reg.example
  $ a3s-box logout
  Not logged in to https://index.docker.io/v1/

What another program stored is found under its names, and goes with all of them.

  $ cat >"$A3S_HOME"/auth/config.json <<'END'
  > {"auths": {"https://reg.example/v1/": {"auth": "YTpi"}, "reg.example": {}, "other.example": {"auth": "YTpi"}},
  >  "detachKeys": "ctrl-x"}
  > END
  $ a3s-box logout https://reg.example/v2/
  Removing login credentials for reg.example
  $ cat "$A3S_HOME"/auth/config.json; stat -c %a "$A3S_HOME"/auth/config.json
  {
      "auths": {
          "other.example": {
              "auth": "YTpi"
          }
      },
      "detachKeys": "ctrl-x"
  }600

A file that is broken stays as it is.

  $ echo '{"auths": 1' >"$A3S_HOME"/auth/config.json
  $ a3s-box logout reg.example
  ! Error: <any>/auth/config.json: JSON: line 2: <any>
  [1]
  $ echo '{"credsStore": "../x"}' >"$A3S_HOME"/auth/config.json
  $ a3s-box logout reg.example
  ! Error: '../x' is no name of a credential helper
  [1]
