//! Lists of what is in memory: keys first, what lies under each when it is asked for.

use deriva_api::{BoxStream, Result};
use futures::StreamExt;
use futures::stream;

/// A stream over keys that `keys` collects when it is first polled, each turned into an item by
/// `item`; keys whose item is gone by then are left out.
pub(super) fn snapshot<'a, K, T>(
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
