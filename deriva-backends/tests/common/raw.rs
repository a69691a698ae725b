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

fn edit_redb(path: &std::path::Path, change: impl Fn(&[u8], &mut Vec<u8>)) {
    let table = redb::TableDefinition::<&[u8], &[u8]>::new("rows");
    let db = redb::Database::open(path.join("db")).unwrap();
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
