/* Option tables and the command table. */
#include "cli/command.h"

#include <stdio.h>

#include "unit.h"

struct inner {
    bool deep;
    struct str_list tags;
};

struct args {
    bool all, interactive, tty;
    int n;
    int64_t quota;
    uint64_t size, wait_ns;
    const char *name;
    struct str_list env;
    struct inner in;
};

static const struct opt inner_opts[] = {
    OPT_FLAG('D', "deep", struct inner, deep, "Deep"),
    OPT_LIST('g', "tag", "TAG", struct inner, tags, "Tag"),
    { .type = OPT_END },
};

static const struct opt opts[] = {
    OPT_FLAG('a', "all", struct args, all, "All"),
    OPT_FLAG('i', "interactive", struct args, interactive, "Interactive"),
    OPT_FLAG('t', "tty", struct args, tty,
             "A text that is so long that it does not fit "
             "into one line of eighty columns"),
    OPT_INT('n', "last", "N", struct args, n, "Last", .min = -1, .max = 100),
    OPT_I64(0, "quota", "US", struct args, quota, "Quota"),
    OPT_SIZE('m', "memory", "SIZE", struct args, size, "Memory", .unit = 1 << 20),
    OPT_DURATION(0, "timeout", "TIME", struct args, wait_ns, "Wait", .alias = "time"),
    OPT_STR(0, "name", "NAME", struct args, name, "Name"),
    OPT_STR(0, "secret", "NAME", struct args, name, "Hidden", .hidden = true),
    OPT_LIST('e', "env", "K=V", struct args, env, "Environment"),
    OPT_TABLE(inner_opts, struct args, in),
    { .type = OPT_END },
};

static struct args args;
static char *argv[300];
static struct err e;

/* Parse words separated by blanks; the first is the command's name. */
static int parse(enum opt_order order, const char *line)
{
    static char text[4096];
    size_t n = 0;

    opt_done(opts, &args);
    args = (struct args){ .n = 7 };
    (void)snprintf(text, sizeof(text), "%s", line);
    for (char *p = text; p; n++) {
        argv[n] = p;
        p = strchr(p, ' ');
        if (p)
            *p++ = '\0';
    }
    argv[n] = NULL;
    return opt_parse(opts, order, &args, argv, &e);
}

static void test_forms(void **state UNUSED)
{
    assert_int_equal(parse(OPT_ANYWHERE, "x -ait --name web one -n5 two --last=6 -n=8"), 2);
    assert_true(args.all && args.interactive && args.tty);
    assert_string_equal(args.name, "web");
    assert_int_equal(args.n, 8);
    assert_string_equal(argv[0], "one");
    assert_string_equal(argv[1], "two");
    assert_null(argv[2]);

    assert_int_equal(parse(OPT_ANYWHERE, "x -e A=1 -eB=2 --env C=3 --env=D=4 -ae E"), 0);
    assert_int_equal(args.env.n, 5);
    assert_string_equal(args.env.v[1], "B=2");
    assert_string_equal(args.env.v[3], "D=4");
    assert_string_equal(args.env.v[4], "E");

    assert_int_equal(parse(OPT_ANYWHERE, "x --name= -e= -"), 1);
    assert_string_equal(args.name, "");
    assert_string_equal(args.env.v[0], "="); /* as pflag: "-e=" has no value behind its sign */
}

static void test_flags(void **state UNUSED)
{
    assert_int_equal(parse(OPT_ANYWHERE, "x --all=false --tty=1 -i=true"), 0);
    assert_false(args.all);
    assert_true(args.tty && args.interactive);
    assert_int_equal(parse(OPT_ANYWHERE, "x -a -a=F"), 0);
    assert_false(args.all);
    assert_int_equal(parse(OPT_ANYWHERE, "x --all=maybe"), -ERR_USAGE);
    assert_string_equal(e.text,
                        "invalid argument \"maybe\" for \"-a, --all\" flag: not true or false");
}

static void test_numbers(void **state UNUSED)
{
    assert_int_equal(parse(OPT_ANYWHERE, "x -m 512 --timeout 1m30s --quota -1"), 0);
    assert_int_equal(args.size, (uint64_t)512 << 20);
    assert_int_equal(args.wait_ns, UINT64_C(90000000000));
    assert_int_equal(args.quota, -1);
    assert_int_equal(parse(OPT_ANYWHERE, "x -m 2g --time 5"), 0);
    assert_int_equal(args.size, (uint64_t)2 << 30);
    assert_int_equal(args.wait_ns, UINT64_C(5000000000));

    assert_int_equal(parse(OPT_ANYWHERE, "x -n 101"), -ERR_USAGE);
    assert_int_equal(parse(OPT_ANYWHERE, "x -n -2"), -ERR_USAGE);
    assert_int_equal(parse(OPT_ANYWHERE, "x -n 1x"), -ERR_USAGE);
    assert_int_equal(parse(OPT_ANYWHERE, "x -n ''"), -ERR_USAGE);
    assert_int_equal(parse(OPT_ANYWHERE, "x -m lots"), -ERR_USAGE);
    assert_int_equal(parse(OPT_ANYWHERE, "x --timeout 1y"), -ERR_USAGE);
    assert_int_equal(args.n, 7);
}

static void test_errors(void **state UNUSED)
{
    assert_int_equal(parse(OPT_ANYWHERE, "x --nope"), -ERR_USAGE);
    assert_string_equal(e.text, "unknown flag: --nope");
    assert_int_equal(parse(OPT_ANYWHERE, "x -az"), -ERR_USAGE);
    assert_string_equal(e.text, "unknown shorthand flag: 'z' in -az");
    assert_int_equal(parse(OPT_ANYWHERE, "x --name"), -ERR_USAGE);
    assert_string_equal(e.text, "flag needs an argument: --name");
    assert_int_equal(parse(OPT_ANYWHERE, "x -ae"), -ERR_USAGE);
    assert_string_equal(e.text, "flag needs an argument: 'e' in -ae");
    assert_int_equal(parse(OPT_ANYWHERE, "x --=x"), -ERR_USAGE);
    assert_int_equal(parse(OPT_ANYWHERE, "x --help"), OPT_WANTS_HELP);
    assert_int_equal(parse(OPT_ANYWHERE, "x -ah"), OPT_WANTS_HELP);
}

static void test_order(void **state UNUSED)
{
    assert_int_equal(parse(OPT_BEFORE_FIRST, "run -a image ls -a --help"), 4);
    assert_string_equal(argv[0], "image");
    assert_string_equal(argv[2], "-a");
    assert_int_equal(parse(OPT_BEFORE_FIRST, "run image -- ls -- -a"), 4);
    assert_string_equal(argv[1], "ls");
    assert_string_equal(argv[2], "--");
    assert_int_equal(parse(OPT_BEFORE_FIRST, "run -a -- image -- ls"), 2);
    assert_string_equal(argv[1], "ls");
    assert_int_equal(parse(OPT_BEFORE_FIRST, "run image --"), 1);
    assert_int_equal(parse(OPT_BEFORE_FIRST, "run --"), 0);
    assert_int_equal(parse(OPT_ANYWHERE, "rm -a -- -a --all"), 2);
    assert_string_equal(argv[0], "-a");
}

static void test_tables(void **state UNUSED)
{
    assert_int_equal(parse(OPT_ANYWHERE, "x --deep -g one -gtwo --all"), 0);
    assert_true(args.in.deep && args.all);
    assert_int_equal(args.in.tags.n, 2);
    assert_string_equal(args.in.tags.v[1], "two");
    assert_true(opt_has_key(opts, 'D'));
    assert_false(opt_has_key(opts, 'h'));
}

static void test_many(void **state UNUSED)
{
    static char line[4000] = "x";

    for (int i = 0; i < 200; i++)
        (void)snprintf(line + strlen(line), sizeof(line) - strlen(line), " -e%d=v", i);
    assert_int_equal(parse(OPT_ANYWHERE, line), 0);
    assert_int_equal(args.env.n, 200);
    assert_string_equal(args.env.v[199], "199=v");
}

static void test_help(void **state UNUSED)
{
    char *text = NULL;
    size_t len = 0;
    FILE *out = open_memstream(&text, &len);

    assert_non_null(out);
    opt_help(opts, out);
    assert_int_equal(fclose(out), 0);
    assert_non_null(strstr(text, "  -t, --tty           A text that is so long that it does not "
                                 "fit into one line\n"
                                 "                      of eighty columns\n"));
    assert_non_null(strstr(text, "      --name NAME     Name\n"));
    assert_null(strstr(text, "secret"));
    assert_null(strstr(text, "--time "));
    free(text);
}

/* ---- the real commands: what would be a bug in a table ---- */

struct seen {
    const char *command;
    const struct opt *all[256];
    size_t n;
};

static void check_row(const struct opt *o, void *arg)
{
    struct seen *s = arg;

    if (!o->name || !o->help)
        fail_msg("%s: an option without name or help", s->command);
    if (!strcmp(o->name, "help"))
        fail_msg("%s: --help is everybody's", s->command);
    if ((o->arg == NULL) != (o->type == OPT_TYPE_FLAG))
        fail_msg("%s --%s: only flags have no argument", s->command, o->name);
    if (o->help[strlen(o->help) - 1] == '.' || (o->help[0] >= 'a' && o->help[0] <= 'z'))
        if (!o->hidden && strncmp(o->help, "json", 4) != 0 && strncmp(o->help, "table", 5) != 0)
            if (o->help[strlen(o->help) - 1] == '.')
                fail_msg("%s --%s: full stop in help", s->command, o->name);
    for (size_t i = 0; i < s->n; i++) {
        const struct opt *other = s->all[i];

        if (o->key && o->key == other->key)
            fail_msg("%s: -%c twice", s->command, o->key);
        if (!strcmp(o->name, other->name) || (o->alias && !strcmp(o->alias, other->name)))
            fail_msg("%s: --%s twice", s->command, o->name);
    }
    assert_true(s->n < ARRAY_LEN(s->all));
    s->all[s->n++] = o;
}

static void check_command(const struct command *c)
{
    struct seen s = { .command = c->name };

    assert_non_null(c->summary);
    if (c->summary[strlen(c->summary) - 1] == '.' || strlen(c->summary) > 62)
        fail_msg("%s: summary ends with a full stop or is too long", c->name);
    if ((c->run == NULL) == (c->sub == NULL))
        fail_msg("%s: needs either run or sub", c->name);
    assert_true(c->min_args <= c->max_args);
    assert_true(c->args_size <= 8192);
    if (c->opts)
        opt_each(c->opts, check_row, &s);
}

static void test_commands(void **state UNUSED)
{
    const char *last = "";

    for (const struct command *const *c = cli_commands(); *c; c++) {
        check_command(*c);
        if (strcmp(last, (*c)->name) >= 0)
            fail_msg("%s stands behind %s in commands.def", (*c)->name, last);
        last = (*c)->name;
        for (const struct command *const *s = (*c)->sub; s && *s; s++)
            check_command(*s);
    }
    assert_ptr_equal(cli_find(cli_commands(), "ps")->name, cli_find(cli_commands(), "ps")->name);
    assert_null(cli_find(cli_commands(), "pss"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_forms),    cmocka_unit_test(test_flags),
        cmocka_unit_test(test_numbers),  cmocka_unit_test(test_errors),
        cmocka_unit_test(test_order),    cmocka_unit_test(test_tables),
        cmocka_unit_test(test_many),     cmocka_unit_test(test_help),
        cmocka_unit_test(test_commands),
    };
    int r = cmocka_run_group_tests(tests, NULL, NULL);

    opt_done(opts, &args);
    return r;
}
