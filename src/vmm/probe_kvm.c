#include "vmm/probe_kvm.h"

#include "util/own.h"
#include "util/time.h"

#include <fcntl.h>
#include <linux/kvm.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#define SAY(ret, ...) ((void)snprintf((ret)->reason, sizeof((ret)->reason), __VA_ARGS__))

/* Who answers behind /dev/kvm, when it is known to be software. */
static const char *suspect(void)
{
    return access("/sys/module/kvm_pvm", F_OK) == 0
               ? " (the kvm_pvm module is loaded: /dev/kvm is software virtualisation)"
               : "";
}

#if defined(__x86_64__)

/*
 * The guest: 64-bit code with paging on, an IDT and a stack, as a kernel has soon after its
 * entry. It says on PORT how far it got: after XSAVE and XRSTOR (or their
 * forerunners), after an INT3 through the IDT,
 * then after each of LOOPS rounds of a loop whose duration gives the rate. Software that emulates
 * instruction by instruction fails at one of the first two or is slow at the third.
 */
#define PORT       0x510
#define LOOPS      3
#define LOOP_INSNS 300000 /* per round */
#define MIPS_MIN   5      /* emulators do about 1, a translating QEMU under KVM's test lab 30 */

#define MIPS_MAX 100000 /* above, the clock was too coarse to tell */

#define PROGRESS_XSAVE 1
#define PROGRESS_INT3  2
#define PROGRESS_LOOP  3
#define PROGRESS_FAULT 0x80
#define PROGRESS_WRONG 0x81

enum { /* guest physical layout; identity-mapped by one 2 MiB page */
       AT_PML4 = 0x1000,
       AT_PDPT = 0x2000,
       AT_PD = 0x3000,
       AT_GDT = 0x4000,
       AT_IDT = 0x5000,
       AT_STACK = 0x8000, /* grows down */
       AT_CODE = 0x8000,
       AT_XSAVE = 0xa000, /* 576 bytes: x87 and SSE only */
       MEMORY = 0x200000,
};

/* Position-independent. kvm_probe_breakpoint and kvm_probe_fault are its interrupt handlers. */
__asm__(".pushsection .rodata\n"
        ".globl kvm_probe_code, kvm_probe_breakpoint, kvm_probe_fault, kvm_probe_end\n"
        ".hidden kvm_probe_code, kvm_probe_breakpoint, kvm_probe_fault, kvm_probe_end\n"
        "kvm_probe_code:\n"
        "    mov $0x510, %edx\n"
        "    mov %edx, %r13d\n"
        "    xor %r12d, %r12d\n"
        "    mov $0xa000, %edi\n"
        "    mov $0xa35b0c5a, %ebx\n"
        "    movq %rbx, %xmm0\n"
        "    test %esi, %esi\n" /* does the CPU have XSAVE? */
        "    jz 3f\n"
        "    mov $3, %eax\n" /* x87 and SSE */
        "    xor %edx, %edx\n"
        "    xor %ecx, %ecx\n"
        "    xsetbv\n"
        "    xsave (%rdi)\n"
        "    pxor %xmm0, %xmm0\n"
        "    xrstor (%rdi)\n"
        "    jmp 4f\n"
        "3:  fxsave (%rdi)\n"
        "    pxor %xmm0, %xmm0\n"
        "    fxrstor (%rdi)\n"
        "4:  movq %xmm0, %rcx\n"
        "    cmp %rbx, %rcx\n"
        "    jne 8f\n"
        "    mov $1, %eax\n" /* PROGRESS_XSAVE */
        "    mov %r13d, %edx\n"
        "    outb %al, (%dx)\n"
        "    int3\n"
        "    cmp $1, %r12d\n"
        "    jne 8f\n"
        "    mov $2, %eax\n" /* PROGRESS_INT3 */
        "    outb %al, (%dx)\n"
        "    mov $3, %ebx\n" /* LOOPS */
        "1:  mov $100000, %ecx\n"
        "2:  add %rcx, %rax\n"
        "    dec %ecx\n"
        "    jnz 2b\n"
        "    mov $3, %eax\n" /* PROGRESS_LOOP */
        "    outb %al, (%dx)\n"
        "    dec %ebx\n"
        "    jnz 1b\n"
        "7:  hlt\n"
        "    jmp 7b\n"
        "8:  mov $0x81, %eax\n" /* PROGRESS_WRONG */
        "    mov %r13d, %edx\n"
        "    outb %al, (%dx)\n"
        "    jmp 7b\n"
        "kvm_probe_breakpoint:\n"
        "    inc %r12d\n"
        "    iretq\n"
        "kvm_probe_fault:\n"
        "    mov $0x80, %eax\n" /* PROGRESS_FAULT */
        "    mov %r13d, %edx\n"
        "    outb %al, (%dx)\n"
        "9:  hlt\n"
        "    jmp 9b\n"
        "kvm_probe_end:\n"
        ".popsection\n");

extern const uint8_t kvm_probe_code[], kvm_probe_breakpoint[], kvm_probe_fault[], kvm_probe_end[];

struct tiny {
    int kvm, vm, vcpu; /* the child ends with them: never closed */
    uint8_t *memory;
    struct kvm_run *run;
    size_t run_size;
    bool xsave; /* the guest's CPU has it; if not, FXSAVE does */
};

static void put64(uint8_t *memory, size_t at, uint64_t v)
{
    memcpy(memory + at, &v, sizeof(v));
}

/* Intel SDM vol. 3, 6.14.1: a 64-bit interrupt gate, code segment 8. */
static void put_gate(uint8_t *memory, unsigned vector, uint64_t handler)
{
    size_t at = AT_IDT + (size_t)vector * 16;

    put64(memory, at,
          (handler & 0xffff) | 8ULL << 16 | 0x8eULL << 40 | (handler >> 16 & 0xffff) << 48);
    put64(memory, at + 8, handler >> 32);
}

static void fill_memory(uint8_t *m)
{
    put64(m, AT_PML4, AT_PDPT | 3);
    put64(m, AT_PDPT, AT_PD | 3);
    put64(m, AT_PD, 0x83);                     /* 2 MiB, present, writable */
    put64(m, AT_GDT + 8, 0x00af9b000000ffff);  /* 64-bit code */
    put64(m, AT_GDT + 16, 0x00cf93000000ffff); /* data */
    for (unsigned v = 0; v < 32; v++)
        put_gate(m, v,
                 AT_CODE + (uint64_t)((v == 3 ? kvm_probe_breakpoint : kvm_probe_fault) -
                                      kvm_probe_code));
    memcpy(m + AT_CODE, kvm_probe_code, (size_t)(kvm_probe_end - kvm_probe_code));
}

static int set_cpuid(struct tiny *t)
{
    enum { ENTRIES = 256 };
    size_t size = sizeof(struct kvm_cpuid2) + ENTRIES * sizeof(struct kvm_cpuid_entry2);
    autofree struct kvm_cpuid2 *cpuid = calloc(1, size);

    if (!cpuid)
        return -1;
    cpuid->nent = ENTRIES;
    if (ioctl(t->kvm, KVM_GET_SUPPORTED_CPUID, cpuid) < 0)
        return -1;
    for (size_t i = 0; i < cpuid->nent && i < ENTRIES; i++)
        if (cpuid->entries[i].function == 1)
            t->xsave = cpuid->entries[i].ecx & BIT(26);
    return ioctl(t->vcpu, KVM_SET_CPUID2, cpuid);
}

static int set_registers(const struct tiny *t)
{
    struct kvm_regs regs = { .rip = AT_CODE, .rsp = AT_STACK, .rsi = t->xsave, .rflags = 2 };
    struct kvm_segment data = {
        .limit = 0xffffffff, .selector = 16, .type = 3, .present = 1, .db = 1, .s = 1, .g = 1
    };
    struct kvm_segment code = {
        .limit = 0xffffffff, .selector = 8, .type = 11, .present = 1, .s = 1, .l = 1, .g = 1
    };
    struct kvm_sregs s;

    if (ioctl(t->vcpu, KVM_GET_SREGS, &s) < 0)
        return -1;
    s.cs = code;
    s.ds = s.es = s.fs = s.gs = s.ss = data;
    s.gdt = (struct kvm_dtable){ .base = AT_GDT, .limit = 23 };
    s.idt = (struct kvm_dtable){ .base = AT_IDT, .limit = 32 * 16 - 1 };
    s.cr3 = AT_PML4;
    s.cr0 = 0x80010033;                               /* PG WP NE ET MP PE */
    s.cr4 = 0x00000620 | (t->xsave ? 0x00040000 : 0); /* OSXMMEXCPT OSFXSR PAE; OSXSAVE */
    s.efer = 0x00000500;                              /* LMA LME */
    if (ioctl(t->vcpu, KVM_SET_SREGS, &s) < 0)
        return -1;
    return ioctl(t->vcpu, KVM_SET_REGS, &regs);
}

/* Returns what could not be done, or NULL. */
static const char *tiny_open(struct tiny *t)
{
    struct kvm_userspace_memory_region region = { .memory_size = MEMORY };
    int size;

    t->vm = ioctl(t->kvm, KVM_CREATE_VM, 0);
    if (t->vm < 0)
        return "create a machine";
    t->memory = mmap(NULL, MEMORY, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (t->memory == MAP_FAILED)
        return "get memory";
    fill_memory(t->memory);
    region.userspace_addr = (uintptr_t)t->memory;
    if (ioctl(t->vm, KVM_SET_USER_MEMORY_REGION, &region) < 0)
        return "give it memory";
    t->vcpu = ioctl(t->vm, KVM_CREATE_VCPU, 0);
    if (t->vcpu < 0)
        return "create a CPU";
    size = ioctl(t->kvm, KVM_GET_VCPU_MMAP_SIZE, 0);
    if (size < (int)sizeof(struct kvm_run))
        return "map its CPU";
    t->run = mmap(NULL, (size_t)size, PROT_READ | PROT_WRITE, MAP_SHARED, t->vcpu, 0);
    if (t->run == MAP_FAILED)
        return "map its CPU";
    t->run_size = (size_t)size;
    if (set_cpuid(t) < 0)
        return "describe its CPU";
    return set_registers(t) < 0 ? "set its registers" : NULL;
}

static const char *const stages[] = {
    [0] = "XSAVE or XRSTOR",
    [PROGRESS_XSAVE] = "a breakpoint (INT3)",
    [PROGRESS_INT3] = "a simple loop",
    [PROGRESS_LOOP] = "a simple loop",
};

static void say_exit(const struct tiny *t, unsigned stage, struct kvm_probe *ret)
{
    const struct kvm_run *run = t->run;
    char how[96];

    switch (run->exit_reason) {
    case KVM_EXIT_INTERNAL_ERROR:
        (void)snprintf(how, sizeof(how), "gives up with KVM internal error %u",
                       run->internal.suberror);
        break;
    case KVM_EXIT_SHUTDOWN:
        (void)snprintf(how, sizeof(how), "resets the CPU (triple fault)");
        break;
    case KVM_EXIT_FAIL_ENTRY:
        (void)snprintf(how, sizeof(how), "refuses to enter the guest (%#llx)",
                       (unsigned long long)run->fail_entry.hardware_entry_failure_reason);
        break;
    default:
        (void)snprintf(how, sizeof(how), "stops with exit reason %u", run->exit_reason);
        break;
    }
    SAY(ret, "/dev/kvm %s at %s%s", how, stages[stage], suspect());
}

/* One KVM_RUN. Returns what the guest said, 0 when it halted, -1 with the reason said. */
static int step(const struct tiny *t, unsigned stage, struct kvm_probe *ret)
{
    const struct kvm_run *run = t->run;

    while (ioctl(t->vcpu, KVM_RUN, 0) < 0) {
        if (errno == EINTR)
            continue;
        SAY(ret, "/dev/kvm cannot run %s: %s%s", stages[stage], strerror(errno), suspect());
        return -1;
    }
    if (run->exit_reason == KVM_EXIT_HLT)
        return 0;
    if (run->exit_reason == KVM_EXIT_IO && run->io.port == PORT && run->io.size == 1 &&
        run->io.data_offset < t->run_size)
        return ((const uint8_t *)run)[run->io.data_offset];
    say_exit(t, stage, ret);
    return -1;
}

static void judge(unsigned rounds, uint64_t best_ns, struct kvm_probe *ret)
{
    uint64_t mips = LOOP_INSNS * UINT64_C(1000) / (best_ns ? best_ns : 1);

    if (rounds != LOOPS) {
        SAY(ret, "/dev/kvm lost guest instructions%s", suspect());
    } else if (mips < MIPS_MIN) {
        SAY(ret, "/dev/kvm emulates: %ju million instructions per second%s", (uintmax_t)mips,
            suspect());
    } else if (mips > MIPS_MAX) {
        ret->works = true;
        SAY(ret, "/dev/kvm runs guest code");
    } else {
        ret->works = true;
        SAY(ret, "/dev/kvm runs guest code, %ju million instructions per second",
            (uintmax_t)mips);
    }
}

static void tiny_run(const struct tiny *t, struct kvm_probe *ret)
{
    uint64_t began, best = UINT64_MAX;
    unsigned stage = 0, rounds = 0;
    int said;

    for (int exits = 0; exits < 16; exits++) {
        began = time_mono_ns();
        said = step(t, stage, ret);
        if (said < 0)
            return;
        if (said == 0) {
            judge(rounds, best, ret);
            return;
        }
        if (said == PROGRESS_LOOP && time_mono_ns() - began < best)
            best = time_mono_ns() - began;
        rounds += said == PROGRESS_LOOP;
        if (said > PROGRESS_LOOP || said < (int)stage) {
            SAY(ret, "/dev/kvm %s %s%s",
                said == PROGRESS_FAULT ? "raises an exception at" : "executes wrongly",
                stages[stage], suspect());
            return;
        }
        stage = (unsigned)said;
    }
    SAY(ret, "/dev/kvm executes a simple loop wrongly%s", suspect());
}

static void probe_in_child(int kvm, struct kvm_probe *ret)
{
    struct tiny t = { .kvm = kvm, .vm = -1, .vcpu = -1 };
    const char *cannot = tiny_open(&t);

    if (cannot)
        SAY(ret, "/dev/kvm cannot %s: %s%s", cannot, strerror(errno), suspect());
    else
        tiny_run(&t, ret);
}

#else

/* On arm64 no software imitation of /dev/kvm is known to us: a vCPU is proof enough. */
static void probe_in_child(int kvm, struct kvm_probe *ret)
{
    int vm = ioctl(kvm, KVM_CREATE_VM, 0);

    if (vm < 0 || ioctl(vm, KVM_CREATE_VCPU, 0) < 0) {
        SAY(ret, "/dev/kvm cannot create a machine: %s%s", strerror(errno), suspect());
        return;
    }
    ret->works = true;
    SAY(ret, "/dev/kvm creates machines");
}

#endif

/* False when the child does not answer in time or dies. */
static bool wait_answer(int fd, struct kvm_probe *ret)
{
    uint64_t end = time_mono_ns() + KVM_PROBE_LIMIT_MS * NS_PER_MS, now;
    struct kvm_probe got;

    while ((now = time_mono_ns()) < end) {
        struct pollfd p = { .fd = fd, .events = POLLIN };
        int n = poll(&p, 1, (int)((end - now) / NS_PER_MS) + 1);

        if (n < 0 && errno != EINTR)
            return false;
        if (n <= 0)
            continue;
        if (read(fd, &got, sizeof(got)) != sizeof(got)) {
            SAY(ret, "/dev/kvm: the probe died%s", suspect());
            return false;
        }
        *ret = got;
        return true;
    }
    SAY(ret, "/dev/kvm: a few thousand guest instructions took more than %d ms%s",
        KVM_PROBE_LIMIT_MS, suspect());
    return false;
}

/* A guest that does not stop can only be stopped from outside: hence a child. It is forked
 * without exec, so this is for processes with one thread. */
static void run_child(int kvm, struct kvm_probe *ret)
{
    autofd int r = -1, w = -1;
    int fds[2];
    pid_t pid;

    if (pipe2(fds, O_CLOEXEC) < 0) {
        SAY(ret, "The probe cannot run: %s", strerror(errno));
        return;
    }
    r = fds[0];
    w = fds[1];
    pid = fork();
    if (pid < 0) {
        SAY(ret, "The probe cannot run: %s", strerror(errno));
        return;
    }
    if (pid == 0) {
        (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
        probe_in_child(kvm, ret);
        _exit(write(w, ret, sizeof(*ret)) == sizeof(*ret) ? 0 : 1);
    }
    close_fd(&w);
    (void)wait_answer(r, ret);
    (void)kill(pid, SIGKILL); /* our own child, not yet waited for */
    (void)waitpid(pid, NULL, 0);
}

void kvm_probe_run(struct kvm_probe *ret)
{
    autofd int kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC);
    int version;

    *ret = (struct kvm_probe){ .works = false };
    if (kvm < 0) {
        if (errno == ENOENT)
            SAY(ret, "There is no /dev/kvm");
        else
            SAY(ret, "Cannot open /dev/kvm: %s", strerror(errno));
        return;
    }
    version = ioctl(kvm, KVM_GET_API_VERSION, 0);
    if (version != KVM_API_VERSION) {
        SAY(ret, "/dev/kvm speaks version %d, not %d", version, KVM_API_VERSION);
        return;
    }
    run_child(kvm, ret);
}
