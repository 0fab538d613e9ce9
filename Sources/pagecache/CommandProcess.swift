import Glibc

/// This process.
enum CommandProcess {
  static var number: Int32 { getpid() }

  /// The program that runs, also where it was found by a search or has been replaced since.
  static var executable: String { "/proc/self/exe" }
}
