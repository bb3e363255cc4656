/* hypervisor/libvirt_xml.h - the few things that are read from and changed in libvirt's XML.
 *
 * Texts come from libvirt here or, at the far half, from the peer: they are parsed without any
 * access to files or networks and without entities, and their size is bounded.
 *
 * Thread rules: a document belongs to one thread. */
#ifndef VF_HYPERVISOR_LIBVIRT_XML_H
#define VF_HYPERVISOR_LIBVIRT_XML_H

#include <stdbool.h>
#include <stddef.h>

#include "core/error.h"

#define VF_LV_XML_MAX (size_t)(512u << 10)

struct vf_lv_xml; /* a parsed document */

/* NULL: VF_ERR_FORMAT, VF_ERR_NOMEM. */
struct vf_lv_xml *vf_lv_xml_parse(const char *text, struct vf_error *err);
void vf_lv_xml_free(struct vf_lv_xml *x); /* NULL is fine */

/* The document as text; returns owned. */
char *vf_lv_xml_text(struct vf_lv_xml *x, struct vf_error *err);

/* The text of the first node that an XPath expression of ours finds, "" when it finds none; returns
 * owned, NULL when memory is out. */
char *vf_lv_xml_get(struct vf_lv_xml *x, const char *xpath, struct vf_error *err);

/* How many nodes it finds. */
size_t vf_lv_xml_count(struct vf_lv_xml *x, const char *xpath);

/* The element that it finds first, as text; "" when none; returns owned. */
char *vf_lv_xml_element(struct vf_lv_xml *x, const char *xpath, struct vf_error *err);

/* The text of the n-th node (from 0) that it finds, as vf_lv_xml_get. */
char *vf_lv_xml_nth(struct vf_lv_xml *x, const char *xpath, size_t n, struct vf_error *err);

/* The disk with that target name is from now on this file or device (path) of this format; what
 * lies below it is no longer mentioned.  VF_ERR_NOTFOUND when the domain has no such disk. */
int vf_lv_xml_set_disk(struct vf_lv_xml *x, const char *target, const char *path,
                       const char *format, struct vf_error *err) VF_MUST_CHECK;

/* The text of the first element that it finds is from now on this one; none: nothing is done. */
int vf_lv_xml_set(struct vf_lv_xml *x, const char *xpath, const char *text,
                  struct vf_error *err) VF_MUST_CHECK;

/* Text for use inside an attribute in double quotes; returns owned. */
char *vf_lv_xml_escape(const char *text, struct vf_error *err);

#endif
