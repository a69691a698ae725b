//! Places on the way of a write where a crash test may end the process.
//!
//! They exist with the feature `failpoints` only; without it `failpoint!` compiles to nothing. A test
//! names one and says what happens there with the crate `fail`.

/// Defines the names, and the list of all.
#[cfg(feature = "failpoints")]
macro_rules! names {
    ($($(#[doc = $place:literal])+ $name:ident = $text:literal;)+) => {
        $($(#[doc = $place])+ pub const $name: &str = $text;)+

        /// All of them, first those that only a young store surely passes.
        pub const ALL: &[&str] = &[$($text),+];
    };
}

#[cfg(feature = "failpoints")]
names! {
    /// A new folder is marked and locked; it holds nothing else.
    OPEN_MARKED = "open-marked";
    /// The engine has made its files; no row is written.
    OPEN_ENGINE = "open-engine";
    /// The first rows are durable; the marker does not say so yet.
    OPEN_FORMATTED = "open-formatted";
    /// The folder that a file goes to is made.
    FILE_SHARD = "file-shard";
    /// A group is decided, and nothing of it done.
    COMMIT_DECIDED = "commit-decided";
    /// Large blobs are in place, and their folders synced.
    COMMIT_PLACED = "commit-placed";
    /// The engine has a batch, and has not synced it. RocksDB writes in one call and never passes here.
    ENGINE_WRITTEN = "engine-written";
    /// The rows are applied; in a store that syncs they are durable. Nobody is answered.
    COMMIT_APPLIED = "commit-applied";
    /// A buffered store has synced; nobody is answered.
    COMMIT_SYNCED = "commit-synced";
    /// One file of those that no row names any more is deleted.
    COMMIT_DELETED = "commit-deleted";
    /// The first caller of a group is answered.
    COMMIT_ANSWERED = "commit-answered";
    /// A closing store has not synced what it buffered.
    CLOSE = "close";
    /// A temporary file is made and empty.
    FILE_DRAFTED = "file-drafted";
    /// A temporary file is written and not synced.
    FILE_WRITTEN = "file-written";
    /// A temporary file is complete, under its temporary name.
    FILE_STAGED = "file-staged";
    /// A file is in its place, and its folder not synced.
    FILE_PLACED = "file-placed";
    /// A file is deleted, and its folder not synced.
    FILE_REMOVED = "file-removed";
    /// A file store has taken back its saved counts, before the first change.
    FILE_COUNTS = "file-counts";
}

/// The place of this name.
macro_rules! failpoint {
    ($name:ident) => {
        #[cfg(feature = "failpoints")]
        fail::fail_point!(crate::failpoints::$name);
    };
}
