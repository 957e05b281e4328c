// The conformance guest of the library for C; `app.py` is the same in Python.

#include "airssys.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct {
    int64_t count;
    char heard[4096]; // one line for each
    size_t heard_size;
} self;

static bool started(airssys_value config) {
    if (airssys_has(config, "start") && !airssys_get_integer(config, "start", &self.count)) return false;
    return self.count >= 0 || airssys_refuse("it starts at 0 at least");
}

static bool add(airssys_value content, airssys_json *answer) {
    int64_t amount;
    if (!airssys_get_integer(content, NULL, &amount)) return false;
    self.count += amount;
    airssys_info("counted to %lld", self.count);
    return airssys_put_integer(answer, NULL, self.count);
}

static bool echo(airssys_value content, airssys_json *answer) {
    const char *text;
    return airssys_get_text(content, NULL, &text) && airssys_put_text(answer, NULL, text);
}

static bool order(airssys_value content, airssys_json *answer) {
    const char *article;
    int64_t pieces = 1;
    if (!airssys_only(content, (const char *const[]){"article", "pieces", NULL})) return false;
    if (!airssys_get_text(content, "article", &article)) return false;
    if (airssys_has(content, "pieces") && !airssys_get_integer(content, "pieces", &pieces)) return false;
    if (pieces < 1) return airssys_refuse("at least one piece");
    char *text = airssys_keep(strlen(article) + 32);
    sprintf(text, "%lld %s", pieces, article);
    return airssys_put_text(answer, NULL, text);
}

static bool forward(airssys_value content, airssys_json *answer) {
    const char *to, *text;
    if (!airssys_get_text(content, "to", &to) || !airssys_get_text(content, "text", &text)) return false;
    airssys_json message = {0};
    airssys_put_object(&message, NULL);
    airssys_put_text(&message, "echo", text);
    airssys_end_object(&message);
    airssys_value given;
    return airssys_ask(to, &message, 5, &given) && airssys_put_value(answer, NULL, given);
}

static bool announce(airssys_value content, airssys_json *answer) {
    const char *text;
    uint64_t reached;
    if (!airssys_get_text(content, NULL, &text)) return false;
    airssys_json message = {0};
    airssys_put_object(&message, NULL);
    airssys_put_text(&message, "text", text);
    airssys_end_object(&message);
    if (!airssys_publish("conformance.said", &message, &reached)) return false;
    return airssys_put_integer(answer, NULL, (int64_t)reached);
}

static bool told(const char *topic, airssys_value content) {
    const char *text;
    if (!airssys_get_text(content, NULL, &text)) return false;
    size_t room = sizeof self.heard - self.heard_size;
    int written = snprintf(self.heard + self.heard_size, room, "%s: %s\n", topic, text);
    if ((size_t)written >= room) return airssys_refuse("it heard enough");
    self.heard_size += (size_t)written;
    return true;
}

static bool heard(airssys_value content, airssys_json *answer) {
    airssys_put_list(answer, NULL);
    for (char *line = self.heard, *end; (end = strchr(line, '\n')); line = end + 1) {
        char *text = airssys_keep((size_t)(end - line) + 1);
        sprintf(text, "%.*s", (int)(end - line), line);
        airssys_put_text(answer, NULL, text);
    }
    return airssys_end_list(answer);
}

static bool fail(airssys_value content, airssys_json *answer) {
    fputs("as it was told to\n", stderr);
    abort();
}

AIRSSYS_ACTOR(
    .name = "local/greeter",
    .version = "1.0.0",
    .started = started,
    .handles = AIRSSYS_HANDLES({"add", add}, {"echo", echo}, {"order", order}, {"forward", forward},
                               {"announce", announce}, {"heard", heard}, {"fail", fail}),
    .hears = AIRSSYS_HEARS({"conformance.told.*", told}),
    AIRSSYS_STATE(self));
