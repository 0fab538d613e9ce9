// RocksDB's HyperClockCache as an arm of `pagecache bench memory`: reads pages of 4 KiB, from the cache or, past the kernel's, from the file.
//
// Every read ends in a copy to the caller's buffer, as a read of the page cache does. A block's memory comes from a list of the thread's own, so that the cache is
// measured and not malloc, which for aligned blocks takes twice their size. A miss reads into the block and inserts it, as a storage engine does.
//
// Says a line of JSON when it is ready; then, for each line `run START READS NANOSECONDS` on its input, reads and says what it did. The streams are those of
// AccessDrawing.swift: wyrand, a table of sums searched by halves, a shuffle, in the same order of the same operations.
#include <rocksdb/cache.h>

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cinttypes>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <iostream>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

namespace {

constexpr size_t kPageBytes = 4096;

[[noreturn]] void fail(const std::string &what) {
  std::fprintf(stderr, "hyperclock: %s\n", what.c_str());
  std::exit(1);
}

// wyrand.
struct RandomWords {
  uint64_t state;

  uint64_t next() {
    state += 0xA0761D6478BD642Full;
    unsigned __int128 product = (unsigned __int128)state * (state ^ 0xE7037ED1A0B428DBull);
    return (uint64_t)(product >> 64) ^ (uint64_t)product;
  }

  uint64_t below(uint64_t bound) { return (uint64_t)((unsigned __int128)next() * bound >> 64); }
};

class Drawing {
 public:
  Drawing(bool is_zipf, uint32_t pages, uint64_t seed) : is_zipf_(is_zipf), pages_(pages), seed_(seed) {
    if (!is_zipf) return;
    double sum = 0;
    for (uint32_t rank = 0; rank < pages; rank++) {
      sum += 1 / std::pow((double)(rank + 1), 0.99);
      cumulated_.push_back(sum);
      page_of_rank_.push_back(rank);
    }
    RandomWords random{seed};
    for (uint32_t place = pages - 1; place > 0; place--)
      std::swap(page_of_rank_[place], page_of_rank_[random.below((uint64_t)place + 1)]);
  }

  std::vector<uint32_t> stream(uint64_t thread, size_t count) const {
    RandomWords random{seed_ + (thread + 1) * 0x9E3779B97F4A7C15ull};
    std::vector<uint32_t> stream(count);
    for (auto &page : stream) page = is_zipf_ ? page_of_rank_[rank(random)] : (uint32_t)random.below(pages_);
    return stream;
  }

 private:
  size_t rank(RandomWords &random) const {
    double wanted = (double)random.below(1ull << 53) / (double)(1ull << 53) * cumulated_.back();
    size_t low = 0, high = cumulated_.size() - 1;
    while (low < high) {
      size_t middle = (low + high) / 2;
      if (cumulated_[middle] > wanted) high = middle; else low = middle + 1;
    }
    return low;
  }

  bool is_zipf_;
  uint32_t pages_;
  uint64_t seed_;
  std::vector<double> cumulated_;
  std::vector<uint32_t> page_of_rank_;
};

// Blocks that the thread can use again. Whoever inserts mostly evicts as much, so the lists neither grow nor run dry for long.
thread_local std::vector<void *> free_blocks;

void *take_block() {
  if (free_blocks.empty()) {
    constexpr size_t kAtOnce = 64;
    char *memory = (char *)std::aligned_alloc(kPageBytes, kAtOnce * kPageBytes);
    if (!memory) fail("no memory");
    for (size_t number = 0; number < kAtOnce; number++) free_blocks.push_back(memory + number * kPageBytes);
  }
  void *block = free_blocks.back();
  free_blocks.pop_back();
  return block;
}

void give_back_block(const rocksdb::Slice &, void *block) { free_blocks.push_back(block); }

uint64_t word(uint64_t offset) { return (offset / 8 + 1) * 0x9E3779B97F4A7C15ull; }

struct Counts {
  uint64_t reads = 0, misses = 0, failed = 0, wrong = 0;
};

uint64_t now() {
  timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return (uint64_t)time.tv_sec * 1000000000ull + (uint64_t)time.tv_nsec;
}

uint64_t processor_nanoseconds() {
  timespec time;
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time);
  return (uint64_t)time.tv_sec * 1000000000ull + (uint64_t)time.tv_nsec;
}

uint64_t device_bytes() {
  FILE *file = std::fopen("/proc/self/io", "r");
  if (!file) return 0;
  char line[128];
  uint64_t bytes = 0;
  while (std::fgets(line, sizeof line, file)) std::sscanf(line, "read_bytes: %" SCNu64, &bytes);
  std::fclose(file);
  return bytes;
}

uint64_t resident_bytes() {
  FILE *file = std::fopen("/proc/self/statm", "r");
  if (!file) return 0;
  uint64_t all = 0, resident = 0;
  if (std::fscanf(file, "%" SCNu64 " %" SCNu64, &all, &resident) != 2) resident = 0;
  std::fclose(file);
  return resident * 4096;
}

Counts read(rocksdb::Cache &cache, int file, const std::vector<uint32_t> &stream, size_t start, uint64_t reads,
            uint64_t end, char *buffer) {
  Counts counts;
  size_t place = start % stream.size();
  while (counts.reads < reads) {
    if ((counts.reads & 15) == 0 && now() >= end) break;
    uint64_t offset = (uint64_t)stream[place] * kPageBytes;
    // This cache takes keys of 16 bytes only: a file and a place.
    uint64_t key[2] = {1, offset};
    rocksdb::Slice slice((const char *)key, sizeof key);
    rocksdb::Cache::Handle *handle = cache.Lookup(slice);
    if (handle) {
      std::memcpy(buffer, cache.Value(handle), kPageBytes);
      cache.Release(handle);
    } else {
      counts.misses++;
      void *block = take_block();
      if (pread(file, block, kPageBytes, (off_t)offset) != (ssize_t)kPageBytes) {
        counts.failed++;
        give_back_block(slice, block);
      } else {
        rocksdb::Status status = cache.Insert(slice, block, kPageBytes, give_back_block, &handle);
        if (!status.ok()) fail(status.ToString());
        std::memcpy(buffer, block, kPageBytes);
        cache.Release(handle);
      }
    }
    uint64_t head, tail;
    std::memcpy(&head, buffer, 8);
    std::memcpy(&tail, buffer + kPageBytes - 8, 8);
    if (head != word(offset) || tail != word(offset + kPageBytes - 8)) counts.wrong++;
    counts.reads++;
    if (++place == stream.size()) place = 0;
  }
  return counts;
}

}  // namespace

int main(int count, char **words) {
  std::map<std::string, std::string> options;
  for (int number = 1; number + 1 < count; number += 2) options[words[number]] = words[number + 1];
  auto text = [&](const char *name) {
    auto found = options.find(name);
    if (found == options.end()) fail(std::string(name) + " is missing");
    return found->second;
  };
  auto number = [&](const char *name) { return std::stoull(text(name)); };
  const size_t limit = number("--limit"), threads = number("--threads"), length = number("--stream");

  std::vector<std::vector<uint32_t>> streams;
  {
    Drawing drawing(text("--distribution") == "zipf", (uint32_t)number("--pages"), number("--seed"));
    for (size_t thread = 0; thread < threads; thread++) streams.push_back(drawing.stream(thread, length));
  }
  uint64_t checksum = 0xCBF29CE484222325ull;
  for (auto &stream : streams)
    for (uint32_t page : stream) checksum = (checksum ^ page) * 0x100000001B3ull;

  int file = open(text("--file").c_str(), O_RDONLY | O_DIRECT | O_CLOEXEC);
  if (file < 0) fail("cannot open " + text("--file") + ": " + std::strerror(errno));
  const uint64_t baseline = resident_bytes();
  // Every entry has the charge of one page; what describes it is charged too, as is usual.
  std::shared_ptr<rocksdb::Cache> cache = rocksdb::HyperClockCacheOptions(limit, kPageBytes).MakeSharedCache();
  if (!cache) fail("no cache can be made");
  std::printf("{\"checksum\":\"%" PRIu64 "\",\"baseline_bytes\":%" PRIu64 "}\n", checksum, baseline);
  std::fflush(stdout);

  // The threads stay, since their free blocks are theirs. They meet at the beginning and at the end of a run.
  std::mutex lock;
  std::string line;
  std::vector<char *> buffers;
  for (size_t thread = 0; thread < threads; thread++) buffers.push_back((char *)std::aligned_alloc(kPageBytes, kPageBytes));
  std::vector<std::thread> workers;
  std::atomic<uint64_t> started{0};
  std::atomic<size_t> arrived{0}, finished{0}, round{0};
  size_t start = 0;
  uint64_t reads = 0, nanoseconds = 0, ended = 0;
  std::atomic<bool> over{false};
  Counts sum;
  for (size_t thread = 0; thread < threads; thread++) {
    workers.emplace_back([&, thread] {
      for (size_t seen = 0;; seen++) {
        while (round.load() == seen && !over.load()) std::this_thread::sleep_for(std::chrono::milliseconds(1));
        if (over.load()) return;
        if (arrived.fetch_add(1) + 1 == threads) started.store(now());
        while (started.load() == 0) std::this_thread::yield();
        Counts counts =
            read(*cache, file, streams[thread], start, reads, started.load() + nanoseconds, buffers[thread]);
        uint64_t end = now();
        {
          std::lock_guard<std::mutex> guard(lock);
          sum.reads += counts.reads;
          sum.misses += counts.misses;
          sum.failed += counts.failed;
          sum.wrong += counts.wrong;
          ended = std::max(ended, end);
        }
        finished.fetch_add(1);
      }
    });
  }
  while (std::getline(std::cin, line)) {
    unsigned long long from, most, long_;
    if (std::sscanf(line.c_str(), "run %llu %llu %llu", &from, &most, &long_) != 3) fail("'" + line + "' is no request");
    start = from;
    reads = most;
    nanoseconds = long_;
    sum = Counts();
    ended = 0;
    arrived.store(0);
    finished.store(0);
    started.store(0);
    const uint64_t device = device_bytes(), processor = processor_nanoseconds();
    round.fetch_add(1);
    while (finished.load() < threads) std::this_thread::sleep_for(std::chrono::milliseconds(1));
    const uint64_t spent = processor_nanoseconds() - processor;
    std::printf("{\"reads\":%" PRIu64 ",\"nanoseconds\":%" PRIu64 ",\"processor_nanoseconds\":%" PRIu64
                ",\"misses\":%" PRIu64 ",\"device_bytes\":%" PRIu64
                ",\"failed\":%" PRIu64 ",\"wrong\":%" PRIu64 ",\"memory_bytes\":%" PRIu64 "}\n",
                sum.reads, ended - started.load(), spent, sum.misses, device_bytes() - device, sum.failed, sum.wrong,
                resident_bytes());
    std::fflush(stdout);
  }
  over.store(true);
  for (auto &worker : workers) worker.join();
  close(file);
}
