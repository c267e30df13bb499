#include "box/brief.h"
#include "cli/host_limits.h"
#include "cli/output.h"
#include "oci/image.h"
#include "show/human.h"
#include "util/fs.h"
#include "vmm/probe.h"

#include <fcntl.h>
#include <string.h>
#include <sys/sysinfo.h>
#include <sys/utsname.h>

struct info_args {
    const char *format;
};

static const struct opt info_opts[] = {
    OPT_STR('f', "format", "FORMAT", struct info_args, format, "json, or a Go template"),
    { .type = OPT_END },
};

static int count_boxes(struct cli *cli, struct db *db, json_t *o, struct err *e)
{
    struct box_list list = { 0 };
    json_int_t running = 0, paused = 0;
    int r;

    r = box_list(db, cli->home, &list, e);
    if (r < 0)
        return r;
    for (size_t i = 0; i < list.n; i++) {
        running += list.v[i].state == BOX_RUNNING || list.v[i].state == BOX_STOPPING;
        paused += list.v[i].state == BOX_PAUSED;
    }
    cli_set(o, "Containers", json_integer((json_int_t)list.n));
    cli_set(o, "ContainersRunning", json_integer(running));
    cli_set(o, "ContainersPaused", json_integer(paused));
    cli_set(o, "ContainersStopped", json_integer((json_int_t)list.n - running - paused));
    box_list_done(&list);
    return 0;
}

static int count_images(struct cli *cli, struct db *db, json_t *o, struct err *e)
{
    struct image_list list = { 0 };
    uint64_t bytes = 0;
    int r;

    r = image_list(db, cli->home, &list, e);
    if (r < 0)
        return r;
    for (size_t i = 0; i < list.n; i++)
        bytes += list.v[i]->size;
    cli_set(o, "Images", json_integer((json_int_t)list.n));
    cli_set(o, "ImagesSize", json_integer((json_int_t)bytes));
    image_list_done(&list);
    return 0;
}

/* The guest's kernel as kernel.json beside it says. */
static json_t *guest_kernel(const struct cli *cli)
{
    const char *set = getenv("A3S_BOX_KERNEL"), *dir = getenv("A3S_BOX_GUEST_DIR");
    const char *slash = strrchr(cli->program, '/');
    autofree char *path = NULL;
    autostr text = STR_INIT(65536);
    struct err ignored;
    json_t *o = NULL;

    if (set && *set)
        return json_pack("{s:s, s:s}", "path", set, "version", "(A3S_BOX_KERNEL)");
    path = dir && *dir ? str_format("%s/kernel.json", dir)
                       : str_format("%.*s/guest/kernel.json",
                                    slash ? (int)(slash - cli->program) : 0, cli->program);
    if (path && fs_read_file(AT_FDCWD, path, &text, &ignored) >= 0)
        o = json_loadb(str_c(&text), text.len, 0, NULL);
    return json_is_object(o) ? o : json_pack("{s:s}", "version", "none (build one: ./dev build)");
}

static void describe_host(const struct cli *cli, json_t *o)
{
    autofree char *cache = str_format("%s/cache", cli->home);
    struct vmm_host_info vmm = { .qemu_path = "" };
    struct utsname u = { .release = "" };
    struct sysinfo s = { .totalram = 0 };

    (void)uname(&u); /* these two cannot fail */
    (void)sysinfo(&s);
    vmm_host_info(cache, &vmm);
    cli_set(o, "ServerVersion", json_string(A3S_VERSION));
    cli_set(o, "Name", json_string(u.nodename));
    cli_set(o, "OSType", json_string("linux"));
    cli_set(o, "Architecture", json_string(u.machine));
    cli_set(o, "KernelVersion", json_string(u.release));
    cli_set(o, "NCPU", json_integer(sysconf(_SC_NPROCESSORS_ONLN)));
    cli_set(o, "MemTotal", json_integer((json_int_t)s.totalram * s.mem_unit));
    cli_set(o, "Driver", json_string("ext4"));
    cli_set(o, "DockerRootDir", json_string(cli->home));
    cli_set(o, "Accelerator",
            json_pack("{s:s, s:b, s:s, s:s}", "Name", vm_accel_name(vmm.accel), "KVM",
                      vmm.kvm.works, "Device", vmm.kvm_device, "Reason", vmm.kvm.reason));
    cli_set(o, "Engine",
            json_pack("{s:s, s:s, s:s}", "Name", "qemu", "Path", vmm.qemu_path, "Version",
                      vmm.qemu_version));
    cli_set(o, "GuestKernel", guest_kernel(cli));
    cli_set(o, "Sandbox", host_limits());
}

static const char *text(const json_t *o, const char *a, const char *b)
{
    const json_t *inner = json_object_get(o, a);
    const char *s = json_string_value(b ? json_object_get(inner, b) : inner);

    return s && *s ? s : "unknown";
}

static long long number(const json_t *o, const char *key)
{
    return json_integer_value(json_object_get(o, key));
}

static void print_sandbox(const json_t *limits, FILE *out)
{
    const char *name;
    json_t *v;

    json_object_foreach((json_t *)limits, name, v) fprintf(
        out, "  %s: %s (%s)\n", name,
        json_is_true(json_object_get(v, "Available")) ? "yes" : "no", text(v, "Reason", NULL));
}

static void print_info(const json_t *o, FILE *out)
{
    autostr images = STR_INIT(64), memory = STR_INIT(64);

    human_size((uint64_t)number(o, "ImagesSize"), &images);
    human_bytes((uint64_t)number(o, "MemTotal"), &memory);
    fprintf(out, "Version: %s\n", text(o, "ServerVersion", NULL));
    fprintf(out, "Home directory: %s\n", text(o, "DockerRootDir", NULL));
    fprintf(out, "Boxes: %lld total, %lld running, %lld paused\n", number(o, "Containers"),
            number(o, "ContainersRunning"), number(o, "ContainersPaused"));
    fprintf(out, "Images: %lld cached (%s)\n", number(o, "Images"), str_c(&images));
    fprintf(out, "Virtualization: %s\n",
            json_is_true(json_object_get(json_object_get(o, "Accelerator"), "KVM"))
                ? "KVM"
                : "software only (KVM does not work here)");
    fprintf(out, "Engine: %s %s (%s)\n", text(o, "Engine", "Name"), text(o, "Engine", "Version"),
            text(o, "Engine", "Path"));
    fprintf(out, "Accelerator: %s\n", text(o, "Accelerator", "Name"));
    fprintf(out, "  /dev/kvm: %s\n", text(o, "Accelerator", "Device"));
    fprintf(out, "  KVM: %s\n", text(o, "Accelerator", "Reason"));
    fprintf(out, "Guest kernel: %s\n", text(o, "GuestKernel", "version"));
    fprintf(out, "Host: %s, Linux %s, %s, %lld CPUs, %s\n", text(o, "Name", NULL),
            text(o, "KernelVersion", NULL), text(o, "Architecture", NULL), number(o, "NCPU"),
            str_c(&memory));
    fputs("Sandbox of the programs that run boxes:\n", out);
    print_sandbox(json_object_get(o, "Sandbox"), out);
}

static int info_run(struct cli *cli, const void *args, int argc UNUSED, char **argv UNUSED,
                    struct err *e)
{
    const struct info_args *a = args;
    autoptr(show_template) t = NULL;
    autoptr(db) db = NULL;
    json_t *o;
    int r;

    r = cli_template(cli, a->format, &t, e);
    if (r >= 0)
        r = db_open(cli->home, &db, e);
    if (r < 0)
        return r;
    o = json_object();
    r = count_boxes(cli, db, o, e);
    if (r >= 0)
        r = count_images(cli, db, o, e);
    if (r >= 0)
        describe_host(cli, o);
    if (r >= 0 && t)
        r = cli_print_template(cli, t, &(struct show_exec){ .data = o, .missing_error = true },
                               e);
    else if (r >= 0)
        print_info(o, cli->out);
    json_decref(o);
    return r;
}

const struct command cmd_info = {
    .name = "info",
    .synopsis = "[OPTIONS]",
    .summary = "Show what this host and this installation can do",
    .group = GROUP_SYSTEM,
    .opts = info_opts,
    .args_size = sizeof(struct info_args),
    .run = info_run,
};
