//! Streams over tables, a page at a time: nothing is held between two pages but a cursor.

use std::collections::VecDeque;
use std::future::Future;

use deriva_api::{BoxStream, Result};
use futures::StreamExt;
use futures::stream;

/// A stream of the items that `page` answers, called again with the last cursor until a page is
/// empty. A page holds items, each with the cursor after it.
pub(crate) fn pages<'a, C, T, F, Fut>(first: C, page: F) -> BoxStream<'a, Result<T>>
where
    C: Clone + Send + 'a,
    T: Send + 'a,
    F: Fn(C) -> Fut + Send + Sync + 'a,
    Fut: Future<Output = Result<Vec<(C, T)>>> + Send + 'a,
{
    stream::try_unfold(
        (first, VecDeque::new(), page),
        |(mut cursor, mut ready, page)| async move {
            if ready.is_empty() {
                ready = VecDeque::from(page(cursor.clone()).await?);
            }
            let Some((after, item)) = ready.pop_front() else {
                return Ok(None);
            };
            cursor = after;
            Ok(Some((item, (cursor, ready, page))))
        },
    )
    .boxed()
}

/// The items before the first one that is damaged; its error only where there are none, so that a caller
/// gets everything before it, and can go on after it.
#[cfg(any(feature = "sled", feature = "redb", feature = "rocksdb"))]
pub(crate) fn until_damage<T>(items: impl Iterator<Item = Result<T>>) -> Result<Vec<T>> {
    let mut whole = Vec::new();
    for item in items {
        match item {
            Ok(item) => whole.push(item),
            Err(error) if whole.is_empty() => return Err(error),
            Err(_) => break,
        }
    }
    Ok(whole)
}

/// A stream over keys that `keys` collects when it is first polled, each turned into an item by
/// `item`; keys whose item is gone by then are left out.
pub(crate) fn snapshot<'a, K, T>(
    keys: impl FnOnce() -> Vec<K> + Send + 'a,
    item: impl Fn(K) -> Option<T> + Send + 'a,
) -> BoxStream<'a, Result<T>>
where
    K: Send + 'a,
    T: Send + 'a,
{
    stream::once(async move { keys() })
        .flat_map(stream::iter)
        .filter_map({
            let item = std::sync::Arc::new(parking_lot::Mutex::new(item));
            move |key| {
                let found = (item.lock())(key);
                async move { found.map(Ok) }
            }
        })
        .boxed()
}
