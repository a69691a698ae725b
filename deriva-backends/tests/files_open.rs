//! A file store opens at the right place only.

mod common;

use common::{Store, blob, open};
use deriva_api::ErrorKind;

#[tokio::test]
async fn smoke() {
    let mut store = Store::open("files:PATH").await;
    let b = blob(100_000, 1);
    store.blobs().put(&[b.clone()]).await.unwrap();
    assert_eq!(store.blobs().get(b.addr()).await.unwrap(), Some(b.clone()));
    store.reopen().await;
    assert_eq!(store.blobs().usage().await.unwrap().unwrap().bytes, 100_000);
    assert_eq!(open("files:PATH?x=1").await.unwrap_err().kind(), ErrorKind::Invalid);
}
