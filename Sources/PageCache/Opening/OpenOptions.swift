public import BackingStores
public import SystemPackage

extension PageCache {
  /// Who else may use a file's store while it is open here (P10).
  public enum Ownership: String, Sendable, Hashable, CaseIterable {
    /// This cache has the file to itself: nobody else writes to it, and if it is open for writing here, no other cache reads it, of this process or another.
    /// Claimed by advisory locks; who takes none is noticed at fill, write-back and sync, as far as size and time of modification tell. The time tells nothing
    /// from this cache's own first change until the next sync. A file system without such locks refuses claims for writing.
    case exclusive
    /// The caller has a protocol of its own with others, as SQLite has. No locks are taken, nothing is checked, and the caller says when what is
    /// cached is old: `CachedFile.invalidate`.
    case external
  }

  /// What a write that has returned is worth (P7). In both ways, `CachedFile.sync` makes it durable.
  public enum Durability: String, Sendable, Hashable, CaseIterable {
    /// The bytes are where pwrite(2) would have put them: they survive this process, not the power. They are kept in the cache until a flush has succeeded,
    /// which the background makes in its own time.
    case writeThrough
    /// The bytes are in the cache: they survive neither. The background writes them back, in pieces as large as their neighbours make them.
    case writeBack
  }

  /// How a file is opened.
  public struct OpenOptions: Sendable, Equatable {
    public enum Access: String, Sendable, Hashable {
      case readOnly, readWrite
    }

    /// Whether a file that is not there is made.
    public typealias Creation = FileCreation

    public var access: Access
    /// Needs `readWrite`.
    public var creation: Creation
    /// What is in the file is dropped, once it is claimed. Needs `readWrite`.
    public var truncates: Bool
    /// Of writes through this handle; other handles of the file may have another.
    public var durability: Durability
    /// The same for all handles of one file.
    public var ownership: Ownership
    /// Of a file that is made, less the process's mask.
    public var permissions: FilePermissions

    /// Whose reserve protects what is cached of the file. The same for all handles of one file.
    public var tenant: Tenant?

    public init(
      access: Access = .readOnly, creation: Creation = .never, truncates: Bool = false,
      durability: Durability = .writeThrough, ownership: Ownership = .exclusive,
      permissions: FilePermissions = [.ownerReadWrite, .groupRead, .otherRead], tenant: Tenant? = nil
    ) {
      self.tenant = tenant
      self.access = access
      self.creation = creation
      self.truncates = truncates
      self.durability = durability
      self.ownership = ownership
      self.permissions = permissions
    }

    /// For reading and writing.
    public static func readWrite(
      creation: Creation = .never, truncates: Bool = false, durability: Durability = .writeThrough,
      ownership: Ownership = .exclusive, tenant: Tenant? = nil
    ) -> OpenOptions {
      OpenOptions(
        access: .readWrite, creation: creation, truncates: truncates, durability: durability, ownership: ownership,
        tenant: tenant)
    }
  }
}
