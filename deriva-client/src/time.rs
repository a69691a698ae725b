//! Time by the timers of the runtime of who waits.

use std::time::Duration;

use deriva_api::{Clock, SystemClock};
use tokio::runtime::Handle;

/// The system's clock, whose sleeps cost a small call less than a thread of their own would: each wait for an answer begins one. Who
/// waits outside of tokio waits by that thread. The runtime that the connection lives in is not asked, as it may have ended.
#[derive(Debug)]
pub(crate) struct RuntimeClock(SystemClock);

impl RuntimeClock {
    pub(crate) fn new() -> Self {
        Self(SystemClock::new())
    }
}

#[tonic::async_trait]
impl Clock for RuntimeClock {
    fn now(&self) -> Duration {
        self.0.now()
    }

    #[allow(
        clippy::disallowed_methods,
        reason = "the place where the timers of tokio enter"
    )]
    async fn sleep(&self, duration: Duration) {
        match Handle::try_current() {
            Ok(_) => tokio::time::sleep(duration).await,
            Err(_) => self.0.sleep(duration).await,
        }
    }
}
