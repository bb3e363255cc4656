/* hypervisor/libvirt_xml.c - libvirt's XML, by libxml2. */
#include "hypervisor/libvirt_xml.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <libxml/parser.h>
#include <libxml/tree.h>
#include <libxml/xpath.h>

#include "core/checked.h"

struct vf_lv_xml {
    xmlDocPtr doc;
    xmlXPathContextPtr ctx;
};

static void quiet(void *ctx, const char *fmt, ...)
{
    (void)ctx;
    (void)fmt;
}

struct vf_lv_xml *vf_lv_xml_parse(const char *text, struct vf_error *err)
{
    struct vf_lv_xml *x;
    size_t len = strlen(text);

    if (len > VF_LV_XML_MAX) {
        (void)vf_error_set(err, VF_ERR_RANGE, 0, "a domain's description of %zu bytes", len);
        return NULL;
    }
    x = vf_calloc(1, sizeof *x, err);
    if (!x)
        return NULL;
    xmlSetGenericErrorFunc(NULL, quiet); /* of this thread: libraries do not print */
    x->doc = xmlReadMemory(text, (int)len, NULL, NULL,
                           XML_PARSE_NONET | XML_PARSE_NOERROR | XML_PARSE_NOWARNING);
    /* libvirt writes no document types; one could define entities without end */
    if (!x->doc || xmlGetIntSubset(x->doc) || !xmlDocGetRootElement(x->doc)) {
        (void)vf_error_set(err, VF_ERR_FORMAT, 0, "a domain's description is malformed");
        vf_lv_xml_free(x);
        return NULL;
    }
    x->ctx = xmlXPathNewContext(x->doc);
    if (!x->ctx) {
        (void)vf_error_nomem(err);
        vf_lv_xml_free(x);
        return NULL;
    }
    return x;
}

void vf_lv_xml_free(struct vf_lv_xml *x)
{
    if (!x)
        return;
    if (x->ctx)
        xmlXPathFreeContext(x->ctx);
    if (x->doc)
        xmlFreeDoc(x->doc);
    free(x);
}

/* What libxml2 allocated, as memory that free() may have. */
static char *ours(xmlChar *text, struct vf_error *err)
{
    char *ret;

    if (!text) {
        (void)vf_error_nomem(err);
        return NULL;
    }
    ret = vf_strdup((const char *)text, err);
    xmlFree(text);
    return ret;
}

char *vf_lv_xml_text(struct vf_lv_xml *x, struct vf_error *err)
{
    xmlChar *text = NULL;
    int len = 0;

    xmlDocDumpMemory(x->doc, &text, &len);
    return ours(text, err);
}

/* The n-th node, NULL: there is none. */
static xmlNodePtr find(struct vf_lv_xml *x, const char *xpath, size_t n, size_t *ret_count)
{
    xmlXPathObjectPtr found = xmlXPathEvalExpression((const xmlChar *)xpath, x->ctx);
    xmlNodePtr node = NULL;
    size_t count = found && found->nodesetval ? (size_t)found->nodesetval->nodeNr : 0;

    if (n < count)
        node = found->nodesetval->nodeTab[n];
    if (ret_count)
        *ret_count = count;
    if (found)
        xmlXPathFreeObject(found);
    return node;
}

char *vf_lv_xml_nth(struct vf_lv_xml *x, const char *xpath, size_t n, struct vf_error *err)
{
    xmlNodePtr node = find(x, xpath, n, NULL);

    return node ? ours(xmlNodeGetContent(node), err) : vf_strdup("", err);
}

char *vf_lv_xml_get(struct vf_lv_xml *x, const char *xpath, struct vf_error *err)
{
    return vf_lv_xml_nth(x, xpath, 0, err);
}

size_t vf_lv_xml_count(struct vf_lv_xml *x, const char *xpath)
{
    size_t count;

    (void)find(x, xpath, 0, &count);
    return count;
}

char *vf_lv_xml_element(struct vf_lv_xml *x, const char *xpath, struct vf_error *err)
{
    xmlNodePtr node = find(x, xpath, 0, NULL);
    xmlBufferPtr buf;
    char *ret;

    if (!node)
        return vf_strdup("", err);
    buf = xmlBufferCreate();
    if (!buf || xmlNodeDump(buf, x->doc, node, 0, 0) < 0)
        ret = NULL;
    else
        ret = vf_strdup((const char *)xmlBufferContent(buf), err);
    if (!ret)
        (void)vf_error_nomem(err);
    if (buf)
        xmlBufferFree(buf);
    return ret;
}

/* The child element of that name; NULL when there is none. */
static xmlNodePtr child(xmlNodePtr parent, const char *name)
{
    for (xmlNodePtr c = parent->children; c; c = c->next)
        if (c->type == XML_ELEMENT_NODE && strcmp((const char *)c->name, name) == 0)
            return c;
    return NULL;
}

static void remove_child(xmlNodePtr parent, const char *name)
{
    xmlNodePtr c;

    while ((c = child(parent, name)) != NULL) {
        xmlUnlinkNode(c);
        xmlFreeNode(c);
    }
}

static bool has_target(xmlNodePtr disk, const char *target)
{
    xmlNodePtr t = child(disk, "target");
    xmlChar *dev = t ? xmlGetProp(t, (const xmlChar *)"dev") : NULL;
    bool same = dev && strcmp((const char *)dev, target) == 0;

    xmlFree(dev);
    return same;
}

static bool change_disk(xmlNodePtr disk, const char *path, const char *format)
{
    xmlNodePtr source, driver = child(disk, "driver");
    struct stat sb;
    bool block = stat(path, &sb) == 0 && S_ISBLK(sb.st_mode);
    static const char *const gone[] = {"source", "backingStore", "mirror"};

    for (size_t i = 0; i < sizeof gone / sizeof *gone; i++)
        remove_child(disk, gone[i]);
    if (!driver)
        driver = xmlNewChild(disk, NULL, (const xmlChar *)"driver", NULL);
    source = xmlNewChild(disk, NULL, (const xmlChar *)"source", NULL);
    return driver && source &&
           (xmlHasProp(driver, (const xmlChar *)"name") ||
            xmlSetProp(driver, (const xmlChar *)"name", (const xmlChar *)"qemu")) &&
           xmlSetProp(driver, (const xmlChar *)"type", (const xmlChar *)format) &&
           xmlSetProp(source, (const xmlChar *)(block ? "dev" : "file"), (const xmlChar *)path) &&
           xmlSetProp(disk, (const xmlChar *)"type", (const xmlChar *)(block ? "block" : "file"));
}

int vf_lv_xml_set_disk(struct vf_lv_xml *x, const char *target, const char *path,
                       const char *format, struct vf_error *err)
{
    size_t n = vf_lv_xml_count(x, "/domain/devices/disk");

    for (size_t i = 0; i < n; i++) {
        xmlNodePtr disk = find(x, "/domain/devices/disk", i, NULL);

        if (disk && has_target(disk, target))
            return change_disk(disk, path, format) ? 0 : vf_error_nomem(err);
    }
    return vf_error_set(err, VF_ERR_NOTFOUND, 0, "the domain has no disk '%s'", target);
}

int vf_lv_xml_set(struct vf_lv_xml *x, const char *xpath, const char *text, struct vf_error *err)
{
    xmlNodePtr node = find(x, xpath, 0, NULL);
    xmlNodePtr content = node ? xmlNewDocText(x->doc, (const xmlChar *)text) : NULL;

    if (!node)
        return 0;
    if (!content)
        return vf_error_nomem(err);
    xmlNodeSetContent(node, NULL);
    if (!xmlAddChild(node, content)) {
        xmlFreeNode(content);
        return vf_error_nomem(err);
    }
    return 0;
}

char *vf_lv_xml_escape(const char *text, struct vf_error *err)
{
    return ours(xmlEncodeSpecialChars(NULL, (const xmlChar *)text), err);
}
