//! Work that a signal may end.

use std::time::Duration;

use deriva::{Clock, ErrorKind, Result, SystemClock};

use crate::exit::{self, Failure, Outcome};
use crate::otlp::Sending;
use crate::term::{Style, note};

/// Does `work` until it is done or a signal comes. Giving it up cancels what is under way; what was
/// acknowledged stays. In both cases everything is flushed, and a call that ends here is sent to whoever is told of it.
pub(crate) async fn interruptible(
    flush: impl AsyncFn() -> Result<()>,
    work: impl Future<Output = Outcome>,
    next: impl FnOnce() -> Option<String>,
    sending: &Sending,
) -> Outcome {
    let ended = tokio::select! {
        ended = work => Some(ended),
        () = interrupted() => None,
    };
    let Some(ended) = ended else {
        // A second signal means now.
        let flushed = tokio::select! {
            flushed = flush() => Some(flushed),
            () = again() => None,
        };
        note(format!("\n{}", Style::stderr().accent("interrupted")));
        let is_urgent = flushed.is_none();
        if let Some(Err(error)) = flushed {
            Failure::from(error).report();
        }
        if let Some(next) = next() {
            note(format!("{} {next}", Style::stderr().accent("next:")));
        }
        let (code, kind) = (exit::INTERRUPTED, ErrorKind::Cancelled);
        if !is_urgent {
            sending.end(code, Some(kind)).await;
        }
        // Functions cannot be stopped from outside; their threads end with the process.
        std::process::exit(code.into());
    };
    let flushed = flush().await;
    ended?;
    Ok(flushed?)
}

/// Signals that come so close together are one: some programs send theirs twice, to a process and to its group.
const ONE: Duration = Duration::from_millis(500);

/// Waits for a second signal, after one that has just come.
pub(crate) fn again() -> impl Future<Output = ()> {
    let clock = SystemClock::new();
    let (since, mut next) = (clock.now(), interrupted());
    async move {
        loop {
            next.await;
            if clock.now().saturating_sub(since) >= ONE {
                return;
            }
            next = interrupted();
        }
    }
}

/// Waits for a signal that asks for the end, of those that come from now on.
#[cfg(unix)]
pub(crate) fn interrupted() -> impl Future<Output = ()> {
    use tokio::signal::unix::{SignalKind, signal};
    let handlers = (
        signal(SignalKind::interrupt()),
        signal(SignalKind::terminate()),
    );
    async move {
        match handlers {
            (Ok(mut interrupt), Ok(mut terminate)) => {
                tokio::select! {
                    _ = interrupt.recv() => {}
                    _ = terminate.recv() => {}
                }
            }
            // Without a handler the signals end the process themselves.
            _ => std::future::pending().await,
        }
    }
}

/// Waits for a signal that asks for the end.
#[cfg(not(unix))]
pub(crate) async fn interrupted() {
    if tokio::signal::ctrl_c().await.is_err() {
        std::future::pending::<()>().await;
    }
}

/// The signals that tell a service to read its files again, of those that come from now on.
pub(crate) struct HangUps {
    #[cfg(unix)]
    signals: Option<tokio::signal::unix::Signal>,
}

impl HangUps {
    #[cfg(unix)]
    pub(crate) fn new() -> Self {
        use tokio::signal::unix::{SignalKind, signal};
        Self {
            signals: signal(SignalKind::hangup()).ok(),
        }
    }

    #[cfg(not(unix))]
    pub(crate) fn new() -> Self {
        Self {}
    }

    /// Waits for the next one.
    pub(crate) async fn next(&mut self) {
        #[cfg(unix)]
        if let Some(signals) = &mut self.signals {
            signals.recv().await;
            return;
        }
        std::future::pending().await
    }
}
