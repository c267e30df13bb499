#include "cli/pull.h"
#include "oci/ref.h"

struct pull_args {
    bool quiet;
    const char *platform, *verify_key, *verify_issuer, *verify_identity;
};

static const struct opt pull_opts[] = {
    OPT_STR(0, "platform", "OS/ARCH", struct pull_args, platform,
            "Which of several platforms (default: this machine's)"),
    OPT_FLAG('q', "quiet", struct pull_args, quiet, "Only print the reference"),
    OPT_STR(0, "verify-identity", "NAME", struct pull_args, verify_identity,
            "Who must have signed it without a key: e-mail or URI"),
    OPT_STR(0, "verify-issuer", "URL", struct pull_args, verify_issuer,
            "Who must have vouched for the signer"),
    OPT_STR(0, "verify-key", "FILE", struct pull_args, verify_key,
            "Public key it must be signed with (PEM)"),
    { .type = OPT_END },
};

static int pull_run(struct cli *cli, const void *own_args, int argc UNUSED, char **argv,
                    struct err *e)
{
    const struct pull_args *args = own_args;
    const struct pull_how how = { .platform = args->platform,
                                  .verify_key = args->verify_key,
                                  .verify_issuer = args->verify_issuer,
                                  .verify_identity = args->verify_identity,
                                  .quiet = args->quiet,
                                  .show_reference = true,
                                  .out = cli->out };
    struct ref ref;
    int r;

    r = ref_parse(argv[0], &ref, e);
    if (r < 0)
        return r;
    if (!args->quiet && !ref.has_tag && !ref.digest[0])
        fprintf(cli->out, "Using default tag: latest\n");
    return cli_pull(cli, argv[0], &how, e);
}

const struct command cmd_pull = {
    .name = "pull",
    .synopsis = "[OPTIONS] NAME[:TAG|@DIGEST]",
    .summary = "Download an image from a registry",
    .details = "What is interrupted is gone on with by the next pull of the image.\n"
               "\n"
               "$A3S_HOME/trust.json says which images need whose signature (cosign's formats);\n"
               "--verify-key and --verify-identity demand one on top, for this pull only.\n",
    .group = GROUP_IMAGE,
    .audit = "image_pull",
    .arg = ARG_IMAGE1,
    .min_args = 1,
    .max_args = 1,
    .opts = pull_opts,
    .args_size = sizeof(struct pull_args),
    .run = pull_run,
};
