//! A task that is not left behind.

use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::task::{JoinError, JoinHandle};

/// Waits for a task, and aborts it where nobody waits any more.
pub(crate) struct AbortOnDrop<T>(pub(crate) JoinHandle<T>);

impl<T> Future for AbortOnDrop<T> {
    type Output = Result<T, JoinError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.0).poll(context)
    }
}

impl<T> Drop for AbortOnDrop<T> {
    fn drop(&mut self) {
        self.0.abort();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::pending;
    use tokio::sync::oneshot;

    #[tokio::test]
    async fn a_task_gives_its_answer() {
        assert_eq!(AbortOnDrop(tokio::spawn(async { 7 })).await.unwrap(), 7);
    }

    #[tokio::test]
    async fn a_task_ends_when_nobody_waits() {
        let (held, gone) = oneshot::channel::<()>();
        let task = AbortOnDrop(tokio::spawn(async move {
            let _held = held;
            pending::<()>().await
        }));
        drop(task);
        assert!(
            gone.await.is_err(),
            "the task was dropped, with all it held"
        );
    }
}
