import Primitives

/// What a restoration has to do: runs of open files.
struct RestorationWork {
  private struct Part {
    let file: FileCore
    let runs: [ResidencyImage.Run]
  }

  private let engine: Engine
  private let pageShift: Int
  private var parts: [Part] = []

  /// Finds the open files that an image is about.
  static func planned(_ image: ResidencyImage, in engine: Engine) -> (RestorationWork, RestoredResidency) {
    var report = RestoredResidency()
    var work = RestorationWork(engine: engine, pageShift: image.pageShift)
    let open = engine.openFiles
    for saved in image.files {
      let file = open.first {
        saved.isSame(name: $0.name, identity: $0.identity, creationStamp: $0.creationStamp)
      }
      if let file {
        report.files += 1
        let length = file.length
        for run in saved.runs { report.wantedBytes += Int64(work.bytes(of: run, length: length).count) }
        work.parts.append(Part(file: file, runs: saved.runs))
      } else if open.contains(where: { $0.name == saved.name }) {
        report.replacedFiles.append(saved.name)
      } else {
        report.missingFiles.append(saved.name)
      }
    }
    return (work, report)
  }

  private init(engine: Engine, pageShift: Int) {
    self.engine = engine
    self.pageShift = pageShift
  }

  /// The bytes of a run, as far as a file goes.
  private func bytes(of run: ResidencyImage.Run, length: Int64) -> Range<Int64> {
    // No overflow: runs end before the largest size of a file.
    let shift = Int64(pageShift)
    return (Int64(run.page) << shift..<Int64(run.page + run.count) << shift).clamped(to: 0..<max(0, length))
  }

  /// Pages of one read: a mebibyte, if a few such reads leave room for others.
  private func pagesAtOnce(_ pacer: Pacer) -> UInt64 {
    let most = min(
      1 << 20, engine.configuration.maximumAtomicLength, engine.budget.capacity / 8 << engine.pool.frameShift)
    return UInt64(max(1, pacer.mostAtOnce(most) >> engine.pool.frameShift))
  }

  /// Frames that stay free for whoever misses meanwhile.
  private var headroom: Int { engine.pool.frameCount / 32 }

  /// Does the work on the calling thread.
  func run(pacer: Pacer, of restoration: ResidencyRestoration) -> RestoredResidency.State {
    var pacer = pacer
    let step = pagesAtOnce(pacer)
    var over: Set<UInt64> = []
    for heat in ResidencyImage.Heat.allCases.reversed() {
      for part in parts where !over.contains(part.file.number) {
        for run in part.runs where run.heat == heat {
          let bytes = bytes(of: run, length: part.file.length)
          guard !bytes.isEmpty else { continue }
          let pages = part.file.pages(offset: UInt64(bytes.lowerBound), count: UInt64(bytes.count))
          var page = pages.lowerBound
          while page <= pages.upperBound {
            let last = min(pages.upperBound, page + (step - 1))
            do throws(CacheError) {
              if let end = try bring(page...last, of: part.file, heat.isProven, &pacer, restoration) { return end }
            } catch {
              if case .noFrames = error.cause { return .full }
              over.insert(part.file.number)
              // Nothing has failed if it was closed.
              if case .closed = error.cause { break }
              restoration.note(
                CacheError(operation: .restoreResidency, file: error.file, range: error.range, cause: error.cause))
              break
            }
            page = last + 1
          }
          if over.contains(part.file.number) { break }
        }
      }
    }
    return .complete
  }

  /// Brings some pages, when it may.
  /// - Returns: how it all ends, if it does.
  private func bring(
    _ pages: ClosedRange<UInt64>, of file: FileCore, _ isProven: Bool, _ pacer: inout Pacer,
    _ restoration: ResidencyRestoration
  ) throws(CacheError) -> RestoredResidency.State? {
    let frames = file.framesNeeded(for: pages)
    while true {
      if restoration.isToEnd { return .cancelled }
      if file.index.withLock({ unsafe file.isClosing }) { throw file.error(.restoreResidency, nil, .closed) }
      // Not what the worst case reserves: large folios that find no room are made smaller.
      guard engine.pool.freeFrames >= pages.count + headroom else {
        // What waits for a grace period is as good as free.
        guard engine.pool.reclaimRetired(waiting: true) > 0 else { return .full }
        continue
      }
      let wait = pacer.wait(now: monotonicNanoseconds())
      if wait > 0 {
        restoration.pause(nanoseconds: wait)
      } else if engine.budget.tryReserve(frames) {
        break
      } else {
        // Calls that somebody waits for have the frames.
        restoration.pause(nanoseconds: 1_000_000)
      }
    }
    defer { engine.budget.giveBack(frames) }
    let start = monotonicNanoseconds()
    let brought = SharedCounter()
    defer { pacer.note(brought.value, since: start) }
    try file.prefetch(pages, isProven: isProven) { bytes in
      brought.add(bytes)
      restoration.note(bytes: bytes)
    }
    return nil
  }
}
