import ArgumentParser
import Glibc
import PageCacheBenchmarking

/// Where results go: the table to standard output, unless that is taken by JSON; progress to standard error.
struct Output {
  private let tableDescriptor: Int32

  /// - Parameter files: files that will be written. Checked now: not after minutes of measuring.
  init(json: String?, files: [String?]) throws {
    tableDescriptor = json == "-" ? STDERR_FILENO : STDOUT_FILENO
    for case let path? in files where path != "-" { close(try Output.open(path, truncating: false)) }
  }

  func table(_ line: String) {
    // Whoever reads it may be gone; what is measured goes on to its files.
    try? Output.write(line + "\n", descriptor: tableDescriptor, name: "standard output")
  }

  func progress(_ line: String) {
    try? Output.write("  [\(line)]\n", descriptor: STDERR_FILENO, name: "standard error")
  }

  func write(_ text: String, to path: String) throws {
    guard path != "-" else { return try Output.write(text, descriptor: STDOUT_FILENO, name: "standard output") }
    let descriptor = try Output.open(path, truncating: true)
    defer { close(descriptor) }
    try Output.write(text, descriptor: descriptor, name: path)
  }

  private static func open(_ path: String, truncating: Bool) throws -> Int32 {
    let descriptor = unsafe Glibc.open(path, O_WRONLY | O_CREAT | O_CLOEXEC | (truncating ? O_TRUNC : 0), 0o644)
    guard descriptor >= 0 else { throw Failure("cannot write \(path): \(unsafe String(cString: strerror(errno)))") }
    return descriptor
  }

  private static func write(_ text: String, descriptor: Int32, name: String) throws {
    var bytes = Array(text.utf8)[...]
    while !bytes.isEmpty {
      let count = unsafe bytes.withUnsafeBytes { unsafe Glibc.write(descriptor, $0.baseAddress, $0.count) }
      if count < 0, errno == EINTR { continue }
      guard count > 0 else { throw Failure("cannot write \(name): \(unsafe String(cString: strerror(errno)))") }
      bytes = bytes.dropFirst(count)
    }
  }
}

/// An error whose text is all there is to say.
struct Failure: Error, CustomStringConvertible {
  let description: String

  init(_ description: String) { self.description = description }
}

/// Makes an error in an argument one that the parser prints with its usage.
func validated<Value>(_ parse: @autoclosure () throws(ListError) -> Value) throws -> Value {
  do { return try parse() } catch { throw ValidationError(error.description) }
}

/// Makes an error of a benchmark one of text.
func failing<Value>(_ body: () throws -> Value) throws -> Value {
  do { return try body() } catch { throw Failure("\(error)") }
}
