/* cmd/similar/html.h - pages that need nothing but themselves: no network, no scripts.
 *
 * All text goes through vf_html_text: names come from peers and file systems and are hostile, in
 * elements and in attributes.
 *
 * Thread rules: the stream belongs to the caller's thread.  Failures of writing are found with
 * ferror(out) at the end. */
#ifndef VF_CMD_SIMILAR_HTML_H
#define VF_CMD_SIMILAR_HTML_H

#include <stdint.h>
#include <stdio.h>

#include <jansson.h>

/* Up to and with <main>; title and lead are texts. */
void vf_html_begin(FILE *out, const char *title, const char *lead);
/* report: put into the page for programs to read, as <script type="application/json" id="report">.
 * -1 when memory is out. */
int vf_html_end(FILE *out, const json_t *report);

/* Text, good for elements and for attributes in double quotes. */
void vf_html_text(FILE *out, const char *text);
/* The same of a JSON member; nothing when it is none or no text. */
void vf_html_member(FILE *out, const json_t *o, const char *key);

/* A table that may be wider than the window: a box of its own that scrolls, by keyboard too.
 * label: what it is, for those who do not see it. */
void vf_html_scroll_begin(FILE *out, const char *label);
void vf_html_scroll_end(FILE *out);

/* A cell of a heat map: share from 0 to 1. */
void vf_html_heat(FILE *out, double share);

#endif
