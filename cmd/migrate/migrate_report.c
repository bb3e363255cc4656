/* cmd/migrate/migrate_report.c - what a migration did, or would do, as JSON and for people. */
#include <inttypes.h>
#include <stdio.h>

#include "cmd/migrate/migrate_impl.h"
#include "cmd/report.h"
#include "core/checked.h"
#include "core/clock.h"

static uint64_t extra_of(const struct vf_send_result *r)
{
    return r->literal_sent > r->peer.literal_blocks ? r->literal_sent - r->peer.literal_blocks : 0;
}

static json_t *report_json(const struct vf_migrate *m)
{
    json_t *o;
    const struct vf_map_info *i = &m->result.info;
    const struct vf_msg_result *p = &m->result.peer;
    char digest[VF_DIGEST_TEXT];

    vf_digest_text(i->root, digest);
    o = json_pack("{s:o, s:o, s:o, s:s, s:o, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, "
                  "s:f, s:s, s:b, s:I, s:I, s:I, s:b}",
                  "image", vf_json_text(m->image.path), "node", vf_json_text(m->label), "path",
                  vf_json_text(p->path ? p->path : ""), "format", m->format, "group",
                  vf_json_text(m->group), "virtual_size", (json_int_t)i->size, "block_size",
                  (json_int_t)VF_BLOCK, "blocks", (json_int_t)i->blocks, "zero_blocks",
                  (json_int_t)i->zero_blocks, "shared_blocks", (json_int_t)p->shared_blocks,
                  "duplicate_blocks", (json_int_t)p->duplicate_blocks, "literal_blocks",
                  (json_int_t)p->literal_blocks, "extra_blocks", (json_int_t)extra_of(&m->result),
                  "wire_bytes_sent", (json_int_t)m->wire.sent, "wire_bytes_received",
                  (json_int_t)m->wire.received, "seconds", m->seconds, "digest", digest, "verified",
                  (int)p->verified, "copied_blocks", (json_int_t)p->copied_blocks,
                  "repaired_blocks", (json_int_t)p->repaired_blocks, "quoted_bytes",
                  (json_int_t)m->result.quoted_bytes, "dry_run", (int)m->opts->dry_run);
    if (o && !vf_plan_put(&m->plan, o)) {
        json_decref(o);
        return NULL;
    }
    return o;
}

static void print_row(const char *what, uint64_t blocks, uint64_t all)
{
    char bytes[VF_BYTES_TEXT], share[VF_BYTES_TEXT];

    vf_bytes_text(blocks * VF_BLOCK, bytes);
    vf_share_text(blocks, all, share);
    printf("  %-10s %14" PRIu64 " blocks  %9s  %9s\n", what, blocks, bytes, share);
}

static void print_report(const struct vf_migrate *m)
{
    const struct vf_map_info *i = &m->result.info;
    const struct vf_msg_result *p = &m->result.peer;
    char sent[VF_BYTES_TEXT], received[VF_BYTES_TEXT], took[VF_BYTES_TEXT], digest[VF_DIGEST_TEXT],
        predicted[VF_BYTES_TEXT] = "";

    vf_put_clean(stdout, m->image.path);
    fputs(m->opts->dry_run ? " -> (dry run) " : " -> ", stdout);
    vf_put_clean(stdout, m->label);
    fputs(": ", stdout);
    vf_put_clean(stdout, p->path ? p->path : m->name);
    fputc('\n', stdout);
    print_row("all", i->blocks, i->blocks);
    print_row("zero", i->zero_blocks, i->blocks);
    print_row("shared", p->shared_blocks, i->blocks);
    print_row("duplicate", p->duplicate_blocks, i->blocks);
    print_row("literal", p->literal_blocks, i->blocks);
    if (extra_of(&m->result))
        print_row("extra", extra_of(&m->result), i->blocks);
    vf_bytes_text(m->wire.sent, sent);
    vf_bytes_text(m->wire.received, received);
    vf_seconds_text(m->seconds, took);
    vf_digest_text(i->root, digest);
    if (m->plan.made)
        vf_bytes_text(m->plan.best->prediction.wire.value, predicted);
    if (m->opts->dry_run)
        printf("  would send about %s\n  digest %s\n", predicted, digest);
    else
        printf("  sent %s, received %s, in %s%s%s\n  verified %s\n", sent, received, took,
               m->plan.made ? "; predicted: " : "", predicted, digest);
}

int vf_migrate_report(struct vf_migrate *m, struct vf_error *err)
{
    m->seconds = vf_clock_now() - m->start;
    if (vf_report_set(m->cli, report_json(m), err) < 0)
        return -1;
    if (m->cli->json || (m->cli->quiet && !m->opts->dry_run))
        return 0;
    print_report(m);
    if (!m->opts->dry_run || m->plan.nodes.n < 2)
        return 0;
    fputc('\n', stdout);
    return vf_plan_print(&m->plan, err);
}

int vf_migrate_dry_run(struct vf_migrate *m, struct vf_error *err)
{
    const struct vf_map_info *info = &m->plan.survey.info;
    const struct vf_likeness *l = &m->plan.best->likeness;
    struct vf_msg_result *p = &m->result.peer;
    uint64_t data = info->blocks - info->zero_blocks, literals = l->literals.value,
             shared = l->shared.value;

    if (!m->plan.best->exact && shared <= data && literals > data - shared)
        literals = data - shared; /* an estimate may say a little too much */
    if (shared > data || literals > data - shared)
        return vf_error_set(err, VF_ERR_PROTOCOL, 0, "the far end's counts do not add up");
    m->result.info = *info;
    p->shared_blocks = shared;
    p->literal_blocks = literals;
    p->duplicate_blocks = data - shared - literals;
    p->path = vf_strf(err, "%s/%s", m->plan.best->dir, m->name);
    m->wire.sent = m->plan.best->prediction.wire.value;
    return p->path ? vf_migrate_report(m, err) : -1;
}
