#include "registry/creds_file.h"

#include "util/fd.h"
#include "util/fs.h"
#include "util/log.h"
#include "util/spawn.h"
#include "util/str.h"

#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>

#define HELPER_OUTPUT_MAX (CREDS_MAX * 2)

static void wipe(char **p)
{
    if (*p)
        explicit_bzero(*p, strlen(*p));
    free(*p);
    *p = NULL;
}

void creds_done(struct creds *c)
{
    wipe(&c->user);
    wipe(&c->password);
    wipe(&c->identity);
    wipe(&c->token);
    c->from_env = false;
}

static void wipe_str(struct str *s)
{
    if (s->p)
        explicit_bzero(s->p, s->cap);
    str_done(s);
}
#define autosecret __attribute__((cleanup(wipe_str))) struct str

const char *creds_key(const char *host)
{
    return strcmp(host, "docker.io") == 0 ? "https://index.docker.io/v1/" : host;
}

/* ---- helpers --------------------------------------------------------- */

/* stdin of a helper: memory, so that neither side waits for the other. */
static int secret_file(const void *data, size_t len, int *ret_fd, struct err *e)
{
    autofd int fd = memfd_create("credentials", MFD_CLOEXEC);
    int r;

    if (fd < 0)
        return err_os(e, "memfd");
    r = fd_write_all(fd, data, len, e);
    if (r == 0 && lseek(fd, 0, SEEK_SET) < 0)
        r = err_os(e, "memfd");
    if (r == 0)
        *ret_fd = take_fd(&fd);
    return r;
}

/* Run "docker-credential-NAME VERB" with `input`. *ret_status is its exit status, `out` what it
 * printed. */
static int run_helper(const char *name, const char *verb, const struct str *input,
                      struct str *out, int *ret_status, struct err *e)
{
    autofree char *program = str_format("docker-credential-%s", name);
    autofd int in = -1, out_r = -1, out_w = -1;
    const char *argv[] = { program, verb, NULL };
    int pipe_fds[2], r, rr;
    pid_t pid;

    if (!program || pipe2(pipe_fds, O_CLOEXEC) < 0)
        return err_os(e, "credential helper");
    out_r = pipe_fds[0];
    out_w = pipe_fds[1];
    r = secret_file(str_c(input), input->len, &in, e);
    if (r < 0)
        return r;
    struct spawn_fd fds[] = { { in, 0 }, { out_w, 1 }, { 2, 2 } };
    struct spawn s = { .argv = argv, .fds = fds, .fds_n = ARRAY_LEN(fds), .search = true };

    r = spawn_start(&s, &pid, NULL, e);
    if (r < 0) {
        e->hint = "The helper is named in config.json (credHelpers, credsStore)";
        return err_ctx(e, "credentials");
    }
    close_fd(&out_w);
    rr = fd_read_all(out_r, out, e);
    close_fd(&out_r); /* one that says too much gets SIGPIPE */
    if (rr < 0) {
        struct err ignored = { 0 };

        r = spawn_wait(pid, ret_status, &ignored);
        return err_ctx(e, "%s %s", program, verb);
    }
    return spawn_wait(pid, ret_status, e);
}

/* The message of a helper on one line without control characters. */
static int helper_failed(const char *name, const char *verb, const struct str *out, int status,
                         struct err *e)
{
    char text[161];
    size_t n = 0;

    for (const char *p = str_c(out); *p && n + 1 < sizeof(text); p++)
        text[n++] = (unsigned char)*p < 0x20 || *p == 0x7f ? ' ' : *p;
    while (n && text[n - 1] == ' ')
        n--;
    text[n] = '\0';
    return err_set(e, ERR_SYSTEM, "docker-credential-%s %s: %s (exit status %d)", name, verb,
                   n ? text : "failed without a word", status);
}

static int helper_answer(const struct str *out, struct creds *ret, struct err *e)
{
    const char *user = NULL, *secret = NULL;
    autojson *j = NULL;
    int r;

    r = json_parse(str_c(out), out->len, "its answer", &j, e);
    if (r == 0)
        r = json_get_str(j, "Username", &user, e);
    if (r == 0)
        r = json_get_str(j, "Secret", &secret, e);
    if (r < 0)
        return r;
    if (user && secret && !*secret)
        return 0; /* docker-credential-pass, about what it has erased */
    if (!user || !secret)
        return err_set(e, ERR_CORRUPT, "its answer has no Username or Secret");
    if (strcmp(user, "<token>") == 0) {
        ret->identity = strdup(secret);
    } else {
        ret->user = strdup(user);
        ret->password = strdup(secret);
    }
    if (!ret->identity && (!ret->user || !ret->password)) {
        creds_done(ret);
        return err_os(e, "credentials");
    }
    return 0;
}

static int helper_get(const char *name, const char *host, struct creds *ret, struct err *e)
{
    autosecret in = STR_INIT(CREDS_MAX), out = STR_INIT(HELPER_OUTPUT_MAX);
    int status = 0, r;

    if (!str_adds(&in, creds_key(host)))
        return err_set(e, ERR_LIMIT, "Out of memory");
    r = run_helper(name, "get", &in, &out, &status, e);
    if (r < 0)
        return r;
    if (status != 0 && strstr(str_c(&out), "credentials not found"))
        return 0;
    if (status != 0)
        return helper_failed(name, "get", &out, status, e);
    r = helper_answer(&out, ret, e);
    return r < 0 ? err_ctx(e, "docker-credential-%s get", name) : 0;
}

static int helper_store(const char *name, const char *host, const struct creds *c, struct err *e)
{
    autosecret in = STR_INIT(HELPER_OUTPUT_MAX), out = STR_INIT(HELPER_OUTPUT_MAX);
    autojson *j = json_pack("{s:s,s:s,s:s}", "ServerURL", creds_key(host), "Username",
                            c->identity ? "<token>" : c->user, "Secret",
                            c->identity ? c->identity : c->password);
    char *text = j ? json_dumps(j, JSON_COMPACT) : NULL;
    int status = 0, r;

    if (!text || !str_adds(&in, text)) {
        wipe(&text);
        return err_set(e, ERR_LIMIT, "Out of memory");
    }
    wipe(&text);
    r = run_helper(name, "store", &in, &out, &status, e);
    if (r < 0)
        return r;
    return status ? helper_failed(name, "store", &out, status, e) : 0;
}

static int helper_erase(const char *name, const char *host, struct err *e)
{
    autosecret in = STR_INIT(CREDS_MAX), out = STR_INIT(HELPER_OUTPUT_MAX);
    int status = 0, r;

    if (!str_adds(&in, creds_key(host)))
        return err_set(e, ERR_LIMIT, "Out of memory");
    r = run_helper(name, "erase", &in, &out, &status, e);
    if (r < 0)
        return r;
    return status ? helper_failed(name, "erase", &out, status, e) : 0;
}

/* ---- files ----------------------------------------------------------- */

/* An empty object when the file is not there. */
static int read_config(const char *path, json_t **ret, struct err *e)
{
    autosecret text = STR_INIT(CREDS_CONFIG_MAX);
    int r;

    if (access(path, F_OK) < 0 && errno == ENOENT) {
        *ret = json_object();
        return *ret ? 0 : err_set(e, ERR_LIMIT, "Out of memory");
    }
    r = fs_read_file(AT_FDCWD, path, &text, e);
    if (r < 0)
        return r;
    r = creds_config_parse(str_c(&text), text.len, ret, e);
    return r < 0 ? err_ctx(e, "%s", path) : 0;
}

/* The file that login writes; the caller frees. */
static char *own_path(const char *home)
{
    const char *set = getenv("DOCKER_CONFIG");

    return set && *set ? str_format("%s/config.json", set)
                       : str_format("%s/auth/config.json", home);
}

static int find_in(const char *path, const char *host, struct creds *ret, struct err *e)
{
    const char *helper = NULL;
    autojson *config = NULL;
    int r;

    r = read_config(path, &config, e);
    if (r < 0)
        return r;
    r = creds_config_helper(config, host, &helper, e);
    if (r == 0 && helper)
        r = helper_get(helper, host, ret, e);
    if (r == 0 && creds_empty(ret))
        r = creds_config_auth(config, host, ret, e);
    return r < 0 ? err_ctx(e, "%s", path) : 0;
}

static int find_in_env(struct creds *ret, struct err *e)
{
    const char *user = getenv("REGISTRY_USERNAME"), *password = getenv("REGISTRY_PASSWORD");

    if (!user || !*user || !password)
        return 0;
    ret->user = strdup(user);
    ret->password = strdup(password);
    ret->from_env = true;
    if (ret->user && ret->password)
        return 0;
    creds_done(ret);
    return err_os(e, "credentials");
}

int creds_find(const char *home, const char *host, bool env, struct creds *ret, struct err *e)
{
    autofree char *own = own_path(home), *docker = NULL;
    const char *set = getenv("DOCKER_CONFIG"), *user_home = getenv("HOME");
    int r;

    *ret = (struct creds){ .user = NULL };
    if (!own)
        return err_os(e, "credentials");
    r = find_in(own, host, ret, e);
    if (r == 0 && creds_empty(ret) && (!set || !*set) && user_home) {
        docker = str_format("%s/.docker/config.json", user_home);
        r = docker ? find_in(docker, host, ret, e) : err_os(e, "credentials");
    }
    if (r == 0 && creds_empty(ret) && env)
        r = find_in_env(ret, e);
    if (r < 0)
        creds_done(ret);
    return r;
}

/* ---- changing the file ----------------------------------------------- */

struct config_edit {
    char *path;     /* owned */
    json_t *config; /* owned */
    int lock;
};

static void edit_done(struct config_edit *edit)
{
    free(edit->path);
    json_decref(edit->config);
    close_fd(&edit->lock);
}
#define autoedit __attribute__((cleanup(edit_done))) struct config_edit

static int edit_begin(const char *home, struct config_edit *edit, struct err *e)
{
    autofree char *dir = NULL, *lock = NULL;
    int r;

    *edit = (struct config_edit){ .path = own_path(home), .lock = -1 };
    if (!edit->path)
        return err_os(e, "credentials");
    dir = strndup(edit->path, (size_t)(strrchr(edit->path, '/') - edit->path));
    lock = str_format("%s.lock", edit->path);
    r = dir && lock ? fs_mkdirs(dir, e) : err_os(e, "credentials");
    if (r < 0)
        return r;
    edit->lock = open(lock, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (edit->lock < 0)
        return err_os(e, "open %s", lock);
    do
        r = flock(edit->lock, LOCK_EX);
    while (r < 0 && errno == EINTR);
    if (r < 0)
        return err_os(e, "lock %s", lock);
    return read_config(edit->path, &edit->config, e);
}

static int edit_commit(struct config_edit *edit, struct err *e)
{
    char *text = json_dumps(edit->config, JSON_INDENT(4));
    int r;

    if (!text)
        return err_set(e, ERR_LIMIT, "Out of memory");
    r = fs_write_file(AT_FDCWD, edit->path, text, strlen(text), 0600, e);
    wipe(&text);
    return r;
}

/* The entry of `auths`: with the secret, or empty when a helper has it. */
static json_t *auth_entry(const struct creds *c, bool clear)
{
    autosecret pair = STR_INIT(CREDS_MAX * 2 + 1);
    char *encoded = NULL;
    json_t *o = json_object();
    bool ok = o != NULL;

    if (clear && ok && c->user) {
        ok = str_addf(&pair, "%s:%s", c->user, c->identity ? "" : c->password) &&
             (encoded = base64_encode(str_c(&pair), pair.len)) &&
             json_object_set_new(o, "auth", json_string(encoded)) == 0;
        wipe(&encoded);
    }
    if (clear && ok && c->identity)
        ok = json_object_set_new(o, "identitytoken", json_string(c->identity)) == 0;
    if (!ok) {
        json_decref(o);
        o = NULL;
    }
    return o;
}

static int set_entry(json_t *config, const char *host, json_t *entry, struct err *e)
{
    json_t *auths = json_object_get(config, "auths");
    const char *old;

    if (!entry)
        return err_set(e, ERR_LIMIT, "Out of memory");
    if (!json_is_object(auths)) {
        auths = json_object();
        if (json_object_set_new(config, "auths", auths) < 0) {
            json_decref(entry);
            return err_set(e, ERR_LIMIT, "Out of memory");
        }
    }
    while ((old = creds_config_key(config, host)))
        (void)json_object_del(auths, old);
    return json_object_set_new(auths, creds_key(host), entry) < 0
               ? err_set(e, ERR_LIMIT, "Out of memory")
               : 0;
}

int creds_store(const char *home, const char *host, const struct creds *c, char **ret_file,
                struct err *e)
{
    autoedit edit = { .lock = -1 };
    const char *helper = NULL;
    int r;

    if (strchr(c->user, ':'))
        return err_set(e, ERR_INVALID, "A user name cannot have a ':'");
    r = edit_begin(home, &edit, e);
    if (r == 0)
        r = creds_config_helper(edit.config, host, &helper, e);
    if (r == 0 && helper)
        r = helper_store(helper, host, c, e);
    if (r == 0)
        r = set_entry(edit.config, host, auth_entry(c, !helper), e);
    if (r == 0)
        r = edit_commit(&edit, e);
    if (r == 0)
        *ret_file = helper ? NULL : take_ptr(edit.path);
    return r;
}

int creds_erase(const char *home, const char *host, struct err *e)
{
    autoedit edit = { .lock = -1 };
    const char *helper = NULL, *key;
    int r, found = 0;

    r = edit_begin(home, &edit, e);
    if (r == 0)
        r = creds_config_helper(edit.config, host, &helper, e);
    if (r < 0)
        return r;
    while ((key = creds_config_key(edit.config, host))) {
        found = 1;
        (void)json_object_del(json_object_get(edit.config, "auths"), key);
    }
    if (helper && found)
        r = helper_erase(helper, host, e);
    if (r == 0 && found)
        r = edit_commit(&edit, e);
    return r < 0 ? r : found;
}
