/* A machine of the QEMU engine. Internal to the engine. */
#pragma once

#include "vmm/engine.h"
#include "vmm/qemu/qmp.h"
#include "vmm/qemu/sink.h"

struct qemu_plug;

struct qemu_vm {
    struct vm base;
    struct loop *loop;            /* borrowed */
    struct vm_listener *listener; /* borrowed */
    enum vm_accel accel;
    unsigned vcpus_max;
    pid_t pid; /* -1 when reaped */
    struct watch pid_watch;
    struct qmp *qmp; /* NULL when QEMU is gone */
    struct qmp_handler handler;
    struct sink console, errors;
    bool killed;
    int next_fdset;
    struct qemu_plug *plugs; /* disks being added or removed, see disk.c */
};

/* `reply` may be NULL. */
void qemu_reply(struct vm_reply *reply, const struct err *failure);

/* Sends a command of which only success matters. */
void qemu_command(struct qemu_vm *vm, const char *command, json_t *own_args,
                  struct vm_reply *reply);

/* *ret_rules: what QEMU may open (util/landlock.h), -1 without Landlock. The caller closes it. */
int qemu_confine(const struct vm_config *c, const char *program, int *ret_rules,
                 struct err *e) MUST_CHECK;

int qemu_open_disk(const struct vm_disk *disk, struct err *e) MUST_CHECK;
void qemu_disk_add(struct vm *vm, const struct vm_disk *disk, struct vm_reply *reply);
void qemu_disk_remove(struct vm *vm, const char *id, struct vm_reply *reply);
void qemu_disk_event(struct qemu_vm *vm, const char *name, json_t *data);
/* Answers every disk_add() and disk_remove() under way: QEMU is gone. */
void qemu_disk_abandon(struct qemu_vm *vm);
