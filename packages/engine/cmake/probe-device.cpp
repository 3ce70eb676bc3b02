// How fast a device does what a stage does: reads weights for one token (decode), multiplies them with many (prefill).
//
//   ggml-probe DEVICE THREADS MEBIBYTES MILLISECONDS     prints one line of JSON
//
// A set of Q8_0 matrices that no cache holds is multiplied with one column over and over for so many milliseconds, then a part of it
// with COLUMNS columns. Rounds are timed one by one. "fast", which three of four rounds do not reach, is the speed of the machine left
// alone; "mean" that of one whose group of processes is throttled now and then.
#include "ggml-alloc.h"
#include "ggml-backend.h"
#include "ggml.h"

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <vector>

// As in small models: of wider ones a few per cent more is read in the same time.
static const int64_t WIDTH = 2048;
static const int64_t COLUMNS = 256;
// Rows of the smallest part that prefill is measured with, doubled until a round is long enough to be timed.
static const int64_t ROWS_MIN = 256;
static const double ROUND_SECONDS_MIN = 0.02;
static const int ROUNDS_MAX = 10000;

static double now() {
    return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

static ggml_context * make_context(size_t tensors) {
    return ggml_init({ ggml_tensor_overhead() * tensors + ggml_graph_overhead(), nullptr, true });
}

// Every matrix's first `rows` rows times a matrix of so many columns, as one graph on the device.
struct product {
    ggml_context * context;
    ggml_cgraph * graph;
    ggml_gallocr_t memory;
    ggml_backend_t backend;
    double bytes = 0;
    double operations = 0;

    product(ggml_backend_t backend, const std::vector<ggml_tensor *> & matrices, size_t count, int64_t rows, int64_t columns) : backend(backend) {
        context = make_context(3 * count + 4);
        graph = ggml_new_graph(context);
        ggml_tensor * input = ggml_new_tensor_2d(context, GGML_TYPE_F32, WIDTH, columns);
        ggml_set_input(input);
        for (size_t i = 0; i < count; i++) {
            ggml_tensor * part = ggml_view_2d(context, matrices[i], WIDTH, rows, matrices[i]->nb[1], 0);
            ggml_build_forward_expand(graph, ggml_mul_mat(context, part, input));
            bytes += (double) matrices[i]->nb[1] * rows;
            operations += 2.0 * WIDTH * rows * columns;
        }
        memory = ggml_gallocr_new(ggml_backend_get_default_buffer_type(backend));
        if (!ggml_gallocr_alloc_graph(memory, graph)) exit(3);
        const std::vector<float> ones(WIDTH * columns, 1.0f);
        ggml_backend_tensor_set(input, ones.data(), 0, ggml_nbytes(input));
    }
    ~product() {
        ggml_gallocr_free(memory);
        ggml_free(context);
    }
    double round() {
        const double start = now();
        if (ggml_backend_graph_compute(backend, graph) != GGML_STATUS_SUCCESS) exit(4);
        ggml_backend_synchronize(backend);
        return now() - start;
    }
    // Seconds of every round within so many seconds, three at least, in ascending order. One more before them warms up.
    std::vector<double> rounds(double seconds) {
        round();
        std::vector<double> times;
        const double end = now() + seconds;
        do times.push_back(round());
        while ((now() < end || times.size() < 3) && times.size() < ROUNDS_MAX);
        std::sort(times.begin(), times.end());
        return times;
    }
};

static void print(const char * name, double amount, const std::vector<double> & times, const char * after) {
    double sum = 0;
    for (const double time : times) sum += time;
    const size_t count = times.size();
    printf("\"%s\":{\"fast\":%.0f,\"mean\":%.0f,\"rounds\":%zu}%s", name, amount / times[count / 4], amount * count / sum, count, after);
}

int main(int argc, char ** argv) {
    if (argc != 5) return 2;
    ggml_backend_load_all();
    ggml_backend_dev_t device = ggml_backend_dev_by_name(argv[1]);
    ggml_backend_t backend = device == nullptr ? nullptr : ggml_backend_dev_init(device, nullptr);
    if (backend == nullptr) return 2;
    ggml_backend_reg_t registry = ggml_backend_dev_backend_reg(device);
    auto set_threads = (ggml_backend_set_n_threads_t) ggml_backend_reg_get_proc_address(registry, "ggml_backend_set_n_threads");
    if (set_threads != nullptr) set_threads(backend, std::max(1, atoi(argv[2])));
    const double seconds = atof(argv[4]) / 1000;

    const size_t matrix_bytes = ggml_row_size(GGML_TYPE_Q8_0, WIDTH) * WIDTH;
    const size_t count = std::max<size_t>(1, (size_t) atof(argv[3]) * 1024 * 1024 / matrix_bytes);
    ggml_context * context = make_context(count);
    std::vector<ggml_tensor *> matrices;
    for (size_t i = 0; i < count; i++) matrices.push_back(ggml_new_tensor_2d(context, GGML_TYPE_Q8_0, WIDTH, WIDTH));
    ggml_backend_buffer_t buffer = ggml_backend_alloc_ctx_tensors(context, backend);
    if (buffer == nullptr) return 3;
    // Written, for memory that nobody wrote is one page of zeros; ones are small numbers in this format too.
    ggml_backend_buffer_clear(buffer, 1);

    product decode(backend, matrices, count, WIDTH, 1);
    const std::vector<double> reads = decode.rounds(seconds);

    size_t used = 1;
    int64_t rows = ROWS_MIN;
    for (;;) {
        product trial(backend, matrices, used, rows, COLUMNS);
        trial.round();
        if (trial.round() >= ROUND_SECONDS_MIN || (used == count && rows == WIDTH)) break;
        if (rows < WIDTH) rows *= 2;
        else used = std::min(count, used * 2);
    }
    product prefill(backend, matrices, used, rows, COLUMNS);
    const std::vector<double> works = prefill.rounds(seconds / 2);

    printf("{");
    print("bytesPerSecond", decode.bytes, reads, ",");
    print("flopsPerSecond", prefill.operations, works, "}\n");
    return 0;
}
