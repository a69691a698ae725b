//! What a check found: promises down, stores across.

use deriva_api::DurabilityClass;
use deriva_testkit::{Level, Outcome, Subject};

use crate::proof::Proved;

/// The outcomes of every case on every store.
#[derive(Clone, Debug)]
pub struct Results {
    /// The stores, in the order in which they were named.
    pub columns: Vec<Column>,
    /// The cases, by level.
    pub rows: Vec<Row>,
    /// How long everything took.
    pub seconds: f64,
}

/// A store under a stack of layers.
#[derive(Clone, Debug)]
pub struct Column {
    /// The store as it was named: `sled`, `redb+files`, `sled?durability=buffered`.
    pub store: String,
    /// The layers over it: `none`, `retry`.
    pub layers: String,
    /// What the store says that an acknowledged write survives; the weaker half of a split store.
    pub declared: DurabilityClass,
    /// What was seen, where it was looked for.
    pub proved: Option<Proved>,
}

/// A case and what came of it.
#[derive(Clone, Debug)]
pub struct Row {
    /// The name of the case.
    pub case: String,
    /// What it holds the store to: `B1: ...`.
    pub promise: String,
    /// How thorough a check it belongs to.
    pub level: Level,
    /// What it is about.
    pub subject: Subject,
    /// For each column what came of it; `None` where it was not asked.
    pub cells: Vec<Option<Cell>>,
}

/// What came of a case on a store.
#[derive(Clone, Debug)]
pub struct Cell {
    /// Whether the promise was kept.
    pub outcome: Outcome,
    /// How long it took.
    pub seconds: f64,
    /// What failed, or was measured.
    pub detail: Option<String>,
}

/// How many cases came out how.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Promises kept.
    pub held: usize,
    /// Capabilities that are absent and say so.
    pub unsupported: usize,
    /// Promises broken.
    pub failed: usize,
}

impl Counts {
    /// All of them.
    #[must_use]
    pub fn total(self) -> usize {
        self.held + self.unsupported + self.failed
    }

    fn add(mut self, cell: &Cell) -> Self {
        match cell.outcome {
            Outcome::Held => self.held += 1,
            Outcome::Unsupported => self.unsupported += 1,
            Outcome::Failed => self.failed += 1,
        }
        self
    }
}

impl Results {
    /// Whether nothing failed.
    #[must_use]
    pub fn held(&self) -> bool {
        self.counts().failed == 0
    }

    /// The counts over all stores.
    #[must_use]
    pub fn counts(&self) -> Counts {
        let cells = self.rows.iter().flat_map(|row| row.cells.iter().flatten());
        cells.fold(Counts::default(), Counts::add)
    }

    /// The counts of one column.
    #[must_use]
    pub fn counts_of(&self, column: usize) -> Counts {
        self.cells(column).fold(Counts::default(), Counts::add)
    }

    /// How long the cases of one column took.
    #[must_use]
    pub fn seconds_of(&self, column: usize) -> f64 {
        self.cells(column).map(|cell| cell.seconds).sum()
    }

    /// The levels that were asked for, with their rows.
    #[must_use]
    pub fn levels(&self) -> Vec<(Level, Vec<&Row>)> {
        let mut levels: Vec<(Level, Vec<&Row>)> = Vec::new();
        for row in &self.rows {
            match levels.iter_mut().find(|(level, _)| *level == row.level) {
                Some((_, rows)) => rows.push(row),
                None => levels.push((row.level, vec![row])),
            }
        }
        levels
    }

    /// Everything that failed.
    pub fn failures(&self) -> impl Iterator<Item = (&Column, &Row, &Cell)> {
        self.rows.iter().flat_map(|row| {
            let cells = self.columns.iter().zip(&row.cells);
            cells.filter_map(move |(column, cell)| match cell {
                Some(cell) if cell.outcome == Outcome::Failed => Some((column, row, cell)),
                _ => None,
            })
        })
    }

    /// How much was asked: `60 cases on 2 stores under 6 stacks of layers`.
    #[must_use]
    pub fn extent(&self) -> String {
        let distinct = |name: fn(&Column) -> &String| {
            let names = self.columns.iter().map(name);
            names.collect::<std::collections::BTreeSet<_>>().len()
        };
        let counted = |n: usize, word: &str| format!("{n} {word}{}", if n == 1 { "" } else { "s" });
        let cases = counted(self.rows.len(), "case");
        let stores = counted(distinct(|column| &column.store), "store");
        match distinct(|column| &column.layers) {
            _ if !self.layered() => format!("{cases} on {stores}"),
            stacks => format!(
                "{cases} on {stores} under {} of layers",
                counted(stacks, "stack")
            ),
        }
    }

    /// Whether there are layers over any store.
    #[must_use]
    pub fn layered(&self) -> bool {
        self.columns.iter().any(|column| column.layers != "none")
    }

    fn cells(&self, column: usize) -> impl Iterator<Item = &Cell> {
        let cells = self.rows.iter().map(move |row| row.cells.get(column));
        cells.filter_map(|cell| cell?.as_ref())
    }
}

impl Column {
    /// The store, and its layers where there are any: `retry(sled)`.
    #[must_use]
    pub fn title(&self) -> String {
        match self.layers.as_str() {
            "none" => self.store.clone(),
            layers => format!("{layers}({})", self.store),
        }
    }
}

impl Row {
    /// The promise's sign and its words: `B1`, `round trip at the boundaries`.
    #[must_use]
    pub fn sign_and_words(&self) -> (&str, &str) {
        let promise = self.promise.trim();
        match promise.split_once(':') {
            Some((sign, words)) if sign.len() <= 8 && !sign.contains(' ') => (sign, words.trim()),
            _ => ("", promise),
        }
    }
}
