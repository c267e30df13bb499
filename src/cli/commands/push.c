#include "cli/registry.h"

#include "cli/progress.h"
#include "cli/terminal.h"
#include "oci/event.h"
#include "oci/ref.h"
#include "util/log.h"
#include "util/time.h"

#include <string.h>
#include <unistd.h>

struct push_args {
    bool quiet;
    const char *sign_key;
};

static const struct opt push_opts[] = {
    OPT_FLAG('q', "quiet", struct push_args, quiet, "Print only the reference"),
    OPT_STR(0, "sign-key", "FILE", struct push_args, sign_key,
            "Sign the image with this private key, as cosign does"),
    { .type = OPT_END },
};

struct push_view {
    struct cli *cli;
    bool quiet;
    struct progress *progress;
};

static const char *text(const json_t *event, const char *name)
{
    const char *s = json_string_value(json_object_get(event, name));

    return s ? s : "";
}

static void show_layer(const struct push_view *v, const json_t *event)
{
    uint16_t cols = 80, rows = 24;

    progress_event(v->progress, event, time_mono_ns());
    (void)terminal_size(fileno(v->cli->out), &cols, &rows);
    progress_draw(v->progress, cols, rows);
}

static int on_event(void *ctx, const json_t *event, struct err *e UNUSED)
{
    const char *name = text(event, "event");
    const struct push_view *v = ctx;
    FILE *out = v->cli->out;

    if (strcmp(name, "done") == 0 && v->quiet)
        fprintf(out, "%s\n", text(event, "reference"));
    if (v->quiet)
        return 0;
    if (strcmp(name, "pushing") == 0)
        fprintf(out, "The push refers to repository [%s]\n", text(event, "repository"));
    else if (strcmp(name, "layer") == 0)
        show_layer(v, event);
    else if (strcmp(name, "signed") == 0)
        fprintf(out, "%s: %s\n", text(event, "tag"),
                json_is_true(json_object_get(event, "new")) ? "Signed"
                                                            : "Signature already exists");
    else if (strcmp(name, "done") == 0)
        fprintf(out, "%s: digest: %s size: %lld\n", text(event, "tag"), text(event, "digest"),
                (long long)json_integer_value(json_object_get(event, "size")));
    if (strcmp(name, "done") != 0)
        (void)fflush(out); /* whether it worked is seen at the end */
    return 0;
}

static void tell_pushed(struct cli *cli, const struct ref *ref)
{
    char full[REF_TEXT_MAX];
    autoptr(db) db = NULL;
    struct err e;
    int r = db_open(cli->home, &db, &e);

    ref_full(ref, full);
    if (r == 0)
        r = image_event(db, "push", "", full, &e);
    if (r < 0)
        log_warn("event 'push': %s", e.text);
}

static int push_run(struct cli *cli, const void *own_args, int argc UNUSED, char **argv,
                    struct err *e)
{
    const struct push_args *args = own_args;
    const char *plain[] = { "push", argv[0], NULL };
    const char *with_key[] = { "push", "--sign-key", args->sign_key, argv[0], NULL };
    struct push_view view = { .cli = cli, .quiet = args->quiet };
    struct registry_job job = { .args = args->sign_key ? with_key : plain,
                                .event = on_event,
                                .ctx = &view };
    struct progress_options shown = { .out = cli->out, .bars = isatty(fileno(cli->out)) };
    struct ref ref;
    int r;

    r = ref_parse(argv[0], &ref, e);
    if (r == 0)
        r = progress_new(&shown, &view.progress, e);
    if (r == 0)
        r = cli_registry(cli, &job, e);
    progress_free(view.progress);
    if (r >= 0)
        tell_pushed(cli, &ref);
    return r;
}

const struct command cmd_push = {
    .name = "push",
    .synopsis = "[OPTIONS] NAME[:TAG]",
    .summary = "Upload an image to a registry",
    .details = "Layers that the registry has already are not sent again. What is pushed are the\n"
               "bytes that were pulled or loaded: the digests stay the same.\n"
               "\n"
               "--sign-key takes a PEM private key (EC, Ed25519, RSA) or one that cosign\n"
               "encrypted; its password comes from COSIGN_PASSWORD, or the terminal. Nothing is\n"
               "sent to a transparency log: verify with\n"
               "cosign verify --key --insecure-ignore-tlog.\n",
    .group = GROUP_IMAGE,
    .audit = "image_push",
    .arg = ARG_IMAGE1,
    .min_args = 1,
    .max_args = 1,
    .opts = push_opts,
    .args_size = sizeof(struct push_args),
    .run = push_run,
};
