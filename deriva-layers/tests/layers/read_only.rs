//! A read-only store refuses every write and answers every read.

use deriva_api::{BlobLayer, ByteRange, CAddr, DagLayer, DagStoreExt, ErrorKind, Record};
use deriva_layers::ReadOnlyLayer;
use futures::TryStreamExt;
use futures::executor::block_on;

use crate::support::{blob, kind, model, output, recipe};

const REFUSED: Option<ErrorKind> = Some(ErrorKind::Unsupported);

#[test]
fn blobs_can_be_read_and_not_changed() {
    block_on(async {
        let inner = model().blobs.unwrap();
        let (there, new) = (blob(1, 100), blob(2, 100));
        inner.put(std::slice::from_ref(&there)).await.unwrap();
        let store = BlobLayer::wrap(&ReadOnlyLayer::new(), inner.clone());
        assert!(!store.capabilities().writable && inner.capabilities().writable);

        assert_eq!(kind(store.put(std::slice::from_ref(&there)).await), REFUSED);
        assert_eq!(kind(store.put(std::slice::from_ref(&new)).await), REFUSED);
        assert_eq!(kind(store.put(&[]).await), REFUSED);
        assert_eq!(kind(store.writer(None).await), REFUSED);
        let error = store.remove(&[there.addr()]).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unsupported);
        assert_eq!(error.operation(), Some("remove"));
        assert_eq!(error.context("store"), Some("model"));
        assert!(error.advice().is_some());

        let addr = there.addr();
        assert_eq!(store.get(addr).await.unwrap(), Some(there.clone()));
        assert_eq!(
            store.get_many(&[addr, new.addr()]).await.unwrap(),
            [Some(there.clone()), None]
        );
        let range = store.get_range(addr, ByteRange::new(0, 3)).await.unwrap();
        assert_eq!(range.unwrap().len(), 3);
        assert_eq!(store.stat(&[addr]).await.unwrap(), [Some(there.stat())]);
        assert!(store.verify(&[addr]).await.unwrap()[0].is_right());
        let listed: Vec<_> = store.list(None).try_collect().await.unwrap();
        assert_eq!(listed, [there.stat()]);
        assert_eq!(store.usage().await.unwrap().unwrap().blobs, 1);
        store.flush().await.unwrap();
    });
}

#[test]
fn the_graph_can_be_read_and_not_changed() {
    block_on(async {
        let inner = model().dag.unwrap();
        let (there, new) = (recipe("f/1", &[CAddr::MIN]), recipe("g/1", &[]));
        let (addr, made) = (there.addr(), output("made"));
        let record = Record {
            addr,
            resolved: None,
            output: made,
        };
        inner.insert(std::slice::from_ref(&there)).await.unwrap();
        inner.record(&[record]).await.unwrap();
        inner.set_root("root", addr).await.unwrap();
        let store = DagLayer::wrap(&ReadOnlyLayer::new(), inner.clone());
        assert!(!store.capabilities().writable);

        assert_eq!(kind(store.insert(&[new]).await), REFUSED);
        assert_eq!(kind(store.record(&[record]).await), REFUSED);
        assert_eq!(kind(store.forget(&[addr]).await), REFUSED);
        assert_eq!(kind(store.remove(&[addr]).await), REFUSED);
        assert_eq!(kind(store.set_root("other", addr).await), REFUSED);
        assert_eq!(kind(store.remove_root("root").await), REFUSED);

        assert_eq!(store.get_one(addr).await.unwrap().unwrap().recipe, there);
        assert_eq!(store.outputs(&[addr]).await.unwrap(), [Some(made)]);
        let dependents: Vec<_> = store
            .dependents(CAddr::MIN, None)
            .try_collect()
            .await
            .unwrap();
        assert_eq!(dependents, [addr]);
        let id = there.function();
        let same: Vec<_> = store.by_function(&id, None).try_collect().await.unwrap();
        assert_eq!(same, [addr]);
        let listed: Vec<_> = store.list(None).try_collect().await.unwrap();
        assert_eq!(listed.len(), 1);
        let roots: Vec<_> = store.roots(None).try_collect().await.unwrap();
        assert_eq!(roots, [("root".to_owned(), addr)]);
        assert_eq!(store.usage().await.unwrap().unwrap().outputs, 1);
        store.flush().await.unwrap();
    });
}
