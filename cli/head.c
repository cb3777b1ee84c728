/* head - the values of a tensor, laid out as NumPy prints arrays; of a large one the two ends of each axis. */
#include "commands.h"

#include <stdlib.h>

#include "blobs.h"
#include "excerpt.h"
#include "json.h"
#include "out.h"
#include "quantity.h"
#include "tensor.h"

static const char help[] =
    "usage: zct head [-n N | --all] [--index INDEX] NAME...\n"
    "\n"
    "Print the values of tensors. Of one with more than 1000 values, the first and the last three of each axis.\n"
    "The tensor is held while it is read, and read as it is then: others may write to it meanwhile.\n"
    "\n"
    "  -n, --count N          of each axis the first and the last N\n"
    "  -a, --all              all values, however many\n"
    "  -i, --index INDEX      of a part: '0,5:10,:', '-1', '::2', '...,0', as in NumPy's brackets\n" TARGET_HELP "\n"
    "Exit: 0; 1 if a NAME or INDEX is not there; 2 if the store cannot be opened.\n";

struct head {
    const char *index;
    int64_t ends;
    bool json;
};

static void write_text(const struct head *head, const struct excerpt *excerpt, const zct_stat *stat)
{
    static char name[TEXT_ESCAPED(ZCT_MAX_NAME)], shape[TENSOR_SHAPE_SIZE];
    char dtype[64], size[QUANTITY_SIZE];

    out_fmt("%s  %s %s, %s", tensor_name(name, stat), tensor_dtype(dtype, stat), tensor_shape(shape, stat),
            quantity_bytes(size, stat->nbytes, false));
    if (head->index != NULL) {
        out_str("; of it ");
        if (excerpt->ndim == 0)
            out_str("one value");
        for (int i = 0; i < excerpt->ndim; i++)
            out_fmt(i == 0 ? "%lld" : "x%lld", (long long)excerpt->axes[i].count);
    }
    if (stat->dtype.code == ZCT_BLOCK)
        out_fmt("; its blocks of %u values, as they lie", stat->dtype.block_elems);
    out_str("\n");
    excerpt_text(excerpt);
}

static void write_json(const struct head *head, const struct excerpt *excerpt, const zct_stat *stat)
{
    json_object(NULL);
    tensor_json(stat);
    if (head->index != NULL)
        json_text("index", head->index);
    else
        json_null("index");
    excerpt_json(excerpt);
    json_close();
}

/* What the elements are made of. A struct whose descriptor tells nothing is shown as bytes. */
static int know_layout(zct_store *store, const zct_stat *stat, struct layout *ret_layout)
{
    struct blobs blobs = {0};
    int result = stat->dtype.code == ZCT_STRUCT ? blobs_fetch(store, stat, &blobs) : 0;

    if (result < 0)
        return result;
    *ret_layout = layout_plain(&stat->dtype);
    if (stat->dtype.code == ZCT_BLOCK) {
        ret_layout->dtype.code = ZCT_VOID;
        ret_layout->dtype.itemsize = stat->dtype.block_bytes;
    }
    if (blobs.descriptor_len > 0)
        layout_of_descriptor(&stat->dtype, blobs.descriptor, blobs.descriptor_len, ret_layout);
    blobs_free(&blobs);
    return 0;
}

static int head_tensor(const struct head *head, zct_store *store, const char *name)
{
    zct_stat stat = {.size = sizeof stat};
    struct layout layout = {0};
    struct excerpt excerpt;
    zct_tensor *tensor = NULL;
    int code = EXIT_FAILED;
    int result = zct_attach(store, name, ZCT_MODE_READ, 0, &tensor);

    if (result >= 0)
        result = zct_stat_tensor(tensor, &stat);
    if (result >= 0)
        result = know_layout(store, &stat, &layout);
    if (result < 0) {
        err_library(result);
    } else {
        code = excerpt_take(&excerpt, zct_tensor_view(tensor), &layout, head->index, head->ends);
        if (code == EXIT_OK && head->json)
            write_json(head, &excerpt, &stat);
        else if (code == EXIT_OK)
            write_text(head, &excerpt, &stat);
    }
    if (code != EXIT_OK && head->json) {
        json_object(NULL);
        json_text("name", name);
        json_text("error", zct_error_name(result < 0 ? result : -ZCT_EINVAL));
        json_close();
    }
    layout_free(&layout);
    zct_release(tensor);
    return code;
}

static bool parse_count(const char *text, int64_t *ret_count)
{
    char *end;
    long long value = strtoll(text, &end, 10);

    *ret_count = value;
    return text[0] >= '0' && text[0] <= '9' && *end == '\0' && value > 0 && value < INT32_MAX;
}

int command_head(int argc, char **argv, struct target *target)
{
    static const struct option options[] = {
        {"count", required_argument, NULL, 'n'},
        {"all", no_argument, NULL, 'a'},
        {"index", required_argument, NULL, 'i'},
        TARGET_OPTIONS,
    };
    struct head head = {.ends = EXCERPT_FEW};
    zct_store *store;
    int option, code;
    bool over;

    while ((option = target_option(argc, argv, ":n:ai:", options, help, target, &over, &code)) != -1) {
        if (option == 'n' && !parse_count(optarg, &head.ends))
            return err_usage("head", "head: --count takes a number from 1 on, not '%s'", optarg);
        if (option == 'a')
            head.ends = EXCERPT_ALL;
        if (option == 'i')
            head.index = optarg;
    }
    if (over)
        return code;
    if (optind == argc)
        return err_usage("head", "head: which tensor?");
    if (target_join(target, &store) < 0)
        return EXIT_CANNOT;
    head.json = target->json;
    if (head.json) {
        json_begin("head");
        target_json(store);
        json_array("tensors");
    }
    code = EXIT_OK;
    for (int i = optind; i < argc && out_open(); i++) {
        int one = head_tensor(&head, store, argv[i]);

        code = one > code ? one : code;
    }
    if (head.json)
        json_end();
    zct_store_close(store);
    return code;
}
