//! The databases below the stores, for tests that spoil what is in them.

use redb::{ReadableDatabase, ReadableTable};

use super::Store;

/// Changes the values of a closed store's rows.
pub(crate) fn edit(store: &Store, change: impl Fn(&[u8], &mut Vec<u8>)) {
    let scheme = store.uri().split(':').next().unwrap();
    let path = store.path().join(scheme);
    match scheme {
        "sled" => edit_sled(&path, change),
        "redb" => edit_redb(&path, change),
        #[cfg(feature = "rocksdb")]
        "rocksdb" => edit_rocksdb(&path, change),
        other => panic!("no database below {other}:"),
    }
}

/// Opens the database of a store on sled that was just closed.
pub(crate) fn open_sled(path: &std::path::Path) -> sled::Db {
    // Sled's own threads may hold its lock for a moment longer.
    let mut tries = 0;
    loop {
        match sled::Config::new().path(path).segment_size(4 << 20).open() {
            Ok(db) => return db,
            Err(error) if tries == 100 => panic!("{error}"),
            Err(_) => tries += 1,
        }
        std::thread::park_timeout(std::time::Duration::from_millis(20));
    }
}

fn edit_sled(path: &std::path::Path, change: impl Fn(&[u8], &mut Vec<u8>)) {
    let db = open_sled(path);
    for row in db.iter() {
        let (key, value) = row.unwrap();
        let mut value = value.to_vec();
        change(&key, &mut value);
        db.insert(key, value).unwrap();
    }
}

/// Takes redb's own file out of the one whose pages are checked, and puts it back.
fn edit_redb(path: &std::path::Path, change: impl Fn(&[u8], &mut Vec<u8>)) {
    let (pages, plain) = (path.join("pages"), path.join("plain"));
    let checked = std::fs::read(&pages).unwrap();
    let (head, groups) = checked.split_at(2 * BLOCK);
    let mut file = head[BLOCK..].to_vec();
    for group in groups.chunks(513 * BLOCK) {
        file.extend_from_slice(&group[BLOCK..]);
    }
    std::fs::write(&plain, file).unwrap();
    edit_plain_redb(&plain, change);
    let file = std::fs::read(&plain).unwrap();
    let (header, blocks) = file.split_at(BLOCK);
    let mut checked = [&head[..BLOCK], header].concat();
    let mut number: u64 = 0;
    for group in blocks.chunks(512 * BLOCK) {
        let mut sums = Vec::new();
        for block in group.chunks(BLOCK) {
            let sum = twox_hash::XxHash3_64::oneshot(block) ^ number;
            sums.extend_from_slice(&sum.to_le_bytes());
            number += 1;
        }
        sums.resize(BLOCK, 0);
        checked.extend_from_slice(&[&sums, group].concat());
    }
    std::fs::write(&pages, checked).unwrap();
    std::fs::remove_file(plain).unwrap();
}

const BLOCK: usize = 4096;

fn edit_plain_redb(file: &std::path::Path, change: impl Fn(&[u8], &mut Vec<u8>)) {
    let table = redb::TableDefinition::<&[u8], &[u8]>::new("rows");
    let db = redb::Database::open(file).unwrap();
    let read = db.begin_read().unwrap().open_table(table).unwrap();
    let write = db.begin_write().unwrap();
    {
        let mut rows = write.open_table(table).unwrap();
        for row in read.iter().unwrap() {
            let (key, value) = row.unwrap();
            let mut value = value.value().to_vec();
            change(key.value(), &mut value);
            rows.insert(key.value(), value.as_slice()).unwrap();
        }
    }
    write.commit().unwrap();
}

#[cfg(feature = "rocksdb")]
fn edit_rocksdb(path: &std::path::Path, change: impl Fn(&[u8], &mut Vec<u8>)) {
    use rocksdb::{DB, IteratorMode, Options};
    let names = DB::list_cf(&Options::default(), path).unwrap();
    let db = DB::open_cf(&Options::default(), path, &names).unwrap();
    for name in &names {
        let family = db.cf_handle(name).unwrap();
        for row in db.iterator_cf(family, IteratorMode::Start) {
            let (key, value) = row.unwrap();
            let mut value = value.to_vec();
            change(&key, &mut value);
            db.put_cf(family, key, value).unwrap();
        }
    }
}
