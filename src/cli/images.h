/* What commands that bring in or list images share. */
#pragma once

#include "cli/command.h"
#include "cli/opt.h"
#include "oci/image.h"
#include "show/filter.h"
#include "show/table.h"

#define IMAGE_CHANGES_MAX 24 /* instructions on one command line */

/* The words of a command line for a3s-box-image, borrowed; a NULL follows them. There is room for
 * all that a command has. */
struct image_words {
    const char *v[16 + 2 * IMAGE_CHANGES_MAX];
    size_t n;
};

/* "NAME VALUE", nothing when `value` is NULL. */
void image_words_add(struct image_words *w, const char *name, const char *value);
/* A --change for each; LIMIT when they are too many. */
int image_words_add_changes(struct image_words *w, const struct str_list *changes,
                            struct err *e) MUST_CHECK;

/* Run a3s-box-image with `args` (NULL-terminated, without the program). It gets `input_fd` as
 * stdin. What it writes to stdout comes back as one JSON object per line; its messages go to our
 * stderr, and then *e has no text. */
int cli_image_worker(struct cli *cli, const char *const *args, int input_fd, json_t **ret_lines,
                     struct err *e) MUST_CHECK;

/* The same for a verb that writes something big: it gets `output_fd` as stdout, and nothing as
 * stdin. */
int cli_image_worker_to(struct cli *cli, const char *const *args, int output_fd,
                        struct err *e) MUST_CHECK;

/* `path`, or stdin for NULL and "-". A terminal is refused. */
int cli_open_input(const char *path, int *ret_fd, struct err *e) MUST_CHECK;

extern const struct show_type image_inspect_type;
extern const struct show_table image_table;
extern const char *const image_filter_keys[];

struct image_row_how {
    int64_t now_ns;
    bool no_trunc;
    const char *only;                   /* a repository or repository:tag, or NULL */
    const struct show_filters *filters; /* reference= picks among an image's names, too */
};

/* Append one row per reference; a single one of "<none>" for an image without. */
int image_rows(const struct image *img, const struct image_row_how *how, json_t *rows,
               struct err *e) MUST_CHECK;

/* before= and since= name images, until= is a moment: checked and looked up once. */
struct image_filter {
    const struct show_filters *filters;
    int64_t before_ns, since_ns, until_ns;
};

int image_filter_init(struct image_filter *f, const struct show_filters *filters, struct db *db,
                      const char *home, struct err *e) MUST_CHECK;
bool image_filter_match(const struct image_filter *f, const struct image *img);
