/* What is signed: simple-signing payloads and in-toto statements. */
#include "sign/evidence.h"
#include "sign/read.h"

#include <string.h>

#define PAYLOAD_TYPE   "cosign container image signature"
#define PREDICATE_TYPE "https://sigstore.dev/cosign/sign/v1"
#define SUBJECTS_MAX   1024

static bool asked_for(const struct sign_request *request, const char *digest,
                      char ret[DIGEST_LEN + 1])
{
    for (size_t i = 0; i < request->digests_n; i++)
        if (strcmp(request->digests[i], digest) == 0) {
            memcpy(ret, digest, DIGEST_LEN + 1);
            return true;
        }
    return false;
}

/* Docker Hub has two names. */
static const char *hub_name(const char *repository)
{
    static const char old[] = "index.docker.io/";

    return strncmp(repository, old, strlen(old)) == 0 ? repository + strlen("index.")
                                                      : repository;
}

static int check_reference(const char *reference, const struct sign_request *request,
                           struct err *e)
{
    const char *end = strpbrk(reference, "@");
    struct ref ref;
    struct err ignored = { 0 };

    if (!end && ref_parse(reference, &ref, &ignored) >= 0)
        reference = ref.name; /* cosign writes the repository; other tools add a tag */
    if (strcmp(hub_name(reference), hub_name(request->repository)) == 0)
        return 0;
    return err_set(e, ERR_DENIED, "The signature was made for the image in '%.200s'", reference);
}

static int check_critical(const json_t *critical, const struct sign_request *request,
                          bool same_repository, char ret_digest[DIGEST_LEN + 1], struct err *e)
{
    const char *type = NULL, *digest = NULL, *reference = NULL;
    json_t *identity, *image;
    int r = read_str(critical, "type", &type, e);

    if (r >= 0)
        r = read_obj(critical, "identity", &identity, e);
    if (r >= 0)
        r = read_str(identity, "docker-reference", &reference, e);
    if (r >= 0)
        r = read_obj(critical, "image", &image, e);
    if (r >= 0)
        r = read_str(image, "docker-manifest-digest", &digest, e);
    if (r < 0)
        return r;
    if (strcmp(type, PAYLOAD_TYPE) != 0)
        return err_set(e, ERR_DENIED, "The signature is of type '%.60s', not an image's", type);
    if (!asked_for(request, digest, ret_digest))
        return err_set(e, ERR_DENIED, "The signature is for another image (%.80s)", digest);
    return same_repository ? check_reference(reference, request, e) : 0;
}

int payload_check(struct span json, const struct sign_request *request, bool same_repository,
                  char ret_digest[DIGEST_LEN + 1], struct err *e)
{
    autojson *root = NULL;
    json_t *critical;
    int r = json_parse(json.p, json.len, "signature payload", &root, e);

    if (r >= 0)
        r = read_obj(root, "critical", &critical, e);
    if (r >= 0)
        r = check_critical(critical, request, same_repository, ret_digest, e);
    return r < 0 ? err_ctx(e, "payload") : 0;
}

bool payload_make(const struct sign_request *request, struct str *ret)
{
    bool hub = strncmp(request->repository, "docker.io/", strlen("docker.io/")) == 0;

    /* Neither names of repositories nor digests need escapes. */
    return str_addf(ret,
                    "{\"critical\":{\"identity\":{\"docker-reference\":\"%s%s\"},\"image\":"
                    "{\"docker-manifest-digest\":\"%s\"},\"type\":\"" PAYLOAD_TYPE
                    "\"},\"optional\":null}",
                    hub ? "index." : "", request->repository, request->digests[0]);
}

/* ---- statements ---- */

static int check_subjects(const json_t *list, const struct sign_request *request,
                          char ret_digest[DIGEST_LEN + 1], struct err *e)
{
    if (json_array_size(list) > SUBJECTS_MAX)
        return err_set(e, ERR_LIMIT, "More than %d subjects", SUBJECTS_MAX);
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *digests = json_object_get(json_array_get(list, i), "digest");
        const char *hex = json_string_value(json_object_get(digests, "sha256"));
        char text[DIGEST_LEN + 1] = "";

        if (!hex || strlen(hex) != 64)
            continue;
        memcpy(text, "sha256:", strlen("sha256:"));
        memcpy(text + strlen("sha256:"), hex, 65);
        if (asked_for(request, text, ret_digest))
            return 0;
    }
    return err_set(e, ERR_DENIED, "The signature is for another image");
}

int statement_check(struct span json, const struct sign_request *request,
                    char ret_digest[DIGEST_LEN + 1], struct err *e)
{
    const char *type = NULL, *predicate = NULL;
    autojson *root = NULL;
    json_t *subjects = NULL;
    int r = json_parse(json.p, json.len, "statement", &root, e);

    if (r >= 0)
        r = read_str(root, "_type", &type, e);
    if (r >= 0)
        r = read_str(root, "predicateType", &predicate, e);
    if (r >= 0)
        r = json_get_arr(root, "subject", &subjects, e);
    if (r < 0)
        return err_ctx(e, "statement");
    if (strcmp(type, "https://in-toto.io/Statement/v1") != 0 &&
        strcmp(type, "https://in-toto.io/Statement/v0.1") != 0)
        return err_set(e, ERR_UNSUPPORTED, "Statement of type '%.80s'", type);
    if (strcmp(predicate, PREDICATE_TYPE) != 0)
        return err_set(e, ERR_DENIED, "It is a statement about the image ('%.80s'), no signature",
                       predicate);
    return check_subjects(subjects, request, ret_digest, e);
}
