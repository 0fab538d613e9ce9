internal import SystemPackage

extension StoreError.Cause {
  /// The system's error, where it means that there is no more of something as that.
  static func of(_ errno: Errno) -> Self {
    switch errno {
    case .tooManyOpenFiles, .tooManyOpenFilesInSystem: .exhausted("descriptors")
    case .noMemory: .exhausted("memory")
    default: .system(errno)
    }
  }
  /// The same for what not every file system, or not every kernel, can do.
  static func ofOptional(_ errno: Errno) -> Self {
    switch errno {
    case .notSupported, .noFunction, .inappropriateIOCTLForDevice: .unsupported
    default: of(errno)
    }
  }
}
