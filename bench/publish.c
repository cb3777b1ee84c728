/* publish of a nameless tensor, 1 KiB and a large one: neither copies. Timed: the publish alone. */
#include "bench.h"

static double publish_once(zct_store *store, uint64_t nbytes)
{
    int64_t shape;
    zct_spec spec = bench_spec(&shape, nbytes);
    zct_tensor *tensor;
    int64_t start;
    double took;

    must(zct_create(store, NULL, &spec, NULL, NULL, NULL, &tensor), "create");
    *(volatile unsigned char *)zct_tensor_view(tensor)->data = 1;
    start = now_ns();
    must(zct_publish(tensor, "published", NULL), "publish");
    took = (double)(now_ns() - start);
    must(zct_unlink(store, "published"), "unlink");
    zct_release(tensor);
    return took;
}

int main(void)
{
    static struct figure figure = {.id = "publish"};
    zct_store *store = bench_open(NULL, 0, 0);
    uint64_t large = bench_large();

    figure.rounds = bench_quick() ? 51 : 401;
    for (int i = 0; i < 5; i++) {
        publish_once(store, large);
        publish_once(store, 1024);
    }
    for (int i = 0; i < figure.rounds; i++) {
        if (i % 2 == 0)
            figure.ours[i] = publish_once(store, large);
        figure.base[i] = publish_once(store, 1024);
        if (i % 2 == 1)
            figure.ours[i] = publish_once(store, large);
    }
    figure_report(&figure);
    must(zct_store_trim(store, 0, NULL), "trim");
    zct_store_close(store);
    return 0;
}
