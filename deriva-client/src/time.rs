//! Time by the timers of the runtime that the connection lives in.

use std::time::Duration;

use deriva_api::{Clock, SystemClock};
use tokio::runtime::Handle;

/// The system's clock, whose sleeps cost a small call less than a thread of their own would: each wait for an answer begins one.
#[derive(Debug)]
pub(crate) struct RuntimeClock {
    system: SystemClock,
    tokio: Handle,
}

impl RuntimeClock {
    pub(crate) fn new(tokio: Handle) -> Self {
        Self {
            system: SystemClock::new(),
            tokio,
        }
    }
}

#[tonic::async_trait]
impl Clock for RuntimeClock {
    fn now(&self) -> Duration {
        self.system.now()
    }

    #[allow(
        clippy::disallowed_methods,
        reason = "the place where the timers of tokio enter"
    )]
    async fn sleep(&self, duration: Duration) {
        // Whoever waits may do so on another runtime.
        let sleep = {
            let _within = self.tokio.enter();
            tokio::time::sleep(duration)
        };
        sleep.await;
    }
}
