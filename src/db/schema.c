#include "db/schema.h"

#include "util/attr.h"

/* Times are nanoseconds since 1970, 0 for "never". */
const char *const schema_scripts[] = {
    "CREATE TABLE boxes ("
    "  id TEXT PRIMARY KEY," /* 64 hexadecimal digits */
    "  name TEXT NOT NULL UNIQUE,"
    "  state TEXT NOT NULL,"    /* box/state.h */
    "  image TEXT NOT NULL,"    /* the reference as the user gave it */
    "  image_id TEXT NOT NULL," /* sha256:... of the image's configuration */
    "  spec TEXT NOT NULL,"     /* JSON, box/spec.h */
    "  created_ns INTEGER NOT NULL,"
    "  started_ns INTEGER NOT NULL DEFAULT 0,"
    "  finished_ns INTEGER NOT NULL DEFAULT 0,"
    "  exit_code INTEGER NOT NULL DEFAULT 0,"
    "  oom_killed INTEGER NOT NULL DEFAULT 0,"
    "  error TEXT NOT NULL DEFAULT ''," /* why it is dead or did not start */
    "  stopped_by_user INTEGER NOT NULL DEFAULT 0,"
    "  shim_pid INTEGER NOT NULL DEFAULT 0,"
    "  shim_start INTEGER NOT NULL DEFAULT 0," /* with shim_pid names the process */
    "  vm_pid INTEGER NOT NULL DEFAULT 0,"
    "  tier TEXT NOT NULL DEFAULT ''" /* how the last start was served: cold */
    ");"
    "CREATE INDEX boxes_image ON boxes (image_id);"
    "CREATE TABLE images ("
    "  reference TEXT PRIMARY KEY,"    /* canonical: registry/repository:tag[@digest] */
    "  image_id TEXT NOT NULL,"        /* sha256:... of the configuration */
    "  manifest_digest TEXT NOT NULL," /* sha256:... */
    "  added_ns INTEGER NOT NULL,"
    "  used_ns INTEGER NOT NULL"
    ");"
    "CREATE INDEX images_id ON images (image_id);"
    "CREATE TABLE image_content ("
    "  image_id TEXT PRIMARY KEY,"
    "  manifest_digest TEXT NOT NULL,"
    "  chain_id TEXT NOT NULL,"      /* names rootfs/<hex>.ext4 */
    "  size_bytes INTEGER NOT NULL," /* of the layers, unpacked */
    "  created_ns INTEGER NOT NULL"  /* from the configuration */
    ");"
    "CREATE TABLE image_blobs ("
    "  image_id TEXT NOT NULL,"
    "  digest TEXT NOT NULL,"
    "  PRIMARY KEY (image_id, digest)"
    ") WITHOUT ROWID;",

    /* The digest a reference was pulled by: of the index when there was one; "" when it was not
     * pulled. What docker calls RepoDigests. */
    "ALTER TABLE images ADD COLUMN repo_digest TEXT NOT NULL DEFAULT '';",

    /* What `ps` prints of a specification, so that it need not be parsed (box/brief.h). */
    "ALTER TABLE boxes ADD COLUMN command TEXT NOT NULL DEFAULT '';"
    "ALTER TABLE boxes ADD COLUMN labels TEXT NOT NULL DEFAULT '';" /* a JSON object, or "" */
    "ALTER TABLE boxes ADD COLUMN network TEXT NOT NULL DEFAULT 'none';"
    "ALTER TABLE boxes ADD COLUMN platform TEXT NOT NULL DEFAULT '';"
    "UPDATE boxes SET labels = coalesce(json_extract(spec, '$.labels'), ''),"
    "  network = coalesce(json_extract(spec, '$.network'), 'none'),"
    "  platform = coalesce(json_extract(spec, '$.platform'), ''),"
    "  command = (SELECT coalesce(group_concat(value, ' '), '') FROM"
    "    (SELECT value FROM json_each(spec, '$.entrypoint') UNION ALL"
    "     SELECT value FROM json_each(spec, '$.cmd')))"
    "  WHERE json_valid(spec);",

    /* When an image was last used (made, or a box of it made or started): what goes first. The
     * sizes of its layers' files, as `history` shows them. */
    "ALTER TABLE image_content ADD COLUMN used_ns INTEGER NOT NULL DEFAULT 0;"
    "UPDATE image_content SET used_ns = coalesce((SELECT max(max(i.used_ns, i.added_ns))"
    "  FROM images i WHERE i.image_id = image_content.image_id), 0);"
    "CREATE INDEX image_blobs_digest ON image_blobs (digest);"
    "CREATE TABLE image_layers ("
    "  image_id TEXT NOT NULL,"
    "  position INTEGER NOT NULL," /* from 0, the lowest */
    "  diff_id TEXT NOT NULL,"
    "  size_bytes INTEGER NOT NULL,"
    "  PRIMARY KEY (image_id, position)"
    ") WITHOUT ROWID;"
    "CREATE INDEX image_layers_diff_id ON image_layers (diff_id);",

    /* What happened (db/event.h). The newest row is never deleted, so seq only grows. */
    "CREATE TABLE events ("
    "  seq INTEGER PRIMARY KEY,"
    "  time_ns INTEGER NOT NULL,"
    "  type TEXT NOT NULL,"      /* container, image */
    "  action TEXT NOT NULL,"    /* docker's */
    "  actor_id TEXT NOT NULL,"  /* of a box its id, of an image its reference or id */
    "  attributes TEXT NOT NULL" /* a JSON object with strings in it */
    ");",

    /* What keeps a box going (box/policy.h). */
    "ALTER TABLE boxes ADD COLUMN restart_count INTEGER NOT NULL DEFAULT 0;"
    "ALTER TABLE boxes ADD COLUMN health TEXT NOT NULL DEFAULT '';"      /* "": no check */
    "ALTER TABLE boxes ADD COLUMN health_log TEXT NOT NULL DEFAULT '';", /* docker's, JSON */
};

const int schema_version = ARRAY_LEN(schema_scripts);
