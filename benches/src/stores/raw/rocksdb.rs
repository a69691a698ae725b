//! RocksDB alone, with a column family for each table.

use std::path::Path;

use deriva::prelude::*;
use rocksdb::{
    BlockBasedOptions, Cache, ColumnFamily, ColumnFamilyDescriptor, DB, DBCompressionType,
    Direction, FlushOptions, IteratorMode, Options, ReadOptions, SliceTransform, WriteBatch,
    WriteOptions,
};

use super::{CACHE, Raw, Row, failed};

const TABLES: [(u8, &str); 7] = [
    (b'b', "blobs"),
    (b'd', "dependents"),
    (b'm', "meta"),
    (b'n', "roots"),
    (b'o', "outputs"),
    (b'p', "pieces"),
    (b'r', "recipes"),
];

pub(super) struct RawRocksDb(DB);

impl RawRocksDb {
    pub(super) fn open(folder: &Path) -> Result<Self> {
        let mut options = Options::default();
        options.create_if_missing(true);
        options.create_missing_column_families(true);
        options.set_paranoid_checks(true);
        options.set_max_background_jobs(2);
        options.set_max_open_files(512);
        options.set_db_write_buffer_size(64 << 20);
        options.set_max_total_wal_size(64 << 20);
        options.set_bytes_per_sync(1 << 20);
        let cache = Cache::new_lru_cache(CACHE as usize);
        let families = TABLES
            .map(|(table, name)| ColumnFamilyDescriptor::new(name, family_options(table, &cache)));
        let db = DB::open_cf_descriptors(&options, folder, families);
        db.map(Self).map_err(failed)
    }

    fn family(&self, key: &[u8]) -> Result<&ColumnFamily> {
        let table = TABLES.iter().find(|(table, _)| key.first() == Some(table));
        let family = table.and_then(|(_, name)| self.0.cf_handle(name));
        family.ok_or_else(|| Error::new(ErrorKind::Internal, "a key of no table"))
    }
}

fn family_options(table: u8, cache: &Cache) -> Options {
    let mut blocks = BlockBasedOptions::default();
    blocks.set_block_cache(cache);
    blocks.set_bloom_filter(10.0, false);
    blocks.set_optimize_filters_for_memory(true);
    blocks.set_cache_index_and_filter_blocks(true);
    blocks.set_pin_l0_filter_and_index_blocks_in_cache(true);
    let mut options = Options::default();
    if table == b'd' {
        options.set_prefix_extractor(SliceTransform::create_fixed_prefix(33));
        options.set_memtable_prefix_bloom_ratio(0.05);
    }
    options.set_block_based_table_factory(&blocks);
    options.set_compression_type(match table {
        b'r' | b'p' => DBCompressionType::Lz4,
        _ => DBCompressionType::None,
    });
    options
}

impl Raw for RawRocksDb {
    fn write(&self, rows: &[Row]) -> Result<()> {
        let mut batch = WriteBatch::default();
        for (key, value) in rows {
            batch.put_cf(self.family(key)?, key, value);
        }
        let mut options = WriteOptions::default();
        options.set_sync(true);
        self.0.write_opt(batch, &options).map_err(failed)
    }

    fn get(&self, key: &[u8], read: &mut dyn FnMut(&[u8])) -> Result<()> {
        let value = self.0.get_pinned_cf(self.family(key)?, key);
        if let Some(value) = value.map_err(failed)? {
            read(&value);
        }
        Ok(())
    }

    fn scan(&self, prefix: &[u8], read: &mut dyn FnMut(&[u8], &[u8])) -> Result<()> {
        let mut options = ReadOptions::default();
        options.set_prefix_same_as_start(true);
        let start = IteratorMode::From(prefix, Direction::Forward);
        let rows = self.0.iterator_cf_opt(self.family(prefix)?, options, start);
        for row in rows {
            let (key, value) = row.map_err(failed)?;
            if !key.starts_with(prefix) {
                break;
            }
            read(&key, &value);
        }
        Ok(())
    }
}

impl Drop for RawRocksDb {
    /// As the stores do: what lies in the log alone makes the next opening slow.
    fn drop(&mut self) {
        let families = TABLES.iter().filter_map(|(_, name)| self.0.cf_handle(name));
        let families: Vec<_> = families.collect();
        self.0
            .flush_cfs_opt(&families, &FlushOptions::default())
            .ok();
    }
}
