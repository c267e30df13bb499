#include "guest/process.h"

#include "guest/rootfs.h"
#include "guest/sys.h"
#include "util/fs.h"
#include "util/own.h"

#include <fcntl.h>
#include <grp.h>
#include <limits.h>
#include <linux/capability.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>

#define DEFAULT_PATH "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
#define CAP_BIT(n)   (UINT64_C(1) << (n))

void process_fail(int status_fd, int status, const struct err *e)
{
    struct failure f = { .kind = e->kind, .status = (uint32_t)status };
    ssize_t n;

    (void)memcpy(f.text, e->text, sizeof(f.text));
    n = write(status_fd, &f, sizeof(f));
    _exit(n == sizeof(f) ? status : 125);
}

/* ---- environment ----------------------------------------------------- */

static const char *env_get(const struct strv *env, const char *name)
{
    size_t len = strlen(name);

    for (size_t i = 0; i < env->n; i++)
        if (strncmp(env->v[i], name, len) == 0 && env->v[i][len] == '=')
            return env->v[i] + len + 1;
    return NULL;
}

static int env_default(struct strv *env, const char *name, const char *value, struct err *e)
{
    autofree char *text = NULL;

    if (env_get(env, name))
        return 0;
    text = str_format("%s=%s", name, value);
    if (!text || !strv_add(env, text))
        return err_os(e, "environment");
    return 0;
}

/* In docker's order: PATH, HOSTNAME, TERM, what was given, HOME if it was not. */
static int env_make(const struct process *p, const struct user *u, struct strv *env,
                    struct err *e)
{
    const struct strv *given = &p->request->env;
    const char *path = env_get(given, "PATH"), *host = env_get(given, "HOSTNAME");
    const char *own = p->config->hostname ? p->config->hostname : "";
    int r = env_default(env, "PATH", path ? path : DEFAULT_PATH, e);

    if (r >= 0)
        r = env_default(env, "HOSTNAME", host ? host : own, e);
    if (r >= 0 && p->request->tty && !env_get(given, "TERM"))
        r = env_default(env, "TERM", "xterm", e);
    for (size_t i = 0; i < given->n && r >= 0; i++)
        if (strncmp(given->v[i], "PATH=", 5) != 0 && strncmp(given->v[i], "HOSTNAME=", 9) != 0)
            r = strv_add(env, given->v[i]) ? 0 : err_os(e, "environment");
    return r < 0 ? r : env_default(env, "HOME", u->home, e);
}

/* ---- the program ----------------------------------------------------- */

static int cannot_exec(const char *name, int os, int *ret_status, struct err *e)
{
    *ret_status = os == ENOENT || os == ENOTDIR ? 127 : 126;
    if (os == EACCES)
        return err_set(e, ERR_DENIED, "exec: \"%s\": permission denied", name);
    if (os == EISDIR)
        return err_set(e, ERR_DENIED, "exec: \"%s\": is a directory", name);
    if (os == ENOENT)
        return err_set(e, ERR_NOT_FOUND, "exec: \"%s\": stat %s: no such file or directory", name,
                       name);
    return err_os_at(e, os, "exec: \"%s\"", name);
}

static int check_program(const char *path)
{
    struct stat st;

    if (stat(path, &st) < 0)
        return errno;
    if (S_ISDIR(st.st_mode))
        return EISDIR;
    return faccessat(AT_FDCWD, path, X_OK, AT_EACCESS) < 0 ? errno : 0;
}

int process_lookup(const char *name, const struct strv *env, char **ret, int *ret_status,
                   struct err *e)
{
    const char *path = env_get(env, "PATH");
    bool denied = false;
    int os;

    if (strchr(name, '/')) {
        os = check_program(name);
        if (os)
            return cannot_exec(name, os, ret_status, e);
        *ret = strdup(name);
        *ret_status = 126;
        return *ret ? 0 : err_os(e, "exec");
    }
    for (const char *at = path ? path : DEFAULT_PATH, *end; *name && at; at = end) {
        autofree char *file = NULL;
        size_t len = strcspn(at, ":");

        end = at[len] ? at + len + 1 : NULL;
        file = str_format("%.*s%s%s", (int)len, at, len ? "/" : "./", name);
        *ret_status = 126;
        if (!file)
            return err_os(e, "exec");
        os = check_program(file);
        if (os == 0) {
            *ret = take_ptr(file);
            return 0;
        }
        denied = denied || os == EACCES;
    }
    *ret_status = denied ? 126 : 127;
    if (denied)
        return err_set(e, ERR_DENIED, "exec: \"%s\": permission denied", name);
    return err_set(e, ERR_NOT_FOUND, "exec: \"%s\": executable file not found in $PATH", name);
}

/* ---- identity and limits --------------------------------------------- */

int process_read_file(const char *path, size_t max, struct str *ret, struct err *e)
{
    autofd int fd = open(path, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    struct stat st;

    if (fd < 0 || fstat(fd, &st) < 0 || !S_ISREG(st.st_mode))
        return 0; /* as if it were not there */
    if ((uint64_t)st.st_size < max)
        max = (size_t)st.st_size;
    while (ret->len < max) {
        char *at = str_reserve(ret, max - ret->len);
        ssize_t n = at ? read(fd, at, max - ret->len) : -1;

        if (n < 0)
            return err_os(e, "read %s", path);
        if (n == 0)
            return 0;
        str_added(ret, (size_t)n);
    }
    return 0;
}

static int find_user(const struct exec_request *q, struct user *u, struct err *e)
{
    autostr passwd = STR_INIT(USER_FILE_MAX), group = STR_INIT(USER_FILE_MAX);
    struct user_files files;
    int r = process_read_file("/etc/passwd", USER_FILE_MAX, &passwd, e);

    if (r >= 0)
        r = process_read_file("/etc/group", USER_FILE_MAX, &group, e);
    if (r < 0)
        return r;
    files = (struct user_files){ .passwd = str_c(&passwd),
                                 .group = str_c(&group),
                                 .passwd_len = passwd.len,
                                 .group_len = group.len };
    return user_resolve(&files, q->user, &q->groups, u, e);
}

static int set_limits(const struct container_config *c, struct err *e)
{
    autofree char *oom = str_format("%lld", (long long)c->cgroup.oom_score_adj);

    for (size_t i = 0; i < c->rlimits.n; i++) {
        const struct rlimit_setting *l = TLV_AT(&c->rlimits, struct rlimit_setting, i);
        struct rlimit value = { .rlim_cur = l->soft, .rlim_max = l->hard };

        if (setrlimit((int)l->resource, &value) < 0)
            return err_os(e, "rlimit %u", (unsigned)l->resource);
    }
    if (!oom)
        return err_os(e, "oom_score_adj");
    return fs_write_kernel(AT_FDCWD, "/proc/self/oom_score_adj", oom, e);
}

static uint64_t caps_wanted(const struct process *p)
{
    return p->request->privileged ? UINT64_MAX : p->config->security.caps;
}

/* Leaves SYS_ADMIN where the seccomp filter will need it; execve() computes the rest from the
 * bounding set and the user. */
static int set_identity(const struct process *p, const struct user *u, bool keep_admin,
                        struct err *e)
{
    uint64_t want = caps_wanted(p), known = 0, now;

    for (int cap = 0; cap < 64; cap++) {
        int r = want & CAP_BIT(cap) ? prctl(PR_CAPBSET_READ, cap, 0, 0, 0)
                                    : prctl(PR_CAPBSET_DROP, cap, 0, 0, 0);

        if (r < 0 && errno == EINVAL)
            break; /* beyond the last one that this kernel knows */
        if (r < 0)
            return err_os(e, "drop capability %d", cap);
        known |= CAP_BIT(cap);
    }
    if (prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0) < 0 || setgroups(u->groups_n, u->groups) < 0 ||
        setresgid(u->gid, u->gid, u->gid) < 0 || setresuid(u->uid, u->uid, u->uid) < 0)
        return err_os(e, "become user %u:%u", u->uid, u->gid);
    now = (u->uid == 0 ? want & known : 0) | (keep_admin ? CAP_BIT(CAP_SYS_ADMIN) : 0);
    if (sys_capset(now, now) < 0)
        return err_os(e, "capabilities");
    return 0;
}

static int set_seccomp(const struct security *s, struct err *e)
{
    size_t count = s->seccomp.len / 8;

    if (s->seccomp.len % 8 || count > 4096)
        return err_set(e, ERR_INVALID, "seccomp filter of %zu bytes", s->seccomp.len);
    if (sys_seccomp_filter(s->seccomp.p, (uint16_t)count) < 0)
        return err_os(e, "seccomp filter");
    return 0;
}

/* ---- descriptors and terminal ---------------------------------------- */

/* 0 to 2 as asked for, the status at 3, our own program at 4 and nothing else: an open directory
 * of the guest would be a way out (working directory /proc/self/fd/N). */
static int place_fds(struct process *p, struct err *e)
{
    int from[5] = { p->stdio[0], p->stdio[1], p->stdio[2], p->status_fd, p->init_fd };

    for (int i = 0; i < 5; i++) {
        if (from[i] < 0)
            continue;
        from[i] = fcntl(from[i], F_DUPFD_CLOEXEC, 5);
        if (from[i] < 0)
            return err_os(e, "descriptor %d", i);
    }
    for (int i = 0; i < 5; i++) {
        if (from[i] < 0)
            (void)close(i);
        else if (dup3(from[i], i, i > 2 ? O_CLOEXEC : 0) < 0)
            return err_os(e, "descriptor %d", i);
    }
    p->status_fd = 3;
    p->init_fd = from[4] < 0 ? -1 : 4;
    return sys_close_from(5) < 0 ? err_os(e, "close descriptors") : 0;
}

/* So that a user can open /dev/stdout again; without it only that does not work. */
static void own_stdio(const struct process *p, const struct user *u)
{
    struct stat st;

    for (int fd = 0; fd < 3; fd++)
        if (fstat(fd, &st) == 0 && (S_ISFIFO(st.st_mode) || p->request->tty) &&
            fchown(fd, u->uid, (gid_t)-1) < 0)
            return;
}

static int set_session(const struct process *p, struct err *e)
{
    if (setsid() < 0 && getpid() != 1)
        return err_os(e, "setsid");
    if (p->request->tty && ioctl(0, TIOCSCTTY, 0) < 0)
        return err_os(e, "controlling terminal");
    return 0;
}

/* Docker shows the terminal of the main process as /dev/console, too. */
static int bind_console(const struct process *p, struct err *e)
{
    char tty[64];
    int fd;

    if (!p->request->main || !p->request->tty || ttyname_r(0, tty, sizeof(tty)) != 0)
        return 0;
    fd = open("/dev/console", O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOCTTY, 0600);
    if (fd < 0)
        return err_os(e, "/dev/console");
    (void)close(fd);
    return mount(tty, "/dev/console", NULL, MS_BIND, NULL) < 0 ? err_os(e, "/dev/console") : 0;
}

static int make_dirs(const char *path, struct err *e)
{
    autofree char *copy = strdup(path);

    if (!copy)
        return err_os(e, "working directory");
    for (char *p = copy + 1;; p++) {
        char was = *p;

        if (was != '/' && was != '\0')
            continue;
        *p = '\0';
        if (mkdir(copy, 0755) < 0 && errno != EEXIST && errno != EROFS)
            return err_os(e, "mkdir %s", copy);
        if (was == '\0')
            return 0;
        *p = '/';
    }
}

static int enter_cwd(const char *cwd, int *ret_status, struct err *e)
{
    char now[PATH_MAX];

    if (chdir(cwd) == 0 && getcwd(now, sizeof(now)) && now[0] == '/')
        return 0;
    *ret_status = errno == ENOENT || errno == ENOTDIR ? 127 : errno == EACCES ? 126 : 125;
    return err_os(e, "chdir to cwd (\"%s\") failed", cwd);
}

/* PID 1 of the machine changed these and no others. */
static void reset_signals(void)
{
    sigset_t none;

    (void)signal(SIGPIPE, SIG_DFL);
    (void)sigemptyset(&none);
    (void)sigprocmask(SIG_SETMASK, &none, NULL);
}

/* ---- everything in order --------------------------------------------- */

/* Runs `path`, or with --init our reaper, which runs it. Returns only on failure. */
static int run_program(const struct process *p, const char *path, char *const *env)
{
    struct strv argv = { 0 };

    if (p->init_fd < 0)
        return execve(path, p->request->argv.v, env);
    if (!strv_add(&argv, "/sbin/docker-init") || !strv_add(&argv, "--"))
        return -1;
    for (size_t i = 0; i < p->request->argv.n; i++)
        if (!strv_add(&argv, p->request->argv.v[i]))
            return -1;
    return sys_execveat(p->init_fd, argv.v, env);
}

static int prepare(const struct process *p, struct user *u, struct strv *env, int *ret_status,
                   struct err *e)
{
    const struct exec_request *q = p->request;
    const char *cwd = q->cwd && *q->cwd ? q->cwd : "/";
    int r;

    if (q->main && cwd[0] == '/' && make_dirs(cwd, e) < 0)
        return -1;
    if ((r = find_user(q, u, e)) < 0 || (r = env_make(p, u, env, e)) < 0 ||
        (r = set_session(p, e)) < 0 || (r = bind_console(p, e)) < 0)
        return r;
    own_stdio(p, u);
    r = q->main ? rootfs_seal(p->config, e) : 0;
    if (r >= 0)
        r = set_limits(p->config, e);
    return r < 0 ? r : enter_cwd(cwd, ret_status, e);
}

void process_exec(struct process *p)
{
    const struct security *s = &p->config->security;
    bool filter = s->seccomp.len && !p->request->privileged;
    bool nnp = s->no_new_privs;
    struct strv env = { 0 };
    struct user user = { 0 };
    char *path = NULL;
    int status = 125;
    struct err e;

    if (p->request->argv.n == 0)
        (void)err_set(&e, ERR_INVALID, "no command");
    else if (place_fds(p, &e) >= 0 && prepare(p, &user, &env, &status, &e) >= 0 &&
             set_identity(p, &user, filter && !nnp, &e) >= 0 &&
             process_lookup(p->request->argv.v[0], &env, &path, &status, &e) >= 0) {
        status = 125;
        reset_signals();
        if (nnp && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
            (void)err_os(&e, "no_new_privs");
        else if (!filter || set_seccomp(s, &e) >= 0) {
            (void)run_program(p, path, env.v);
            status = errno == ENOENT ? 127 : 126;
            (void)err_os(&e, "exec %s", path);
        }
    }
    process_fail(p->status_fd, status, &e);
}
