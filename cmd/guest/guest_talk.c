/* cmd/guest/guest_talk.c - JSON in GUEST messages. */
#include "cmd/guest/guest_talk.h"

#include <stdlib.h>
#include <string.h>

#include "cmd/member.h"
#include "cmd/report.h"

int vf_guest_name_check(const char *name, struct vf_error *err)
{
    size_t len = strlen(name);
    static const char good[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._+-";

    if (len && len <= VF_GUEST_NAME_MAX && name[0] != '.' && strspn(name, good) == len)
        return 0;
    return vf_error_set(err, VF_ERR_USAGE, 0,
                        "a guest's name has up to %u letters, digits and '._+-', not '%.64s'",
                        VF_GUEST_NAME_MAX, name);
}

int vf_guest_text_check(const char *what, const char *text, struct vf_error *err)
{
    if (vf_is_utf8(text))
        return 0;
    return vf_error_set(err, VF_ERR_USAGE, 0,
                        "%s '%.160s' is not written in UTF-8, as it must be for a guest that moves",
                        what, text);
}

/* Sends obj (taken). */
static int send_json(struct vf_stream *st, json_t *obj, struct vf_error *err)
{
    struct vf_msg m = {.type = VF_MSG_GUEST};
    char *text = obj ? json_dumps(obj, JSON_COMPACT) : NULL;
    int rc;

    json_decref(obj);
    if (!text)
        return vf_error_nomem(err);
    m.guest.len = strlen(text);
    m.guest.bytes = (uint8_t *)text;
    rc = st->ops->send(st, &m, err);
    free(text);
    return rc;
}

static int recv_json(struct vf_stream *st, json_t **ret, struct vf_error *err)
{
    struct vf_msg m;
    json_error_t why;

    if (st->ops->recv(st, &m, err) < 0)
        return -1;
    /* By the order of messages it is a GUEST. */
    *ret = json_loadb((const char *)m.guest.bytes, m.guest.len, JSON_REJECT_DUPLICATES, &why);
    vf_msg_free(&m);
    if (json_is_object(*ret))
        return 0;
    json_decref(*ret);
    *ret = NULL;
    return vf_error_set(err, VF_ERR_PROTOCOL, 0, "the far end sent what is no JSON object");
}

int vf_talk_ask(struct vf_stream *st, const char *ask, json_t *with, json_t **ret,
                bool *ret_refused, struct vf_error *err)
{
    json_t *obj = json_pack("{s:s, s:O?}", "ask", ask, "with", with), *reply = NULL, *why;
    enum vf_err code;
    int rc = 0;

    *ret_refused = false;
    if (send_json(st, obj, err) < 0 || recv_json(st, &reply, err) < 0)
        return -1;
    why = json_object_get(reply, "error");
    if (why) {
        code = vf_err_by_name(vf_member_text(why, "code"));
        *ret_refused = true;
        rc = vf_error_set(err, code == VF_ERR_NONE ? VF_ERR_IO : code, 0, "far end: %s",
                          vf_member_text(why, "message"));
    } else if (!json_is_object(json_object_get(reply, "answer"))) {
        rc = vf_error_set(err, VF_ERR_PROTOCOL, 0, "the far end's answer has no form");
    } else if (ret) {
        *ret = json_incref(json_object_get(reply, "answer"));
    }
    json_decref(reply);
    return rc;
}

int vf_talk_next(struct vf_stream *st, json_t **ret_question, const char **ret_ask,
                 json_t **ret_with, struct vf_error *err)
{
    json_t *q = NULL;

    if (recv_json(st, &q, err) < 0)
        return -1;
    if (!json_is_string(json_object_get(q, "ask"))) {
        json_decref(q);
        return vf_error_set(err, VF_ERR_PROTOCOL, 0, "a question has no \"ask\"");
    }
    *ret_question = q;
    *ret_ask = vf_member_text(q, "ask");
    *ret_with = json_object_get(q, "with");
    return 0;
}

int vf_talk_answer(struct vf_stream *st, json_t *answer, struct vf_error *err)
{
    return send_json(st, json_pack("{s:o}", "answer", answer ? answer : json_object()), err);
}

int vf_talk_refuse(struct vf_stream *st, const struct vf_error *why, struct vf_error *err)
{
    json_t *obj = vf_report_error(NULL, why);

    return send_json(st, obj, err);
}
