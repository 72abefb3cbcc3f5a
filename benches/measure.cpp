#include "measure.hpp"

#include <rdzv.h>

#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstdarg>
#include <cstdlib>
#include <cstring>

namespace {

std::atomic<uint64_t> request_lines{0};

void count_line(int32_t level, const char*, void*) {
    if (level == RDZV_LOG_TRACE) request_lines.fetch_add(1, std::memory_order_relaxed);
}

}  // namespace

double micros(Clock::time_point start, Clock::time_point end) {
    return std::chrono::duration<double, std::micro>(end - start).count();
}

double percentile(Samples samples, double q) {
    if (samples.empty()) return std::nan("");
    const auto at = static_cast<size_t>(q * static_cast<double>(samples.size() - 1) + 0.5);
    std::nth_element(samples.begin(), samples.begin() + static_cast<std::ptrdiff_t>(at),
                     samples.end());
    return samples[at];
}

std::vector<Samples> interleave(size_t rounds, const std::vector<std::function<void()>>& calls) {
    std::vector<Samples> samples(calls.size());
    for (Samples& each : samples) each.reserve(rounds);
    const size_t warm_up = std::min<size_t>(rounds / 10 + 1, 50);
    for (size_t round = 0; round < rounds + warm_up; ++round) {
        for (size_t turn = 0; turn < calls.size(); ++turn) {
            const size_t which = (round + turn) % calls.size();
            const auto start = Clock::now();
            calls[which]();
            const auto end = Clock::now();
            if (round >= warm_up) samples[which].push_back(micros(start, end));
        }
    }
    return samples;
}

RequestCount::RequestCount() {
    request_lines = 0;
    rdzv_set_log_callback(RDZV_LOG_TRACE, count_line, nullptr);
}

RequestCount::~RequestCount() {
    rdzv_set_log_callback(RDZV_LOG_OFF, nullptr, nullptr);
}

uint64_t RequestCount::value() const {
    return request_lines;
}

std::string format(const char* pattern, ...) {
    char text[512];
    va_list arguments;
    va_start(arguments, pattern);
    std::vsnprintf(text, sizeof text, pattern, arguments);
    va_end(arguments);
    return text;
}

Report::Report(const std::string& file, std::string constants) : constants_(std::move(constants)) {
    if (!file.empty()) {
        file_ = std::fopen(file.c_str(), "a");
        if (file_ == nullptr) {
            std::fprintf(stderr, "%s: %s\n", file.c_str(), std::strerror(errno));
            std::exit(1);
        }
    }
}

Report::~Report() {
    if (file_ != nullptr) std::fclose(file_);
}

void Report::write(const std::string& members) {
    if (file_ != nullptr) {
        std::fprintf(file_, "{%s,%s}\n", constants_.c_str(), members.c_str());
        std::fflush(file_);
    }
}

void Report::compare(const std::string& operation, const Samples& call, const Samples& floor,
                     const Cost& cost) {
    const double p50 = percentile(call, 0.5), p99 = percentile(call, 0.99);
    const double floor_p50 = percentile(floor, 0.5), floor_p99 = percentile(floor, 0.99);
    if (!titled_) {
        std::printf("%-34s %9s %9s %6s %9s %9s %8s %7s %8s\n", "operation (us)", "p50", "floor",
                    "ratio", "p99", "floor p99", "requests", "allocs", "bytes");
        titled_ = true;
    }
    std::printf("%-34s %9.1f %9.1f %6.2f %9.1f %9.1f %8.2f %7.0f %8.0f\n", operation.c_str(), p50,
                floor_p50, p50 / floor_p50, p99, floor_p99, cost.requests, cost.allocations,
                cost.bytes);
    std::fflush(stdout);
    write(
        format("\"operation\":\"%s\",\"p50_us\":%.1f,\"floor_p50_us\":%.1f,\"ratio\":%.3f,"
               "\"p99_us\":%.1f,\"floor_p99_us\":%.1f,\"requests\":%.2f,\"allocations\":%.1f,"
               "\"allocated_bytes\":%.0f,\"samples\":%zu",
               operation.c_str(), p50, floor_p50, p50 / floor_p50, p99, floor_p99, cost.requests,
               cost.allocations, cost.bytes, call.size()));
}

void Report::note(const std::string& members, const std::string& sentence) {
    std::printf("%s\n", sentence.c_str());
    std::fflush(stdout);
    write(members);
}
