//! Reading a list page by page, stepping over what is damaged.

use deriva_api::{BoxStream, CAddr, DagStore, Error, ErrorKind, Node, Result};
use futures::TryStreamExt;

/// Recipes of a page.
const PAGE: usize = 256;

/// What comes next.
pub(crate) enum Page<T> {
    /// Items, in order.
    Items(Vec<T>),
    /// One that is damaged, and how that showed.
    Damaged(CAddr, Error),
}

/// A list that is opened anew after each damaged item.
pub(crate) struct Pages<'a, T> {
    open: Box<dyn Fn(Option<CAddr>) -> BoxStream<'a, Result<T>> + Send + Sync + 'a>,
    addr: fn(&T) -> CAddr,
    list: BoxStream<'a, Result<T>>,
    after: Option<CAddr>,
    failed: Option<Error>,
}

impl<'a> Pages<'a, (CAddr, Node)> {
    /// All recipes after `after`.
    pub(crate) fn recipes(dag: &'a dyn DagStore, after: Option<CAddr>) -> Self {
        Self::new(move |after| dag.list(after), |item| item.0, after)
    }
}

impl<'a, T> Pages<'a, T> {
    pub(crate) fn new(
        open: impl Fn(Option<CAddr>) -> BoxStream<'a, Result<T>> + Send + Sync + 'a,
        addr: fn(&T) -> CAddr,
        after: Option<CAddr>,
    ) -> Self {
        Self {
            list: open(after),
            open: Box::new(open),
            addr,
            after,
            failed: None,
        }
    }

    /// The next page of up to 256 items, or as many as `full` wants. Fails where the store fails, or
    /// does not name what is damaged.
    pub(crate) async fn next(
        &mut self,
        mut full: impl FnMut(&T) -> bool,
    ) -> Result<Option<Page<T>>> {
        let mut items = Vec::new();
        while self.failed.is_none() {
            match self.list.try_next().await {
                Ok(None) => break,
                Ok(Some(item)) => {
                    self.after = Some((self.addr)(&item));
                    let last = full(&item) || items.len() + 1 == PAGE;
                    items.push(item);
                    if last {
                        break;
                    }
                }
                Err(error) => self.failed = Some(error),
            }
        }
        if !items.is_empty() {
            return Ok(Some(Page::Items(items)));
        }
        let Some(error) = self.failed.take() else {
            return Ok(None);
        };
        let addr = error.context("addr").and_then(|addr| addr.parse().ok());
        match addr {
            Some(addr) if error.kind() == ErrorKind::Corrupt && self.after < Some(addr) => {
                self.after = Some(addr);
                self.list = (self.open)(self.after);
                Ok(Some(Page::Damaged(addr, error)))
            }
            _ => Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::stream::{self, StreamExt};

    /// A list of numbers, where those that `bad` names are damaged.
    async fn read(count: u8, bad: &'static [u8], nameless: bool) -> Result<usize> {
        let mut addrs: Vec<CAddr> = (0..count).map(|n| CAddr::of_blob(&[n])).collect();
        addrs.sort_unstable();
        let bad: Vec<CAddr> = bad.iter().map(|at| addrs[*at as usize]).collect();
        let open = |after| {
            let item = |addr: &CAddr| match (bad.contains(addr), nameless) {
                (false, _) => Ok(*addr),
                (true, false) => Err(Error::new(ErrorKind::Corrupt, "bad").with("addr", addr)),
                (true, true) => Err(Error::new(ErrorKind::Corrupt, "bad")),
            };
            let after = addrs.iter().filter(move |addr| Some(**addr) > after);
            stream::iter(after.map(item).collect::<Vec<_>>()).boxed()
        };
        let mut pages = Pages::new(open, |addr| *addr, None);
        let (mut whole, mut damaged) = (Vec::new(), Vec::new());
        while let Some(page) = pages.next(|_| false).await? {
            match page {
                Page::Items(items) => whole.extend(items),
                Page::Damaged(addr, _) => damaged.push(addr),
            }
        }
        assert_eq!(damaged, bad);
        Ok(whole.len())
    }

    #[tokio::test]
    async fn everything_but_the_damaged_ones_is_read() {
        let all: [&'static [u8]; 5] = [&[], &[0], &[4, 5], &[253, 254], &[0, 1, 7, 254]];
        for bad in all {
            let whole = read(255, bad, false).await.unwrap();
            assert_eq!(whole, 255 - bad.len());
        }
    }

    #[tokio::test]
    async fn damage_without_an_address_is_an_error() {
        let error = read(5, &[2], true).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Corrupt);
    }
}
