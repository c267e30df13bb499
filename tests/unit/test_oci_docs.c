#include "oci/changes.h"
#include "oci/digest.h"
#include "oci/manifest.h"

#include "unit.h"

#define D1 "sha256:1111111111111111111111111111111111111111111111111111111111111111"
#define D2 "sha256:2222222222222222222222222222222222222222222222222222222222222222"
#define GZ "application/vnd.oci.image.layer.v1.tar+gzip"

static void manifests(void **state UNUSED)
{
    static const char text[] = "{\"schemaVersion\":2,\"config\":{\"digest\":\"" D1
                               "\",\"size\":7},\"layers\":[{\"mediaType\":\"" GZ
                               "\",\"digest\":\"" D2 "\",\"size\":123}]}";
    struct manifest m = { 0 };
    struct err e = { 0 };

    assert_int_equal(manifest_parse(text, strlen(text), &m, &e), 0);
    assert_string_equal(m.config.digest, D1);
    assert_int_equal(m.config.size, 7);
    assert_int_equal(m.layers_n, 1);
    assert_string_equal(m.layers[0].digest, D2);
    assert_string_equal(m.layers[0].media_type, GZ);
    manifest_done(&m);
    assert_int_equal(manifest_parse("{}", 2, &m, &e), -ERR_UNSUPPORTED);
    assert_null(m.layers);
}

static void indexes(void **state UNUSED)
{
    static const char text[] =
        "{\"schemaVersion\":2,\"manifests\":[{\"digest\":\"" D1 "\",\"size\":1,"
        "\"platform\":{\"os\":\"linux\",\"architecture\":\"arm\",\"variant\":\"v7\"},"
        "\"annotations\":{\"org.opencontainers.image.ref.name\":\"latest\","
        "\"io.containerd.image.name\":\"docker.io/library/x:1\"}},{\"digest\":\"" D2 "\"}]}";
    struct index index = { 0 };
    struct err e = { 0 };

    assert_int_equal(index_parse(text, strlen(text), &index, &e), 0);
    assert_int_equal(index.n, 2);
    assert_string_equal(index.entries[0].name, "docker.io/library/x:1");
    assert_string_equal(index.entries[0].platform.variant, "v7");
    assert_true(index.entries[0].has_platform);
    assert_null(index.entries[1].name);
    assert_false(index.entries[1].has_platform);
    index_done(&index);
}

static int rank(const char *want, const char *image)
{
    struct platform w, i;
    struct err e;

    assert_int_equal(platform_parse(want, &w, &e), 0);
    assert_int_equal(platform_parse(image, &i, &e), 0);
    return platform_rank(&w, &i);
}

static void variants_of_platforms(void **state UNUSED)
{
    const struct platform none = { .os = "" };
    struct platform w;
    struct err e;

    assert_true(rank("linux/amd64", "linux/amd64") > 0);
    assert_int_equal(rank("linux/amd64", "linux/arm64"), 0);
    assert_int_equal(rank("linux/amd64", "windows/amd64"), 0);
    assert_int_equal(rank("linux/amd64", "linux/amd64/v3"), 0);
    assert_true(rank("linux/amd64/v3", "linux/amd64/v2") > rank("linux/amd64/v3", "linux/amd64"));
    assert_true(rank("linux/amd64/v3", "linux/amd64") > 0);
    assert_true(rank("linux/arm64", "linux/arm64/v8") > 0);
    assert_int_equal(rank("linux/arm64", "linux/arm64/v8"), rank("linux/arm64/v8", "arm64"));
    assert_true(rank("linux/arm", "linux/arm/v7") > rank("linux/arm", "linux/arm/v6"));
    assert_true(rank("linux/arm/v7", "linux/arm/v6") > rank("linux/arm/v7", "linux/arm/v5"));
    assert_int_equal(rank("linux/arm/v6", "linux/arm/v7"), 0);
    assert_int_equal(rank("linux/arm/v6", "linux/arm/weird"), 0);
    assert_true(rank("linux/ppc64le", "linux/ppc64le") > 0);
    assert_int_equal(platform_parse("linux/amd64", &w, &e), 0);
    assert_true(platform_rank(&w, &none) > 0);
    assert_true(platform_rank(&w, &none) < rank("linux/amd64/v9", "linux/amd64"));
}

#define ENTRY(digest, platform) "{\"digest\":\"" digest "\",\"size\":1," platform "}"
#define PLATFORM(arch, variant)                                                                  \
    "\"platform\":{\"os\":\"linux\",\"architecture\":\"" arch "\",\"variant\":\"" variant "\"}"
#define INDEX(entries) "{\"schemaVersion\":2,\"manifests\":[" entries "]}"

static void an_index_is_chosen_from(void **state UNUSED)
{
    static const char text[] =
        INDEX(ENTRY(D1, PLATFORM("arm", "v6")) "," ENTRY(D2, PLATFORM("arm", "v7")));
    static const char unsaid[] = INDEX(ENTRY(D1, "\"x\":1") "," ENTRY(D2, PLATFORM("arm64", "")));
    const struct index_entry *entry;
    struct index index = { 0 };
    struct platform want;
    char list[40];
    struct err e;

    assert_int_equal(index_parse(text, strlen(text), &index, &e), 0);
    assert_int_equal(platform_parse("linux/arm/v7", &want, &e), 0);
    entry = index_choose(&index, &want);
    assert_non_null(entry);
    assert_string_equal(entry->descriptor.digest, D2);
    assert_int_equal(platform_parse("linux/arm/v6", &want, &e), 0);
    entry = index_choose(&index, &want);
    assert_non_null(entry);
    assert_string_equal(entry->descriptor.digest, D1);
    assert_int_equal(platform_parse("linux/amd64", &want, &e), 0);
    assert_null(index_choose(&index, &want));
    index_platforms(&index, list, sizeof(list));
    assert_string_equal(list, "linux/arm/v6, linux/arm/v7");
    index_platforms(&index, list, 15); /* whole names only */
    assert_string_equal(list, "linux/arm/v6");
    index_done(&index);

    assert_int_equal(index_parse(unsaid, strlen(unsaid), &index, &e), 0);
    entry = index_choose(&index, &want);
    assert_non_null(entry);
    assert_string_equal(entry->descriptor.digest, D1);
    assert_int_equal(platform_parse("linux/arm64", &want, &e), 0);
    entry = index_choose(&index, &want);
    assert_non_null(entry);
    assert_string_equal(entry->descriptor.digest, D2);
    index_done(&index);
}

static void depth_is_counted_outside_of_strings(void **state UNUSED)
{
    static const char brackets[] =
        "{\"a\\\"[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[["
        "[[[[[[[[[[[[[[[[[[[[[[[[\":1}";
    struct err e = { 0 };
    json_t *j = NULL;
    char deep[200];

    assert_int_equal(json_parse(brackets, strlen(brackets), "x", &j, &e), 0);
    json_decref(j);
    memset(deep, '[', 65);
    memset(deep + 65, ']', 65);
    assert_int_equal(json_parse(deep, 130, "x", &j, &e), -ERR_LIMIT);
    assert_int_equal(json_parse(deep + 1, 128, "x", &j, &e), 0);
    json_decref(j);
}

static void media_types(void **state UNUSED)
{
    assert_int_equal(media_kind(GZ), MEDIA_LAYER);
    assert_int_equal(media_kind("application/vnd.docker.image.rootfs.diff.tar.gzip"),
                     MEDIA_LAYER);
    assert_int_equal(media_kind("application/vnd.oci.image.index.v1+json"), MEDIA_INDEX);
    assert_int_equal(media_kind("application/vnd.docker.distribution.manifest.v2+json"),
                     MEDIA_MANIFEST);
    assert_int_equal(media_kind("application/vnd.oci.image.layer.v1.tar+encrypted"),
                     MEDIA_UNKNOWN);
    assert_int_equal(media_kind(""), MEDIA_UNKNOWN);
}

static bool fits(const char *want, const char *os, const char *arch, const char *variant)
{
    struct platform p, image = { "", "", "" };
    struct err e = { 0 };

    assert_int_equal(platform_parse(want, &p, &e), 0);
    (void)snprintf(image.os, sizeof(image.os), "%s", os);
    (void)snprintf(image.architecture, sizeof(image.architecture), "%s", arch);
    (void)snprintf(image.variant, sizeof(image.variant), "%s", variant);
    return platform_fits(&p, &image);
}

static void platforms(void **state UNUSED)
{
    struct platform p;
    struct err e = { 0 };

    assert_true(fits("linux/amd64", "linux", "amd64", ""));
    assert_true(fits("x86_64", "linux", "amd64", "v1"));
    assert_true(fits("linux/aarch64", "linux", "arm64", "v8"));
    assert_true(fits("linux/arm64/v8", "linux", "arm64", ""));
    assert_true(fits("linux/amd64", "", "", ""));
    assert_false(fits("linux/amd64", "linux", "arm64", ""));
    assert_false(fits("linux/amd64", "windows", "amd64", ""));
    assert_false(fits("linux/arm/v6", "linux", "arm", "v7"));
    assert_int_equal(platform_parse("a/b/c/d", &p, &e), -ERR_INVALID);
    assert_int_equal(platform_parse("", &p, &e), -ERR_INVALID);
    assert_int_equal(platform_parse("linux/", &p, &e), -ERR_INVALID);
}

static void when(const char *text, bool ok, int64_t want)
{
    int64_t got = -1;

    assert_int_equal(rfc3339_parse(text, &got), ok);
    if (ok)
        assert_int_equal(got, want);
}

static void times(void **state UNUSED)
{
    when("1970-01-01T00:00:00Z", true, 0);
    when("2023-11-14T22:13:20.000000001Z", true, 1700000000000000001);
    when("2023-11-15T00:13:20.5+02:00", true, 1700000000500000000);
    when("2023-11-14T22:13:20.1234567891234Z", true, 1700000000123456789);
    when("0001-01-01T00:00:00Z", true, 0); /* Go's zero time */
    when("2023-13-01T00:00:00Z", false, 0);
    when("2023-11-14T22:13:20", false, 0);
    when("2023-11-14T22:13:20Zx", false, 0);
    when("2023-11-14T22:13:20.Z", false, 0);
    when("9999-01-01T00:00:00Z", false, 0);
    when("", false, 0);
}

static void metas(void **state UNUSED)
{
    static const char text[] =
        "{\"created\":\"nonsense\",\"architecture\":\"amd64\",\"config\":null,"
        "\"rootfs\":{\"diff_ids\":[\"" D1 "\",\"" D2 "\"]}}";
    struct image_meta meta = { 0 };
    struct err e = { 0 };

    assert_int_equal(image_meta_parse(text, strlen(text), &meta, &e), 0);
    assert_int_equal(meta.n, 2);
    assert_string_equal(meta.diff_ids[1], D2);
    assert_int_equal(meta.created_ns, 0);
    image_meta_done(&meta);
    assert_int_equal(image_meta_parse("{\"config\":[]}", 13, &meta, &e), -ERR_CORRUPT);
}

/* The values of the example in the image spec's text: H(a b) with the prefix. */
static void chains(void **state UNUSED)
{
    struct digest ids[2] = { { D1 }, { D2 } }, both;
    struct err e = { 0 };
    char chain[65];

    assert_int_equal(chain_id(ids, 1, chain, &e), 0);
    assert_string_equal(chain, &D1[strlen("sha256:")]);
    assert_int_equal(digest_of(D1 " " D2, 2 * DIGEST_LEN + 1, &both, &e), 0);
    assert_int_equal(chain_id(ids, 2, chain, &e), 0);
    assert_string_equal(chain, both.text + 7);
    assert_int_equal(chain_id(ids, 0, chain, &e), 0);
    assert_string_equal(chain,
                        "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
}

static void change(json_t *config, const char *instruction)
{
    struct err e = { 0 };

    if (change_apply(config, instruction, &e) < 0)
        fail_msg("%s", e.text);
}

static void changes(void **state UNUSED)
{
    json_t *config = json_object(), *want;
    struct err e = { 0 };

    change(config, "CMD [\"a\", \"b c\"]");
    change(config, "entrypoint exec  x");
    change(config, "ENV A=1 B=\"x y\" C=a\\ b");
    change(config, "ENV A 2 3");
    change(config, "LABEL k='v w'");
    change(config, "VOLUME [\"/a b\"]");
    change(config, "VOLUME /c /d");
    change(config, "EXPOSE 80 53/udp");
    change(config, "ONBUILD RUN x");
    want = json_pack("{s:[s,s], s:[s,s,s], s:[s,s,s], s:{s:s}, s:{s:{},s:{},s:{}}, s:{s:{},s:{}},"
                     " s:[s]}",
                     "Cmd", "a", "b c", "Entrypoint", "/bin/sh", "-c", "exec  x", "Env", "A=2 3",
                     "B=x y", "C=a b", "Labels", "k", "v w", "Volumes", "/a b", "/c", "/d",
                     "ExposedPorts", "80/tcp", "53/udp", "OnBuild", "RUN x");
    assert_non_null(want);
    assert_true(json_equal(config, want));
    assert_int_equal(change_apply(config, "ENV x=\"", &e), -ERR_INVALID);
    assert_int_equal(change_apply(config, "LABEL novalue", &e), -ERR_INVALID);
    assert_int_equal(change_apply(config, "COPY a b", &e), -ERR_INVALID);
    assert_int_equal(change_apply(config, "CMD [1]", &e), -ERR_CORRUPT);
    json_decref(config);
    json_decref(want);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(manifests),
        cmocka_unit_test(indexes),
        cmocka_unit_test(variants_of_platforms),
        cmocka_unit_test(an_index_is_chosen_from),
        cmocka_unit_test(depth_is_counted_outside_of_strings),
        cmocka_unit_test(media_types),
        cmocka_unit_test(platforms),
        cmocka_unit_test(times),
        cmocka_unit_test(metas),
        cmocka_unit_test(chains),
        cmocka_unit_test(changes),
    };

    return cmocka_run_group_tests_name("oci_docs", tests, NULL, NULL);
}
