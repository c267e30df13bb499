#include "box/spec.h"
#include "cli/files.h"
#include "cli/images.h"
#include "oci/ref.h"
#include "util/fd.h"
#include "util/parse.h"
#include "util/spawn.h"

#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>

#define ANSWER_MAX ((size_t)64 << 10)

struct commit_args {
    struct str_list changes;
    const char *author, *message;
    bool pause;
};

static const struct commit_args commit_defaults = { .pause = true };

static const struct opt commit_opts[] = {
    OPT_STR('a', "author", "TEXT", struct commit_args, author, "Who made it"),
    OPT_LIST('c', "change", "INSTRUCTION", struct commit_args, changes,
             "Apply a Dockerfile instruction to the image"),
    OPT_STR('m', "message", "TEXT", struct commit_args, message, "Comment for the image"),
    OPT_FLAG('p', "pause", struct commit_args, pause,
             "Let the box's processes stand still meanwhile (default: yes)"),
    { .type = OPT_END },
};

/* ---- the worker ------------------------------------------------------ */

/* a3s-box-image commit: the layer goes in, a line about the image comes out. */
struct worker {
    pid_t pid;
    int in, out;
};

static int start_worker(struct cli *cli, struct image_words *words, struct worker *ret,
                        struct err *e)
{
    autofree char *program = cli_helper_path(cli, "a3s-box-image");
    autofd int in = -1, their_in = -1, out = -1, their_out = -1;
    int pair[2], pipe_fds[2], r;
    struct spawn s = { .argv = words->v, .parent_death_signal = SIGKILL, .no_new_privs = true };

    if (!program || socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
        return err_os(e, "commit");
    in = pair[0];
    their_in = pair[1];
    if (pipe2(pipe_fds, O_CLOEXEC) < 0)
        return err_os(e, "commit");
    out = pipe_fds[0];
    their_out = pipe_fds[1];
    words->v[0] = program;
    s.fds = (const struct spawn_fd[]){ { their_in, 0 }, { their_out, 1 }, { 2, 2 } };
    s.fds_n = 3;
    if (setenv("A3S_HOME", cli->home, 1) < 0)
        return err_os(e, "commit");
    r = spawn_start(&s, &ret->pid, NULL, e);
    if (r < 0)
        return r;
    ret->in = take_fd(&in);
    ret->out = take_fd(&out);
    return 0;
}

/* Its answer; *e is left without text when it has said itself what is wrong. */
static int end_worker(struct worker *w, struct str *answer, struct err *e)
{
    struct err reading;
    int status = 0, r, rr;

    close_fd(&w->in);
    rr = fd_read_all(w->out, answer, &reading);
    close_fd(&w->out);
    r = spawn_wait(w->pid, &status, e);
    if (r < 0)
        return r;
    if (status >= 128)
        return err_set(e, ERR_INTERNAL, "a3s-box-image was ended by signal %d", status - 128);
    if (status != 0) {
        *e = (struct err){ .kind = ERR_SYSTEM };
        return -ERR_SYSTEM;
    }
    if (rr < 0)
        *e = reading;
    return rr < 0 ? rr : 0;
}

/* ---- what it is told ------------------------------------------------- */

static json_t *texts(const struct strv *list)
{
    json_t *out = json_array();

    for (size_t i = 0; i < list->n; i++)
        (void)json_array_append_new(out, json_string(list->v[i]));
    return out;
}

/* Docker's Config of the box, as far as the image gets it. */
static char *box_config(const struct box_spec *spec)
{
    json_t *config = json_object();
    autofree char *signal = str_format(
        "SIG%s", signal_name(spec->stop_signal) ? signal_name(spec->stop_signal) : "TERM");
    char *text;

    (void)json_object_set_new(config, "Cmd", texts(&spec->cmd));
    (void)json_object_set_new(config, "Entrypoint", texts(&spec->entrypoint));
    (void)json_object_set_new(config, "Env", texts(&spec->env));
    if (spec->labels)
        (void)json_object_set(config, "Labels", spec->labels);
    if (spec->stop_signal && spec->stop_signal != SIGTERM && signal)
        (void)json_object_set_new(config, "StopSignal", json_string(signal));
    (void)json_object_set_new(config, "User", json_string(spec->user ? spec->user : ""));
    (void)json_object_set_new(config, "WorkingDir", json_string(spec->cwd ? spec->cwd : ""));
    text = json_dumps(config, JSON_COMPACT);
    json_decref(config);
    return text;
}

static int pump(struct files *files, const struct worker *w, struct err *e)
{
    struct msg m;
    int r;

    while ((r = files_next(files, &m, e)) > 0) {
        if (m.type != MSG_ARCHIVE_OUT)
            return err_set(e, ERR_CORRUPT, "unexpected answer of type %u", m.type);
        r = msg_send(w->in, MSG_ARCHIVE_IN, m.data, m.len, e);
        if (r < 0)
            return r;
    }
    return r < 0 ? r : msg_send(w->in, MSG_ARCHIVE_IN_END, NULL, 0, e);
}

static int feed(struct files *files, const struct box *box, const struct worker *w, bool pause,
                struct err *e)
{
    autofree char *config = box_config(&box->spec);
    int r = config ? msg_send(w->in, MSG_ARCHIVE_CONFIG, config, strlen(config), e)
                   : err_os_at(e, ENOMEM, "commit");

    if (r == 0)
        r = files_ask(files,
                      &(struct archive_request){ .op = ARCHIVE_LAYER,
                                                 .freeze = pause && files_live(files) },
                      e);
    return r < 0 ? r : pump(files, w, e);
}

static int commit(struct cli *cli, struct db *db, struct box *box, struct image_words *words,
                  bool pause, struct str *answer, struct err *e)
{
    autoptr(files) files = NULL;
    struct worker w = { .in = -1, .out = -1 };
    struct err feeding = { 0 };
    int r = files_open(cli, db, box, false, &files, e), fed;

    if (r == 0)
        r = start_worker(cli, words, &w, e);
    if (r < 0)
        return r;
    fed = feed(files, box, &w, pause, &feeding);
    /* unless it has ended itself, and said why: all it could tell is that there was no more */
    if (fed < 0 && feeding.os != EPIPE && feeding.os != ECONNRESET) {
        (void)kill(w.pid, SIGTERM);
        (void)(end_worker(&w, answer, e) < 0);
        *e = feeding;
        return fed;
    }
    r = end_worker(&w, answer, e);
    if (r == 0 && fed < 0) {
        *e = feeding;
        r = fed;
    }
    return r;
}

static int print_id(struct cli *cli, const struct str *answer, struct err *e)
{
    json_t *line = json_loadb(str_c(answer), strcspn(str_c(answer), "\n"), 0, NULL);
    const char *id = json_string_value(json_object_get(line, "id"));
    int r = id ? 0 : err_set(e, ERR_INTERNAL, "a3s-box-image answered '%.100s'", str_c(answer));

    if (r == 0)
        fprintf(cli->out, "%s\n", id);
    json_decref(line);
    return r;
}

static int commit_run(struct cli *cli, const void *own_args, int argc UNUSED, char **argv,
                      struct err *e)
{
    const struct commit_args *args = own_args;
    struct image_words words = { .v = { "a3s-box-image", "commit" }, .n = 2 };
    autostr answer = STR_INIT(ANSWER_MAX);
    autoptr(db) db = NULL;
    autoptr(box) box = NULL;
    autofree char *image = NULL; /* the record is read again when the files are opened */
    struct ref ref;
    int r;

    r = image_words_add_changes(&words, &args->changes, e);
    if (r == 0 && argv[1])
        r = ref_parse(argv[1], &ref, e);
    if (r == 0)
        r = cli_open_box(cli, argv[0], &db, &box, e);
    if (r < 0)
        return r;
    image = strdup(box->spec.image_id);
    if (!image)
        return err_os(e, "commit");
    image_words_add(&words, "--image", image);
    image_words_add(&words, "--reference", argv[1]);
    image_words_add(&words, "--author", args->author);
    image_words_add(&words, "--message", args->message);
    r = commit(cli, db, box, &words, args->pause, &answer, e);
    if (r == 0)
        r = print_id(cli, &answer, e);
    if (r == 0)
        cli_tell(db, box, "commit",
                 &(struct event_attr){ "comment", args->message ? args->message : "" }, 1);
    return r;
}

const struct command cmd_commit = {
    .name = "commit",
    .synopsis = "[OPTIONS] BOX [REPOSITORY[:TAG]]",
    .summary = "Make an image from what a box has changed",
    .details = "The image is that of the box with one layer more, which has the changes and\n"
               "nothing else, and what the box was started with as its configuration.\n",
    .group = GROUP_IMAGE,
    .audit = "box_commit",
    .arg = ARG_BOX1,
    .min_args = 1,
    .max_args = 2,
    .opts = commit_opts,
    .args_size = sizeof(struct commit_args),
    .defaults = &commit_defaults,
    .run = commit_run,
};
