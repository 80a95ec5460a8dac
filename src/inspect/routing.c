/*
 * SHOW pool_routing: how many statements (or batches) went where they went for which reason.
 *
 * Called through include/tables/views.def. Sums over all children, also those that have ended.
 */
#include "base/util.h"
#include "inspect/views.h"
#include "ipc/shared.h"

void
inspect_pool_routing(const struct inspect_input *in, inspect_row_fn *row, void *ctx)
{
    static const char *const reasons[][2] = {
#define ROUTE_REASON(id, name, words) {name, words},
#include "tables/reasons.def"
#undef ROUTE_REASON
    };

    for (size_t reason = 0; reason < ARRAY_LEN(reasons); reason++) {
        char count[VIEWS_NUMBER_BYTES];
        const char *values[] = {reasons[reason][0], count, reasons[reason][1]};
        uint64_t sum = 0;

        for (uint32_t n = 0; n < shared_layout(in->shared)->child_slots; n++)
            sum += shared_child(in->shared, n)->routed[reason];
        views_number((int64_t)sum, count);
        row(ctx, values, ARRAY_LEN(values));
    }
}
