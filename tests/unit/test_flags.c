#include "cli/flags_box.h"

#include "box/box.h"
#include "util/fs.h"

#include "unit.h"

#include <fcntl.h>

static char dir[] = "/tmp/a3s-unit-flags-XXXXXX";

static const char *healthcheck; /* of the image, JSON */

static struct image *image(void)
{
    static char path[] = "PATH=/img", a[] = "A=image", b[] = "B=image", entry[] = "/entry",
                word[] = "default", id[] = "sha256:0", chain[] = "0", arch[] = "", os[] = "linux",
                cwd[] = "/srv", user[] = "daemon", sig[] = "SIGQUIT";
    static char *env[] = { path, a, b, NULL }, *entrypoint[] = { entry, NULL },
                *cmd[] = { word, NULL };
    static struct image img;

    img = (struct image){ .id = id,
                          .chain_id = chain,
                          .architecture = arch,
                          .os = os,
                          .env = env,
                          .entrypoint = entrypoint,
                          .cmd = cmd,
                          .working_dir = cwd,
                          .user = user,
                          .stop_signal = sig,
                          .healthcheck = healthcheck ? json_loads(healthcheck, 0, NULL) : NULL,
                          .labels = json_pack("{s:s, s:s}", "a", "image", "b", "image") };
    return &img;
}

/* Parse flags, fill, check. `words` ends with NULL; the first word is the program's. Returns what
 * failed first; the caller calls box_spec_done(). */
static int fill(const char *const *words, char *const *command, struct box_spec *ret,
                struct err *e)
{
    struct box_flags f = BOX_FLAGS_DEFAULTS;
    struct image *img = image();
    char *argv[32];
    int n = 0, r;

    while (words[n]) {
        argv[n] = (char *)(uintptr_t)words[n]; /* only moved around */
        n++;
    }
    argv[n] = NULL;
    *ret = (struct box_spec){ 0 };
    r = opt_parse(box_flag_rows, OPT_BEFORE_FIRST, &f, argv, e);
    if (r >= 0)
        r = box_flags_refuse(&f, e);
    if (r >= 0)
        r = box_flags_fill(&f, "img", img, command, ret, e);
    if (r >= 0)
        r = box_spec_check(ret, e);
    opt_done(box_flag_rows, &f);
    json_decref(img->labels);
    json_decref(img->healthcheck);
    return r;
}

#define WORDS(...) ((const char *const[]){ "run", __VA_ARGS__, NULL })
#define NO_CMD     ((char *const[]){ NULL })

static struct box_spec good(const char *const *words, char *const *command)
{
    struct box_spec s;
    struct err e = { 0 };

    if (fill(words, command, &s, &e) < 0)
        fail_msg("%s", e.text);
    return s;
}

static void bad(const char *flag, const char *value, const char *text)
{
    struct box_spec s;
    struct err e = { 0 };

    assert_true(fill(WORDS(flag, value), NO_CMD, &s, &e) < 0);
    if (!strstr(e.text, text))
        fail_msg("%s %s: \"%s\" is not in \"%s\"", flag, value, text, e.text);
    box_spec_done(&s);
}

static void the_image_fills_what_flags_do_not_say(void **state UNUSED)
{
    struct box_spec s = good((const char *const[]){ "run", NULL }, NO_CMD);

    assert_string_equal(s.entrypoint.v[0], "/entry");
    assert_string_equal(s.cmd.v[0], "default");
    assert_string_equal(s.cwd, "/srv");
    assert_string_equal(s.user, "daemon");
    assert_int_equal(s.stop_signal, 3);
    assert_int_equal(s.stop_timeout_s, 10);
    assert_int_equal(s.cpus, 2);
    assert_true(s.memory_bytes == UINT64_C(512) << 20);
    assert_string_equal(s.log_driver, "json-file");
    assert_int_equal(s.env.n, 3);
    box_spec_done(&s);
}

static void command_and_entrypoint_merge_as_dockers(void **state UNUSED)
{
    char one[] = "one", *const cmd[] = { one, NULL };
    struct box_spec s = good((const char *const[]){ "run", NULL }, cmd), t;
    struct err e;

    assert_string_equal(s.entrypoint.v[0], "/entry");
    assert_string_equal(s.cmd.v[0], "one");
    box_spec_done(&s);
    s = good(WORDS("--entrypoint", "/mine"), NO_CMD); /* drops the image's command */
    assert_string_equal(s.entrypoint.v[0], "/mine");
    assert_int_equal(s.cmd.n, 0);
    box_spec_done(&s);
    s = good(WORDS("--entrypoint", ""), cmd);
    assert_int_equal(s.entrypoint.n, 0);
    assert_string_equal(s.cmd.v[0], "one");
    box_spec_done(&s);
    assert_int_equal(fill(WORDS("--entrypoint="), NO_CMD, &t, &e), -ERR_INVALID);
    assert_string_equal(e.text, "no command specified");
    box_spec_done(&t);
}

static void variables_come_from_flags_files_and_the_host(void **state UNUSED)
{
    autofree char *path = str_format("%s/env", dir);
    static const char text[] =
        "\xef\xbb\xbf# comment\n\n  B=file\nC=c=\"x\" \r\nHOSTS\nNOT_SET\nA=file";
    struct box_spec s;
    struct err e = { 0 };
    struct box box = { .id = "0123456789abcdef" };
    struct strv env = { 0 };

    assert_int_equal(fs_write_file(AT_FDCWD, path, text, sizeof(text) - 1, 0600, &e), 0);
    assert_int_equal(setenv("HOSTS", "from host", 1) | unsetenv("NOT_SET") | unsetenv("B"), 0);
    s = good(WORDS("--env-file", path, "-e", "A=1", "-e", "A=2", "-e", "B", "-e", "NEW=\n"),
             NO_CMD);
    assert_int_equal(s.env.n, 5);
    assert_string_equal(s.env.v[0], "C=c=\"x\" ");
    assert_string_equal(s.env.v[1], "HOSTS=from host");
    assert_string_equal(s.env.v[2], "A=2");
    assert_string_equal(s.env.v[3], "NEW=\n");
    assert_string_equal(s.env.v[4], "PATH=/img"); /* B is gone: -e B, and the host has none */
    box.spec = s;
    assert_int_equal(box_env(&box, true, &env, &e), 0);
    assert_string_equal(env.v[0], "PATH=/img");
    assert_string_equal(env.v[1], "HOSTNAME=0123456789ab");
    assert_string_equal(env.v[2], "TERM=xterm");
    assert_string_equal(env.v[3], "C=c=\"x\" ");
    assert_int_equal(env.n, 7);
    strv_done(&env);
    box_spec_done(&s);
    assert_int_equal(fs_write_file(AT_FDCWD, path, "A B=1\n", 6, 0600, &e), 0);
    bad("--env-file", path, "variable 'A B' contains whitespaces");
    assert_int_equal(fs_write_file(AT_FDCWD, path, "=1\n", 3, 0600, &e), 0);
    bad("--env-file", path, "no variable name on line '=1'");
    bad("--env", "=1", "invalid environment variable");
}

static void labels_and_paths_are_joined(void **state UNUSED)
{
    struct box_spec s = good(WORDS("-l", "a=mine", "-l", "c", "-w", "sub"), NO_CMD);

    assert_string_equal(json_string_value(json_object_get(s.labels, "a")), "mine");
    assert_string_equal(json_string_value(json_object_get(s.labels, "b")), "image");
    assert_string_equal(json_string_value(json_object_get(s.labels, "c")), "");
    assert_string_equal(s.cwd, "/srv/sub");
    box_spec_done(&s);
}

static void sizes_and_limits_are_read(void **state UNUSED)
{
    struct box_spec s = good(WORDS("-m", "1g", "--memory-swap", "3g", "--cpus", "1.5",
                                   "--cpu-shares", "1024", "--ulimit", "nofile=5:10", "--ulimit",
                                   "core=-1", "--tmpfs", "/t:size=1m", "--pids-limit", "9"),
                             NO_CMD);

    assert_true(s.memory_bytes == UINT64_C(1) << 30);
    assert_true(s.limits.memory_swap_max == INT64_C(2) << 30);
    assert_int_equal(s.cpus, 2);
    assert_int_equal(s.limits.cpu_quota_us, 150000);
    assert_int_equal(s.limits.cpu_weight, 39);
    assert_int_equal(s.limits.pids_max, 9);
    assert_int_equal(TLV_AT(&s.ulimits, struct box_ulimit, 0)->hard, 10);
    assert_true(TLV_AT(&s.ulimits, struct box_ulimit, 1)->soft == UINT64_MAX);
    assert_string_equal(TLV_AT(&s.tmpfs, struct mount_tmpfs, 0)->options, "size=1m");
    box_spec_done(&s);
    s = good(WORDS("-m", "256", "--cpus", ".5", "--stop-timeout", "-1"), NO_CMD); /* MiB */
    assert_true(s.memory_bytes == UINT64_C(256) << 20);
    assert_int_equal(s.cpus, 1);
    assert_true(s.stop_timeout_s > 1000000000);
    box_spec_done(&s);
    s = good(WORDS("-m", "268435456"), NO_CMD); /* bytes */
    assert_true(s.memory_bytes == UINT64_C(256) << 20);
    box_spec_done(&s);
}

static void nonsense_is_refused_by_name(void **state UNUSED)
{
    bad("--cpus", "0", "range of CPUs");
    bad("--cpus", "1.x", "1.x");
    bad("--cpus", "nan", "nan");
    bad("-m", "1m", "minimum memory");
    bad("-m", "1q", "1q");
    bad("--memory-swap", "1m", "larger than memory limit");
    bad("--cpu-shares", "1", "between 2 and 262144");
    bad("--ulimit", "nofile", "invalid ulimit argument");
    bad("--ulimit", "nofile=9:1", "9 > 1");
    bad("--ulimit", "huh=1", "invalid ulimit type: huh");
    bad("--tmpfs", "rel", "must be absolute");
    bad("--tmpfs", "/", "must be absolute");
    bad("--tmpfs", "/x:mode=9;rm", "invalid tmpfs option");
    bad("--tmpfs", "/x:size=1m,,", "invalid tmpfs option");
    bad("--cpuset-cpus", "0-2", "not available");
    bad("--cpuset-cpus", "1-0", "Invalid value");
    bad("--stop-signal", "NO", "NO");
    bad("--hostname", "a b", "invalid hostname format");
    bad("--add-host", "x", "bad format");
    bad("--add-host", "x:y", "invalid IP");
    bad("--dns", "x", "not an ip address");
    bad("--accel", "hax", "not auto, kvm or tcg");
    bad("--storage-size", "1m", "--storage-size");
    bad("--log-opt", "size=1m", "unknown log opt 'size' for json-file log driver");
    bad("--log-driver", "journald", "no log driver named 'journald' is registered");
    bad("--platform", "windows/amd64", "platform");
    bad("--volume", "/a:/b", "--volume is not supported yet");
    bad("--restart", "sometimes", "unknown policy 'sometimes'");
    bad("--restart", "always:3", "only be used with 'on-failure'");
    bad("--restart", "on-failure:x", "must be an integer");
    bad("--restart", ":3", "no policy provided before colon");
    bad("--publish-all", "x", "--publish-all is not supported yet");
    bad("--health-interval", "1s", "--health-interval needs a --health-cmd");
    bad("--health-timeout", "soon", "invalid argument \"soon\" for \"--health-timeout\" flag");
}

static void restart_policies_are_kept(void **state UNUSED)
{
    struct box_spec s = good(WORDS("--restart", "on-failure:4"), NO_CMD);
    struct err e;

    assert_string_equal(s.restart_policy, "on-failure");
    assert_int_equal(s.restart_max, 4);
    box_spec_done(&s);
    s = good(WORDS("--restart", "no", "--rm"), NO_CMD);
    assert_null(s.restart_policy);
    box_spec_done(&s);
    assert_int_equal(fill(WORDS("--restart", "always", "--rm"), NO_CMD, &s, &e), -ERR_INVALID);
    assert_string_equal(e.text, "Conflicting options: --restart and --rm");
    box_spec_done(&s);
}

static void a_health_check_comes_from_flags(void **state UNUSED)
{
    struct box_spec s = good(WORDS("--health-cmd", "test -e /x", "--health-interval", "1m30s",
                                   "--health-retries", "7"),
                             NO_CMD);

    assert_string_equal(s.health_test.v[0], "CMD-SHELL");
    assert_string_equal(s.health_test.v[1], "test -e /x");
    assert_true(s.health_interval_ns == 90 * UINT64_C(1000000000));
    assert_true(s.health_timeout_ns == 5 * UINT64_C(1000000000));
    assert_int_equal(s.health_retries, 7);
    box_spec_done(&s);
    s = good((const char *const[]){ "run", NULL }, NO_CMD);
    assert_int_equal(s.health_test.n, 0);
    assert_int_equal(s.health_interval_ns, 0);
    box_spec_done(&s);
}

static void a_health_check_comes_from_the_image(void **state UNUSED)
{
    struct box_spec s;
    struct err e;

    healthcheck =
        "{\"Test\": [\"CMD\", \"/probe\", \"-q\"], \"Timeout\": 2000000000, \"Retries\": 9}";
    s = good(WORDS("--health-timeout", "3"), NO_CMD); /* a flag replaces what it names */
    assert_int_equal(s.health_test.n, 3);
    assert_string_equal(s.health_test.v[1], "/probe");
    assert_true(s.health_timeout_ns == 3 * UINT64_C(1000000000));
    assert_true(s.health_interval_ns == 30 * UINT64_C(1000000000));
    assert_int_equal(s.health_retries, 9);
    box_spec_done(&s);
    s = good(WORDS("--no-healthcheck"), NO_CMD);
    assert_int_equal(s.health_test.n, 1);
    assert_string_equal(s.health_test.v[0], "NONE");
    box_spec_done(&s);
    assert_true(fill(WORDS("--no-healthcheck", "--health-retries", "1"), NO_CMD, &s, &e) < 0);
    assert_string_equal(e.text, "--no-healthcheck conflicts with --health-* options");
    box_spec_done(&s);

    healthcheck = "{\"Test\": [\"NONE\"]}";
    s = good((const char *const[]){ "run", NULL }, NO_CMD);
    assert_int_equal(s.health_retries, 0);
    box_spec_done(&s);
    healthcheck = "{\"Test\": [\"CMD\", \"x\"], \"Interval\": -1}";
    bad("--hostname", "x", "the image's HEALTHCHECK (--no-healthcheck disables it): 'Interval'");
    healthcheck = "{\"Test\": [\"EXEC\", \"x\"]}";
    bad("--hostname", "x", "unknown form 'EXEC'");
    healthcheck = "{\"Test\": [\"CMD\", \"x\"], \"Interval\": 9000000000000000000}";
    bad("--hostname", "x", "longer than a year");
    healthcheck = NULL;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_image_fills_what_flags_do_not_say),
        cmocka_unit_test(command_and_entrypoint_merge_as_dockers),
        cmocka_unit_test(variables_come_from_flags_files_and_the_host),
        cmocka_unit_test(labels_and_paths_are_joined),
        cmocka_unit_test(sizes_and_limits_are_read),
        cmocka_unit_test(nonsense_is_refused_by_name),
        cmocka_unit_test(restart_policies_are_kept),
        cmocka_unit_test(a_health_check_comes_from_flags),
        cmocka_unit_test(a_health_check_comes_from_the_image),
    };
    struct err e;
    int r;

    if (!mkdtemp(dir))
        return 1;
    r = cmocka_run_group_tests(tests, NULL, NULL);
    return fs_remove_tree(AT_FDCWD, dir, &e) < 0 ? 1 : r;
}
