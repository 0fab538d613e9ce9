#if RaceLaboratory
  import PageCache
  import Primitives
  import RaceLaboratory

  // What threads do, by way of the cache's public interface.
  extension World {
    private static var sentinel: UInt8 { 0xEE }

    /// A file as the running thread has it open: by the handle that was there before the threads, or by one that it has
    /// opened itself.
    private func handle(_ file: Int) -> CachedFile {
      guard Explorer.shared.isExploring else { return handles[file] }
      let thread = Explorer.shared.runningThread
      if let own = opened[thread]?[file] { return own }
      if file == 0, let twin, thread % 2 == 1 { return twin }
      return handles[file]
    }

    /// Runs a body while bytes of the first file are lent, and looks whether they have stayed what they were.
    func lending(_ body: () -> Void) throws -> Bool {
      try handle(0).withBytes(atAbsoluteOffset: 0, count: 8) { bytes in
        let before = copy(bytes)
        body()
        return copy(bytes) == before
      }
    }

    /// Does an act.
    func perform(_ act: Act) -> Outcome {
      do {
        switch act {
        case .read(let offset, let count, let file):
          return unsafe try read(count) { try unsafe handle(file).read(fromAbsoluteOffset: Int64(offset), into: $0) }
        case .tryRead(let offset, let count, let file):
          return unsafe try read(count) {
            try unsafe handle(file).tryRead(fromAbsoluteOffset: Int64(offset), into: $0)
          }
        case .readArray(let offset, let count, let file):
          return .bytes(try handle(file).read(fromAbsoluteOffset: Int64(offset), count: count))
        case .readAsync(let offset, let count, let file):
          let handle = handle(file)
          return unsafe try read(count) { memory in
            try FiberExecutor.run {
              unsafe try await handle.read(fromAbsoluteOffset: Int64(offset), into: memory)
            }
          }
        case .readArrayAsync(let offset, let count, let file):
          let handle = handle(file)
          return .bytes(
            try FiberExecutor.run { try await handle.read(fromAbsoluteOffset: Int64(offset), count: count) })
        case .readMany(let offset, let count, let other, let otherCount, let file):
          return try readMany([(offset, count), (other, otherCount)], of: handle(file))
        case .size(let file): return .count(Int(try handle(file).size))
        case .borrow(let offset, let count, let file):
          return try handle(file).withBytes(atAbsoluteOffset: Int64(offset), count: count) { bytes in
            let first = copy(bytes)
            let second = copy(bytes)
            return first == second ? .bytes(first) : .failed("lent bytes changed: \(first) \(second)")
          }
        case .referencedRead(let offset, let count, let file):
          return unsafe try read(count) {
            try unsafe ReferencedReader(handle(file)).read(fromAbsoluteOffset: Int64(offset), into: $0)
          }
        case .write(let offset, let bytes, let file):
          try handle(file).write(toAbsoluteOffset: Int64(offset), bytes)
        case .heldWrite(let offset, let bytes, let file):
          try handle(file).write(
            toAbsoluteOffset: Int64(offset), bytes, notBefore: points[Explorer.shared.runningThread] ?? lastPoint)
        case .append(let bytes, let file): return .count(Int(try handle(file).append(bytes)))
        case .punch(let range, let file): try handle(file).punchHole(wide(range))
        case .zero(let range, let growing, let file):
          try handle(file).zeroRange(wide(range), keepingSize: !growing)
        case .resize(let size, let file): try handle(file).resize(to: Int64(size))
        case .collapse(let range, let file): try handle(file).collapseRange(wide(range))
        case .insert(let range, let file): try handle(file).insertRange(wide(range))
        case .clone(let range, let source, let offset, let file):
          try handle(file).clone(wide(range), of: handle(source), to: Int64(offset))
        case .exchange(let range, let other, let offset, let file):
          try handle(file).exchange(wide(range), with: handle(other), at: Int64(offset))
        case .dedupe(let range, let other, let offset, let file):
          return .count(try handle(file).dedupe(wide(range), with: handle(other), at: Int64(offset)) ? 1 : 0)
        case .flush(let range, let file): try handle(file).flush(wide(range))
        case .seekData(let offset, let file):
          return .found(try handle(file).seekData(from: Int64(offset)).map { Int($0) })
        case .reopen(let file): return try reopen(file)
        case .cycle(let file): return try cycle(file)
        case .point(let file):
          let point = try handle(file).durabilityPoint()
          points[Explorer.shared.runningThread] = point
          lastPoint = point
        case .reached:
          let point = points[Explorer.shared.runningThread] ?? lastPoint
          // Judged by this one, though another may be the last by the time of the look.
          points[Explorer.shared.runningThread] = point
          return point?.isReached == true ? .done : .declined
        case .send: flag[0].storeRelease(1)
        case .receive: return flag[0].loadAcquire() == 1 ? .done : .declined
        case .sync(let file): try handle(file).sync(dataOnly: true)
        case .syncDurable(let offset, let bytes, let file):
          try handle(file).sync(dataOnly: true)
          let safe = stores[file].durable
          guard safe.count >= offset + bytes.count, Array(safe[offset..<offset + bytes.count]) == bytes else {
            return .failed("sync has returned, and the store has not \(Outcome.bytes(bytes)) at \(offset)")
          }
        case .evict(let page, let file): _ = handle(file).evict(page: UInt64(page))
        case .age(let page, let file): _ = handle(file).evict(page: UInt64(page), sparingAccessed: true)
        case .move(let page, let file): _ = handle(file).move(page: UInt64(page))
        case .reclaim: cache.reclaimDeferred()
        case .invalidate(let file): try handle(file).invalidate()
        }
        return .done
      } catch {
        return outcome(of: error)
      }
    }

    private func outcome(of error: any Error) -> Outcome {
      if let error = error as? CacheError {
        switch error.cause {
        case .pastEnd: return .impossible
        case .closed: return .closed
        case .store(let refusal) where refusal.cause == .system(.badFileDescriptor): return .closed
        case .store(let refusal) where refusal.cause == .unsupported: return .declined
        // Where the pool is as small as it may be, others can hold all that there is.
        case .noFrames where start.callsAtOnce == 1: return .declined
        default: break
        }
      }
      return .refused("\(error)")
    }

    private func cycle(_ file: Int) throws -> Outcome {
      let handle = handle(file)
      hasClosed = true
      defer {
        if handle.isClosed,
          let another = try? cache.open(store: stores[file], .readWrite(durability: start.durability))
        {
          // The other threads know nothing of it.
          opened[Explorer.shared.runningThread, default: [:]][file] = another
        }
      }
      try handle.close()
      return .done
    }

    private func reopen(_ file: Int) throws -> Outcome {
      let handle = try cache.open(store: stores[file], .readWrite(durability: start.durability))
      let outcome = unsafe try read(ModelFiles.bytesOfReopen) {
        try unsafe handle.read(fromAbsoluteOffset: 0, into: $0)
      }
      try handle.close()
      return outcome
    }

    /// Reads two ranges in one call: each is of an instant of its own.
    private func readMany(_ ranges: [(offset: Int, count: Int)], of handle: CachedFile) throws -> Outcome {
      let total = ranges.reduce(0) { $0 + $1.count }
      var buffer = [UInt8](repeating: World.sentinel, count: total)
      var counts: [Int] = []
      unsafe try buffer.withUnsafeMutableBytes { memory in
        var start = 0
        var requests: [CachedFile.ReadRequest] = []
        for range in ranges {
          requests.append(
            unsafe CachedFile.ReadRequest(
              offset: Int64(range.offset),
              buffer: UnsafeMutableRawBufferPointer(rebasing: memory[start..<start + range.count])))
          start += range.count
        }
        try handle.readMany(&requests)
        counts = requests.map(\.bytesRead)
      }
      // P3, as in `read`.
      for (start, end, count) in [(0, ranges[0].count, counts[0]), (ranges[0].count, total, counts[1])] {
        if buffer[start + count..<end].contains(where: { $0 != World.sentinel }) {
          return .failed("bytes behind the count were changed: \(Outcome.bytes(buffer)) for counts of \(counts)")
        }
      }
      return .many(Array(buffer[..<counts[0]]), Array(buffer[ranges[0].count..<ranges[0].count + counts[1]]))
    }

    private func wide(_ range: Range<Int>) -> Range<Int64> { Int64(range.lowerBound)..<Int64(range.upperBound) }

    /// Bytes of a frame are copied as a reader who does not trust them would.
    private func copy(_ bytes: RawSpan) -> [UInt8] {
      var copy = [UInt8](repeating: 0, count: bytes.byteCount)
      unsafe bytes.withUnsafeBytes { source in
        guard let from = source.baseAddress else { return }
        unsafe copy.withUnsafeMutableBytes { unsafe racyCopy(to: $0.baseAddress!, from: from, count: source.count) }
      }
      return copy
    }

    private func read(
      _ count: Int, _ body: (UnsafeMutableRawBufferPointer) throws -> Int?
    ) rethrows -> Outcome {
      var buffer = [UInt8](repeating: World.sentinel, count: count)
      let done = try unsafe buffer.withUnsafeMutableBytes { try unsafe body($0) }
      guard let done else { return .declined }
      // P3.
      if buffer[done...].contains(where: { $0 != World.sentinel }) {
        return .failed("bytes behind the count were changed: \(Outcome.bytes(buffer)) for a count of \(done)")
      }
      return .bytes(Array(buffer[..<done]))
    }
  }
#endif
