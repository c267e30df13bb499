#include "oci/save.h"

#include "oci/content.h"
#include "oci/image_internal.h"
#include "oci/save_internal.h"
#include "oci/store.h"

#include <string.h>

#define SAVE_IMAGES_MAX 4096 /* names of one repository included */

/* Also twice: the same name counts once. */
static int add_name(struct save_image *img, const char *reference, struct err *e)
{
    char **v;

    for (size_t i = 0; i < img->names_n; i++)
        if (strcmp(img->names[i], reference) == 0)
            return 0;
    v = realloc(img->names, (img->names_n + 2) * sizeof(*v));
    if (!v)
        return err_os(e, "save");
    img->names = v;
    v[img->names_n] = strdup(reference);
    v[img->names_n + 1] = NULL;
    if (!v[img->names_n])
        return err_os(e, "save");
    img->names_n++;
    return 0;
}

static int add_image(struct save *s, struct db *db, const char *id, struct save_image **ret,
                     struct err *e)
{
    struct save_image *v;
    int r;

    for (size_t i = 0; i < s->n; i++) {
        *ret = &s->v[i];
        if (strcmp(s->v[i].content.image->id, id) == 0)
            return 0;
    }
    if (s->n == SAVE_IMAGES_MAX)
        return err_set(e, ERR_LIMIT, "more than %d images in one archive", SAVE_IMAGES_MAX);
    v = realloc(s->v, (s->n + 1) * sizeof(*v));
    if (!v)
        return err_os(e, "save");
    s->v = v;
    *ret = &v[s->n];
    v[s->n] = (struct save_image){ .names_n = 0 };
    r = content_open(&v[s->n].content, db, s->home, id, e);
    if (r < 0)
        content_done(&v[s->n].content);
    s->n += r == 0;
    return r;
}

/* All tags of a repository, as docker does for a name without one. 1 when there are some. */
static int add_repository(struct save *s, struct db *db, const struct ref *ref, struct err *e)
{
    char **names = NULL;
    int r;

    r = image_query_strv(db, &names, e,
                         "SELECT reference FROM images WHERE"
                         " substr(reference, 1, length(?1) + 1) = ?1 || ':' ORDER BY reference",
                         ref->name);
    if (r < 0)
        return r;
    for (size_t i = 0; r >= 0 && names[i]; i++) {
        autofree char *id = NULL;
        struct save_image *img;
        struct ref own;

        r = image_resolve(db, names[i], &own, &id, e);
        if (r == 0)
            r = add_image(s, db, id, &img, e);
        if (r == 0)
            r = add_name(img, names[i], e);
        r = r == 0 ? 1 : r;
    }
    strv_free(names);
    return r;
}

static int add_query(struct save *s, struct db *db, const char *query, struct err *e)
{
    autofree char *id = NULL;
    struct save_image *img;
    char full[REF_TEXT_MAX];
    struct err ignored;
    struct ref ref;
    int r;

    r = ref_parse(query, &ref, &ignored);
    if (r == 0 && !ref.has_tag && !ref.digest[0]) {
        r = add_repository(s, db, &ref, e);
        if (r != 0)
            return r < 0 ? r : 0;
    }
    r = image_resolve(db, query, &ref, &id, e);
    if (r == 0)
        r = add_image(s, db, id, &img, e);
    if (r < 0 || !ref.name[0] || !ref.tag[0])
        return r;
    ref.digest[0] = '\0';
    ref_full(&ref, full);
    return add_name(img, full, e);
}

int save_archive(struct db *db, const char *home, char *const *queries, size_t n, int fd,
                 struct err *e)
{
    struct save s = { .home = home };
    int r = 0;

    for (size_t i = 0; r == 0 && i < n; i++)
        r = add_query(&s, db, queries[i], e);
    if (r == 0)
        r = save_write(&s, fd, e);
    for (size_t i = 0; i < s.n; i++) {
        content_done(&s.v[i].content);
        strv_free(s.v[i].names);
    }
    free(s.v);
    return r;
}
