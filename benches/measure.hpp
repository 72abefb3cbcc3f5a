/*
 * What the benchmarks measure with: samples, rows of the table, and what a call costs in requests
 * and allocations.
 */
#ifndef RDZV_BENCHES_MEASURE_HPP
#define RDZV_BENCHES_MEASURE_HPP

#include <chrono>
#include <cstdint>
#include <cstdio>
#include <functional>
#include <string>
#include <vector>

using Clock = std::chrono::steady_clock;
using Samples = std::vector<double>;

/* Microseconds from `start` to `end`. */
double micros(Clock::time_point start, Clock::time_point end);

/* The value that the share `q` of `samples` does not exceed. */
double percentile(Samples samples, double q);

/* Runs each of `calls` `rounds` times, turn by turn, so that whatever else the machine does meets
   all of them; a different one is first each time. Returns the microseconds of each. */
std::vector<Samples> interleave(size_t rounds, const std::vector<std::function<void()>>& calls);

/* What one call costs besides time. */
struct Cost {
    double requests = 0;
    double allocations = 0;
    double bytes = 0; /* allocated */
};

/* The cost of `call`, averaged over `count` calls. Uses the library's log callback. */
Cost cost_of(size_t count, const std::function<void()>& call);

/* Counts the library's requests while it lives. There is one at a time. */
class RequestCount {
  public:
    RequestCount();
    ~RequestCount();
    RequestCount(const RequestCount&) = delete;
    RequestCount& operator=(const RequestCount&) = delete;
    uint64_t value() const;
};

/* The allocations of this thread, as counting.cpp sees them. */
struct Allocations {
    uint64_t count;
    uint64_t bytes;
};
Allocations allocations();

/* Writes rows as a table to standard output and, where a file is named, as lines of JSON to it. */
class Report {
  public:
    /* `constants` are JSON members that every line begins with, such as "api":"v2". */
    Report(const std::string& file, std::string constants);
    ~Report();
    Report(const Report&) = delete;
    Report& operator=(const Report&) = delete;

    /* A call against its floor, both in microseconds. Prints the title of the table before the
       first row. */
    void compare(const std::string& operation, const Samples& call, const Samples& floor,
                 const Cost& cost);

    /* Members of one JSON object, and the same as a sentence. */
    void note(const std::string& members, const std::string& sentence);

  private:
    void write(const std::string& members);

    FILE* file_ = nullptr;
    std::string constants_;
    bool titled_ = false;
};

/* printf into a string. */
std::string format(const char* pattern, ...) __attribute__((format(printf, 1, 2)));

#endif
