#include "cli/command.h"

#include <string.h>

/* A bash script made from the command and option tables. Names of boxes and images are asked
 * from the program when they are needed. */

static const char head[] =
    "# bash completion for a3s-box; load it with:  . <(a3s-box completion bash)\n"
    "_a3s_box_names() { a3s-box ps \"$@\" --format '{{.Names}}' 2>/dev/null; }\n"
    "_a3s_box_images() {\n"
    "    a3s-box images --format '{{.Repository}}:{{.Tag}}' 2>/dev/null | grep -v '<none>'\n"
    "}\n"
    "_a3s_box() {\n"
    "    local cur= cmd= args=0 skip=0 stop=0 valued= options= members= kind= i w n=0 words=()\n"
    "    COMPREPLY=()\n"
    "    for ((i = 0; i <= COMP_CWORD; i++)); do\n" /* bash cuts words at colons */
    "        w=${COMP_WORDS[i]}\n"
    "        if ((n > 1)) && [[ $w == :* || ${words[n-1]} == *: ]]; then\n"
    "            words[n-1]+=$w\n"
    "        else\n"
    "            words[n++]=$w\n"
    "        fi\n"
    "    done\n"
    "    cur=${words[n-1]}\n"
    "    for ((i = 1; i < n - 1; i++)); do\n"
    "        w=${words[i]}\n"
    "        if [ -z \"$cmd\" ]; then\n"
    "            cmd=$w\n"
    "            _a3s_box_command \"$cmd\"\n"
    "        elif [ \"$skip\" = 1 ]; then\n"
    "            skip=0\n"
    "        elif [[ $w == -* && $w != *=* && \" $valued \" == *\" $w \"* ]]; then\n"
    "            skip=1\n"
    "        elif [[ $w != -* && $kind == group ]]; then\n"
    "            cmd=\"$cmd $w\"\n"
    "            _a3s_box_command \"$cmd\"\n"
    "        elif [[ $w != -* ]]; then\n"
    "            args=$((args + 1))\n"
    "        fi\n"
    "    done\n";

static const char tail[] =
    "    if [ -z \"$cmd\" ]; then\n"
    "        COMPREPLY=($(compgen -W \"$_a3s_box_commands --help --version\" -- \"$cur\"))\n"
    "        return\n"
    "    fi\n"
    "    [ \"$args\" -eq 0 ] || [ \"$kind\" = box ] || [ \"$kind\" = image ] ||\n"
    "        [ \"$kind\" = object ] || kind=file\n"
    "    if [ \"$skip\" = 1 ]; then\n"
    "        COMPREPLY=($(compgen -f -- \"$cur\"))\n"
    "    elif [[ $cur == -* ]]; then\n"
    "        COMPREPLY=($(compgen -W \"$options --help\" -- \"$cur\"))\n"
    "    else\n"
    "        case $kind in\n"
    "        box | box1) COMPREPLY=($(compgen -W \"$(_a3s_box_names -a)\" -- \"$cur\")) ;;\n"
    "        running) COMPREPLY=($(compgen -W \"$(_a3s_box_names)\" -- \"$cur\")) ;;\n"
    "        image | image1)\n"
    "            COMPREPLY=($(compgen -W \"$(_a3s_box_images)\" -- \"$cur\")) ;;\n"
    "        object)\n"
    "            COMPREPLY=($(compgen -W \"$(_a3s_box_names -a; _a3s_box_images)\" -- \"$cur\")) "
    ";;\n"
    "        group) COMPREPLY=($(compgen -W \"$members\" -- \"$cur\")) ;;\n"
    "        command) COMPREPLY=($(compgen -W \"$_a3s_box_commands\" -- \"$cur\")) ;;\n"
    "        file) COMPREPLY=($(compgen -f -- \"$cur\")) ;;\n"
    "        esac\n"
    "    fi\n"
    "    w=${cur%\"${cur##*:}\"}\n" /* which is there already */
    "    [[ -z $w || $COMP_WORDBREAKS != *:* ]] || COMPREPLY=(\"${COMPREPLY[@]#\"$w\"}\")\n"
    "}\n"
    "complete -o nosort -F _a3s_box a3s-box\n";

static const char *kind_name(enum arg_kind kind)
{
    switch (kind) {
    case ARG_NONE:
        return "none";
    case ARG_BOX:
        return "box";
    case ARG_BOX1:
        return "box1";
    case ARG_RUNNING:
        return "running";
    case ARG_IMAGE:
        return "image";
    case ARG_IMAGE1:
        return "image1";
    case ARG_OBJECT:
        return "object";
    case ARG_FILE:
        return "file";
    case ARG_COMMAND:
        return "command";
    }
    return "none";
}

static void option_name(const struct opt *o, void *arg)
{
    FILE *out = arg;

    if (!o->hidden && o->key)
        fprintf(out, " -%c", o->key);
    if (!o->hidden)
        fprintf(out, " --%s", o->name);
}

static void valued_name(const struct opt *o, void *arg)
{
    if (o->arg)
        option_name(o, arg);
}

static void write_names(const struct command *const *list, FILE *out)
{
    for (size_t i = 0; list[i]; i++)
        if (!(list[i]->flags & CMD_HIDDEN))
            fprintf(out, "%s%s", i ? " " : "", cli_name(list, list[i]));
}

/* One case of _a3s_box_command: what is known about a command, or about a group. */
static void write_command(const char *group, const char *name, const struct command *c, FILE *out)
{
    fprintf(out, "    '%s%s%s')\n        kind=%s\n        options='", group, *group ? " " : "",
            name, c->sub ? "group" : kind_name(c->arg));
    if (c->opts)
        opt_each(c->opts, option_name, out);
    fputs("'\n        valued='", out);
    if (c->opts)
        opt_each(c->opts, valued_name, out);
    fputs("'\n        members='", out);
    if (c->sub)
        write_names(c->sub, out);
    fputs("' ;;\n", out);
}

static void write_commands(const char *group, const struct command *const *list, FILE *out)
{
    for (size_t i = 0; list[i]; i++) {
        write_command(group, cli_name(list, list[i]), list[i], out);
        if (list[i]->sub && !*group)
            write_commands(list[i]->name, list[i]->sub, out);
    }
}

static void write_bash(FILE *out)
{
    fputs("_a3s_box_commands='", out);
    write_names(cli_commands(), out);
    fputs("'\n_a3s_box_command() {\n    case $1 in\n", out);
    write_commands("", cli_commands(), out);
    fputs("    esac\n}\n", out);
    fputs(head, out);
    fputs(tail, out);
}

static int completion_run(struct cli *cli, const void *args UNUSED, int argc UNUSED, char **argv,
                          struct err *e)
{
    if (strcmp(argv[0], "bash") != 0)
        return err_set(e, ERR_UNSUPPORTED, "No completion for '%.32s': only for bash", argv[0]);
    write_bash(cli->out);
    return 0;
}

const struct command cmd_completion = {
    .name = "completion",
    .synopsis = "bash",
    .summary = "Print a script that completes command lines",
    .details = "Load it with:  . <(a3s-box completion bash)\n",
    .group = GROUP_SYSTEM,
    .flags = CMD_NO_HOME,
    .min_args = 1,
    .max_args = 1,
    .run = completion_run,
};
