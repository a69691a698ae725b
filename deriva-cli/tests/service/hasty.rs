//! A clock of clients that are not to wait long between two attempts.

use std::time::Duration;

use deriva::authors::async_trait;
use deriva::{Clock, SystemClock};

/// Waits no longer than a moment between two attempts, and as long as it is told to for what does not come.
#[derive(Debug)]
pub(crate) struct Hasty {
    clock: SystemClock,
    waits: Duration,
}

impl Hasty {
    /// From here on a time is how long to wait for something, and no delay between attempts.
    pub(crate) const TOLD: Duration = Duration::from_secs(12);

    pub(crate) fn new(waits: Duration) -> Self {
        let clock = SystemClock::new();
        Self { clock, waits }
    }
}

#[async_trait]
impl Clock for Hasty {
    fn now(&self) -> Duration {
        self.clock.now()
    }

    async fn sleep(&self, duration: Duration) {
        let is_delay = duration < Self::TOLD;
        let moment = Duration::from_millis(5);
        let waited = if is_delay { moment } else { self.waits };
        self.clock.sleep(waited).await;
    }
}
