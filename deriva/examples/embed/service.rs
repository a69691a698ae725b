//! The service: what is asked of it, and how it begins and ends.

use std::sync::Arc;
use std::time::Duration;

use deriva::prelude::*;

use crate::elsewhere::Elsewhere;
use crate::terms::Terms;
use crate::told::Counts;

/// Cheap to clone: one for each connection.
#[derive(Clone, Debug)]
pub(crate) struct Service {
    pub(crate) deriva: Deriva,
    pub(crate) counts: Arc<Counts>,
}

impl Service {
    pub(crate) async fn open(store: &str) -> Result<Self> {
        let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
        let time = Arc::clone(&clock);
        let deriva = Deriva::builder()
            .store(store)
            .light_function("notes.trim", "1", |inputs, _| {
                Ok(inputs[0].trim_ascii().to_vec().into())
            })
            .compute(Terms::new("1", &["store"])?)
            .compute(Terms::new("2", &["store", "recipe"])?)
            .executor_layer(move |pool: Arc<_>| Elsewhere::around(pool, time.clone()))
            .clock(clock)
            .jobs(4)
            .memory(256 << 20)
            .cache_bytes(32 << 20)
            .store_results_of("notes.trim", "1", StoreResults::None)
            .cutoff_of("notes.trim", "1", Cutoff::Never)
            .build()
            .await?;
        Ok(Self {
            deriva,
            counts: Arc::default(),
        })
    }

    /// The recipe of a report. Nothing is computed: the address may be handed out.
    pub(crate) async fn report(&self, document: impl Into<Bytes>, version: &str) -> Result<CAddr> {
        let document = self.deriva.put(document).await?;
        let trimmed = self.deriva.recipe("notes.trim", "1").input(document);
        let trimmed = trimmed.insert().await?;
        let report = self.deriva.recipe("notes.terms", version).input(trimmed);
        report.param("at_most", 1000).insert().await
    }

    /// The bytes of an address, for a client that waits so long.
    pub(crate) async fn answer(&self, addr: CAddr, patience: Duration) -> Result<Bytes> {
        let counts = Arc::clone(&self.counts);
        self.deriva
            .materialize(addr)
            .deadline(patience)
            .progress(move |event| counts.hear(event))
            .bytes()
            .await
    }

    /// As `answer`, and once more after a passing fault.
    pub(crate) async fn answer_for_sure(&self, addr: CAddr, patience: Duration) -> Result<Bytes> {
        match self.answer(addr, patience).await {
            Err(error) if error.is_retryable() => self.answer(addr, patience).await,
            done => done,
        }
    }

    /// Ends the service: what was acknowledged is durable, and with the last handle the store is closed.
    pub(crate) async fn close(self) -> Result<()> {
        self.deriva.flush().await
    }
}
