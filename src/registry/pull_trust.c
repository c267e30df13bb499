#include "registry/pull.h"
#include "registry/trust.h"

static struct trust_demand demand_of(const struct pull_options *o)
{
    return (struct trust_demand){ .home = o->home,
                                  .verify_key = o->verify_key,
                                  .verify_issuer = o->verify_issuer,
                                  .verify_identity = o->verify_identity };
}

int pull_check_before(const struct ref *ref, const struct pull_options *o, struct err *e)
{
    const struct trust_demand demand = demand_of(o);

    return trust_check_before(ref, &demand, e);
}

int pull_check_trust(struct remote *remote, const struct ref *ref, const char *digest,
                     const char *manifest_digest, const struct pull_options *o, struct err *e)
{
    const struct trust_demand demand = demand_of(o);

    return trust_check_remote(remote, ref, digest, manifest_digest, &demand, e);
}
