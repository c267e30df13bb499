/* a3s-box-registry: talks to registries, and is the only program that does. It has the network
 * and the credentials, and never looks into layers. Started by a3s-box, not by people. */
#include "registry/registry.h"

#include "util/log.h"

#include <signal.h>
#include <string.h>
#include <sys/resource.h>

static const struct verb {
    const char *name, *synopsis;
    int (*run)(int argc, char **argv, struct err *e);
} verbs[] = {
    { "login", "SERVER [USER]", verb_login },
    { "logout", "SERVER", verb_logout },
    { "pull",
      "[--platform OS/ARCH] [--verify-key FILE] [--verify-issuer URL] [--verify-identity NAME]"
      " REFERENCE",
      verb_pull },
    { "push", "[--sign-key FILE] REFERENCE", verb_push },
    { NULL, NULL, NULL },
};

static int usage(struct err *e)
{
    (void)fprintf(stderr, "Usage: a3s-box-registry COMMAND\n\n");
    for (const struct verb *v = verbs; v->name; v++)
        (void)fprintf(stderr, "  %s %s\n", v->name, v->synopsis);
    return err_set(e, ERR_USAGE, "a3s-box-registry is started by a3s-box");
}

static int run(int argc, char **argv, struct err *e)
{
    for (const struct verb *v = verbs; argc > 1 && v->name; v++)
        if (strcmp(argv[1], v->name) == 0)
            return v->run(argc - 2, argv + 2, e);
    return usage(e);
}

int main(int argc, char **argv)
{
    struct err e = { 0 };
    int r;

    log_init("a3s-box-registry");
    (void)setrlimit(RLIMIT_CORE, &(struct rlimit){ 0 }); /* there would be passwords in it */
    (void)signal(SIGPIPE, SIG_IGN); /* a dead peer is an error of write(), not our end */
    r = run(argc, argv, &e);
    if (r >= 0)
        return r;
    err_print(&e, stderr);
    return err_exit_status(&e);
}
