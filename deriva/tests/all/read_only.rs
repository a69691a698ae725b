//! On stores that may only be read, what is missing is computed, and nothing is kept.

use std::sync::Arc;

use deriva::layers::{BlobLayer, DagLayer};
use deriva::prelude::*;

#[tokio::test]
async fn what_is_missing_is_computed_and_not_kept() {
    let filled = Deriva::builder().store("memory:").build().await.unwrap();
    let text = filled.put("Text").await.unwrap();
    let upper = filled.recipe("text.upper", "1").input(text);
    let upper = upper.insert().await.unwrap();
    let before = filled.blobs().usage().await.unwrap();

    let layer = ReadOnlyLayer::new();
    let fixed = Deriva::builder()
        .blobs(BlobLayer::wrap(&layer, Arc::clone(filled.blobs())))
        .dag(DagLayer::wrap(&layer, Arc::clone(filled.dag())))
        .store_results(StoreResults::All)
        .build()
        .await
        .unwrap();
    for _ in 0..2 {
        let mut reader = fixed.open(upper).await.unwrap();
        assert_eq!(reader.stat().len, 4);
        assert_eq!(reader.next_chunk().await.unwrap().unwrap(), "TEXT");
        assert_eq!(reader.next_chunk().await.unwrap(), None);
        assert_eq!(fixed.get(upper).await.unwrap(), "TEXT");
    }
    assert_eq!(filled.blobs().usage().await.unwrap(), before);
    assert_eq!(filled.dag().outputs(&[upper]).await.unwrap(), [None]);
    // A request that asks for it to be kept is told.
    let kept = fixed.materialize(upper).store_results(StoreResults::All);
    assert_eq!(kept.await.unwrap_err().kind(), ErrorKind::Unsupported);
    // Somebody else keeps it.
    filled.materialize(upper).await.unwrap();
    assert!(filled.dag().outputs(&[upper]).await.unwrap()[0].is_some());
    assert_eq!(fixed.get(upper).await.unwrap(), "TEXT");
}
