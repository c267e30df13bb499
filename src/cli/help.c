#include "cli/command.h"

#include <string.h>

static const char *const group_titles[GROUP_N] = {
    [GROUP_LIFECYCLE] = "Box life cycle",
    [GROUP_INSIDE] = "Inside a box",
    [GROUP_LOOK] = "Look at boxes",
    [GROUP_IMAGE] = "Images",
    [GROUP_SYSTEM] = "System",
    [GROUP_DOCKER] = "The same, in docker's groups",
};

/* Of the longest name, so that all groups have one column. */
static int name_width(const struct command *const *list)
{
    size_t width = 0, len;

    for (size_t i = 0; list[i]; i++)
        if (!(list[i]->flags & CMD_HIDDEN) && (len = strlen(cli_name(list, list[i]))) > width)
            width = len;
    return (int)width;
}

static void list_group(const struct command *const *list, int group, FILE *out)
{
    bool titled = false;

    for (size_t i = 0; list[i]; i++) {
        const struct command *c = list[i];

        if ((group >= 0 && (int)c->group != group) || (c->flags & CMD_HIDDEN))
            continue;
        if (!titled)
            fprintf(out, "\n%s:\n", group >= 0 ? group_titles[group] : "Commands");
        titled = true;
        fprintf(out, "  %-*s  %s\n", name_width(list), cli_name(list, c), c->summary);
    }
}

void cli_help_all(FILE *out)
{
    fputs("Usage:  a3s-box COMMAND [OPTIONS] [ARGUMENTS]\n\n"
          "Run any OCI image in its own microVM\n",
          out);
    for (int g = 0; g < GROUP_N; g++)
        list_group(cli_commands(), g, out);
    fputs("\nOptions:\n"
          "  -h, --help     Print this help\n"
          "  -v, --version  Print the version\n"
          "\nRun 'a3s-box COMMAND --help' for more information on a command.\n",
          out);
}

void cli_help(const struct command *c, const char *path, FILE *out)
{
    static const struct opt help_short[] = {
        { .type = OPT_TYPE_FLAG, .key = 'h', .name = "help", .help = "Print this help" },
        { .type = OPT_END },
    };
    static const struct opt none[] = { { .type = OPT_END } };
    static const struct opt help_long[] = {
        { .type = OPT_TYPE_FLAG, .name = "help", .help = "Print this help" },
        { .type = OPT_END },
    };
    const struct opt *opts = c->opts ? c->opts : none;
    const struct opt all[] = {
        { .type = OPT_TYPE_TABLE, .table = opts },
        { .type = OPT_TYPE_TABLE, .table = opt_has_key(opts, 'h') ? help_long : help_short },
        { .type = OPT_END },
    };

    fprintf(out, "Usage:  %s%s%s\n\n%s\n", path, c->sub || c->synopsis ? " " : "",
            c->sub        ? "COMMAND"
            : c->synopsis ? c->synopsis
                          : "",
            c->summary);
    if (c->sub)
        list_group(c->sub, -1, out);
    fputs("\nOptions:\n", out);
    opt_help(all, out);
    if (c->details)
        fprintf(out, "\n%s", c->details);
}
