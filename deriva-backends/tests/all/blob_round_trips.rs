//! Blobs come back as they went in, at every boundary, and counts are exact.
#![allow(
    clippy::unwrap_used,
    clippy::cloned_ref_to_slice_refs,
    reason = "a test panics where it fails"
)]

use crate::common::{Store, blob};
use deriva_api::{Blob, BlobUsage, ByteRange, CAddr, ErrorKind};
use futures::TryStreamExt;
use rstest::rstest;
use rstest_reuse::{apply, template};

#[template]
#[rstest]
#[case::memory("memory:")]
#[case::files("files:PATH")]
#[case::files_buffered("files:PATH?durability=buffered")]
#[case::sled("sled:PATH")]
#[case::redb("redb:PATH")]
#[cfg_attr(feature = "rocksdb", case::rocksdb("rocksdb:PATH"))]
#[case::sled_buffered("sled:PATH?durability=buffered")]
#[case::redb_buffered("redb:PATH?durability=buffered")]
#[cfg_attr(
    feature = "rocksdb",
    case::rocksdb_buffered("rocksdb:PATH?durability=buffered")
)]
#[case::sled_small("sled:PATH?blob_threshold=1KiB")]
#[case::redb_small("redb:PATH?blob_threshold=1KiB")]
#[cfg_attr(
    feature = "rocksdb",
    case::rocksdb_small("rocksdb:PATH?blob_threshold=1KiB")
)]
#[case::sled_files("sled:PATH?blob_threshold=0")]
#[case::redb_files("redb:PATH?blob_threshold=0")]
#[cfg_attr(
    feature = "rocksdb",
    case::rocksdb_files("rocksdb:PATH?blob_threshold=0")
)]
fn stores(#[case] uri: &str) {}

const LENS: [usize; 13] = [
    0, 1, 1023, 1024, 1025, 16_384, 32_767, 32_768, 32_769, 65_536, 65_537, 1_048_576, 3_000_000,
];

fn usage(blobs: &[Blob]) -> BlobUsage {
    BlobUsage {
        blobs: blobs.len() as u64,
        bytes: blobs.iter().map(Blob::len).sum(),
    }
}

#[apply(stores)]
#[tokio::test]
async fn blobs_round_trip_and_are_counted_once(#[case] uri: &str) {
    let mut store = Store::open(uri).await;
    let blobs: Vec<Blob> = LENS.iter().map(|len| blob(*len, *len as u64)).collect();
    let addrs: Vec<CAddr> = blobs.iter().map(Blob::addr).collect();
    let stats: Vec<_> = blobs.iter().map(|blob| Some(blob.stat())).collect();
    let whole: Vec<_> = blobs.iter().cloned().map(Some).collect();

    let repeated = [blobs.clone(), blobs[3..7].to_vec()].concat();
    store.blobs().put(&repeated).await.unwrap();
    store.blobs().put(&blobs[2..5]).await.unwrap();
    store.blobs().put(&[]).await.unwrap();
    for round in 0..2 {
        let open = store.blobs();
        assert_eq!(open.get_many(&addrs).await.unwrap(), whole);
        assert_eq!(open.stat(&addrs).await.unwrap(), stats);
        for blob in &blobs {
            assert_eq!(open.get(blob.addr()).await.unwrap().as_ref(), Some(blob));
        }
        assert_eq!(open.usage().await.unwrap(), Some(usage(&blobs)), "{round}");
        drop(open);
        store.reopen().await;
    }

    let open = store.blobs();
    open.remove(&[addrs[2], addrs[2], addrs[12], CAddr::MIN])
        .await
        .unwrap();
    assert_eq!(open.get(addrs[12]).await.unwrap(), None);
    assert_eq!(
        open.get_range(addrs[12], ByteRange::ALL).await.unwrap(),
        None
    );
    assert_eq!(open.stat(&addrs[2..3]).await.unwrap(), [None]);
    let rest = [&blobs[..2], &blobs[3..12]].concat();
    assert_eq!(open.usage().await.unwrap(), Some(usage(&rest)));
    open.put(&blobs[12..]).await.unwrap();
    open.flush().await.unwrap();
    assert_eq!(open.get(addrs[12]).await.unwrap().as_ref(), blobs.last());
}

#[apply(stores)]
#[tokio::test]
async fn ranges_are_cut_off_at_the_end(#[case] uri: &str) {
    let store = Store::open(uri).await;
    let open = store.blobs();
    for len in [0, 1, 2000, 200_000] {
        let blob = blob(len, 9);
        open.put(&[blob.clone()]).await.unwrap();
        let len = len as u64;
        for (offset, count) in [
            (0, 0),
            (0, u64::MAX),
            (1, 1),
            (len / 2, 999),
            (len, 1),
            (len + 1, 1),
            (u64::MAX, u64::MAX),
        ] {
            let range = ByteRange::new(offset, count);
            let within = range.within(len);
            let expected = blob
                .bytes()
                .slice(within.start as usize..within.end as usize);
            assert_eq!(
                open.get_range(blob.addr(), range).await.unwrap(),
                Some(expected)
            );
        }
    }
}

#[apply(stores)]
#[tokio::test]
async fn lists_are_ordered_and_resume_behind_any_item(#[case] uri: &str) {
    let store = Store::open(uri).await;
    let open = store.blobs();
    let blobs: Vec<Blob> = (0..40).map(|i| blob(1020 + i, i as u64)).collect();
    open.put(&blobs).await.unwrap();
    let mut stats: Vec<_> = blobs.iter().map(Blob::stat).collect();
    stats.sort_by_key(|stat| stat.addr);
    let all: Vec<_> = open.list(None).try_collect().await.unwrap();
    assert_eq!(all, stats);
    for at in 0..stats.len() {
        let after = Some(stats[at].addr);
        let rest: Vec<_> = open.list(after).try_collect().await.unwrap();
        assert_eq!(rest, stats[at + 1..]);
    }
}

#[apply(stores)]
#[tokio::test]
async fn a_writer_stores_what_it_was_fed_however_it_was_fed(#[case] uri: &str) {
    let mut store = Store::open(uri).await;
    let blobs: Vec<Blob> = [0, 5, 1024, 40_000, 2_500_000]
        .map(|len| blob(len, 3))
        .into();
    for blob in &blobs {
        for piece in [777, 1 << 20] {
            let mut writer = store.blobs().writer(Some(blob.stat())).await.unwrap();
            for chunk in blob.bytes().chunks(piece) {
                writer.write(chunk.to_vec().into()).await.unwrap();
            }
            assert_eq!(writer.finish().await.unwrap(), blob.stat());
        }
        assert_eq!(
            store.blobs().get(blob.addr()).await.unwrap().as_ref(),
            Some(blob)
        );
    }
    store.reopen().await;
    assert_eq!(store.blobs().usage().await.unwrap(), Some(usage(&blobs)));
}

#[apply(stores)]
#[tokio::test]
async fn a_writer_that_is_given_up_leaves_nothing(#[case] uri: &str) {
    let mut store = Store::open(uri).await;
    let given = blob(3_000_000, 4);
    let open = store.blobs();
    for end in 0..3 {
        let mut writer = open.writer(Some(blob(1, 1).stat())).await.unwrap();
        writer.write(given.bytes().clone()).await.unwrap();
        match end {
            0 => drop(writer),
            1 => writer.abort().await.unwrap(),
            _ => {
                let error = writer.finish().await.unwrap_err();
                assert_eq!(error.kind(), ErrorKind::Invalid, "not what was announced");
            }
        }
    }
    assert_eq!(open.get(given.addr()).await.unwrap(), None);
    assert_eq!(open.usage().await.unwrap(), Some(BlobUsage::default()));
    let listed: Vec<_> = open.list(None).try_collect().await.unwrap();
    assert_eq!(listed, []);
    drop(open);
    store.close();
    assert_eq!(
        leftovers(store.dir.path()),
        Vec::<std::path::PathBuf>::new()
    );
}

/// Files of 3 MB and more, or temporary ones, below a folder.
fn leftovers(folder: &std::path::Path) -> Vec<std::path::PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let temporary = path.parent().is_some_and(|parent| parent.ends_with("tmp"));
        match path.is_dir() {
            true => found.extend(leftovers(&path)),
            false if temporary => found.push(path),
            false => {}
        }
    }
    found
}
