#!/usr/bin/python3
"""Who may: login, logout, helpers, tokens, certificates, mirrors; and who must not see a password."""
import base64
import json
import os
import pathlib
import stat
import subprocess
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lib"))
from harness import busybox_tar, check, contains, equal, main, test
from hostile import FakeRegistry, Image, tunnel
from layers import Tar
from pulls import fsck, nothing_stored, quick, refused
from registry import Peers, Registry, TestCA, TokenServer

quick()
ANN = {"ann": "s3cret:with:colons"}
PASSWORD = ANN["ann"]


def small():
    return Image(Tar().file("etc/hello", b"hello").bytes())


def fill(home, r, name="a/b:1", creds=None):
    peers = Peers(home.dir)
    extra = ["--dest-creds", creds] if creds else []
    peers.copy(f"oci-archive:{busybox_tar()}", "docker://" + r.ref(name), *extra)
    return r.ref(name)


def login(home, host, user="ann", password=PASSWORD, status=0, env={}):
    return home.a3s("login", "-u", user, "--password-stdin", host, input=password + "\n", status=status, env=env)


def stored(home, where=None):
    path = where or home.path / "auth/config.json"
    return json.loads(path.read_text()) if path.exists() else {}


def basic(user="ann", password=PASSWORD):
    return base64.b64encode(f"{user}:{password}".encode()).decode()


def guarded(r, user="ann", password=PASSWORD):
    """A fake registry that wants basic credentials."""
    def answer(q):
        if q.headers.get("Authorization") == "Basic " + basic(user, password):
            return False
        return q.error(401, "UNAUTHORIZED", "who?", {"WWW-Authenticate": 'Basic realm="test"'})
    return r.on("GET|HEAD", "^/v2/", answer)


# ---- login and logout ------------------------------------------------------------------------


@test(image=False)
def login_pull_logout(home):
    with Registry(users=ANN) as r:
        name = fill(home, r, creds="ann:" + PASSWORD)
        refused(home, "pull", name, words=["401|denied|unauthorized|authenticat|login"])
        nothing_stored(home)
        contains(login(home, r.host).out, "Login Succeeded")
        path = home.path / "auth/config.json"
        equal(stat.S_IMODE(path.stat().st_mode), 0o600, "mode")
        equal(stored(home)["auths"][r.host]["auth"], basic())
        home.a3s("pull", name)
        contains(home.a3s("logout", r.host).out, f"Removing login credentials for {r.host}")
        check(r.host not in stored(home).get("auths", {}), "it is still stored")
        contains(home.a3s("logout", r.host).out, f"Not logged in to {r.host}")
        home.a3s("rmi", "-f", name)
        refused(home, "pull", name)


@test(image=False)
def login_with_a_wrong_password_stores_nothing(home):
    with Registry(users=ANN) as r:
        r1 = login(home, r.host, password="wrong", status=1)
        contains(r1.err, "Error: ")
        check("wrong" not in r1.err.replace("wrong password", ""), f"the password is in {r1.err!r}")
        equal(stored(home).get("auths", {}), {})
        login(home, r.host)
        login(home, r.host, password="wrong", status=1)
        equal(stored(home)["auths"][r.host]["auth"], basic(), "the old login stays")


@test(image=False)
def login_through_a_token_server(home):
    token = TokenServer(ANN)
    try:
        with Registry(token=token) as r:
            name = fill(home, r, creds="ann:" + PASSWORD)
            login(home, r.host, password="wrong", status=1)
            login(home, r.host)
            home.a3s("pull", name)
            contains([a[0] for a in token.asked], "ann")
    finally:
        token.close()


@test(image=False)
def the_password_is_in_no_argument_list_and_no_log(home):
    with Registry(users=ANN) as r:
        fill(home, r, creds="ann:" + PASSWORD)
        out = login(home, r.host, env={"A3S_LOG": "debug"})
        out2 = home.a3s("pull", r.ref("a/b:1"), env={"A3S_LOG": "debug"})
        for text in (out.out + out.err, out2.out + out2.err):
            check(PASSWORD not in text and basic() not in text, f"the password is in {text!r}")


@test(image=False)
def concurrent_logins_lose_nothing(home):
    with FakeRegistry() as r:
        hosts = [f"localhost:{r.port}", f"127.0.0.1:{r.port}", f"127.0.0.2:{r.port}", f"127.0.0.3:{r.port}"]
        guarded(r)
        r2 = [FakeRegistry(host=h.split(":")[0]) for h in hosts[2:]]
        try:
            for other in r2:
                guarded(other)
            hosts = hosts[:2] + [o.host for o in r2]
            all_of_them = [home.popen("login", "-u", "ann", "--password-stdin", h, stdin=subprocess.PIPE,
                                      stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) for h in hosts]
            for p in all_of_them:
                p.stdin.write(PASSWORD)
                p.stdin.close()
                p.stdin = None
            for p in all_of_them:
                out, err = p.communicate(timeout=60)
                equal(p.returncode, 0, err)
            equal(sorted(stored(home)["auths"]), sorted(hosts))
        finally:
            for other in r2:
                other.close()


@test(image=False)
def what_is_foreign_in_config_json_stays(home):
    with Registry(users=ANN) as r:
        path = home.dir / "docker/config.json"
        path.parent.mkdir()
        old = {"HttpHeaders": {"X": "y"}, "auths": {"example.org": {"auth": "eDp5"}}, "psFormat": "table"}
        path.write_text(json.dumps(old))
        login(home, r.host, env={"DOCKER_CONFIG": str(path.parent)})
        new = stored(home, path)
        equal(new["auths"].pop(r.host), {"auth": basic()})
        equal(new, old)
        equal(stat.S_IMODE(path.stat().st_mode), 0o600, "mode")
        home.a3s("logout", r.host, env={"DOCKER_CONFIG": str(path.parent)})
        equal(stored(home, path), old)


@test(image=False)
def broken_config_json_is_an_error_and_stays(home):
    path = home.path / "auth/config.json"
    path.parent.mkdir(parents=True)
    path.write_text('{"auths": [')
    with Registry(users=ANN) as r:
        out = login(home, r.host, status=1)
        contains(out.err, "config.json")
        equal(path.read_text(), '{"auths": [')


@test(image=False)
def a_config_of_crane_and_skopeo_is_understood(home):
    """Logins by others, where docker keeps them."""
    peers = Peers(home.dir)
    with Registry(users=ANN) as r:
        name = fill(home, r, creds="ann:" + PASSWORD)
        peers.crane("auth", "login", r.host, "-u", "ann", "--password-stdin", input=PASSWORD.encode())
        home.a3s("pull", name, env={"DOCKER_CONFIG": str(peers.docker)})
        home.a3s("rmi", "-f", name)
        (home.dir / ".docker").mkdir()
        (home.dir / ".docker/config.json").write_text((peers.docker / "config.json").read_text())
        home.a3s("pull", name)  # ~/.docker/config.json
        home.a3s("rmi", "-f", name)
        login(home, r.host)
        peers.crane("digest", name, env={"DOCKER_CONFIG": str(home.path / "auth")})  # and ours by them


@test(image=False)
def credentials_of_the_environment_come_last(home):
    with Registry(users=ANN) as r:
        name = fill(home, r, creds="ann:" + PASSWORD)
        home.a3s("pull", name, env={"REGISTRY_USERNAME": "ann", "REGISTRY_PASSWORD": PASSWORD})
        home.a3s("rmi", "-f", name)
        login(home, r.host)
        home.a3s("pull", name, env={"REGISTRY_USERNAME": "bob", "REGISTRY_PASSWORD": "no"})


# ---- helpers ---------------------------------------------------------------------------------

HELPER = """#!/usr/bin/python3
import json, pathlib, sys
here = pathlib.Path(__file__).resolve().parent
text = sys.stdin.read()
db = here / "secrets.json"
secrets = json.loads(db.read_text()) if db.exists() else {}
with open(here / "calls", "a") as log:
    log.write(json.dumps([sys.argv[1:], text]) + "\\n")
verb = sys.argv[1]
if verb == "store":
    s = json.loads(text)
    secrets[s["ServerURL"]] = s
elif verb == "erase":
    secrets.pop(text.strip(), None)
elif verb == "get":
    if text.strip() not in secrets:
        print("credentials not found in native keychain")
        sys.exit(1)
    print(json.dumps(secrets[text.strip()]))
elif verb == "list":
    print(json.dumps({k: v["Username"] for k, v in secrets.items()}))
db.write_text(json.dumps(secrets))
"""


def helper(home, name="test", text=HELPER):
    where = home.dir / "helpers"
    where.mkdir(exist_ok=True)
    program = where / f"docker-credential-{name}"
    program.write_text(text)
    program.chmod(0o755)
    home.env["PATH"] = f"{where}:{os.environ['PATH']}"
    return where


def configure(home, value):
    path = home.path / "auth/config.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value))


@test(image=False)
def a_credential_helper_keeps_the_password(home):
    where = helper(home)
    with Registry(users=ANN) as r:
        name = fill(home, r, creds="ann:" + PASSWORD)
        configure(home, {"credsStore": "test"})
        login(home, r.host)
        check(PASSWORD not in json.dumps(stored(home)) and basic() not in json.dumps(stored(home)), f"{stored(home)}")
        secrets = json.loads((where / "secrets.json").read_text())
        equal([s["Secret"] for s in secrets.values()], [PASSWORD])
        home.a3s("pull", name)
        for line in (where / "calls").read_text().splitlines():
            check(PASSWORD not in json.loads(line)[0], "the password is an argument")
        home.a3s("logout", r.host)
        equal(json.loads((where / "secrets.json").read_text()), {})


@test
def a_helper_that_answers_with_nothing_has_nothing(home):
    """As docker-credential-pass does about what it has erased."""
    helper(home, text="""#!/bin/sh
[ "$1" = get ] && echo '{"ServerURL":"","Username":"","Secret":""}'
""")
    configure(home, {"credsStore": "test"})
    with Registry(users=ANN) as r:
        home.a3s("tag", "local/busybox", r.ref("a/b:1"))
        refused(home, "push", r.ref("a/b:1"), words=["401|denied|unauthorized|authenticat"])


@test(image=False)
def a_helper_for_one_registry_only(home):
    where = helper(home)
    with Registry(users=ANN) as r:
        name = fill(home, r, creds="ann:" + PASSWORD)
        (where / "secrets.json").write_text(json.dumps({r.host: {"ServerURL": r.host, "Username": "ann", "Secret": PASSWORD}}))
        configure(home, {"credHelpers": {r.host: "test", "example.org": "absent"}})
        home.a3s("pull", name)


@test(image=False)
def helpers_that_are_not_there_or_talk_nonsense(home):
    helper(home, "nonsense", "#!/bin/sh\nhead -c 10000000 /dev/zero | tr '\\0' x\n")
    helper(home, "hang", "#!/bin/sh\ncat >/dev/null\nexec sleep 1000\n")
    with Registry(users=ANN) as r:
        name = fill(home, r, creds="ann:" + PASSWORD)
        configure(home, {"credHelpers": {r.host: "absent"}})
        refused(home, "pull", name, words=["docker-credential-absent"])
        configure(home, {"credHelpers": {r.host: "nonsense"}})
        refused(home, "pull", name, words=["docker-credential-nonsense"])
        configure(home, {"credHelpers": {r.host: "../../bin/sh"}})
        refused(home, "pull", name, words=["credential|helper"])
        nothing_stored(home)


# ---- tokens ----------------------------------------------------------------------------------


@test(image=False)
def anonymous_tokens_for_what_is_public(home):
    token = TokenServer(ANN)
    try:
        with Registry(token=token) as r:
            fill(home, r, "public/x:1", "ann:" + PASSWORD)
            fill(home, r, "private/x:1", "ann:" + PASSWORD)
            del token.asked[:]
            home.a3s("pull", r.ref("public/x:1"))
            equal({a[:1] + tuple(a[1]) for a in token.asked}, {(None, "repository:public/x:pull")})
            refused(home, "pull", r.ref("private/x:1"), words=["401|denied|unauthorized|authenticat|login"])
    finally:
        token.close()


@test
def a_token_may_push_where_it_says(home):
    token = TokenServer(ANN, allow=lambda user, repo: {"pull", "push"} if user and repo.startswith("mine/") else {"pull"})
    try:
        with Registry(token=token) as r:
            login(home, r.host)
            for repo in ("mine", "other"):
                home.a3s("tag", "local/busybox", r.ref(f"{repo}/x:1"))
            home.a3s("push", r.ref("mine/x:1"))
            refused(home, "push", r.ref("other/x:1"), words=["denied|401|403|unauthorized"])
            check(any("repository:mine/x:pull,push" in s or "repository:mine/x:push,pull" in s
                      for _, scopes, _ in token.asked for s in scopes), f"scopes: {token.asked}")
    finally:
        token.close()


@test(image=False)
def tokens_that_expire_are_renewed(home):
    """A token is good for one answer only."""
    with FakeRegistry() as r:
        image = r.add("a/b:1", Image(*[Tar().file(f"f{i}", b"x" * 1000).bytes() for i in range(6)]))
        current = ["none"]

        def new(q):
            current[0] = f"token{r.count('GET|POST', '^/token')}"
            q.json(200, {"token": current[0], "expires_in": 1})

        def check_token(q):
            if q.headers.get("Authorization") == f"Bearer {current[0]}":
                if "/blobs/" in q.path:
                    current[0] = "used up"
                return False
            return q.error(401, "UNAUTHORIZED", "expired", {"WWW-Authenticate":
                           f'Bearer realm="{r.url}/token",service="s",scope="repository:a/b:pull",error="invalid_token"'})
        r.on("GET|POST", "^/token", new)
        r.on("GET|HEAD", "^/v2/", check_token)
        home.a3s("pull", r.ref("a/b:1"))
        equal(len(image.layers), 6)
        fsck(home)


@test(image=False)
def redirects_get_no_credentials(home):
    """Blobs live elsewhere, as with the large registries: the storage must not see who we are."""
    with FakeRegistry() as r, FakeRegistry() as storage:
        image = r.add("a/b:1", small())
        guarded(r)
        for blob in image.blobs():
            storage.blobs[blob.digest] = blob.data
            r.on("GET", "/blobs/" + blob.digest, lambda q: q.redirect(
                f"{storage.url}/v2/x/blobs/{q.path.split('/')[-1]}?signature=abc") if q.headers.get("Authorization") else False)
        login(home, r.host)
        home.a3s("pull", r.ref("a/b:1"))
        check(storage.requests, "nothing was redirected")
        storage.no_credentials()
        fsck(home)


@test(image=False)
def a_redirect_to_another_port_of_the_same_host_gets_none_either(home):
    with FakeRegistry(host="127.0.0.1") as r, FakeRegistry(host="127.0.0.1") as storage:
        image = r.add("a/b:1", small())
        guarded(r)
        storage.blobs[image.layers[0].digest] = image.layers[0].data
        r.on("GET", "/blobs/" + image.layers[0].digest, lambda q: q.redirect(
            storage.url + q.path) if q.headers.get("Authorization") else False)
        login(home, r.host)
        home.a3s("pull", r.ref("a/b:1"))
        storage.no_credentials()


@test(image=False)
def credentials_of_one_registry_are_not_for_another(home):
    with FakeRegistry() as r, FakeRegistry() as other:
        guarded(r)
        other.add("a/b:1", small())
        other.on("GET|HEAD", "^/v2/", lambda q: q.error(401, "UNAUTHORIZED", "who?", {"WWW-Authenticate": 'Basic realm="test"'}))
        login(home, r.host)
        refused(home, "pull", other.ref("a/b:1"))
        other.no_credentials()


# ---- TLS -------------------------------------------------------------------------------------


def trust(home, host, ca, client=False):
    where = home.path / "certs.d" / host
    where.mkdir(parents=True)
    (where / "ca.crt").write_bytes(ca.ca.read_bytes())
    if client:
        (where / "client.cert").write_bytes(ca.client_cert.read_bytes())
        (where / "client.key").write_bytes(ca.client_key.read_bytes())


def fill_tls(r, ca, name="a/b:1"):
    """skopeo with the CA in a directory of its own."""
    with tempfile.TemporaryDirectory() as tmp:
        certs = pathlib.Path(tmp) / "certs"
        certs.mkdir()
        (certs / "ca.crt").write_bytes(ca.ca.read_bytes())
        if ca.client:
            (certs / "client.cert").write_bytes(ca.client_cert.read_bytes())
            (certs / "client.key").write_bytes(ca.client_key.read_bytes())
        Peers(tmp).skopeo("copy", "-q", "--dest-cert-dir", certs, f"oci-archive:{busybox_tar()}", "docker://" + r.ref(name))
    return r.ref(name)


@test(image=False)
def a_ca_per_registry(home):
    ca = TestCA()
    with Registry(tls=ca) as r:
        name = fill_tls(r, ca)
        refused(home, "pull", name, words=["certificate"])
        nothing_stored(home)
        trust(home, r.host, ca)
        home.a3s("pull", name)
        home.a3s("tag", name, r.ref("c/d:2"))
        home.a3s("push", r.ref("c/d:2"))
        fsck(home)
    ca.close()


@test(image=False)
def a_ca_of_somebody_else(home):
    ca, other = TestCA(), TestCA()
    with Registry(tls=ca) as r:
        name = fill_tls(r, ca)
        trust(home, r.host, other)
        refused(home, "pull", name, words=["certificate"])
        nothing_stored(home)
    ca.close()
    other.close()


@test(image=False)
def a_certificate_for_another_name(home):
    ca = TestCA(names="DNS:registry.example.org")
    with Registry(tls=ca) as r:
        trust(home, r.host, ca)
        refused(home, "pull", r.ref("a/b:1"), words=["certificate|name|127.0.0.1"])
    ca.close()


@test(image=False)
def client_certificates(home):
    ca = TestCA(client=True)
    with Registry(tls=ca) as r:
        name = fill_tls(r, ca)
        trust(home, r.host, ca)
        refused(home, "pull", name, words=["certificate|alert|TLS|SSL"])
        (home.path / "certs.d" / r.host / "client.cert").write_bytes(ca.client_cert.read_bytes())
        refused(home, "pull", name, words=["client.key|key"])
        (home.path / "certs.d" / r.host / "client.key").write_bytes(ca.client_key.read_bytes())
        home.a3s("pull", name)
    ca.close()


@test(image=False)
def insecure_only_where_it_is_said(home):
    ca = TestCA()
    with Registry(tls=ca) as r:
        name = fill_tls(r, ca)
        home.path.mkdir(exist_ok=True)
        settings = home.path / "registries.json"
        settings.write_text(json.dumps({"registries": {"example.org": {"insecure": True}}}))
        refused(home, "pull", name, words=["certificate"])
        settings.write_text(json.dumps({"registries": {r.host: {"insecure": True}}}))
        home.a3s("pull", name)
    ca.close()


@test(image=False)
def registries_json_that_is_wrong_is_an_error(home):
    settings = home.path / "registries.json"
    home.path.mkdir(exist_ok=True)
    for text in ('{"registries": [', '{"registries": {"localhost:5000": {"insecur": true}}}',
                 '{"registries": {"localhost:5000": {"mirrors": "x"}}}', "[]"):
        settings.write_text(text)
        refused(home, "pull", "localhost:1/a/b", words=["registries.json"])


# ---- mirrors ---------------------------------------------------------------------------------


@test(image=False)
def a_mirror_serves_and_the_name_stays(home):
    with Registry() as r:
        fill(home, r, "library/thing:1")
        home.a3s("pull", "example.org/library/thing:1", env={"A3S_REGISTRY_MIRRORS": f"example.org={r.host}"})
        equal(home.out("images", "--format", "{{.Repository}}:{{.Tag}}"), "example.org/library/thing:1")


@test(image=False)
def mirrors_from_the_file_in_their_order(home):
    """The first is gone, the second does not have it, the third has."""
    with Registry() as gone, FakeRegistry() as empty, FakeRegistry() as r:
        gone.stop()
        r.add("a/b:1", small())
        home.path.mkdir(exist_ok=True)
        (home.path / "registries.json").write_text(json.dumps({"registries": {"example.org": {
            "mirrors": [gone.host, empty.host, r.host]}}}))
        home.a3s("pull", "example.org/a/b:1")
        check(empty.count("", "/manifests/") >= 1, "the second mirror was not asked")
        fsck(home)


@test(image=False)
def a_mirror_that_lies_is_not_believed(home):
    """By digest, whoever serves it; the credentials of the registry are not for the mirror."""
    with FakeRegistry() as r, FakeRegistry() as mirror:
        image = r.add("a/b:1", small())
        mirror.add("a/b:1", small())
        mirror.on("GET", "/blobs/" + image.layers[0].digest, lambda q: q.reply(200, b"x" * len(image.layers[0].data)))
        guarded(r)
        login(home, r.host)
        home.a3s("pull", r.ref("a/b@" + image.digest), env={"A3S_REGISTRY_MIRRORS": f"{r.host}={mirror.host}"}, status=None)
        mirror.no_credentials()
        for f in home.path.glob("images/blobs/sha256/*"):
            check(f.read_bytes() != b"x" * len(image.layers[0].data), "the lie was stored")


@test(image=False)
def protocol_by_environment(home):
    with Registry() as r:
        name = fill(home, r)
        refused(home, "pull", name, env={"A3S_REGISTRY_PROTOCOL": "https"}, words=["TLS|SSL|https|connect"])
        home.a3s("pull", name, env={"A3S_REGISTRY_PROTOCOL": "http"})


# ---- proxies ---------------------------------------------------------------------------------


@test(image=False)
def a_proxy_is_asked_in_plain_http(home):
    with FakeRegistry() as proxy:
        proxy.add("a/b:1", small())
        env = {"A3S_REGISTRY_PROTOCOL": "http", "http_proxy": f"http://user:pw@{proxy.host}"}
        home.a3s("pull", "registry.example.org/a/b:1", env=env)
        check(all(q.path.startswith("http://registry.example.org/") for q in proxy.find()), f"{proxy.find()}")
        refused(home, "pull", "registry.example.org/a/b:2", env=env | {"no_proxy": "example.org"}, words=["registry.example.org"])
        check(not proxy.find("", "/b/manifests/2"), "the proxy was asked although it should not")


@test(image=False)
def a_proxy_is_tunnelled_through_with_tls(home):
    ca = TestCA(names="DNS:registry.example.org")
    with FakeRegistry(tls=ca) as r, FakeRegistry() as proxy:
        r.add("a/b:1", small())
        proxy.on("CONNECT", "", tunnel(r.port))
        trust(home, "registry.example.org", ca)
        home.a3s("pull", "registry.example.org/a/b:1", env={"HTTPS_PROXY": f"http://user:pw@{proxy.host}"})
        equal({q.path for q in proxy.find()}, {"registry.example.org:443"})
        r.no_credentials()
        fsck(home)
    ca.close()


@test(image=False)
def a_registry_on_this_machine_needs_no_proxy(home):
    with FakeRegistry() as proxy, FakeRegistry() as r:
        r.add("a/b:1", small())
        home.a3s("pull", r.ref("a/b:1"), env={"http_proxy": proxy.url, "https_proxy": proxy.url})
        equal(proxy.count(), 0, "requests to the proxy")


main()
