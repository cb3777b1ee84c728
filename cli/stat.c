/* stat - all that is known of a tensor: what it is, where it lies, who has it; without names, of the store. */
#include "commands.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "blobs.h"
#include "holder.h"
#include "json.h"
#include "out.h"
#include "quantity.h"
#include "tensor.h"

static const char help[] =
    "usage: zct stat [NAME...]\n"
    "\n"
    "Describe tensors: dtype and layout, where the bytes lie, and which processes hold them or have sent\n"
    "references that were not taken yet. Without NAME: the store, its use and its members.\n" TARGET_HELP "\n"
    "Exit: 0; 1 if a NAME is not there; 2 if the store cannot be opened.\n";

static void text_tensor(zct_store *store, const zct_stat *stat, const struct blobs *blobs, const zct_holder *holders,
                        int count)
{
    static char name[TEXT_ESCAPED(ZCT_MAX_NAME)], shape[TENSOR_SHAPE_SIZE];
    char dtype[64], size[QUANTITY_SIZE], when[QUANTITY_SIZE], age[QUANTITY_SIZE];

    out_fmt("%s\n", tensor_name(name, stat));
    out_fmt("  dtype       %s, %u bytes an element\n", tensor_dtype(dtype, stat), stat->dtype.itemsize);
    out_fmt("  shape       %s, order %s\n", tensor_shape(shape, stat), tensor_order(stat));
    if (stat->order != ZCT_ORDER_C) {
        out_str("  strides    ");
        for (int i = 0; i < stat->ndim && i < ZCT_MAX_DIMS; i++)
            out_fmt(" %lld", (long long)stat->strides[i]);
        out_str(" bytes\n");
    }
    out_fmt("  size        %s (%llu bytes)\n", quantity_bytes(size, stat->nbytes, false),
            (unsigned long long)stat->nbytes);
    out_fmt("  lies        %llu bytes at offset %llu of %s\n", (unsigned long long)stat->extent_bytes,
            (unsigned long long)stat->offset, target_path(store));
    out_fmt("  generation  %llu, the store's tensor number %llu\n", (unsigned long long)stat->generation,
            (unsigned long long)stat->serial);
    if (stat->version > 0)
        out_fmt("  version     %llu\n", (unsigned long long)stat->version);
    out_fmt("  born        %s, %s ago\n", quantity_local_time(when, stat->birth_ns),
            quantity_span(age, stat->birth_ns, quantity_now()));
    out_fmt("  lifetime    %s%s\n", tensor_lifetime(stat), stat->sealed ? ", sealed: attached read-only" : "");
    blobs_text(blobs);
    out_fmt("  held by     %u process%s", stat->holders, stat->holders == 1 ? "" : "es");
    if (stat->handles > 0)
        out_fmt(", and %u reference%s in flight", stat->handles, stat->handles == 1 ? "" : "s");
    out_str("\n");
    if (count > 0)
        holder_table(holders, count);
}

static int stat_tensor(zct_store *store, const char *name, bool json)
{
    zct_stat stat = {.size = sizeof stat};
    struct blobs blobs = {0};
    zct_holder *holders = NULL;
    int count = 0;
    int result = zct_stat_name(store, name, &stat);

    if (result >= 0)
        result = blobs_fetch(store, &stat, &blobs);
    if (result >= 0)
        result = count = holder_fetch(store, &stat, &holders);
    if (result < 0) {
        err_library(result);
        blobs_free(&blobs);
        if (json) {
            json_object(NULL);
            json_text("name", name);
            json_text("error", zct_error_name(result));
            json_close();
        }
        return EXIT_FAILED;
    }
    if (json) {
        json_object(NULL);
        tensor_json(&stat);
        blobs_json(&blobs);
        holder_json("held_by", holders, count);
        json_close();
    } else {
        text_tensor(store, &stat, &blobs, holders, count);
    }
    blobs_free(&blobs);
    free(holders);
    return EXIT_OK;
}

static void json_stats(const zct_store_stats *stats)
{
    json_uint("capacity", stats->capacity);
    json_uint("used", stats->used);
    json_uint("high", stats->high);
    json_uint("resident", stats->resident);
    json_uint("warm_free", stats->warm_free);
    json_uint("names", stats->names);
    json_uint("nameless", stats->nameless);
    json_uint("max_names", stats->max_names);
    json_uint("members", stats->members);
    json_uint("max_members", stats->max_members);
    json_uint("handles", stats->handles);
    json_uint("births", stats->births);
    json_uint("rebuilds", stats->rebuilds);
    json_uint("reaped", stats->reaped);
}

static void text_stats(zct_store *store, const zct_store_stats *stats)
{
    char size[QUANTITY_SIZE];

    out_fmt("store '%s' at %s\n", target_name(store), target_path(store));
    out_fmt("  capacity    %s\n", quantity_bytes(size, stats->capacity, false));
    out_fmt("  used        %s by %u tensors", quantity_bytes(size, stats->used, false), stats->names);
    out_fmt(" (%u of them nameless) of at most %u\n", stats->nameless, stats->max_names);
    out_fmt("  resident    %s of memory", quantity_bytes(size, stats->resident, false));
    out_fmt(", %s of it free: zct trim returns that\n", quantity_bytes(size, stats->warm_free, false));
    out_fmt("  in flight   %u references\n", stats->handles);
    out_fmt("  history     %llu tensors made, %llu dead processes reaped, %llu rebuilds\n",
            (unsigned long long)stats->births, (unsigned long long)stats->reaped, (unsigned long long)stats->rebuilds);
    out_fmt("  members     %u of at most %u\n", stats->members, stats->max_members);
}

static int stat_store(zct_store *store, bool json)
{
    zct_store_stats stats = {.size = sizeof stats};
    zct_holder *members = NULL;
    int count = 0;
    int result = zct_store_stats_get(store, &stats);

    if (result >= 0)
        result = count = holder_fetch(store, NULL, &members);
    if (result < 0) {
        err_library(result);
        return EXIT_FAILED;
    }
    if (json) {
        json_object("stats");
        json_stats(&stats);
        json_close();
        holder_json("members", members, count);
    } else {
        text_stats(store, &stats);
        if (count > 0)
            holder_table(members, count);
    }
    free(members);
    return EXIT_OK;
}

int command_stat(int argc, char **argv, struct target *target)
{
    static const struct option options[] = {TARGET_OPTIONS};
    zct_store *store;
    bool over;
    int code;

    target_option(argc, argv, ":", options, help, target, &over, &code);
    if (over)
        return code;
    if (target_observe(target, &store) < 0)
        return EXIT_CANNOT;
    code = EXIT_OK;
    if (target->json) {
        json_begin("stat");
        target_json(store);
    }
    if (optind == argc) {
        code = stat_store(store, target->json);
    } else {
        if (target->json)
            json_array("tensors");
        for (int i = optind; i < argc && out_open(); i++) {
            int one = stat_tensor(store, argv[i], target->json);

            code = one > code ? one : code;
        }
    }
    if (target->json)
        json_end();
    zct_store_close(store);
    return code;
}
