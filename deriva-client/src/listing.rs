//! Lists that come in as many messages as they need, and go on after the last item where the connection breaks.

use std::collections::VecDeque;
use std::fmt::Display;
use std::future::Future;

use deriva_api::{BoxStream, Result};
use futures::StreamExt;
use futures::stream;
use tonic::{Response, Status, Streaming};

use crate::answers::{checked, was};
use crate::failure::{Attempts, Failure};
use crate::link::Link;

/// What a message holds, each with its cursor; what cannot be understood is an error in its place.
pub(crate) type Items<C, T> = Vec<Result<(C, T)>>;

/// A list by a cursor, which rises from item to item: anything else is no answer.
///
/// `open` asks for what comes after a cursor; `page` reads a message as items with their cursors. An error ends the list.
pub(crate) fn listed<'a, C, T, M, F>(
    link: &'a Link,
    operation: &'static str,
    first: Option<C>,
    open: impl Fn(Option<C>) -> F + Send + Sync + 'a,
    page: fn(M) -> Items<C, T>,
) -> BoxStream<'a, Result<T>>
where
    C: Clone + Ord + Display + Send + Sync + 'a,
    T: Send + 'a,
    M: Send + 'a,
    F: Future<Output = Result<Response<Streaming<M>>, Status>> + Send + 'a,
{
    let list = List {
        link,
        attempts: Attempts::new(link, operation),
        operation,
        after: first,
        open,
        page,
        stream: None,
        ready: VecDeque::new(),
    };
    stream::try_unfold(list, move |mut list| async move {
        let next = list.next().await?;
        Ok(next.map(|item| (item, list)))
    })
    .boxed()
}

struct List<'a, C, T, M, O> {
    link: &'a Link,
    attempts: Attempts<'a>,
    /// The cursor of the last item that was given.
    after: Option<C>,
    open: O,
    page: fn(M) -> Items<C, T>,
    stream: Option<Streaming<M>>,
    ready: VecDeque<Result<(C, T)>>,
    operation: &'static str,
}

impl<C, T, M, F, O> List<'_, C, T, M, O>
where
    C: Clone + Ord + Display,
    F: Future<Output = Result<Response<Streaming<M>>, Status>>,
    O: Fn(Option<C>) -> F,
{
    async fn next(&mut self) -> Result<Option<T>> {
        loop {
            if let Some(item) = self.ready.pop_front() {
                let (cursor, item) = checked(self.operation, || item)?;
                if let Some(after) = self.after.as_ref().filter(|after| cursor <= **after) {
                    let error = was(format_args!("what comes after {after}"), cursor);
                    return Err(error.during(self.operation));
                }
                self.after = Some(cursor);
                self.attempts.progressed();
                return Ok(Some(item));
            }
            match self.message().await {
                Ok(Some(message)) => self.ready.extend((self.page)(message)),
                Ok(None) => return Ok(None),
                Err(failure) => {
                    self.stream = None;
                    self.attempts.again(failure).await?;
                }
            }
        }
    }

    async fn message(&mut self) -> Result<Option<M>, Failure> {
        let stream = match &mut self.stream {
            Some(stream) => stream,
            None => {
                let opened = (self.open)(self.after.clone());
                let opened = self.link.in_time(opened).await?;
                self.stream.insert(opened.into_inner())
            }
        };
        self.link.in_time(stream.message()).await
    }
}
