//! The calls of both contracts, by name.

use tracing::field::Empty;
use tracing::{Level, Span, span};

/// A call of a store's contract.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Operation {
    /// The method's name: `put`, `get_many`, `dependents`. Those of a blob writer are `write`, `finish` and `abort`.
    pub name: &'static str,
    /// The contract that it belongs to, `blob` or `dag`: some names are in both.
    pub of: &'static str,
    /// Whether it changes what is stored.
    pub writes: bool,
    /// Whether it is a later item of a stream, or a piece for a writer: a part of a call, and no call of its own.
    pub is_part: bool,
    index: u8,
}

impl Operation {
    /// Its place in [`Operation::ALL`].
    #[must_use]
    pub const fn index(self) -> usize {
        self.index as usize
    }

    /// The same, as a part of a call.
    pub(super) const fn part(mut self) -> Self {
        self.is_part = true;
        self
    }
}

/// Names the operations, each with its contract and whether it reads or writes.
macro_rules! operations {
    ($($constant:ident: $of:literal $does:ident $name:literal;)*) => {
        /// Their places.
        #[allow(non_camel_case_types, clippy::upper_case_acronyms, reason = "they are named as the constants")]
        #[derive(Clone, Copy)]
        enum Index { $($constant,)* }

        impl Operation {
            $(
                pub(super) const $constant: Self = Self {
                    name: $name,
                    of: $of,
                    writes: writes::$does,
                    is_part: false,
                    index: Index::$constant as u8,
                };
            )*

            /// All operations of both contracts.
            pub const ALL: &[Self] = &[$(Self::$constant,)*];

            /// The span of a call of this store; disabled where nobody wants it.
            pub(crate) fn span(self, store: &str) -> Span {
                match self.index {
                    $(index if index == Index::$constant as u8 => span!(
                        target: "deriva",
                        Level::TRACE,
                        concat!("store.", $of, "_", $name),
                        store,
                        items = Empty,
                        bytes = Empty,
                        kind = Empty,
                    ),)*
                    _ => Span::none(),
                }
            }
        }
    };
}

#[allow(non_upper_case_globals, reason = "they stand in the table as words")]
mod writes {
    pub(super) const reads: bool = false;
    pub(super) const writes: bool = true;
}

operations! {
    BLOB_PUT: "blob" writes "put";
    BLOB_WRITER: "blob" writes "writer";
    BLOB_WRITE: "blob" writes "write";
    BLOB_FINISH: "blob" writes "finish";
    BLOB_ABORT: "blob" writes "abort";
    BLOB_GET: "blob" reads "get";
    BLOB_GET_MANY: "blob" reads "get_many";
    BLOB_GET_RANGE: "blob" reads "get_range";
    BLOB_STAT: "blob" reads "stat";
    BLOB_VERIFY: "blob" reads "verify";
    BLOB_REMOVE: "blob" writes "remove";
    BLOB_LIST: "blob" reads "list";
    BLOB_USAGE: "blob" reads "usage";
    BLOB_FLUSH: "blob" reads "flush";
    DAG_INSERT: "dag" writes "insert";
    DAG_GET_MANY: "dag" reads "get_many";
    DAG_OUTPUTS: "dag" reads "outputs";
    DAG_RECORD: "dag" writes "record";
    DAG_FORGET: "dag" writes "forget";
    DAG_REMOVE: "dag" writes "remove";
    DAG_DEPENDENTS: "dag" reads "dependents";
    DAG_BY_FUNCTION: "dag" reads "by_function";
    DAG_LIST: "dag" reads "list";
    DAG_SET_ROOT: "dag" writes "set_root";
    DAG_REMOVE_ROOT: "dag" writes "remove_root";
    DAG_ROOTS: "dag" reads "roots";
    DAG_USAGE: "dag" reads "usage";
    DAG_FLUSH: "dag" reads "flush";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_operation_is_where_its_index_says() {
        for (index, operation) in Operation::ALL.iter().enumerate() {
            assert_eq!(operation.index(), index);
        }
        let names = Operation::ALL.iter().map(|it| (it.of, it.name));
        let distinct: std::collections::BTreeSet<_> = names.collect();
        assert_eq!(distinct.len(), Operation::ALL.len());
    }
}
