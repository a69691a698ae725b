//! How RocksDB keeps each table: a column family with options of its own.

use rocksdb::{
    BlockBasedOptions, Cache, ColumnFamilyDescriptor, DBCompressionType, LogLevel, Options,
    SliceTransform,
};

/// Writes that are not sorted into files yet, of all tables together: in memory, and in the log that
/// an opening after a crash has to read.
const UNSORTED: usize = 64 << 20;
/// The same, of one table. RocksDB reserves a little more on the disk for its log.
const UNSORTED_OF_TABLE: usize = 16 << 20;
const OPEN_FILES: i32 = 512;
/// The prefix that scans of `dependents` have in common: the table's byte and an address.
pub(super) const EDGES_PREFIX: usize = 33;

/// A table: the byte that its keys begin with, and its column family.
pub(super) struct Table {
    pub(super) prefix: u8,
    pub(super) family: &'static str,
    compression: DBCompressionType,
}

/// In the order of their keys. Addresses and hashes do not compress, recipes do.
pub(super) const TABLES: [Table; 7] = [
    table(b'b', "blobs", DBCompressionType::None),
    table(b'd', EDGES, DBCompressionType::None),
    table(b'm', "meta", DBCompressionType::None),
    table(b'n', "roots", DBCompressionType::None),
    table(b'o', "outputs", DBCompressionType::None),
    table(b'p', "pieces", DBCompressionType::Lz4),
    table(b'r', "recipes", DBCompressionType::Lz4),
];
pub(super) const EDGES: &str = "dependents";

const fn table(prefix: u8, family: &'static str, compression: DBCompressionType) -> Table {
    Table {
        prefix,
        family,
        compression,
    }
}

/// The table of a key.
pub(super) fn table_of(key: &[u8]) -> Option<&'static Table> {
    let prefix = *key.first()?;
    TABLES.iter().find(|table| table.prefix == prefix)
}

/// Options of the database as a whole.
pub(super) fn database_options(create: bool) -> Options {
    let mut options = Options::default();
    options.create_if_missing(create);
    options.create_missing_column_families(true);
    options.set_paranoid_checks(true);
    options.set_max_background_jobs(2);
    options.set_max_open_files(OPEN_FILES);
    options.set_db_write_buffer_size(UNSORTED);
    options.set_max_total_wal_size(UNSORTED as u64);
    options.set_track_and_verify_wals_in_manifest(true);
    options.set_bytes_per_sync(1 << 20);
    options.set_log_level(LogLevel::Warn);
    options.set_max_log_file_size(1 << 20);
    options.set_keep_log_file_num(2);
    options.set_stats_dump_period_sec(0);
    options.set_stats_persist_period_sec(0);
    options
}

/// The column families, which share one cache.
pub(super) fn families(cache: &Cache) -> Vec<ColumnFamilyDescriptor> {
    let describe = |table: &Table| {
        let options = table_options(table, cache);
        ColumnFamilyDescriptor::new(table.family, options)
    };
    TABLES.iter().map(describe).collect()
}

fn table_options(table: &Table, cache: &Cache) -> Options {
    let mut blocks = BlockBasedOptions::default();
    blocks.set_block_cache(cache);
    blocks.set_bloom_filter(10.0, false);
    blocks.set_optimize_filters_for_memory(true);
    // Within the cache, so that its size bounds them too.
    blocks.set_cache_index_and_filter_blocks(true);
    blocks.set_pin_l0_filter_and_index_blocks_in_cache(true);
    let mut options = Options::default();
    if table.family == EDGES {
        options.set_prefix_extractor(SliceTransform::create_fixed_prefix(EDGES_PREFIX));
    }
    // Most look-ups of a write are for what is not there.
    options.set_memtable_prefix_bloom_ratio(0.05);
    options.set_memtable_whole_key_filtering(true);
    options.set_block_based_table_factory(&blocks);
    options.set_write_buffer_size(UNSORTED_OF_TABLE);
    options.set_compression_type(table.compression);
    options
}
