// The exports of an actor: what the host calls, told in the words of `airssys_actor`.

#include "library.h"

#ifdef WORLD_EXPORTS_AIRSSYS_CORE_HANDLER

#include <stdlib.h>

static void set(component_string_t *text, const char *content) { component_string_dup(text, content ? content : ""); }

/// Turn the problem into the error that the host is told. Returns false.
static bool failed(uint8_t *tag, component_string_t *text) {
    const char *problem = airssys_problem();
    *tag = (uint8_t)airssys_problem_kind();
    set(text, *problem ? problem : "it failed, and did not say why");
    airssys_release();
    return false;
}

static bool succeeded(void) {
    airssys_release();
    return true;
}

/// Whether a topic fits a pattern.
static bool fits(const char *pattern, const char *topic) {
    for (;;) {
        size_t word = strcspn(pattern, "."), heard = strcspn(topic, ".");
        if (!strcmp(pattern, "**")) return heard > 0;
        bool any = word == 1 && *pattern == '*';
        if (!any && (word != heard || memcmp(pattern, topic, word))) return false;
        pattern += word;
        topic += heard;
        if (!*pattern || !*topic) return !*pattern && !*topic;
        pattern++;
        topic++;
    }
}

static bool hear(const char *topic, airssys_value content) {
    for (const airssys_listener *each = airssys_the_actor.hears; each && each->pattern; each++) {
        if (fits(each->pattern, topic)) return each->hear(topic, content);
    }
    return true;
}

static bool handle(airssys_value message, airssys_json *answer) {
    static const char nothing[] = "null";
    const char *name = NULL, *another;
    airssys_value content = {0}, more;
    if (*message.at == '"') {
        content = (airssys_value){nothing, nothing + 4};
        if (!airssys_get_text(message, NULL, &name)) return false;
    } else {
        bool found = airssys_next_field(message, &name, &content);
        more = content;
        if (!found || airssys_next_field(message, &another, &more)) {
            return airssys_misunderstand("a message is \"name\", or {\"name\": content}");
        }
    }
    for (const airssys_handler *each = airssys_the_actor.handles; each && each->name; each++) {
        if (!strcmp(each->name, name)) return each->handle(content, answer);
    }
    return airssys_problem_is(UNHANDLED, "%s does not handle %s", airssys_the_actor.name, name);
}

EXPORT bool exports_airssys_core_handler_handle_message(
    exports_airssys_core_handler_message_t *message, exports_airssys_core_handler_option_payload_t *answer,
    exports_airssys_core_handler_error_t *error) {
    airssys_begin();
    airssys_value content;
    airssys_json written = {0};
    bool done = airssys_from_payload(message->payload.ptr, message->payload.len, &content);
    if (done && message->source.tag == AIRSSYS_CORE_TYPES_SOURCE_TOPIC) {
        component_string_t *topic = &message->source.val.topic.topic;
        done = hear(airssys_kept((char *)topic->ptr, topic->len), content);
    } else if (done) {
        done = handle(content, &written);
    }
    answer->is_some = done && message->wants_reply;
    if (answer->is_some) answer->val.ptr = airssys_to_payload(&written, &answer->val.len);
    airssys_drop(&written);
    exports_airssys_core_handler_message_free(message);
    return done ? succeeded() : failed(&error->tag, &error->val.refused);
}

EXPORT bool exports_airssys_core_handler_handle_callback(
    exports_airssys_core_handler_correlation_id_t correlation,
    exports_airssys_core_handler_result_option_payload_delivery_error_t *outcome,
    exports_airssys_core_handler_error_t *error) {
    (void)correlation;
    exports_airssys_core_handler_result_option_payload_delivery_error_free(outcome);
    error->tag = UNHANDLED;
    set(&error->val.unhandled, "it waits for no answer");
    return false;
}

static void put_setting(airssys_json *config, const char *name, exports_airssys_core_lifecycle_setting_t *value) {
    airssys_value json;
    switch (value->tag) {
    case AIRSSYS_CORE_TYPES_SETTING_BOOLEAN:
        airssys_put_boolean(config, name, value->val.boolean);
        break;
    case AIRSSYS_CORE_TYPES_SETTING_INTEGER:
        airssys_put_integer(config, name, value->val.integer);
        break;
    case AIRSSYS_CORE_TYPES_SETTING_NUMBER:
        airssys_put_number(config, name, value->val.number);
        break;
    case AIRSSYS_CORE_TYPES_SETTING_TEXT:
        airssys_put_text(config, name, airssys_kept((char *)value->val.text.ptr, value->val.text.len));
        break;
    default:
        if (airssys_parse((char *)value->val.json.ptr, value->val.json.len, &json)) {
            airssys_put_value(config, name, json);
        }
    }
}

EXPORT bool exports_airssys_core_lifecycle_initialize(
    exports_airssys_core_lifecycle_list_tuple2_string_setting_t *config,
    exports_airssys_core_lifecycle_error_t *error) {
    airssys_begin();
    airssys_json written = {0};
    airssys_put_object(&written, NULL);
    for (size_t each = 0; each < config->len; each++) {
        component_string_t *name = &config->ptr[each].f0;
        put_setting(&written, airssys_kept((char *)name->ptr, name->len), &config->ptr[each].f1);
    }
    airssys_end_object(&written);
    exports_airssys_core_lifecycle_list_tuple2_string_setting_free(config);
    size_t length;
    char *text = airssys_written(&written, &length);
    airssys_adopt(text);
    airssys_value settings = {text, text + length};
    for (const airssys_listener *each = airssys_the_actor.hears; each && each->pattern; each++) {
        if (!airssys_subscribe(each->pattern)) return failed(&error->tag, &error->val.refused);
    }
    if (airssys_the_actor.started && !airssys_the_actor.started(settings)) {
        return failed(&error->tag, &error->val.refused);
    }
    return succeeded();
}

EXPORT void exports_airssys_core_lifecycle_health(exports_airssys_core_lifecycle_health_report_t *report) {
    report->status = AIRSSYS_CORE_TYPES_HEALTH_STATUS_HEALTHY;
    set(&report->detail, "");
}

EXPORT void exports_airssys_core_lifecycle_metadata(exports_airssys_core_lifecycle_component_metadata_t *metadata) {
    const airssys_actor *actor = &airssys_the_actor;
    set(&metadata->name, actor->name);
    set(&metadata->version, actor->version ? actor->version : "0.1.0");
    set(&metadata->description, actor->description);
    metadata->accepts.ptr = airssys_allocate(sizeof *metadata->accepts.ptr);
    metadata->accepts.ptr[0] = 0x0200; // JSON
    metadata->accepts.len = 1;
}

EXPORT bool exports_airssys_core_lifecycle_shutdown(exports_airssys_core_lifecycle_shutdown_reason_t reason,
                                                    exports_airssys_core_lifecycle_error_t *error) {
    (void)reason;
    (void)error;
    airssys_begin();
    if (airssys_the_actor.stopped) airssys_the_actor.stopped();
    return succeeded();
}

#endif

#ifdef WORLD_EXPORTS_AIRSSYS_CORE_STATE

EXPORT bool exports_airssys_core_state_snapshot(component_list_u8_t *snapshot,
                                                exports_airssys_core_state_error_t *error) {
    (void)error;
    size_t size = airssys_the_actor.state_size;
    *snapshot = (component_list_u8_t){airssys_allocate(size), size};
    memcpy(snapshot->ptr, airssys_the_actor.state, size);
    return true;
}

EXPORT bool exports_airssys_core_state_restore(component_list_u8_t *snapshot,
                                               exports_airssys_core_state_error_t *error) {
    airssys_begin();
    size_t given = snapshot->len, wanted = airssys_the_actor.state_size;
    if (given == wanted) memcpy(airssys_the_actor.state, snapshot->ptr, wanted);
    component_list_u8_free(snapshot);
    if (given == wanted) return succeeded();
    airssys_refuse("a state of %zu bytes, expected %zu: write `migrated`", given, wanted);
    return failed(&error->tag, &error->val.refused);
}

EXPORT bool exports_airssys_core_state_migrate(component_string_t *version, component_list_u8_t *snapshot,
                                               component_list_u8_t *migrated,
                                               exports_airssys_core_state_error_t *error) {
    if (!airssys_the_actor.migrated) {
        component_string_free(version);
        *migrated = *snapshot;
        return true;
    }
    airssys_begin();
    const char *before = airssys_kept((char *)version->ptr, version->len);
    bool done = airssys_the_actor.migrated(before, snapshot->ptr, snapshot->len);
    component_string_free(version);
    component_list_u8_free(snapshot);
    if (!done) return failed(&error->tag, &error->val.refused);
    exports_airssys_core_state_snapshot(migrated, error);
    return succeeded();
}

#endif
