import Glibc
import PageCache
import Primitives
import SystemPackage

/// One arm in a process of its own: gets everything in hand, then runs what it is asked to.
///
/// An arm of the kernel enters its control group before it allocates anything. What it needs besides the cached pages (streams, buffers, the Swift runtime's)
/// is charged to the group too: it is measured before the first read, and the group is held to the limit and that. So all arms have the limit for
/// pages and what describes them.
package final class MemoryChild: Sendable {
  private let plan: MemoryPlan
  private let group: ControlGroup?
  private let streams: [AccessStream]
  private let buffers: ThreadBuffers
  private let file: FileDescriptor
  private let source: Source
  package let ready: MemoryReady

  private enum Source: Sendable {
    case cache(PageCache, CacheArm)
    case pread(PreadArm)
    case mapped(MappedArm)
  }

  package init(
    _ kind: MemoryArmKind, path: FilePath, distribution: AccessDistribution, plan: MemoryPlan, group: ControlGroup?
  ) throws {
    if let group { try group.enter() }
    self.plan = plan
    self.group = group
    let streams = MemoryChild.streams(distribution, plan)
    self.streams = streams
    buffers = ThreadBuffers(count: plan.threads, byteCount: MemoryPlan.pageBytes)
    let file = try FileDescriptor.open(path, .readOnly)
    self.file = file
    ready = MemoryReady(
      checksum: String(AccessStream.checksum(streams)),
      baselineBytes: try group.map { try $0.usage() } ?? ResidentMemory.current)
    if let group { try group.hold(to: plan.limit + ready.baselineBytes) }
    switch kind {
    case .cache:
      // Directly or not at all: what the kernel keeps besides would not be counted.
      let cache = try PageCache(.init(memoryLimit: plan.limit, directIO: .required))
      let cached = try cache.open(path)
      // As the kernel's arms: what is read is at random, and they are told.
      try cached.advise(.random)
      source = .cache(cache, CacheArm(file: cached))
    case .pread:
      // No read-ahead, as for the mapping: what it brings in is not what is read next.
      posix_fadvise(file.rawValue, 0, 0, POSIX_FADV_RANDOM)
      source = .pread(PreadArm(descriptor: file.rawValue))
    case .mmap:
      guard let mapping = SharedMapping(random: file.rawValue, byteCount: plan.fileBytes) else {
        throw BenchmarkError("cannot map \(path): \(Errno(rawValue: errno))")
      }
      source = .mapped(MappedArm(bytes: mapping))
    case .peer: throw BenchmarkError("\(kind.rawValue) is another program")
    }
  }

  deinit { try? file.close() }

  package static func streams(_ distribution: AccessDistribution, _ plan: MemoryPlan) -> [AccessStream] {
    let drawing = AccessDrawing(distribution, pageCount: plan.pageCount, seed: plan.seed)
    return (0..<plan.threads).map { drawing.stream(thread: $0, count: plan.streamCount) }
  }

  package func run(_ request: MemoryRequest) throws -> MemoryRun {
    let (device, misses, processor) = (deviceBytes(), try misses(), processNanoseconds())
    var run =
      switch source {
      case .cache(_, let arm): measure(arm, request)
      case .pread(let arm): measure(arm, request)
      case .mapped(let arm): measure(arm, request)
      }
    run.processorNanoseconds = Int(processNanoseconds() - processor)
    run.deviceBytes = deviceBytes() - device
    run.misses = try self.misses().map { $0 - (misses ?? 0) }
    run.memoryBytes = try group.map { try $0.usage() } ?? ResidentMemory.current
    return run
  }

  private func misses() throws -> Int? {
    guard case .cache(let cache, _) = source else { return nil }
    return Int(try cache.statistics().misses)
  }

  private func measure<Arm: ReadArm>(_ arm: Arm, _ request: MemoryRequest) -> MemoryRun {
    let barrier = StartBarrier(count: plan.threads)
    let totals = RunTotals()
    onThreads(plan.threads) { [self] thread in
      barrier.wait { totals.start() }
      read(arm, thread: thread, request, into: totals)
    }
    return totals.run
  }

  private func read<Arm: ReadArm>(_ arm: Arm, thread: Int, _ request: MemoryRequest, into totals: RunTotals) {
    var (done, failed, wrong) = (0, 0, 0)
    let buffer = unsafe buffers[thread]
    let end = totals.started + UInt64(request.nanoseconds)
    let pages = streams[thread].pages
    var place = request.start % pages.count
    while done < request.reads {
      // The clock costs tens of nanoseconds, a hit hundreds.
      if done & 15 == 0, monotonicNanoseconds() >= end { break }
      let offset = UInt64(pages[place]) * UInt64(MemoryPlan.pageBytes)
      let count = unsafe arm.read(at: offset, into: buffer)
      if count != buffer.count {
        failed += 1
      } else if unsafe !isRight(buffer, at: offset) {
        wrong += 1
      }
      done += 1
      place += 1
      if place == pages.count { place = 0 }
    }
    totals.add(reads: done, failed: failed, wrong: wrong)
  }

  /// Looks at both ends of a page: what is read is used, and what is of another page shows.
  @inline(__always)
  private func isRight(_ page: UnsafeMutableRawBufferPointer, at offset: UInt64) -> Bool {
    let last = page.count - 8
    let (head, tail) = unsafe (
      page.load(as: UInt64.self), page.load(fromByteOffset: last, as: UInt64.self)
    )
    return head == PatternFile.word(at: offset) && tail == PatternFile.word(at: offset + UInt64(last))
  }

  // MARK: What the kernel counts

  private func deviceBytes() -> Int {
    for line in (readWholeFile("/proc/self/io") ?? "").split(separator: "\n") where line.hasPrefix("read_bytes: ") {
      return Int(line.dropFirst(12)) ?? 0
    }
    return 0
  }
}
