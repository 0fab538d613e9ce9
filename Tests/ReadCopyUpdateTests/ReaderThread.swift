import Primitives
import ReadCopyUpdate

/// A thread that sits inside a read section until it is told to leave.
final class ReaderThread {
  private let leave = Event()
  private var thread: JoinableThread?

  /// Returns when the thread is inside.
  init(in domain: ReadDomain) {
    let entered = Event()
    let leave = leave
    thread = JoinableThread(name: "reader") {
      domain.read {
        entered.set()
        leave.wait()
      }
    }
    if thread != nil { entered.wait() }
  }

  deinit { end() }

  /// Returns when the thread is gone.
  func end() {
    leave.set()
    thread.take()?.join()
  }
}
