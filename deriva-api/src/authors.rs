//! What authors of stores need beside the traits: listings by pages, and errors in the words of the stores that come
//! with deriva.

use std::collections::VecDeque;
use std::future::Future;

use futures::stream::{self, BoxStream, StreamExt};

use crate::{BlobStat, CAddr, Error, ErrorKind, Result};

/// A listing that is read by pages: nothing is held between two of them but a cursor.
///
/// `page` answers the items after a cursor, each with the cursor after it. It is called with `first`, then with the
/// cursor of the last item, until a page is empty; an error ends the listing.
///
/// ```
/// use deriva_api::authors::pages;
/// use futures::{TryStreamExt, executor::block_on};
///
/// let table = [2, 3, 5, 7, 11];
/// let primes = pages(0, |after| async move {
///     let rows = table.into_iter().filter(|row| *row > after);
///     Ok(rows.take(2).map(|row| (row, row)).collect())
/// });
/// assert_eq!(block_on(primes.try_collect::<Vec<_>>())?, table);
/// # Ok::<(), deriva_api::Error>(())
/// ```
pub fn pages<'a, C, T, F, Fut>(first: C, page: F) -> BoxStream<'a, Result<T>>
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

/// The items of a page before the first one that is damaged, so that a caller gets everything before it, and can go on
/// after it.
///
/// # Errors
/// That of the first item, where it is the damaged one.
pub fn until_damage<T>(items: impl Iterator<Item = Result<T>>) -> Result<Vec<T>> {
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

/// What [`BlobWriter::finish`](crate::BlobWriter::finish) checks where its writer was told what to expect.
///
/// # Errors
/// [`ErrorKind::Invalid`] unless `found` is what was expected.
pub fn check_expected(expect: Option<BlobStat>, found: BlobStat) -> Result<()> {
    match expect {
        Some(expect) if expect != found => Err(Error::new(
            ErrorKind::Invalid,
            "the bytes written are not the blob that was announced",
        )
        .during("finish")
        .with("expected", expect.addr)
        .with("expected_length", expect.len)
        .with("found", found.addr)
        .with("found_length", found.len)),
        _ => Ok(()),
    }
}

/// The answer of [`DagStore::record`](crate::DagStore::record) for an address that is not a stored recipe.
#[must_use]
pub fn unknown_recipe(addr: CAddr) -> Error {
    Error::new(
        ErrorKind::NotFound,
        "an output is recorded for a stored recipe only",
    )
    .during("record")
    .with("addr", addr)
    .hint("insert the recipe first")
}

/// The answer of [`DagStore::remove`](crate::DagStore::remove) for a recipe that one outside the batch needs.
#[must_use]
pub fn still_needed(addr: CAddr, dependent: CAddr) -> Error {
    Error::new(
        ErrorKind::Conflict,
        "a recipe outside the batch still needs this one",
    )
    .during("remove")
    .with("addr", addr)
    .with("dependent", dependent)
    .hint("remove the dependent too, in the same batch or before")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Blob;
    use futures::TryStreamExt;
    use futures::executor::block_on;

    fn damaged<T>() -> Result<T> {
        Err(Error::new(ErrorKind::Corrupt, "a damaged row"))
    }

    #[test]
    fn an_error_of_a_page_comes_after_the_items_before_it() {
        let listed = pages(0, |after| async move {
            match after {
                0 => Ok(vec![(1, "a"), (2, "b")]),
                2 => damaged(),
                other => unreachable!("no page ends at {other}"),
            }
        });
        let (items, error) = block_on(async {
            let mut listed = listed;
            let mut items = Vec::new();
            loop {
                match listed.try_next().await {
                    Ok(Some(item)) => items.push(item),
                    Ok(None) => panic!("the error was left out"),
                    Err(error) => break (items, error),
                }
            }
        });
        assert_eq!((items, error.kind()), (vec!["a", "b"], ErrorKind::Corrupt));
    }

    #[test]
    fn a_page_ends_before_what_is_damaged() {
        let items = |list: Vec<Result<u8>>| until_damage(list.into_iter()).map_err(|e| e.kind());
        assert_eq!(items(vec![Ok(1), Ok(2)]), Ok(vec![1, 2]));
        assert_eq!(items(vec![Ok(1), damaged(), Ok(3)]), Ok(vec![1]));
        assert_eq!(items(vec![damaged(), Ok(2)]), Err(ErrorKind::Corrupt));
        assert_eq!(items(vec![]), Ok(vec![]));
    }

    #[test]
    fn what_was_announced_is_what_has_to_be_written() {
        let (one, other) = (Blob::new("one").stat(), Blob::new("other").stat());
        check_expected(None, one).unwrap();
        check_expected(Some(one), one).unwrap();
        let error = check_expected(Some(one), other).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid);
        assert_eq!(error.context("found"), Some(&*other.addr.to_string()));
        let cut = BlobStat { len: 2, ..one };
        assert!(check_expected(Some(one), cut).is_err());
    }
}
