/// Whether opening a file may make it. It never empties one that is there.
public enum FileCreation: String, Sendable, Hashable, CaseIterable {
  /// A missing file is an error.
  case never
  /// A missing file is made, also where a symbolic link leads to nothing.
  case ifMissing
  /// The file is made; one that is there, or a symbolic link, is an error.
  case exclusively
}
