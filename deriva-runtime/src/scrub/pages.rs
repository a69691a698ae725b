//! Reading a list page by page, stepping over what is damaged.

use deriva_api::{BoxStream, CAddr, DagStore, Error, ErrorKind, Node, Result};
use futures::TryStreamExt;

/// Recipes of a page.
const PAGE: usize = 256;

/// What comes next.
pub(super) enum Page<T> {
    /// Items, in order.
    Items(Vec<T>),
    /// One that is damaged, and how that showed.
    Damaged(CAddr, Error),
}

/// A list that is opened anew behind each damaged item.
pub(super) struct Pages<'a, T> {
    open: Box<dyn Fn(Option<CAddr>) -> BoxStream<'a, Result<T>> + Send + Sync + 'a>,
    addr: fn(&T) -> CAddr,
    list: BoxStream<'a, Result<T>>,
    after: Option<CAddr>,
    failed: Option<Error>,
}

impl<'a> Pages<'a, (CAddr, Node)> {
    /// All recipes behind `after`.
    pub(super) fn recipes(dag: &'a dyn DagStore, after: Option<CAddr>) -> Self {
        Self::new(move |after| dag.list(after), |item| item.0, after)
    }
}

impl<'a, T> Pages<'a, T> {
    pub(super) fn new(
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
    pub(super) async fn next(
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
