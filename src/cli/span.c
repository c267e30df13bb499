#include "cli/span.h"

#include "cli/boxes.h"
#include "util/own.h"
#include "util/time.h"

void cli_span_begin(struct cli_span *s)
{
    trace_begin(&s->trace);
    s->began_ns = time_mono_ns();
    s->span = -1;
}

uint64_t cli_span_end(struct cli_span *s, const char *name, int r, const struct err *e)
{
    uint64_t now = time_mono_ns();

    s->span = trace_add(&s->trace, name, -1, s->began_ns, now);
    if (r < 0)
        trace_failed(&s->trace, s->span, e->text);
    return now - s->began_ns;
}

void cli_span_send(struct cli *cli, struct cli_span *s)
{
    autofree char *program = s->trace.n ? cli_helper_path(cli, "a3s-box-otlp") : NULL;

    if (program) {
        (void)fflush(cli->out); /* the answer first; main checks the stream */
        (void)trace_send(&s->trace, cli->home, program, NULL); /* its end is init's business */
    }
    trace_done(&s->trace);
}
