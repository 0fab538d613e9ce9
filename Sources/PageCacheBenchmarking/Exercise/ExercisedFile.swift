import SystemPackage

/// A file that an exercise acts on: a cache's, the kernel's, or one that is broken on purpose.
///
/// The calls are those of a cached file; where they agree with Linux, they agree with it in what they refuse too.
package protocol ExercisedFile: AnyObject, Sendable {
  func size() throws -> Int64
  func read(at offset: Int64, into buffer: UnsafeMutableRawBufferPointer) throws -> Int
  /// Writes everything or throws.
  func write(at offset: Int64, _ bytes: UnsafeRawBufferPointer) throws
  /// Returns where the bytes went.
  func append(_ bytes: UnsafeRawBufferPointer) throws -> Int64
  func resize(to size: Int64) throws
  func allocate(_ range: Range<Int64>, keepingSize: Bool) throws
  func punchHole(_ range: Range<Int64>) throws
  func zero(_ range: Range<Int64>, keepingSize: Bool) throws
  func collapse(_ range: Range<Int64>) throws
  func insert(_ range: Range<Int64>) throws
  func clone(_ range: Range<Int64>, of source: Self, to offset: Int64) throws
  func copy(_ range: Range<Int64>, of source: Self, to offset: Int64) throws
  func exchange(_ range: Range<Int64>, with other: Self, at offset: Int64) throws
  /// Whether the two ranges hold the same bytes, and so may share them now.
  func dedupe(_ range: Range<Int64>, with other: Self, at offset: Int64) throws -> Bool
  func unshare(_ range: Range<Int64>) throws
  func seekData(from offset: Int64) throws -> Int64?
  func seekHole(from offset: Int64) throws -> Int64?
  func sync(dataOnly: Bool) throws
  func flush(_ range: Range<Int64>) throws
  func invalidate() throws
  func close() throws
}

/// Where exercised files come from.
package protocol ExerciseTarget: Sendable {
  associatedtype File: ExercisedFile

  /// What it is, with everything that decides how it behaves.
  var name: String { get }
  /// Bytes up to which it says that a call is atomic.
  var maximumAtomicLength: Int { get }
  /// What it does in one step, so that no reader may see a part of it.
  var atomicChanges: Set<ExerciseChange> { get }

  /// Opens a file and makes it if it is not there.
  func open(_ path: FilePath) throws -> File
}

/// Kinds of changes.
package enum ExerciseChange: String, Sendable, CaseIterable {
  case write, append, resize, punchHole, zero, collapse, insert, clone, exchange
}

/// Why a target refused.
package struct ExerciseError: Error, CustomStringConvertible {
  package let description: String

  package init(_ description: String) { self.description = description }

  package init(_ what: String, errno: Int32) { description = "\(what): \(Errno(rawValue: errno))" }
}
