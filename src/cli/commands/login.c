#include "cli/registry.h"

#include "cli/terminal.h"
#include "util/fd.h"
#include "util/str.h"

#include <string.h>

#define PASSWORD_MAX ((size_t)64 << 10)

struct login_args {
    const char *user, *password;
    bool password_stdin;
};

static const struct opt login_opts[] = {
    OPT_STR('p', "password", "TEXT", struct login_args, password,
            "Password or token (others can see it: better --password-stdin)"),
    OPT_FLAG(0, "password-stdin", struct login_args, password_stdin,
             "Take the password from stdin"),
    OPT_STR('u', "username", "NAME", struct login_args, user, "User name"),
    { .type = OPT_END },
};

static void wipe(struct str *s)
{
    if (s->p)
        explicit_bzero(s->p, s->cap);
    str_done(s);
}

/* What the registry program said last. */
struct outcome {
    char event[16];
    char *file; /* owned; where the password lies in clear */
};

static int on_event(void *ctx, const json_t *event, struct err *e)
{
    const char *name = json_string_value(json_object_get(event, "event"));
    const char *file = json_string_value(json_object_get(event, "file"));
    struct outcome *o = ctx;

    (void)snprintf(o->event, sizeof(o->event), "%s", name ? name : "");
    if (file && !o->file && !(o->file = strdup(file)))
        return err_os(e, "login");
    return 0;
}

/* ---- asking ---------------------------------------------------------- */

/* One line from the terminal, without its end. */
static int read_line(struct str *ret, struct err *e)
{
    for (;;) {
        char c;
        ssize_t n = read(0, &c, 1);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return err_os(e, "read the terminal");
        if (n == 0 && ret->len == 0)
            return err_set(e, ERR_CANCELED, "Nothing was entered");
        if (n == 0 || c == '\n')
            return 0;
        if (c != '\r' && !str_addc(ret, c))
            return err_set(e, ERR_LIMIT, "That is too long");
    }
}

static int ask_user(struct cli *cli, struct str *ret, struct err *e)
{
    int r;

    fprintf(cli->err, "Username: ");
    (void)fflush(cli->err); /* it is unbuffered, or the terminal has gone */
    r = read_line(ret, e);
    if (r == 0 && ret->len == 0)
        r = err_set(e, ERR_INVALID, "A user name is needed: none was entered");
    return r;
}

static int ask_password(struct cli *cli, struct str *ret, struct err *e)
{
    struct terminal *t;
    int r;

    r = terminal_no_echo(0, &t, e);
    if (r < 0)
        return r;
    fprintf(cli->err, "Password: ");
    (void)fflush(cli->err); /* as above */
    r = read_line(ret, e);
    terminal_restore(t);
    fprintf(cli->err, "\n");
    if (r == 0 && ret->len == 0)
        r = err_set(e, ERR_INVALID, "A password is needed: none was entered");
    return r;
}

static int get_password(struct cli *cli, const struct login_args *args, struct str *ret,
                        struct err *e)
{
    if (args->password) {
        fprintf(cli->err, "WARNING! Using --password via the CLI is insecure. Use "
                          "--password-stdin.\n");
        return str_adds(ret, args->password) ? 0
                                             : err_set(e, ERR_LIMIT, "The password is too long");
    }
    if (args->password_stdin)
        return fd_read_all(0, ret, e);
    return ask_password(cli, ret, e);
}

/* ---- the command ----------------------------------------------------- */

/* Whether those of before are still good. 1: they are. */
static int try_stored(struct cli *cli, const char *server, struct err *e)
{
    const char *words[] = { "login", server, NULL };
    struct outcome o = { .file = NULL };
    struct registry_job job = { .args = words, .event = on_event, .ctx = &o };
    int r;

    r = cli_registry(cli, &job, e);
    free(o.file);
    if (r < 0)
        return r;
    if (strcmp(o.event, "none") == 0)
        return 0;
    fprintf(cli->err, "Authenticating with existing credentials...\n");
    if (strcmp(o.event, "accepted") == 0)
        return 1;
    fprintf(cli->err, "Login did not succeed with them\n");
    return 0;
}

static int log_in(struct cli *cli, const char *server, const char *user,
                  const struct str *password, struct err *e)
{
    const char *words[] = { "login", server, user, NULL };
    struct outcome o = { .file = NULL };
    struct registry_job job = { .args = words,
                                .input = password->p,
                                .input_len = password->len,
                                .event = on_event,
                                .ctx = &o };
    int r;

    r = cli_registry(cli, &job, e);
    if (r == 0 && o.file)
        fprintf(cli->err,
                "WARNING! Your credentials are stored unencrypted in '%s'.\n"
                "Configure a credential helper (\"credsStore\" in that file) to change that\n",
                o.file);
    free(o.file);
    return r;
}

static int check_args(const struct login_args *args, struct err *e)
{
    if (args->password && args->password_stdin)
        return err_set(e, ERR_INVALID, "--password and --password-stdin are mutually exclusive");
    if (args->password_stdin && !args->user)
        return err_set(e, ERR_INVALID, "Must provide --username with --password-stdin");
    if (args->user && !*args->user)
        return err_set(e, ERR_INVALID, "The user name is empty");
    if (args->password && !*args->password)
        return err_set(e, ERR_INVALID, "The password is empty");
    return 0;
}

static int login_run(struct cli *cli, const void *own_args, int argc, char **argv, struct err *e)
{
    const char *server = argc ? argv[0] : "docker.io";
    const struct login_args *args = own_args;
    struct str password = STR_INIT(PASSWORD_MAX);
    autostr asked = STR_INIT(256);
    int r;

    r = check_args(args, e);
    if (r == 0 && !args->user && !args->password)
        r = try_stored(cli, server, e);
    if (r < 0)
        return r;
    if (r == 0) {
        if (!args->password_stdin && (!args->user || !args->password) && !isatty(0))
            return err_set(e, ERR_INVALID,
                           "Cannot perform an interactive login from a non TTY device");
        r = args->user ? 0 : ask_user(cli, &asked, e);
        if (r == 0)
            r = get_password(cli, args, &password, e);
        if (r == 0)
            r = log_in(cli, server, args->user ? args->user : str_c(&asked), &password, e);
        wipe(&password);
        if (r < 0)
            return r;
    }
    fprintf(cli->out, "Login Succeeded\n");
    return 0;
}

const struct command cmd_login = {
    .name = "login",
    .synopsis = "[OPTIONS] [SERVER]",
    .summary = "Log in to a registry (default: docker.io)",
    .details = "The credentials are tried at the registry, and stored when it takes them: in\n"
               "$DOCKER_CONFIG/config.json, else $A3S_HOME/auth/config.json, or with the\n"
               "credential helper (docker-credential-NAME) that this file names.\n",
    .group = GROUP_IMAGE,
    .audit = "registry_login",
    .max_args = 1,
    .opts = login_opts,
    .args_size = sizeof(struct login_args),
    .run = login_run,
};
