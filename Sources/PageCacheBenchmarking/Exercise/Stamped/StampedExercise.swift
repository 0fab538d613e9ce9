import Glibc
import Primitives
import SystemPackage

/// Threads that change files and threads that read them: for every read it is decided whether some instant explains it.
package struct StampedExercise<Target: ExerciseTarget>: Sendable {
  package var threads = 4
  package var seconds = 10.0
  package var seed: UInt64 = 1
  package let path: FilePath
  package let target: Target
  /// Called when the files are made and all that the exercise itself needs in memory is there and has been touched, before the first change.
  package var whenReady: @Sendable () throws -> Void = {}

  package init(path: FilePath, target: Target) {
    self.path = path
    self.target = target
  }

  /// A third of the threads write, at least one; the others read, at least one.
  package var writers: Int { max(1, threads / 3) }
  package var readers: Int { max(1, threads - writers) }

  /// - Throws: whatever stands in the way of exercising at all.
  package func run() throws -> StampedReport {
    // A pair of files for each writer, and the file of them all.
    let paths = (0..<writers * 2 + 1).map { FilePath("\(path).\($0)") }
    func remove() { for path in paths { unsafe _ = path.withPlatformString { unsafe unlink($0) } } }
    remove()
    defer { remove() }
    let files = try paths.map { try target.open($0) }
    let groups = (0..<writers).map { number in
      StampedGroup(
        number: number, files: [files[number * 2], files[number * 2 + 1]], phase: phase(number), readers: readers)
    }
    let shared = SharedBlocks(files[writers * 2])
    let writing = groups.map { group in
      let writer = StampedWriter(
        group, changes: target.atomicChanges, longest: target.maximumAtomicLength,
        seed: seed &* 1_000_003 &+ UInt64(group.number))
      return (writer, SharedBlocksWriter(shared, number: group.number, of: writers, seed: seed &+ UInt64(group.number)))
    }
    let reading = (0..<readers).map { number in
      StampedReader(
        number: number, groups: groups, shared: shared, longest: target.maximumAtomicLength,
        seed: seed &* 7_000_003 &+ UInt64(number))
    }

    try whenReady()
    try shared.file.resize(to: Int64(SharedBlocks<Target.File>.fileBytes))
    for (writer, _) in writing { try writer.prepare() }
    let end = monotonicNanoseconds() + UInt64(seconds * 1e9)
    let start = monotonicNanoseconds()
    onThreads(writers + readers) { [writers] thread in
      let isStopped: () -> Bool = { monotonicNanoseconds() >= end }
      if thread < writers {
        let (writer, blocks) = writing[thread]
        while !isStopped(), writer.step(isStopped: isStopped), blocks.step() {}
      } else {
        let reader = reading[thread - writers]
        while !isStopped() { reader.step() }
        reader.finish()
      }
    }
    var report = StampedReport()
    report.seconds = Double(monotonicNanoseconds() - start) / 1e9
    report.seed = seed
    for reader in reading { report.add(reader.report) }
    for (writer, blocks) in writing {
      report.changes += writer.done
      report.blockWrites += blocks.done
      for failure in [writer.failure, blocks.failure].compactMap({ $0 }) { report.refuse(failure) }
    }
    for (number, file) in files.enumerated() { try checkEnd(number, file, paths[number], writing, &report) }
    return report
  }

  private func phase(_ group: Int) -> Int { group % 2 == 0 ? 0 : 24 }

  /// When all is quiet: what is there through the target, and closed, in the file system.
  private func checkEnd(
    _ number: Int, _ file: Target.File, _ path: FilePath,
    _ writing: [(StampedWriter<Target.File>, SharedBlocksWriter<Target.File>)], _ report: inout StampedReport
  ) throws {
    let room = 4 << 20
    let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: room, alignment: 64)
    defer { unsafe buffer.deallocate() }
    func check<File: ExercisedFile>(_ file: File, _ what: String) throws {
      let count = try unsafe file.read(at: 0, into: buffer)
      let bytes = unsafe UnsafeRawBufferPointer(rebasing: buffer[..<count])
      if number < writing.count * 2 {
        let writer = writing[number / 2].0
        guard writer.failure == nil else { return }
        if unsafe !writer.state.matches(bytes, file: number % 2, at: 0, wanted: room) {
          unsafe report.miss(
            "\(what) of group \(number / 2), file \(number % 2), is not as it was left: "
              + writer.state.account(bytes, at: 0))
        }
      } else {
        for block in 0..<SharedBlocks<Target.File>.blockCount {
          let latest = writing[block % writing.count].1.version(block)
          if unsafe !SharedBlocks<Target.File>.isLatest(bytes, block: block, version: latest) {
            report.miss("\(what) of the shared file: block \(block) does not hold write \(latest)")
          }
        }
      }
    }
    try check(file, "the end")
    try file.sync(dataOnly: false)
    try file.close()
    let stored = try KernelFile(path)
    defer { try? stored.close() }
    try check(stored, "the storage")
  }
}
