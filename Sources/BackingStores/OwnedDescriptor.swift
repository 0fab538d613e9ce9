import Glibc

/// A descriptor that is closed when nobody took it over: every way out of an opening that fails closes what it had.
struct OwnedDescriptor: ~Copyable {
  let rawValue: Int32

  init(_ rawValue: Int32) { self.rawValue = rawValue }

  deinit { Glibc.close(rawValue) }

  /// Hands the descriptor over: the caller closes it.
  consuming func take() -> Int32 {
    let descriptor = rawValue
    discard self
    return descriptor
  }
}
