/* cmd/report.h - results for people and for programs.
 *
 * Thread rules: belongs to the main thread. */
#ifndef VF_CMD_REPORT_H
#define VF_CMD_REPORT_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include <jansson.h>

#include "core/error.h"

struct vf_cli;

/* An error to standard error, also with --quiet. */
void vf_complain(const struct vf_error *err);
/* A message to standard error, unless --quiet.  A newline is added. */
void vf_say(const struct vf_cli *cli, const char *fmt, ...) VF_PRINTF(2, 3);
/* The same with --verbose only. */
void vf_say_more(const struct vf_cli *cli, const char *fmt, ...) VF_PRINTF(2, 3);

/* Takes obj (NULL: memory was out) as the verb's result; 0, or -1 (NOMEM). */
int vf_report_set(struct vf_cli *cli, json_t *obj, struct vf_error *err) VF_MUST_CHECK;

/* {"error": {"code", "message"}} added to obj (NULL: to a new object); returns obj, NULL when
 * memory is out. */
json_t *vf_report_error(json_t *obj, const struct vf_error *err);

/* Text from outside as a JSON string; bytes that are not UTF-8 become '?'. */
json_t *vf_json_text(const char *text);

/* Can JSON have the text as it is?  What has to be read again must not become '?'. */
bool vf_is_utf8(const char *text);

/* "sha256:" and hex, as everywhere in reports. */
#define VF_DIGEST_TEXT 72u
void vf_digest_text(const uint8_t sha[32], char ret[VF_DIGEST_TEXT]);

/* "12.3 MB", "512 B": powers of 1000, three digits at least. */
#define VF_BYTES_TEXT 32u
void vf_bytes_text(uint64_t bytes, char ret[VF_BYTES_TEXT]);
/* "7 s", "3 min 20 s", "2 h 05 min". */
void vf_seconds_text(double seconds, char ret[VF_BYTES_TEXT]);
/* "22.85 %"; part of whole, 0 of 0 is all of it. */
void vf_share_text(uint64_t part, uint64_t whole, char ret[VF_BYTES_TEXT]);
double vf_share(uint64_t part, uint64_t whole);

/* Prints text to out with control characters and what is not UTF-8 as '?': names come from peers
 * and from file systems. */
void vf_put_clean(FILE *out, const char *text);

/* A table of texts.  Columns are as wide as their widest cell; 'r' puts them at the right. */
struct vf_table;
/* align borrows: "lrr" makes three columns, 16 at most. */
struct vf_table *vf_table_new(const char *align, struct vf_error *err);
/* One cell, left to right, row after row.  0, or -1 (NOMEM). */
int vf_table_add(struct vf_table *t, struct vf_error *err, const char *fmt, ...)
    VF_PRINTF(3, 4) VF_MUST_CHECK;
void vf_table_print(const struct vf_table *t, FILE *out);
void vf_table_free(struct vf_table *t);

#endif
