import Glibc
import Primitives
internal import SystemPackage

/// How often the device has refused something, and what of that a flush has made up for.
struct Losses: ~Copyable, Sendable {
  private let seen = InlineWord(0)
  private let covered = InlineWord(0)

  /// Relaxed, as everything here: whoever closes the store comes after all that used it.
  var count: UInt64 { seen.loadRelaxed() }

  /// Whether something was refused, and no flush has succeeded that began after that.
  var areOpen: Bool { covered.loadRelaxed() < seen.loadRelaxed() }

  func note() { _ = seen.fetchAddRelaxed(1) }

  /// - Parameter count: what there were before the flush began. Two flushes may end in either order: a smaller count
  ///   that is stored last costs a flush at the close, and nothing else.
  func cover(through count: UInt64) { if covered.loadRelaxed() < count { covered.storeRelaxed(count) } }
}

/// What the kernel keeps of bytes that the device has refused (D14).
///
/// ext4, XFS and others mark a page as clean when writing it back has failed, and keep it until they need the memory.
/// Until then the file has two contents: what is read through the kernel's cache is what was written, and what is read
/// past it is what the device has. Both may be cached here, one after the other.
///
/// So the kernel is told to drop the file's clean pages after each flush that fails; and at the close, if no flush has
/// succeeded since, to write back what is dirty, and again to drop what is clean. From there on the file holds what the
/// device has, however it is read.
///
/// The kernel gives no way to do that
/// - where the file system has stopped writing, as ext4 does when its journal fails and it is mounted with
///   `errors=remount-ro`: pages stay dirty, and dirty pages are not dropped. Reads past the cache fail then; those
///   through it show what was written until the file system is unmounted;
/// - for pages that some process has mapped or locked: they are not dropped while they are;
/// - for what fails to be written back and was never flushed, before the close or after it: nobody asks for it. A file
///   that was synced has nothing of that kind.
extension LocalFileStore {
  func noteLoss() { losses.note() }

  func dropCleanPages(_ descriptor: Int32) { system.dropFromKernelCache(descriptor, 0, 0) }

  /// Before the descriptors are closed. Without a lock: a flush may take long.
  func dropLosses() {
    let written = writing.value
    // Nothing was written by a store that is not prepared for it, and what a flush of it failed for was dropped then.
    guard losses.areOpen, written >= 0 else { return }
    // Whether it succeeds or not, what it leaves is clean, or cannot be helped.
    _ = system.flush(written, true)
    dropCleanPages(written)
  }
}
