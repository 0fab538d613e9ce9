import Primitives
import SystemPackage

/// The process that is killed: changes two files and syncs them, and writes down what it does, until the end comes.
package struct CrashChild<Target: ExerciseTarget> {
  private let load: CrashLoad
  private let target: Target

  package init(_ load: CrashLoad, target: Target) {
    self.load = load
    self.target = target
  }

  /// Returns only if something is refused, or after a minute: whoever should kill it is gone.
  package func run() throws {
    let log = try CrashLog(FilePath(load.log))
    var state = load.state
    do {
      let files = try (0..<CrashLoad.files).map { try target.open(FilePath(load.file($0))) }
      let bytes = ChangeBytes(longest: target.maximumAtomicLength)
      var drawing = load.drawing(target)
      var random = RandomWords(seed: ~load.seed)
      let end = monotonicNanoseconds() + 60_000_000_000
      // Somebody reads, so that there is eviction too.
      let reader = JoinableThread(name: "reader") { Self.read(files, seed: 1, until: end) }
      while monotonicNanoseconds() < end {
        if let (kind, change) = drawing.next(state) {
          try log.add(.begin, version: state.version + 1)
          try bytes.perform(kind, change, after: state, on: files)
          state.apply(change)
          try log.add(.end, version: state.version)
        }
        if random.next(below: CrashLoad.syncPeriod) == 0 {
          let file = Int(random.next(below: UInt64(CrashLoad.files)))
          try log.add(.syncBegin, file: file, version: state.version)
          try files[file].sync(dataOnly: random.next(below: 2) == 0)
          try log.add(.syncEnd, file: file, version: state.version)
        }
      }
      if let reader { reader.join() }
    } catch {
      try? log.add(.refused, version: state.version + 1)
      throw error
    }
  }

  private static func read(_ files: [Target.File], seed: UInt64, until end: UInt64) {
    var random = RandomWords(seed: seed)
    let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 64 << 10, alignment: 64)
    defer { unsafe buffer.deallocate() }
    unsafe buffer.initializeMemory(as: UInt8.self, repeating: 0)
    while monotonicNanoseconds() < end {
      let file = files[Int(random.next(below: UInt64(files.count)))]
      _ = try? unsafe file.read(at: Int64(random.next(below: 2 << 20)), into: buffer)
      sleepNanoseconds(50_000)
    }
  }
}
