/*
 * Hot-plug of disks: virtio-scsi has its own, so it works on a machine without any bus hot-plug.
 *
 * Adding is five commands, each sent when the one before has worked: add-fd, blockdev-add (file),
 * blockdev-add (raw), device_add, remove-fd (the file node has its own copy). When one fails,
 * what was done is undone. Removing: device_del, then the guest lets go (event DEVICE_DELETED),
 * then blockdev-del twice.
 */
#include "util/own.h"
#include "vmm/qemu/args.h"
#include "vmm/qemu/vm.h"

#include <string.h>

enum step {
    ADD_FD,
    ADD_FILE,
    ADD_RAW,
    ADD_DEVICE,
    DEL_DEVICE,
    WAIT_DELETED,
    DEL_RAW,
    DEL_FILE,
    DEL_FD,
    FINISHED,
};

struct qemu_plug {
    struct qmp_call call;
    struct qemu_vm *vm;
    struct vm_reply *reply;
    enum step step;
    char id[VM_DISK_ID_MAX + 1];
    struct vm_disk disk; /* while adding; id points to the member above, path is not kept */
    bool adding;
    int fd, fdset;      /* while adding */
    struct err failure; /* of adding, while it is undone; kind NONE otherwise */
    bool answered;      /* the QMP answer of the current step is in */
    struct qemu_plug *next;
};

static void run_step(struct qemu_plug *p);

static void finish(struct qemu_plug *p, const struct err *failure)
{
    struct qemu_plug **at = &p->vm->plugs;
    struct vm_reply *reply = p->reply;
    struct err copy = failure ? *failure : (struct err){ .kind = ERR_NONE };

    while (*at && *at != p)
        at = &(*at)->next;
    if (*at)
        *at = p->next;
    close_fd(&p->fd);
    free(p);
    qemu_reply(reply, failure ? &copy : NULL);
}

/* What has to be undone when `step` of adding failed. */
static enum step undo_from(enum step step)
{
    if (step == ADD_DEVICE)
        return DEL_RAW;
    if (step == ADD_RAW)
        return DEL_FILE;
    return step == ADD_FILE ? DEL_FD : FINISHED;
}

static enum step next_step(const struct qemu_plug *p)
{
    if (p->step == ADD_DEVICE)
        return DEL_FD;
    if (p->step == DEL_FILE && !p->adding)
        return FINISHED;
    return p->step + 1;
}

static void on_answer(struct qmp_call *call, json_t *data UNUSED, const struct err *failure)
{
    struct qemu_plug *p = CONTAINER_OF(call, struct qemu_plug, call);

    if (failure && (failure->kind == ERR_CANCELED || failure->kind == ERR_UNAVAILABLE)) {
        finish(p, failure); /* QEMU is gone, nothing to undo */
        return;
    }
    if (failure && p->step <= ADD_DEVICE) {
        p->failure = *failure;
        p->step = undo_from(p->step);
    } else if (failure && p->failure.kind == ERR_NONE) {
        finish(p, failure);
        return;
    } else {
        p->step = next_step(p);
    }
    run_step(p);
}

static json_t *node_args(const char *prefix, const char *id)
{
    char node[64];

    (void)snprintf(node, sizeof(node), "%s%s", prefix, id);
    return json_pack("{ss}", "node-name", node);
}

static json_t *device_args(const struct vm_disk *disk)
{
    json_t *args = qemu_disk_device(disk);

    if (args)
        (void)json_object_set_new(args, "driver", json_string("scsi-hd"));
    return args;
}

static void send(struct qemu_plug *p, const char *command, json_t *own_args)
{
    p->call.done = on_answer;
    qmp_call(p->vm->qmp, command, own_args, p->step == ADD_FD ? p->fd : -1, &p->call);
}

static void run_step(struct qemu_plug *p)
{
    switch (p->step) {
    case ADD_FD:
        send(p, "add-fd", json_pack("{si}", "fdset-id", p->fdset));
        return;
    case ADD_FILE:
        close_fd(&p->fd);
        send(p, "blockdev-add", qemu_file_node(&p->disk, p->fdset));
        return;
    case ADD_RAW:
        send(p, "blockdev-add", qemu_raw_node(&p->disk));
        return;
    case ADD_DEVICE:
        send(p, "device_add", device_args(&p->disk));
        return;
    case DEL_DEVICE:
        send(p, "device_del", json_pack("{ss}", "id", p->id));
        return;
    case WAIT_DELETED:
        if (!p->answered)
            return; /* until qemu_disk_event() */
        p->step = DEL_RAW;
        run_step(p);
        return;
    case DEL_RAW:
        send(p, "blockdev-del", node_args(QEMU_NODE_PREFIX, p->id));
        return;
    case DEL_FILE:
        send(p, "blockdev-del", node_args(QEMU_FILE_PREFIX, p->id));
        return;
    case DEL_FD:
        send(p, "remove-fd", json_pack("{si}", "fdset-id", p->fdset));
        return;
    case FINISHED:
        finish(p, p->failure.kind == ERR_NONE ? NULL : &p->failure);
        return;
    }
}

/* The event may come before the answer to device_del, when the guest was not using the disk. */
void qemu_disk_event(struct qemu_vm *vm, const char *name, json_t *data)
{
    const char *id = json_string_value(json_object_get(data, "device"));

    if (!id || strcmp(name, "DEVICE_DELETED") != 0)
        return;
    for (struct qemu_plug *p = vm->plugs; p; p = p->next) {
        if (strcmp(p->id, id) != 0 || (p->step != DEL_DEVICE && p->step != WAIT_DELETED))
            continue;
        p->answered = true;
        if (p->step == WAIT_DELETED)
            run_step(p);
        return;
    }
}

static struct qemu_plug *plug_new(struct qemu_vm *vm, const char *id, enum step step,
                                  struct vm_reply *reply)
{
    struct qemu_plug *p = vm->qmp ? calloc(1, sizeof(*p)) : NULL;
    struct err e = { .kind = ERR_NONE };

    if (!p) {
        (void)err_set(&e, ERR_UNAVAILABLE, "The machine has ended");
        qemu_reply(reply, &e);
        return NULL;
    }
    p->vm = vm;
    p->reply = reply;
    p->step = step;
    p->fd = -1;
    (void)snprintf(p->id, sizeof(p->id), "%s", id);
    p->next = vm->plugs;
    vm->plugs = p;
    return p;
}

void qemu_disk_add(struct vm *base, const struct vm_disk *disk, struct vm_reply *reply)
{
    struct qemu_vm *vm = CONTAINER_OF(base, struct qemu_vm, base);
    struct err e = { .kind = ERR_NONE };
    struct qemu_plug *p;
    autofd int fd = -1;

    if (vm_disk_check(disk, &e) < 0 || (fd = qemu_open_disk(disk, &e)) < 0) {
        qemu_reply(reply, &e);
        return;
    }
    p = plug_new(vm, disk->id, ADD_FD, reply);
    if (!p)
        return;
    p->adding = true;
    p->disk = *disk;
    p->disk.id = p->id;
    p->disk.path = NULL;
    p->fd = take_fd(&fd);
    p->fdset = vm->next_fdset++;
    run_step(p);
}

void qemu_disk_remove(struct vm *base, const char *id, struct vm_reply *reply)
{
    struct qemu_vm *vm = CONTAINER_OF(base, struct qemu_vm, base);
    struct err e = { .kind = ERR_NONE };
    struct qemu_plug *p;

    if (strlen(id) > VM_DISK_ID_MAX) {
        (void)err_set(&e, ERR_NOT_FOUND, "No disk '%s'", id);
        qemu_reply(reply, &e);
        return;
    }
    p = plug_new(vm, id, DEL_DEVICE, reply);
    if (p)
        run_step(p);
}

/* Steps that wait for an answer are finished by qmp_free(); what waits for an event is not. */
void qemu_disk_abandon(struct qemu_vm *vm)
{
    struct err e = { .kind = ERR_NONE };

    (void)err_set(&e, ERR_CANCELED, "The machine has ended");
    while (vm->plugs)
        finish(vm->plugs, &e);
}
