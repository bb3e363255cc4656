/* cmd/similar/html.c - the frame of the pages, and what keeps names from being markup. */
#include "cmd/similar/html.h"

#include <stdlib.h>
#include <string.h>

/* Colours are chosen so that text on them has a contrast of 4.5 or more, in both themes, and the
 * four kinds of blocks differ in lightness, too. */
static const char style[] =
    ":root{color-scheme:light dark;--bg:#fff;--ink:#1b1f24;--soft:#57606a;--line:#d0d7de;"
    "--card:#f6f8fa;--heat:10,120,170;--zero:#c9ced4;--shared:#2f7fc1;--duplicate:#f0b429;"
    "--literal:#b3362b;--good:#1a7f37}"
    "@media(prefers-color-scheme:dark){:root{--bg:#0f1317;--ink:#e6e9ec;--soft:#9aa4ae;"
    "--line:#333b44;--card:#181e24;--heat:70,165,215;--zero:#4a525b;--shared:#4c9be0;"
    "--duplicate:#d9a32b;--literal:#e5675a;--good:#57c26f}}"
    "*{box-sizing:border-box}"
    "body{margin:0;background:var(--bg);color:var(--ink);font:16px/1.5 system-ui,sans-serif}"
    "main{max-width:72rem;margin:0 auto;padding:1rem}"
    "h1{font-size:1.5rem;line-height:1.25;margin:.5rem 0;overflow-wrap:anywhere}"
    "h2{font-size:1.15rem;margin:2rem 0 .5rem}"
    "p,li,dd,h2{overflow-wrap:anywhere}.soft{color:var(--soft)}"
    ".choice{border-left:4px solid var(--good);background:var(--card);padding:.6rem .9rem}"
    ".choice p{margin:.2rem 0}"
    "dl{display:grid;grid-template-columns:repeat(auto-fit,minmax(9rem,1fr));gap:.6rem;margin:1rem "
    "0}"
    "dl div{background:var(--card);border:1px solid var(--line);border-radius:6px;padding:.5rem "
    ".7rem}"
    "dt{color:var(--soft);font-size:.85rem}dd{margin:0;font-variant-numeric:tabular-nums}"
    ".scroll{overflow-x:auto;border:1px solid var(--line);border-radius:6px}"
    ".scroll:focus-visible,summary:focus-visible{outline:3px solid "
    "var(--shared);outline-offset:2px}"
    "table{border-collapse:collapse;width:100%;font-size:.9rem;font-variant-numeric:tabular-nums}"
    "th,td{padding:.35rem .6rem;text-align:right;white-space:nowrap;border-bottom:1px solid "
    "var(--line)}"
    "tbody tr:last-child>*{border-bottom:0}"
    "thead th{color:var(--soft);font-weight:600;background:var(--card);vertical-align:bottom}"
    "th[scope=row],th.l,td.l{text-align:left}"
    "td.w{white-space:normal;min-width:11rem;overflow-wrap:anywhere}"
    "th[scope=row]{position:sticky;left:0;background:var(--bg);font-weight:500;max-width:14rem;"
    "white-space:normal;overflow-wrap:anywhere;min-width:8rem}"
    "thead th.l{position:sticky;left:0}"
    "tr.best th,tr.best td{font-weight:700}tr.out{color:var(--soft)}"
    ".strip{display:block;width:100%;height:4.5rem;border-radius:4px;border:1px solid var(--line)}"
    ".zero{fill:var(--zero);background:var(--zero)}.shared{fill:var(--shared);background:var(--"
    "shared)"
    "}"
    ".duplicate{fill:var(--duplicate);background:var(--duplicate)}"
    ".literal{fill:var(--literal);background:var(--literal)}"
    ".key{display:flex;flex-wrap:wrap;gap:.3rem 1.2rem;list-style:none;padding:0;margin:.5rem 0}"
    ".key span{display:inline-block;width:.9em;height:.9em;border-radius:2px;margin-right:.4em;"
    "vertical-align:-.1em}"
    ".ends{display:flex;justify-content:space-between;color:var(--soft);font-size:.85rem}"
    "table.heat "
    "th[scope=col]{max-width:9rem;min-width:4.6rem;white-space:normal;overflow-wrap:anywhere}"
    ".h0{background:rgba(var(--heat),0)}.h1{background:rgba(var(--heat),.06)}"
    ".h2{background:rgba(var(--heat),.12)}.h3{background:rgba(var(--heat),.18)}"
    ".h4{background:rgba(var(--heat),.24)}.h5{background:rgba(var(--heat),.3)}"
    ".h6{background:rgba(var(--heat),.36)}.h7{background:rgba(var(--heat),.42)}"
    ".h8{background:rgba(var(--heat),.48)}.h9{background:rgba(var(--heat),.54)}"
    "details{margin:.5rem 0}summary{cursor:pointer}"
    "@media(min-width:60rem){table.heat th[scope=row]{min-width:17rem;max-width:24rem}}"
    "@media(max-width:40rem){main{padding:.7rem}th,td{padding:.3rem .45rem}"
    "th[scope=row]{max-width:9rem}}"
    "@media print{.scroll{overflow:visible;border:0}}";

void vf_html_text(FILE *out, const char *text)
{
    for (; *text; text++)
        switch (*text) {
        case '&':
            fputs("&amp;", out);
            break;
        case '<':
            fputs("&lt;", out);
            break;
        case '>':
            fputs("&gt;", out);
            break;
        case '"':
            fputs("&quot;", out);
            break;
        case '\'':
            fputs("&#39;", out);
            break;
        default:
            fputc(*text, out);
        }
}

void vf_html_member(FILE *out, const json_t *o, const char *key)
{
    const char *text = json_string_value(json_object_get(o, key));

    if (text)
        vf_html_text(out, text);
}

void vf_html_begin(FILE *out, const char *title, const char *lead)
{
    fputs("<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
          "<meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">\n"
          "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src "
          "'unsafe-inline'\">\n<title>",
          out);
    vf_html_text(out, title);
    fputs("</title>\n<style>", out);
    fputs(style, out);
    fputs("</style>\n</head>\n<body>\n<main>\n<h1>", out);
    vf_html_text(out, title);
    fputs("</h1>\n<p class=\"soft\">", out);
    vf_html_text(out, lead);
    fputs("</p>\n", out);
}

/* JSON whose texts cannot end the element that they are in. */
static int put_json(FILE *out, const json_t *report)
{
    char *text = json_dumps(report, JSON_COMPACT | JSON_REAL_PRECISION(9));

    if (!text)
        return -1;
    for (const char *p = text; *p; p++)
        if (*p == '<' || *p == '>' || *p == '&')
            fprintf(out, "\\u%04x", (unsigned)*p);
        else
            fputc(*p, out);
    free(text);
    return 0;
}

int vf_html_end(FILE *out, const json_t *report)
{
    int rc;

    fputs("</main>\n<script type=\"application/json\" id=\"report\">", out);
    rc = put_json(out, report);
    fputs("</script>\n</body>\n</html>\n", out);
    return rc;
}

void vf_html_scroll_begin(FILE *out, const char *label)
{
    fputs("<div class=\"scroll\" tabindex=\"0\" role=\"region\" aria-label=\"", out);
    vf_html_text(out, label);
    fputs("\">\n", out);
}

void vf_html_scroll_end(FILE *out) { fputs("</div>\n", out); }

void vf_html_heat(FILE *out, double share)
{
    int step = share <= 0 ? 0 : share >= 1 ? 9 : (int)(share * 9.999);

    fprintf(out, "<td class=h%d>%.1f", step, 100 * share);
}
