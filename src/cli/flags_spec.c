/* From flags and image to a spec. What is wrong in itself is refused here, what needs the whole
 * in box_spec_check(). */
#include "cli/flags_internal.h"

#include "util/fs.h"
#include "util/parse.h"
#include "util/time.h"

#include <fcntl.h>
#include <string.h>
#include <strings.h>
#include <sys/utsname.h>

#define STOP_TIMEOUT_S   10
#define STOP_FOREVER_S   (UINT64_C(100) * 365 * 86400)
#define SECCOMP_FILE_MAX ((size_t)1 << 20) /* without blanks it is smaller still */
#define PATH_DEFAULT     "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

static int copy_list(struct strv *to, const struct str_list *from, struct err *e)
{
    for (size_t i = 0; i < from->n; i++)
        if (!strv_add(to, from->v[i]))
            return flags_no_memory(e);
    return 0;
}

static int copy_words(struct strv *to, char *const *words, struct err *e)
{
    for (; words && *words; words++)
        if (!strv_add(to, *words))
            return flags_no_memory(e);
    return 0;
}

char *path_join(const char *base, const char *path)
{
    if (path[0] == '/')
        return strdup(path);
    return str_format("%s%s%s", *base ? base : "/",
                      *base && base[strlen(base) - 1] != '/' ? "/" : "", path);
}

/* docker: --entrypoint drops the image's CMD too; "" clears. */
static int fill_command(const struct box_flags *f, const struct image *img, char *const *command,
                        struct box_spec *s, struct err *e)
{
    int r = 0;

    if (!f->entrypoint)
        r = copy_words(&s->entrypoint, img->entrypoint, e);
    else if (*f->entrypoint && !strv_add(&s->entrypoint, f->entrypoint))
        r = flags_no_memory(e);
    if (r == 0)
        r = copy_words(&s->cmd,
                       command && *command ? command
                       : f->entrypoint     ? NULL
                                           : img->cmd,
                       e);
    if (r == 0 && !s->entrypoint.n && !s->cmd.n)
        return err_set(e, ERR_INVALID, "no command specified");
    return r;
}

/* docker's order: the user's variables, then what the image has besides; PATH always. */
static int fill_env(const struct box_flags *f, const struct image *img, struct box_spec *s,
                    struct err *e)
{
    struct strv user = { 0 }, base = { 0 };
    int r;

    r = copy_words(&base, img->env, e);
    if (r == 0)
        r = flags_env(&f->env_file, &f->env, &base, e); /* replaces and removes the image's */
    if (r == 0)
        r = flags_env(&f->env_file, &f->env, &user, e);
    for (size_t i = 0; r == 0 && i < user.n; i++)
        if (!strv_add(&s->env, user.v[i]))
            r = flags_no_memory(e);
    for (size_t i = 0; r == 0 && i < base.n; i++)
        if (!env_set(&s->env, base.v[i]))
            r = flags_no_memory(e);
    strv_done(&user);
    strv_done(&base);
    for (size_t i = 0; i < s->env.n; i++)
        if (!strncmp(s->env.v[i], "PATH=", 5))
            return r;
    return r == 0 && !strv_add(&s->env, PATH_DEFAULT) ? flags_no_memory(e) : r;
}

/* "K=V" or "K" */
static bool label_set(json_t *labels, const char *text)
{
    size_t len = strcspn(text, "=");
    autofree char *key = strndup(text, len);

    return key &&
           json_object_set_new(labels, key, json_string(text[len] ? text + len + 1 : "")) == 0;
}

static int fill_labels(const struct box_flags *f, const struct image *img, struct box_spec *s,
                       struct err *e)
{
    static const struct str_list none;
    struct strv lines = { 0 };
    int r;

    s->labels = json_deep_copy(img->labels);
    if (!s->labels)
        return flags_no_memory(e);
    r = flags_env(&f->label_file, &none, &lines, e); /* the same syntax */
    if (r < 0)
        (void)err_ctx(e, "--label-file");
    for (size_t i = 0; r == 0 && i < lines.n; i++)
        if (!label_set(s->labels, lines.v[i]))
            r = err_set(e, ERR_INVALID, "--label-file: '%.100s' is no label", lines.v[i]);
    strv_done(&lines);
    for (size_t i = 0; r == 0 && i < f->label.n; i++)
        if (f->label.v[i][0] == '=' || !label_set(s->labels, f->label.v[i]))
            r = err_set(e, ERR_INVALID, "invalid label '%.100s'", f->label.v[i]);
    return r;
}

static int fill_process(const struct box_flags *f, const struct image *img, struct box_spec *s,
                        struct err *e)
{
    const char *sig = f->stop_signal ? f->stop_signal : img->stop_signal;
    int r = 0;

    if (f->workdir)
        s->cwd = path_join(img->working_dir, f->workdir);
    if (f->workdir && !s->cwd)
        return flags_no_memory(e);
    if (!f->workdir)
        r = flags_copy(&s->cwd, img->working_dir, e);
    if (r == 0)
        r = flags_copy(&s->user, f->user ? f->user : img->user, e);
    if (r == 0)
        r = flags_copy(&s->hostname, f->hostname, e);
    if (r == 0)
        r = flags_copy(&s->domainname, f->domainname, e);
    if (r == 0)
        r = copy_list(&s->groups, &f->group_add, e);
    s->tty = f->tty;
    s->open_stdin = f->interactive && !f->no_stdin;
    s->init = f->init;
    s->stop_signal = 15;
    if (r == 0 && *sig && parse_signal(sig, &s->stop_signal, e) < 0)
        r = f->stop_signal ? flags_bad("stop-signal", sig, e)
                           : err_ctx(e, "the image's STOPSIGNAL");
    s->stop_timeout_s = STOP_TIMEOUT_S;
    if (f->stop_timeout >= -1)
        s->stop_timeout_s = f->stop_timeout < 0 ? STOP_FOREVER_S : (uint64_t)f->stop_timeout;
    s->timeout_ns = f->timeout_ns;
    return r;
}

static int fill_tmpfs(const struct box_flags *f, struct box_spec *s, struct err *e)
{
    for (size_t i = 0; i < f->tmpfs.n; i++) {
        const char *text = f->tmpfs.v[i], *colon = strchr(text, ':');
        struct mount_tmpfs *t = tlv_list_add(&s->tmpfs, sizeof(*t));

        if (!t)
            return flags_no_memory(e);
        t->path = strndup(text, colon ? (size_t)(colon - text) : strlen(text));
        t->options = colon && colon[1] ? strdup(colon + 1) : NULL;
        if (!t->path || (colon && colon[1] && !t->options))
            return flags_no_memory(e);
    }
    return 0;
}

static int parse_limit(const char *text, uint64_t *ret, struct err *e)
{
    if (!strcmp(text, "-1") || !strcmp(text, "unlimited")) {
        *ret = UINT64_MAX;
        return 0;
    }
    return parse_u64(text, 0, UINT64_MAX, ret, e);
}

static int fill_ulimit(const char *text, struct box_spec *s, struct err *e)
{
    const char *eq = strchr(text, '=');
    autofree char *values = strdup(eq ? eq + 1 : "");
    struct box_ulimit *u = tlv_list_add(&s->ulimits, sizeof(*u));
    char *colon;
    int r;

    if (!values || !u)
        return flags_no_memory(e);
    u->name = strndup(text, eq ? (size_t)(eq - text) : strlen(text));
    if (!u->name)
        return flags_no_memory(e);
    if (!eq)
        return err_set(e, ERR_INVALID, "invalid ulimit argument: %.100s", text);
    colon = strchr(values, ':');
    if (colon)
        *colon++ = '\0';
    r = parse_limit(values, &u->soft, e);
    if (r == 0)
        r = parse_limit(colon ? colon : values, &u->hard, e);
    return r;
}

/* docker: what is kept, and shown by inspect, is the profile itself. */
static int add_seccomp(const char *path, struct box_spec *s, struct err *e)
{
    autostr text = STR_INIT(SECCOMP_FILE_MAX);
    autofree char *compact = NULL, *option = NULL;
    json_error_t why;
    json_t *root;

    if (fs_read_file(AT_FDCWD, path, &text, e) < 0)
        return err_ctx(e, "opening seccomp profile (%.200s) failed", path);
    root = json_loadb(str_c(&text), text.len, JSON_REJECT_DUPLICATES, &why);
    if (!root)
        return err_set(e, ERR_INVALID, "seccomp profile (%.200s): line %d: %.160s", path,
                       why.line, why.text);
    compact = json_dumps(root, JSON_COMPACT | JSON_ENCODE_ANY);
    json_decref(root);
    option = compact ? str_format("seccomp=%s", compact) : NULL;
    return option && strv_add(&s->security_opt, option) ? 0 : flags_no_memory(e);
}

static int fill_security(const struct box_flags *f, struct box_spec *s, struct err *e)
{
    for (size_t i = 0; i < f->security_opt.n; i++) {
        const char *text = f->security_opt.v[i], *value = text + 8;
        int r = 0;

        if (strncmp(text, "seccomp", 7) != 0 || (text[7] != '=' && text[7] != ':') ||
            !strcmp(value, "unconfined") || !strcmp(value, "default") ||
            !strcmp(value, "builtin"))
            r = strv_add(&s->security_opt, text) ? 0 : flags_no_memory(e);
        else
            r = add_seccomp(value, s, e);
        if (r < 0)
            return r;
    }
    return 0;
}

static int fill_container(const struct box_flags *f, struct box_spec *s, struct err *e)
{
    int r;

    s->read_only = f->read_only;
    s->privileged = f->privileged;
    s->shm_bytes = f->shm_size;
    r = copy_list(&s->cap_add, &f->cap_add, e);
    if (r == 0)
        r = copy_list(&s->cap_drop, &f->cap_drop, e);
    if (r == 0)
        r = fill_security(f, s, e);
    if (r == 0)
        r = fill_tmpfs(f, s, e);
    for (size_t i = 0; r == 0 && i < f->ulimit.n; i++) {
        r = fill_ulimit(f->ulimit.v[i], s, e);
        if (r < 0)
            return flags_bad("ulimit", f->ulimit.v[i], e);
    }
    if (r == 0)
        r = copy_list(&s->add_host, &f->add_host, e);
    if (r == 0)
        r = copy_list(&s->dns, &f->dns, e);
    if (r == 0)
        r = copy_list(&s->dns_search, &f->dns_search, e);
    if (r == 0)
        r = copy_list(&s->dns_option, &f->dns_option, e);
    return r == 0 ? flags_copy(&s->network, f->network, e) : r;
}

/* "K=V"; docker takes "K" as "K=". */
static int fill_log_opts(const struct box_flags *f, struct box_spec *s, struct err *e)
{
    s->log_opts = json_object();
    for (size_t i = 0; s->log_opts && i < f->log_opt.n; i++) {
        const char *text = f->log_opt.v[i], *eq = strchr(text, '=');
        autofree char *key = strndup(text, eq ? (size_t)(eq - text) : strlen(text));

        if (!key || json_object_set_new(s->log_opts, key, json_string(eq ? eq + 1 : "")) < 0)
            return err_set(e, ERR_INVALID, "--log-opt %.100s is not valid UTF-8", text);
    }
    return s->log_opts ? 0 : flags_no_memory(e);
}

static int fill_keeping(const struct box_flags *f, struct box_spec *s, struct err *e)
{
    s->auto_remove = f->auto_remove;
    if (fill_log_opts(f, s, e) < 0)
        return -(int)e->kind;
    return flags_copy(&s->log_driver, f->log_driver ? f->log_driver : "json-file", e);
}

/* docker's names for what uname says. */
static const char *host_arch(void)
{
    static struct utsname u;

    if (uname(&u) < 0)
        return "";
    if (!strcmp(u.machine, "x86_64"))
        return "amd64";
    return !strcmp(u.machine, "aarch64") ? "arm64" : u.machine;
}

static int fill_image(const struct box_flags *f, const char *name, const struct image *img,
                      struct box_spec *s, struct err *e)
{
    const char *arch = *img->architecture ? img->architecture : host_arch();
    autofree char *mine = str_format("%s/%s", *img->os ? img->os : "linux", arch);
    const char *want = f->platform;
    int r;

    if (!mine)
        return flags_no_memory(e);
    if (want && *want && strcmp(want, mine) != 0 && strcmp(want, "linux") != 0 &&
        (strncmp(want, mine, strlen(mine)) != 0 || want[strlen(mine)] != '/'))
        return err_set(e, ERR_UNSUPPORTED,
                       "image with reference %.200s was found but does not provide the specified "
                       "platform (%.60s)",
                       name, want);
    if (strcmp(arch, host_arch()) != 0)
        return err_set(e, ERR_UNSUPPORTED, "image %.200s is for %s, this machine is %s", name,
                       mine, host_arch());
    if (json_object_size(img->exposed_ports))
        s->exposed_ports = json_incref(img->exposed_ports);
    if (json_object_size(img->volumes))
        s->image_volumes = json_incref(img->volumes);
    r = flags_copy(&s->image, name, e);
    if (r == 0)
        r = flags_copy(&s->image_id, img->id, e);
    if (r == 0)
        r = flags_copy(&s->platform, f->platform, e);
    s->rootfs = str_format("rootfs/%s.ext4", img->chain_id);
    return r == 0 && !s->rootfs ? flags_no_memory(e) : r;
}

int box_flags_fill(const struct box_flags *f, const char *image, const struct image *img,
                   char *const *command, struct box_spec *s, struct err *e)
{
    int r;

    r = fill_image(f, image, img, s, e);
    if (r == 0)
        r = fill_command(f, img, command, s, e);
    if (r == 0)
        r = fill_env(f, img, s, e);
    if (r == 0)
        r = fill_labels(f, img, s, e);
    if (r == 0)
        r = fill_process(f, img, s, e);
    if (r == 0)
        r = flags_limits(f, s, e);
    if (r == 0)
        r = fill_container(f, s, e);
    if (r == 0)
        r = flags_policy(f, img, s, e);
    return r == 0 ? fill_keeping(f, s, e) : r;
}
