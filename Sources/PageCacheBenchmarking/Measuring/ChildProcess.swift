import Glibc
import SystemPackage

/// A program that was started, and what it says: lines in both directions, over a socket that is its standard input and output.
///
/// A socket and not two pipes: writing to a process that has gone is an error then, and no signal that ends this one.
final class ChildProcess {
  let name: String
  private let number: pid_t
  private let socket: Int32
  private var unread: [UInt8] = []
  private var isReaped = false

  /// - Parameter words: the program, looked for on the PATH if it is no path, and its arguments.
  init(_ words: [String]) throws {
    name = words[0]
    var ends: [Int32] = [-1, -1]
    guard unsafe socketpair(AF_UNIX, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0, &ends) == 0 else {
      throw BenchmarkError("cannot make a pair of sockets: \(Errno(rawValue: errno))")
    }
    defer { close(ends[1]) }
    var actions = unsafe posix_spawn_file_actions_t()
    unsafe posix_spawn_file_actions_init(&actions)
    defer { unsafe posix_spawn_file_actions_destroy(&actions) }
    unsafe posix_spawn_file_actions_adddup2(&actions, ends[1], STDIN_FILENO)
    unsafe posix_spawn_file_actions_adddup2(&actions, ends[1], STDOUT_FILENO)
    var arguments = unsafe words.map { unsafe strdup($0) } + [nil]
    defer { unsafe arguments.forEach { unsafe free($0) } }
    var started = pid_t()
    let error = unsafe posix_spawnp(&started, words[0], &actions, nil, &arguments, environ)
    guard error == 0 else {
      close(ends[0])
      throw BenchmarkError("cannot start \(words[0]): \(Errno(rawValue: error))")
    }
    number = started
    socket = ends[0]
  }

  deinit {
    end()
    close(socket)
  }

  /// Ends it, whatever it is doing, if it has not ended yet.
  /// - Returns: its status, as `finish` has it; nil if it was known to have ended.
  @discardableResult
  func end() -> Int32? {
    guard !isReaped else { return nil }
    kill(number, SIGKILL)
    return reap()
  }

  func send(_ line: String) throws {
    var bytes = Array((line + "\n").utf8)[...]
    while !bytes.isEmpty {
      let count = unsafe bytes.withUnsafeBytes {
        unsafe Glibc.send(socket, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL))
      }
      if count < 0, errno == EINTR { continue }
      guard count > 0 else { throw BenchmarkError("\(name) does not listen: \(Errno(rawValue: errno))") }
      bytes = bytes.dropFirst(count)
    }
  }

  /// The next line, without its end. Waits for it.
  func line() throws -> String {
    while true {
      if let end = unread.firstIndex(of: UInt8(ascii: "\n")) {
        defer { unread.removeFirst(end + 1) }
        return String(decoding: unread[..<end], as: UTF8.self)
      }
      guard try receive() else { throw BenchmarkError("\(name) has ended without an answer, status \(finish())") }
    }
  }

  /// Everything that it says until it ends.
  func wholeOutput() throws -> String {
    while try receive() {}
    return String(decoding: unread, as: UTF8.self)
  }

  /// Lets it end, and waits until it has. Once.
  /// - Returns: its exit status; 128 and the number of the signal that ended it.
  func finish() -> Int32 {
    shutdown(socket, Int32(SHUT_WR))
    return reap()
  }

  private func reap() -> Int32 {
    var status: Int32 = 0
    while unsafe waitpid(number, &status, 0) < 0, errno == EINTR {}
    isReaped = true
    let signal = status & 0x7F
    return signal == 0 ? status >> 8 & 0xFF : 128 + signal
  }

  /// - Returns: false at the end.
  private func receive() throws -> Bool {
    var buffer = [UInt8](repeating: 0, count: 1 << 16)
    while true {
      let count = unsafe buffer.withUnsafeMutableBytes { unsafe recv(socket, $0.baseAddress, $0.count, 0) }
      if count < 0, errno == EINTR { continue }
      guard count >= 0 else { throw BenchmarkError("cannot read from \(name): \(Errno(rawValue: errno))") }
      unread.append(contentsOf: buffer[..<count])
      return count > 0
    }
  }

  /// Where a program is on the PATH, or nil.
  static func find(_ program: String) -> String? {
    let path = unsafe getenv("PATH").map { unsafe String(cString: $0) } ?? "/usr/bin:/bin"
    return path.split(separator: ":").map { "\($0)/\(program)" }.first { unsafe access($0, X_OK) == 0 }
  }
}
