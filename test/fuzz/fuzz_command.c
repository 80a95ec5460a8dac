/*
 * Any text as PGPOOL SHOW, SET or RESET, and what it names set for a session.
 *
 * Checked besides memory: what is refused says why; a value that was taken is shown as one that is
 * taken again and shown alike; only options of sessions can be set.
 */
#include "fuzz.h"

#include "base/buf.h"
#include "config/config.h"
#include "config/overrides.h"
#include "sql/command.h"

#include <stdlib.h>

static struct config *cfg;

static void
load(void)
{
    struct config_report report;

    config_report_init(&report);
    if (config_load_text("backend_port1 = 5432", 20, "fuzz.conf", &cfg, &report) != 0)
        BUG("the configuration is refused");
    config_report_fini(&report);
}

static void
set(const struct sql_command *c)
{
    struct config_overrides *own = config_overrides_new();
    struct buf first = BUF_EMPTY;
    struct buf second = BUF_EMPTY;
    char name[CONFIG_NAME_MAX];
    struct err err = {0};

    if (config_overrides_set(own, c->name, c->value, &err) != 0) {
        fuzz_check_error(&err);
        if (!config_overrides_empty(own))
            BUG("set although it was refused");
    } else {
        if (config_find(cfg, c->name, name, &err) != 0)
            BUG("set, but unknown");
        config_get(cfg, own, c->name, &first);
        if (config_overrides_set(own, name, buf_cstr(&first), &err) != 0)
            BUG("\"%s\" is shown as \"%s\", which is refused", name, buf_cstr(&first));
        config_get(cfg, own, name, &second);
        if (strcmp(buf_cstr(&first), buf_cstr(&second)) != 0)
            BUG("\"%s\" became \"%s\"", buf_cstr(&first), buf_cstr(&second));
    }
    buf_free(&first);
    buf_free(&second);
    config_overrides_free(own);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct sql_options options = {.standard_conforming_strings = size > 0 && (data[0] & 1) != 0};
    struct sql_command c;
    struct err err = {0};

    if (cfg == NULL)
        load();
    if (sql_command_parse((struct sql_text){(const char *)data, (uint32_t)size}, &options, &c,
                          &err) != 0) {
        fuzz_check_error(&err);
        return 0;
    }
    if (memchr(c.name, '\0', sizeof(c.name)) == NULL ||
        memchr(c.value, '\0', sizeof(c.value)) == NULL)
        BUG("a text without an end");
    if (c.verb == SQL_COMMAND_SET)
        set(&c);
    return 0;
}
