//! The sweeper as a future, for servers whose threads belong to an asynchronous runtime.

use super::{RETRY, SweeperBuilder, Watched};
use std::future::{Future, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::{Pin, pin};
use std::sync::{Arc, Weak};
use std::task::Poll;
use std::time::Duration;

/// How long a sweep keeps a worker of the runtime before others get a turn.
const SLICE: Duration = Duration::from_millis(1);

impl SweeperBuilder {
    /// Sweeps as a future of any runtime, until `shutdown` resolves. `sleep` is the runtime's, or
    /// any function whose future resolves after so long.
    ///
    /// About every millisecond it lets other tasks run; what a sweep removes is dropped within it,
    /// so values whose `Drop` takes long, or blocks, are for [`spawn`](SweeperBuilder::spawn).
    /// Dropping the future ends it, too. It starts no thread: where lookups by the system clock are
    /// to cost less, start an [`Upkeep`](crate::Upkeep) beside it.
    ///
    /// ```
    /// # use std::{future, pin::pin, task::{Context, Waker}};
    /// use idlewheel::{Cache, Sweeper};
    ///
    /// let sessions: Cache<String, u64> = Cache::new();
    /// let shutdown = future::ready(()); // in a server: a signal
    /// let sleep = |_pause| future::pending::<()>(); // in a server: tokio::time::sleep
    /// let sweeping = Sweeper::builder().watch(&sessions).run_with(sleep, shutdown);
    /// # assert!(pin!(sweeping).poll(&mut Context::from_waker(Waker::noop())).is_ready());
    /// # use std::future::Future;
    /// ```
    pub async fn run_with<T: Future>(self, sleep: impl Fn(Duration) -> T, shutdown: impl Future) {
        let mut shutdown = pin!(shutdown);
        let mut pause = self.interval;
        while !is_first(shutdown.as_mut(), sleep(pause)).await {
            pause = self.interval;
            for cache in &self.caches {
                match sweep_in_slices(cache, shutdown.as_mut()).await {
                    Round::Shutdown => return,
                    Round::Left => pause = self.interval.min(RETRY),
                    Round::Done => {}
                }
            }
        }
    }

    /// [`run_with`](SweeperBuilder::run_with) on tokio, whose time driver must be enabled.
    ///
    /// ```no_run
    /// # async fn serve() {
    /// use idlewheel::{Cache, Sweeper};
    ///
    /// let sessions: Cache<String, u64> = Cache::new();
    /// # let ctrl_c = std::future::pending::<()>();
    /// tokio::spawn(Sweeper::builder().watch(&sessions).run(ctrl_c));
    /// # }
    /// ```
    #[cfg(feature = "tokio")]
    pub async fn run(self, shutdown: impl Future) {
        self.run_with(tokio::time::sleep, shutdown).await;
    }
}

/// How the sweep of one cache ended.
enum Round {
    Done,
    /// Values are left that a reader still saw.
    Left,
    Shutdown,
}

async fn sweep_in_slices(cache: &Weak<dyn Watched>, mut shutdown: Pin<&mut impl Future>) -> Round {
    loop {
        // Held for one slice only: the sweeper keeps no cache alive.
        let Some(cache) = cache.upgrade() else { return Round::Done };
        let slice = move |cache: Arc<dyn Watched>| cache.sweep(Some(SLICE));
        // As in the thread: what goes wrong with one cache must not end the service of the others.
        let slice = catch_unwind(AssertUnwindSafe(|| slice(cache)));
        match slice {
            Ok(slice) if slice.more && slice.progress => {}
            Ok(slice) if slice.more => return Round::Left,
            Ok(_) => return Round::Done,
            Err(_) => return Round::Left,
        }
        if is_first(shutdown.as_mut(), turn()).await {
            return Round::Shutdown;
        }
    }
}

/// Waits for either. `true`: the first one resolved.
async fn is_first(mut first: Pin<&mut impl Future>, second: impl Future) -> bool {
    let mut second = pin!(second);
    poll_fn(|context| {
        if first.as_mut().poll(context).is_ready() {
            return Poll::Ready(true);
        }
        second.as_mut().poll(context).map(|_| false)
    })
    .await
}

/// Lets other tasks run once.
async fn turn() {
    let mut is_over = false;
    poll_fn(|context| {
        if std::mem::replace(&mut is_over, true) {
            return Poll::Ready(());
        }
        context.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}
