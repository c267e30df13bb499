#include "vmm/qemu/qmp.h"

#include <string.h>

void qmp_msg_done(struct qmp_msg *m)
{
    json_decref(m->root);
    *m = (struct qmp_msg){ .kind = m->kind };
}

static int parse_answer(struct qmp_msg *m, struct err *e)
{
    json_t *error = json_object_get(m->root, "error");
    json_t *id = json_object_get(m->root, "id");

    if (id && !json_is_integer(id))
        return err_set(e, ERR_CORRUPT, "QMP: answer with an id that is not ours");
    m->id = id ? json_integer_value(id) : 0;
    if (!error) {
        m->kind = QMP_RETURN;
        m->data = json_object_get(m->root, "return");
        return 0;
    }
    m->kind = QMP_ERROR;
    m->event = json_string_value(json_object_get(error, "desc"));
    if (!m->event)
        return err_set(e, ERR_CORRUPT, "QMP: error without a description");
    return 0;
}

static int parse_object(struct qmp_msg *m, struct err *e)
{
    json_t *event = json_object_get(m->root, "event");

    if (json_object_get(m->root, "return") || json_object_get(m->root, "error"))
        return parse_answer(m, e);
    if (json_is_string(event)) {
        m->kind = QMP_EVENT;
        m->event = json_string_value(event);
        m->data = json_object_get(m->root, "data");
        return 0;
    }
    if (json_is_object(json_object_get(m->root, "QMP"))) {
        m->kind = QMP_GREETING;
        return 0;
    }
    return err_set(e, ERR_CORRUPT, "QMP: unknown message");
}

int qmp_msg_parse(const char *line, size_t len, struct qmp_msg *ret, struct err *e)
{
    struct qmp_msg m = { .kind = QMP_GREETING };
    json_error_t je;
    int r;

    m.root = json_loadb(line, len, JSON_REJECT_DUPLICATES, &je);
    if (!m.root)
        return err_set(e, ERR_CORRUPT, "QMP: %s at byte %d", je.text, je.position);
    r = json_is_object(m.root) ? parse_object(&m, e)
                               : err_set(e, ERR_CORRUPT, "QMP: message is not an object");
    if (r < 0) {
        qmp_msg_done(&m);
        return r;
    }
    *ret = m;
    return 0;
}
